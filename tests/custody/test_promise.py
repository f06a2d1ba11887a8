"""The promise: what a container is given is durable before the engine hears of it, and others make way for it."""

from __future__ import annotations

import pytest

from nri_netdev import faults
from nri_netdev.domain.claim import State
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import Reason, RequestError
from tests.world import Killed, World, inside


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


def test_a_running_container_is_not_robbed_by_a_namesake(world: World) -> None:
    """A second container of the same name in the same pod gets nothing while the first one runs."""
    pod = world.run_pod()
    world.run(pod, "app", ("ens1", "net1"))

    with pytest.raises(RequestError, match="is held by"):
        world.create(pod, "app", ("ens1", "net1"))


def test_a_pod_level_promise_that_failed_comes_with_the_next_container(world: World) -> None:
    """If the first container could not be created, the next one brings the pod's interface in."""
    pod = world.run_pod()
    world.create(pod, "one", ("ens1", "net1"), scope=Scope.POD, moves=False)
    world.run(pod, "two", ("ens1", "net1"), scope=Scope.POD)

    assert inside(world, pod) == {"net1"}


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


def test_a_pods_promise_that_a_daemon_died_over_is_pinned_before_it_is_given(world: World) -> None:
    """A daemon wrote it down and died before it pinned the netns: the next container gets it pinned all the same."""
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


def test_what_a_pod_has_left_is_not_inherited(world: World) -> None:
    """Its program would filter the next pod's traffic; once it is off, the interface is given again."""
    world.kernel.add("ens7")
    world.kernel.refused.add("programs")
    pod = world.run_pod()
    world.die(world.run(pod, "app", ("ens7", "net1")))
    [claim] = world.custody.claims
    assert (claim.state, claim.is_tainted) == (State.PARTIAL, True)
    with pytest.raises(RequestError, match="something of pod default/pod1, container app is left on it") as raised:
        world.create(world.run_pod(), "app", ("ens7", "net1"))
    assert raised.value.reason is Reason.HELD
    world.kernel.refused.clear()
    other = world.run_pod()
    world.create(other, "app", ("ens7", "net1"))

    assert inside(world, other) == {"net1"}
