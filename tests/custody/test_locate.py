"""Where the interface of a claim is: each place that it can be in, and what is not taken for it."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from nri_netdev.custody.locate import Found, is_mounted, locate, pod_path
from nri_netdev.domain.claim import Claim, share_ifindex
from nri_netdev.domain.life import Place
from nri_netdev.domain.links import Link
from nri_netdev.errors import KernelError
from tests.fakes import HOME, Device
from tests.world import World, entries


def claimed(world: World, *, moves: bool = True) -> tuple[Claim, Device]:
    """A claim on a virtual interface that a runtime has moved in, or not, and the device."""
    world.create(world.run_pod(), "app", ("ens1", "net1"), moves=moves)
    (claim,) = world.custody.claims
    device = next(d for d in world.kernel.devices if claim.mark in d.link.altnames)
    return claim, device


# -- the places --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_marked", [True, False])
def test_an_interface_is_found_at_home(world: World, is_marked: bool) -> None:
    """Its mark tells it; where a daemon died before it set that, index and name do."""
    claim, device = claimed(world, moves=False)
    if not is_marked:
        world.kernel.change(device, altnames=())

    assert locate(world.kernel, claim) == Found(Place.HOST, None, device.link)


@pytest.mark.parametrize("is_marked", [True, False])
def test_an_interface_is_found_in_its_pod(world: World, is_marked: bool) -> None:
    """Its mark tells it; where the container took that off, the name that the runtime gave it does."""
    claim, device = claimed(world)
    if not is_marked:
        world.kernel.change(device, altnames=())

    assert locate(world.kernel, claim) == Found(Place.POD, f"pin:{claim.netns.ino}", device.link)


def test_an_interface_is_found_in_a_third_netns(world: World) -> None:
    """Any netns that a process is in is looked at."""
    claim, device = claimed(world)
    away = world.kernel.new_netns(processes=[77])
    world.kernel.move(device, away.ino)

    assert locate(world.kernel, claim) == Found(Place.AWAY, f"proc:{away.ino}", device.link)


def share(world: World) -> tuple[Claim, Device]:
    """A claim on a share, and its device, as the kernel makes it."""
    world.start(world.answer(world.run_pod(), "app", entries(("ens1", "net1"), setup={"share": "macvlan"})))
    (claim,) = world.custody.claims
    device = next(d for d in world.kernel.devices if claim.mark in d.link.altnames)
    below = claim.snapshot.link.ifindex
    world.kernel.change(device, ifindex=share_ifindex(claim.mark), link=below, link_netnsid=0)
    return claim, device


def test_a_share_that_its_container_has_hidden(world: World) -> None:
    """Without its mark, under another name, in a third netns: it is not gone."""
    claim, device = share(world)
    away = world.kernel.new_netns(processes=[77])
    world.kernel.move(device, away.ino)
    world.kernel.change(device, ifname="mine0", altnames=(), link_netnsid=4)

    assert locate(world.kernel, claim) == Found(Place.AWAY, f"proc:{away.ino}", device.link)


def test_a_share_that_is_gone(world: World) -> None:
    """A macvlan that another pod's CNI plugin has made on the same interface is not taken for it."""
    claim, device = share(world)
    world.kernel.devices.remove(device)
    other = world.kernel.add("net1", kind="macvlan")
    world.kernel.move(other, world.kernel.new_netns(processes=[77]).ino)
    world.kernel.change(other, ifindex=3, link=claim.snapshot.link.ifindex, link_netnsid=0)

    assert locate(world.kernel, replace(claim, ifindex=3)) == Found(Place.HOST)


def test_an_interface_that_nobody_has_is_nowhere(world: World) -> None:
    """A netns that cannot be seen may have it, or none."""
    claim, device = claimed(world)
    world.kernel.devices.remove(device)

    assert locate(world.kernel, claim) == Found(Place.NOWHERE)


def test_a_netns_that_goes_while_it_is_looked_at_has_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search goes on with the next one."""
    claim, device = claimed(world)
    going, away = world.kernel.new_netns(processes=[77]), world.kernel.new_netns(processes=[78])
    world.kernel.move(device, away.ino)
    links = world.kernel.pods.links

    def looked(path: str) -> tuple[Link, ...]:
        if path == f"proc:{going.ino}":
            raise KernelError(action=f"open {path}", errno=errno.ENOENT)
        return links(path)

    monkeypatch.setattr(world.kernel.pods, "links", looked)

    assert locate(world.kernel, claim).netns_path == f"proc:{away.ino}"


def test_a_mark_at_home_is_enough(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other netns is looked at when home has the mark."""
    claim, _ = claimed(world, moves=False)
    monkeypatch.setattr(world.kernel.pods, "links", pytest.fail)
    monkeypatch.setattr(world.kernel.processes, "foreign_netns", pytest.fail)

    assert locate(world.kernel, claim).place is Place.HOST


# -- the way to a netns ------------------------------------------------------------------------------------------------


def test_the_way_to_a_netns_is_its_pin_or_the_engines_path(world: World) -> None:
    """A netns without either cannot be reached."""
    claim, _ = claimed(world)
    namespace = world.kernel.namespaces[claim.netns.ino]
    namespace.processes.add(77)

    assert pod_path(world.kernel, claim.netns) == f"pin:{claim.netns.ino}"

    namespace.is_pinned = False

    assert pod_path(world.kernel, claim.netns) == claim.netns.path

    world.kernel.unmount(namespace)

    assert pod_path(world.kernel, claim.netns) is None


def test_a_path_that_leads_to_another_netns_is_not_the_pods(world: World) -> None:
    """An engine may use a path again for the next pod."""
    claim, _ = claimed(world)

    assert is_mounted(world.kernel, claim.netns)

    world.kernel.unmount(world.kernel.namespaces[claim.netns.ino])

    assert not is_mounted(world.kernel, claim.netns)

    world.kernel.new_netns(path=claim.netns.path)

    assert not is_mounted(world.kernel, claim.netns)


# -- what is not taken for it ------------------------------------------------------------------------------------------


def test_something_else_under_its_name_is_not_taken_for_it(world: World) -> None:
    """A container cannot hand back a device of its own making."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    real = next(d for d in world.kernel.devices if d.link.ifname == "net1")
    world.kernel.change(real, ifname="hidden", altnames=())
    fake = world.kernel.add("fake")
    world.kernel.move(fake, world.namespaces[pod.id].ino, "net1")
    world.die(container)

    assert "ens1" in world.home()
    assert real.netns == HOME
    assert fake.netns != HOME
