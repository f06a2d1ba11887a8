"""What a daemon finds that another has died over, and what of it nobody may have meanwhile."""

from __future__ import annotations

import dataclasses

import pytest

from nri_netdev.domain.claim import State
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import RequestError
from tests.fakes import HOME
from tests.world import World, entries, inside, new_world

ENS1 = ("ens1", "net1")


@pytest.fixture(name="world")
def _world() -> World:
    return new_world()


def died_over(world: World, *, scope: Scope = Scope.CONTAINER) -> PodSandbox:
    """A pod whose prepared claim a daemon has died over; the next one has not been told anything."""
    pod = world.run_pod()
    world.prepare(pod, {"app" if scope is Scope.CONTAINER else "": entries(ENS1, scope=scope)})
    assert len(world.ledger.prepared) == 1
    world.start_daemon(synchronize=False)
    return pod


def came(world: World, pod: PodSandbox, number: int, *, is_running: bool = False) -> Container:
    """A container that came while no daemon was there."""
    container = Container(id=f"c{number}", name="app", pod_id=pod.id, pid=10_000 + number, is_running=is_running)
    world.live[container.id] = container
    return container


@pytest.mark.parametrize("scope", Scope)
def test_a_container_that_the_engine_has_not_told_of_yet(world: World, scope: Scope) -> None:
    """It was answered, then the daemon died: what its runtime moves after Synchronize is its own, and comes home."""
    before = world.home()
    pod = died_over(world, scope=scope)
    world.synchronize()
    world.kernel.runtime_create(world.namespaces[pod.id], {"ens1": "net1"})
    container = came(world, pod, 1)
    world.start(container)

    assert inside(world, pod) == {"net1"}
    (claim,) = world.custody.claims
    assert (claim.owner.container_id, claim.state) == ("c1", State.HELD)

    world.wait()
    assert inside(world, pod) == {"net1"}

    world.remove_pod(pod)
    assert world.home() == before
    world.assert_all_is_home()


def test_nobody_else_gets_it_until_that_is_known(world: World) -> None:
    """For some seconds its pod may have it; then whoever asks."""
    died_over(world)
    world.synchronize()
    other = world.run_pod()
    with pytest.raises(RequestError, match="ens1"):
        world.create(other, "app", ENS1)
    world.wait()
    world.start(world.create(other, "app", ENS1))

    assert inside(world, other) == {"net1"}


def test_a_pod_that_is_gone_had_nothing(world: World) -> None:
    """Then there is nothing to wait for."""
    pod = died_over(world)
    world.remove_pod(pod, told=False)
    world.synchronize()

    world.assert_all_is_home()


@pytest.mark.parametrize("has_container", [True, False])
def test_what_somebody_has_taken_elsewhere_stays_there(world: World, has_container: bool) -> None:
    """Moved by an operator while no daemon was there: it is not fetched, whoever has come, and whoever ends."""
    pod = died_over(world)
    elsewhere = world.kernel.new_netns(processes={77})
    world.kernel.move(next(d for d in world.kernel.devices if d.link.ifname == "ens1"), elsewhere.ino)
    if has_container:
        came(world, pod, 1, is_running=True)
    world.synchronize()
    world.wait()
    world.remove_pod(pod)

    assert [d.link.ifname for d in world.kernel.devices if d.netns == elsewhere.ino] == ["ens1"]
    assert world.custody.claims == ()


def test_what_was_done_to_it_since_stays_done(world: World) -> None:
    """It was given to nobody, so there is nothing to restore."""
    died_over(world)
    device = next(d for d in world.kernel.devices if d.link.ifname == "ens1")
    world.kernel.change(device, mtu=9000, is_up=False)
    world.synchronize()
    world.wait()

    assert (device.link.mtu, device.link.is_up) == (9000, False)
    world.assert_all_is_home()


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_two_containers_it_is_for_the_one_that_is_still_to_start(world: World, order: tuple[int, int]) -> None:
    """In whatever order the engine tells of them."""
    pod = died_over(world, scope=Scope.POD)
    made = {number: came(world, pod, number, is_running=number == 1) for number in order}
    world.synchronize()
    world.start(made[2])

    assert inside(world, pod) == {"net1"}


def test_what_cannot_be_found_out_at_once_is_found_out_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that refuses to tell leaves nothing blocked for good."""
    died_over(world)
    world.live_pods.clear()
    monkeypatch.setattr(world.kernel.host, "unmark", lambda *_: world.kernel.host.link(-1))
    world.synchronize()
    assert len(world.custody.claims) == 1
    monkeypatch.undo()
    world.wait()

    world.assert_all_is_home()


def test_what_is_home_under_another_name_is_still_held(world: World) -> None:
    """Whoever asks for it by the name that it has meanwhile is told whose it is."""
    pod = world.run_pod()
    container = world.run(pod, "app", ENS1)
    world.kernel.add("ens1")
    world.die(container)
    (claim,) = world.custody.claims
    assert claim.home_ifname is not None

    with pytest.raises(RequestError, match="being returned"):
        world.create(world.run_pod(), "app", (claim.home_ifname, "net1"))


def test_a_ledger_that_is_well_again_forgets_what_it_should(world: World) -> None:
    """By the timer, though nothing else is written: else the next daemon would restore what is over."""
    pod = world.run_pod()
    container = world.run(pod, "app", ENS1)
    world.ledger.is_full = True
    world.die(container)
    assert world.ledger.rows
    assert world.custody.is_behind
    world.ledger.is_full = False
    world.custody.tick()

    assert not world.custody.is_behind
    assert world.ledger.rows == {}


def test_a_prepared_claim_of_what_has_gone_makes_room(world: World) -> None:
    """Its interface is unplugged and plugged in again: the prepared claim is of the new one."""
    pod = world.run_pod()
    world.prepare(pod, {"app": entries(ENS1)})
    device = next(d for d in world.kernel.devices if d.link.ifname == "ens1")
    world.kernel.devices.remove(device)
    world.custody.preparations.refresh()
    assert not world.custody.preparations
    back = world.kernel.add("ens1")
    world.prepare(pod, {"app": entries(ENS1)})
    prepared = world.custody.ready(pod.id, "app")

    assert prepared is not None
    assert prepared.links[0].ifindex == back.link.ifindex
    assert dataclasses.replace(back).netns == HOME
