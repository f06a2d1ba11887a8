"""Custody, against a node in memory: cases, then every fault point."""

from __future__ import annotations

import pytest

from nri_netdev import faults
from nri_netdev.custody.settle import LOST_AFTER_S
from nri_netdev.domain.claim import State
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import RequestError
from tests.fakes import HOME
from tests.world import SABOTAGE, Killed, World, inside, killed_at, new_world, steps_of


@pytest.fixture(name="world")
def _world() -> World:
    return new_world()


# -- the life of a claim -----------------------------------------------------------------------------------------------


def test_an_interface_goes_in_and_comes_home(world: World) -> None:
    """Given under the wanted name with its addresses, and home as it was when the container has ended."""
    before = world.home()
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"), ("ens2", "net2"))

    assert inside(world, pod) == {"net1", "net2"}
    assert [claim.state for claim in world.custody.claims] == [State.HELD, State.HELD]

    world.die(container)

    assert world.home() == before
    world.assert_all_is_home()


def test_a_restart_in_the_same_pod_just_works(world: World) -> None:
    """A container that is created again gets its interface again, though the end of the first was never told."""
    pod = world.run_pod()
    for _ in range(3):
        container = world.run(pod, "app", ("ens1", "net1"))
        world.die(container, told=False)
    world.remove_pod(pod)

    world.assert_all_is_home()


def test_a_failed_create_leaves_nothing_and_can_be_tried_again(world: World) -> None:
    """The runtime may fail after or before the move, and no event tells of it."""
    pod = world.run_pod()
    world.create(pod, "app", ("ens1", "net1"), moves=True)
    world.create(pod, "app", ("ens1", "net1"), moves=False)
    world.run(pod, "app", ("ens1", "net1"))

    assert inside(world, pod) == {"net1"}
    assert len(world.custody.claims) == 1


def test_a_living_holder_is_told_by_name_and_age(world: World) -> None:
    """Whoever comes second is refused, and nothing moves."""
    pod, other = world.run_pod(), world.run_pod()
    world.run(pod, "app", ("ens1", "net1"))
    world.clock += 90

    with pytest.raises(RequestError, match=r'"ens1" is held by pod default/pod1, container app for 1 min 30 s'):
        world.create(other, "app", ("ens1", "net1"))
    assert inside(world, pod) == {"net1"}


def test_a_running_container_is_not_robbed_by_a_namesake(world: World) -> None:
    """A second container of the same name in the same pod gets nothing while the first one runs."""
    pod = world.run_pod()
    world.run(pod, "app", ("ens1", "net1"))

    with pytest.raises(RequestError, match="is held by"):
        world.create(pod, "app", ("ens1", "net1"))


def test_a_pod_level_claim_stays_until_the_pod_goes(world: World) -> None:
    """It comes with the first container, survives restarts, is shared by the second, and goes home with the pod."""
    pod = world.run_pod()
    first = world.run(pod, "one", ("ens1", "net1"), scope=Scope.POD)
    world.run(pod, "two", ("ens1", "net1"), scope=Scope.POD)
    world.die(first)

    assert inside(world, pod) == {"net1"}

    world.run(pod, "one", ("ens1", "net1"), scope=Scope.POD)

    assert inside(world, pod) == {"net1"}

    world.remove_pod(pod)

    world.assert_all_is_home()


def test_a_pod_level_promise_that_failed_comes_with_the_next_container(world: World) -> None:
    """If the first container could not be created, the next one brings the pod's interface in."""
    pod = world.run_pod()
    world.create(pod, "one", ("ens1", "net1"), scope=Scope.POD, moves=False)
    world.run(pod, "two", ("ens1", "net1"), scope=Scope.POD)

    assert inside(world, pod) == {"net1"}


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


@pytest.mark.parametrize("netns_first", [False, True])
@pytest.mark.parametrize("scope", Scope)
def test_the_end_of_a_pod_brings_everything_home(world: World, scope: Scope, netns_first: bool) -> None:
    """Also where the engine removes the netns before it tells."""
    pod = world.run_pod()
    world.run(pod, "app", ("ens1", "net1"), ("ens2", "net2"), scope=scope)
    world.remove_pod(pod, netns_first=netns_first)

    world.assert_all_is_home()
    assert set(world.home()) == {"ens1", "ens2"}


@pytest.mark.parametrize("scope", Scope)
def test_a_pod_that_went_without_a_word_is_noticed(world: World, scope: Scope) -> None:
    """After a restart containerd tells nothing of older pods: their netns is seen to be abandoned."""
    pod = world.run_pod()
    world.run(pod, "app", ("ens1", "net1"), scope=scope)
    world.remove_pod(pod, told=False)
    world.custody.tick()

    world.assert_all_is_home()


@pytest.mark.parametrize("scope", Scope)
def test_what_ended_while_the_daemon_was_down_comes_home_at_its_next_start(world: World, scope: Scope) -> None:
    """The pin keeps the netns, and a virtual interface in it, until the daemon is back."""
    pod, other = world.run_pod(), world.run_pod()
    world.run(pod, "app", ("ens1", "net1"), scope=scope)
    world.run(other, "app", ("ens2", "net1"), scope=scope)
    world.remove_pod(pod, told=False)
    world.start_daemon()

    assert [claim.ifname for claim in world.custody.claims] == ["ens2"]
    assert set(world.home()) == {"ens1"}
    assert inside(world, other) == {"net1"}


def test_nothing_is_touched_before_the_engine_has_told(world: World) -> None:
    """A daemon that has just started does not know who lives; it waits."""
    pod = world.run_pod()
    world.run(pod, "app", ("ens1", "net1"))
    world.start_daemon(synchronize=False)
    world.custody.settle()
    world.custody.tick()

    assert inside(world, pod) == {"net1"}


@pytest.mark.parametrize("kind", ["veth", None])
@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_whatever_a_container_does_to_it_it_comes_home(sabotage: str, kind: str | None) -> None:
    """Renamed, changed, stripped of its mark or moved on: found all the same, and restored."""
    world = World()
    device = world.kernel.add("ens9", kind=kind)
    was, addresses = device.link, device.addresses
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens9", "net1"))
    SABOTAGE[sabotage](world, device)
    world.die(container)

    assert (device.link, device.addresses) == (was, addresses)
    world.assert_all_is_home()


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


# -- what is wrong is said ---------------------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_told_and_taken_back_when_it_is_free(world: World) -> None:
    """It comes home under another name, says by whom its own is taken, and gets it back later."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    rival = world.kernel.add("ens1")
    world.die(container)
    (claim,) = world.custody.claims

    assert claim.state is State.PARTIAL
    assert "ens1" in claim.troubles[0]
    assert claim.home_ifname in world.home()

    with pytest.raises(RequestError, match="is being returned"):
        world.create(pod, "app", ("ens1", "net1"))
    world.kernel.change(rival, ifname="other")
    world.custody.settle()

    world.assert_all_is_home()
    assert {"ens1", "other"} <= set(world.home())


def test_what_could_not_be_restored_is_kept_and_tried_again(world: World) -> None:
    """A route that is refused keeps the claim, not the interface: the next container may have it."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    world.kernel.refused.add("routes")
    world.die(container)

    assert world.custody.claims[0].troubles == ("its route could not be restored: no gateway",)

    container = world.run(pod, "app", ("ens1", "net1"))

    assert len(world.custody.claims) == 1

    world.kernel.refused.clear()
    world.die(container)

    world.assert_all_is_home()


def test_a_lost_interface_is_told_kept_and_found_again(world: World) -> None:
    """Lost only after a while, kept in the ledger, and home by itself when it turns up."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    device = next(d for d in world.kernel.devices if d.link.ifname == "net1")
    world.kernel.devices.remove(device)
    world.die(container)

    assert world.custody.claims[0].state is State.RETURNING

    world.clock += LOST_AFTER_S
    world.custody.tick()

    assert world.custody.claims[0].state is State.LOST
    assert "nri-netdev release ens1" in world.custody.claims[0].troubles[0]

    world.kernel.devices.append(device)
    world.custody.settle()

    world.assert_all_is_home()


def test_release_brings_home_from_a_living_holder_and_forgets_what_is_lost(world: World) -> None:
    """By hand everything ends."""
    pod = world.run_pod()
    world.run(pod, "app", ("ens1", "net1"), ("ens2", "net2"))
    world.kernel.devices = [d for d in world.kernel.devices if d.link.ifname != "net2"]
    world.ledger.asked = {claim.mark for claim in world.custody.claims}
    world.custody.tick()

    world.assert_all_is_home()
    assert set(world.home()) == {"ens1"}


def test_after_a_reboot_everything_counts_as_home() -> None:
    """Hardware gets its name back, and what was virtual is forgotten."""
    world = World()
    world.kernel.add("ens1")
    hardware = world.kernel.add("ens2", kind=None)
    pod = world.run_pod()
    world.run(pod, "app", ("ens1", "net1"), ("ens2", "net2"))
    world.kernel.reboot()
    world.kernel.change(hardware, ifname="dev7")
    world.live.clear()
    world.live_pods.clear()
    world.start_daemon()

    world.assert_all_is_home()
    assert set(world.home()) == {"ens2"}


def test_with_a_full_ledger_nothing_is_given_and_everything_comes_home(world: World) -> None:
    """A create is refused with the reason; what is out still comes home."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    world.ledger.is_full = True

    with pytest.raises(RequestError, match="make room on its disk; nothing is given until then"):
        world.create(pod, "two", ("ens2", "net2"))
    world.die(container)

    assert set(world.home()) == {"ens1", "ens2"}

    world.ledger.is_full = False
    world.start_daemon()

    world.assert_all_is_home()


@pytest.mark.parametrize("what", ["pin", "mark"])
def test_a_promise_that_cannot_be_kept_is_not_made(world: World, what: str) -> None:
    """If host or netns cannot be prepared the create is refused and all is as it was."""
    before = world.home()
    pod = world.run_pod()
    world.kernel.refused.add(what)

    with pytest.raises(RequestError, match=f"cannot {what}"):
        world.create(pod, "app", ("ens1", "net1"))
    world.kernel.refused.clear()
    world.custody.settle()

    assert world.home() == before
    world.assert_all_is_home()


# -- any instant -------------------------------------------------------------------------------------------------------


def life(world: World) -> None:
    """Two pods, a restart, a pod-level claim, a pod that goes: every step that custody has."""
    pod, other = world.run_pod(), world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"), ("ens2", "net2"))
    world.die(container)
    ignored = world.create(pod, "app", ("ens1", "net1"), moves=False)
    world.start(ignored)
    world.run(other, "app", ("ens2", "net1"), scope=Scope.POD)
    world.remove_pod(pod)
    world.remove_pod(other, netns_first=True)


@pytest.mark.parametrize("at", range(1, steps_of(lambda: life(new_world())) + 1))
def test_killed_at_any_step_everything_is_home_after_the_next_start(at: int) -> None:
    """Whatever instant the daemon is killed at, its next start puts right what it left."""
    world = new_world()
    before = world.home()

    assert killed_at(at, lambda: life(world))
    for pod in list(world.live_pods.values()):
        world.remove_pod(pod, told=False)
    world.start_daemon()

    assert world.home() == before
    world.assert_all_is_home()


def test_power_loss_at_any_commit_leaves_nothing_to_do() -> None:
    """After a reboot every prefix of the ledger's commits leads to the same: all at home, nothing held."""
    commits: list[dict[str, object]] = []
    world = new_world()
    write = world.ledger.write

    def recorded(**changes: object) -> None:
        write(**changes)
        commits.append(dict(world.ledger.kept))

    world.ledger.write = recorded  # type: ignore[method-assign]
    life(world)
    for rows in commits:
        after = new_world()
        after.ledger.kept = dict(rows)  # type: ignore[arg-type]
        after.kernel.reboot()
        after.start_daemon()

        after.assert_all_is_home()


def test_a_pods_promise_that_a_daemon_died_over_is_pinned_before_it_is_given(world: World) -> None:
    """Written down, then killed before the netns was pinned: the next container gets it pinned all the same."""
    pod = world.run_pod()

    def kill(name: str) -> None:
        if name == "custody.promised":
            raise Killed

    with faults.hooked(kill), pytest.raises(Killed):
        world.create(pod, "one", ("ens1", "net1"), scope=Scope.POD)
    world.start_daemon()
    world.run(pod, "one", ("ens1", "net1"), scope=Scope.POD)

    assert inside(world, pod) == {"net1"}
    assert world.kernel.pods.pins() == {claim.netns.pin for claim in world.custody.claims}

    world.remove_pod(pod, told=False)
    world.start_daemon()

    world.assert_all_is_home()
    assert "ens1" in world.home()
