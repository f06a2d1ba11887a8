"""Arrival: what a container asked for is inside, complete, before its process runs."""

from __future__ import annotations

import pytest

from nri_netdev.domain.claim import State
from nri_netdev.errors import Reason, RequestError
from tests.fakes import HOME
from tests.world import World, inside


def test_what_the_runtime_ignored_is_moved_by_us(world: World) -> None:
    """An old runtime leaves the interface on the host; at start it is put inside, complete."""
    pod = world.run_pod()
    container = world.create(pod, "app", ("ens1", "net1"), moves=False)
    world.start(container)

    assert inside(world, pod) == {"net1"}
    assert world.custody.claims[0].state is State.HELD


def test_what_cannot_arrive_stops_the_start(world: World) -> None:
    """If the interface can be put in by nobody, the start is refused, with the reason."""
    pod = world.run_pod()
    container = world.create(pod, "app", ("ens1", "net1"), moves=False)
    world.kernel.refused.add("send")

    with pytest.raises(RequestError, match="ens1 did not arrive: cannot send"):
        world.start(container)


def test_what_may_not_be_moved_by_us_stops_the_start(world: World) -> None:
    """The refusal says what to do about the runtime, and the interface stays where it is."""
    pod = world.run_pod()
    container = world.create(pod, "app", ("ens1", "net1"), moves=False)

    with pytest.raises(RequestError, match=r"ignored linux\.netDevices; use NRI 0\.11 and runc 1\.4") as caught:
        world.custody.start(pod, container, (), may_move=False)
    assert caught.value.reason is Reason.ARRIVAL
    assert set(world.home()) == {"ens1", "ens2"}


def test_only_what_had_to_be_moved_is_told(world: World) -> None:
    """A runtime that has moved all that it was asked for is not said to have ignored anything."""
    pod, other = world.run_pod(), world.run_pod()
    moved = world.create(pod, "app", ("ens1", "net1"))
    ignored = world.create(other, "app", ("ens2", "net1"), moves=False)

    assert world.custody.start(pod, moved, ()) == ()
    assert world.custody.start(other, ignored, ()) == ("ens2",)
    assert world.custody.start(other, ignored, ()) == ()


def test_what_is_inside_is_complete(world: World) -> None:
    """An interface that was set down and stripped before the start is up, under its name and with its addresses."""
    pod = world.run_pod()
    container = world.create(pod, "app", ("ens1", "net1"))
    device = next(d for d in world.kernel.devices if d.netns != HOME)
    world.start(container)
    addresses = device.addresses
    world.kernel.change(device, ifname="eth7", is_up=False)
    device.addresses = ()
    world.start(container)

    assert (device.link.ifname, device.link.is_up, device.addresses) == ("net1", True, addresses)
    assert addresses


def test_every_interface_that_is_missing_is_told_at_once(world: World) -> None:
    """The refusal names each with where it is, and keeps none of the others from arriving."""
    world.kernel.add("ens3")
    pod = world.run_pod()
    container = world.create(pod, "app", ("ens1", "net1"), ("ens2", "net2"), ("ens3", "net3"))
    away = world.kernel.new_netns(processes=[77])
    world.kernel.move(next(d for d in world.kernel.devices if d.link.ifname == "net1"), away.ino)
    world.kernel.devices = [d for d in world.kernel.devices if d.link.ifname != "net3"]

    with pytest.raises(
        RequestError,
        match=r"^interface ens1 did not arrive: it is in another network namespace; "
        r"interface ens3 did not arrive: it is in no network namespace that can be seen$",
    ):
        world.start(container)
    states = {claim.ifname: claim.state for claim in world.custody.claims}
    assert states == {"ens1": State.PLANNED, "ens2": State.HELD, "ens3": State.PLANNED}
