"""Custody, against a node in memory: cases, then every fault point."""

from __future__ import annotations

import logging

import pytest

from nri_netdev.domain.claim import State
from nri_netdev.domain.links import Address
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import RequestError
from tests.world import World, inside, killed_at, new_world, steps_of

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


def test_a_living_holder_is_told_by_name_and_age(world: World) -> None:
    """Whoever comes second is refused, and nothing moves."""
    pod, other = world.run_pod(), world.run_pod()
    world.run(pod, "app", ("ens1", "net1"))
    world.clock += 90

    with pytest.raises(RequestError, match=r'"ens1" is held by pod default/pod1, container app for 1 min 30 s'):
        world.create(other, "app", ("ens1", "net1"))
    assert inside(world, pod) == {"net1"}


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


def test_what_does_not_come_along_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the promise; for one of which everything does, nothing is."""
    caplog.set_level(logging.INFO)
    leased = world.kernel.add("ens8")
    leased.addresses = (Address(family=2, address="192.0.2.7", prefixlen=24, valid_lft_s=600),)
    pod = world.run_pod()
    for ifname in ("ens1", "ens8"):
        container = world.create(pod, ifname, (ifname, f"of-{ifname}"))
        for _ in range(2):
            world.custody.record(container.id)
    told = [record.fields.get("effects") for record in caplog.records if record.getMessage() == "claim.promised"]

    assert told == [None, ("its address 192.0.2.7/24 does not come along: leased or autoconfigured",)]
