"""Ways home that take long: meanwhile nothing else is done with the interface, and whoever needs it waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from nri_netdev.custody.returning import Beside, Outcome, StillReturning
from nri_netdev.custody.settle import AGAIN_AT_LATEST_S
from nri_netdev.domain.claim import State
from nri_netdev.domain.snapshot import HomeReport
from nri_netdev.errors import KernelError, Reason, RequestError
from tests.fakes import HOME
from tests.world import World, inside


@dataclass
class Slow:
    """Ways home that are gone when a test says so."""

    begun: list[tuple[Callable[[], HomeReport], Callable[[Outcome], None]]] = field(default_factory=list)

    def begin(self, way: Callable[[], HomeReport], then: Callable[[Outcome], None]) -> None:
        self.begun.append((way, then))

    def go(self) -> None:
        """Go all that were begun."""
        ways, self.begun = self.begun, []
        for way, then in ways:
            try:
                outcome: Outcome = way()
            except KernelError as error:
                outcome = error
            then(outcome)


@pytest.fixture(name="slow")
def _slow() -> Slow:
    return Slow()


@pytest.fixture(name="world")
def _world(slow: Slow) -> World:
    world = World(beside=Beside(returns=slow))
    world.kernel.add("ens1")
    return world


def ended(world: World) -> tuple[str, str]:
    """A container that had ens1 ends; the ids of its pod and of itself."""
    pod = world.run_pod()
    container = world.run(pod, "app", ("ens1", "net1"))
    world.namespaces[pod.id].processes.clear()
    world.custody.end(container.id)
    with pytest.raises(StillReturning):
        world.custody.settler.wait_for(container.id)
    return pod.id, container.id


def test_the_end_is_answered_when_the_interface_is_home(world: World, slow: Slow) -> None:
    """It may be told and asked again and again, and begins one way only."""
    _, container_id = ended(world)
    world.custody.end(container_id)
    with pytest.raises(StillReturning):
        world.custody.settler.wait_for(container_id)
    world.custody.settle()
    world.custody.tick()
    assert len(slow.begun) == 1

    slow.go()
    world.custody.settler.wait_for(container_id)

    assert world.custody.claims == ()
    world.assert_all_is_home()


@pytest.mark.parametrize("refused", ["routes", "bring_home"])
def test_to_wait_for_the_end_begins_nothing(world: World, slow: Slow, refused: str) -> None:
    """What could not be brought home, or not whole, is not tried again by whoever waits: that would never end."""
    world.kernel.refused.add(refused)
    pod_id, container_id = ended(world)
    slow.go()
    world.custody.settler.wait_for(container_id)
    world.custody.settler.wait_for(pod_id)

    assert len(world.custody.claims) == 1
    assert slow.begun == []


def test_another_pod_waits_for_it(world: World, slow: Slow) -> None:
    """By name; it gets the interface as soon as that is home."""
    ended(world)
    other = world.run_pod()
    with pytest.raises(StillReturning):
        world.create(other, "app", ("ens1", "net1"))
    assert [claim.state for claim in world.custody.claims] == [State.RETURNING]
    slow.go()
    world.create(other, "app", ("ens1", "net1"))

    assert inside(world, other) == {"net1"}


def test_another_interface_is_not_waited_for(world: World) -> None:
    """One that is there is given at once, and one that is forbidden refused at once."""
    world.kernel.add("ens2")
    ended(world)
    other = world.run_pod()
    world.create(other, "app", ("ens2", "net1"))
    assert inside(world, other) == {"net1"}
    with pytest.raises(RequestError) as raised:
        world.create(world.run_pod(host=True), "app", ("ens2", "net1"))

    assert raised.value.reason is Reason.POD


def test_what_is_restored_just_now_is_not_inherited(world: World, slow: Slow) -> None:
    """An interface at home, not whole, may be given away; but not while somebody works on it."""
    world.kernel.refused.add("routes")
    ended(world)
    slow.go()
    assert [claim.state for claim in world.custody.claims] == [State.PARTIAL]
    world.custody.settle()
    other = world.run_pod()
    with pytest.raises(StillReturning):
        world.create(other, "app", ("ens1", "net1"))
    world.kernel.refused.clear()
    slow.go()
    world.create(other, "app", ("ens1", "net1"))

    assert inside(world, other) == {"net1"}


def test_what_cannot_be_brought_home_is_tried_once_for_each_container(world: World, slow: Slow) -> None:
    """Then the container is refused; to try again at each decision would never end."""
    world.kernel.refused.add("bring_home")
    ended(world)
    slow.go()
    other = world.run_pod()
    with pytest.raises(StillReturning):
        world.create(other, "app", ("ens1", "net1"))
    slow.go()
    world.made -= 1  # the same container is decided on again
    with pytest.raises(RequestError) as raised:
        world.create(other, "app", ("ens1", "net1"))

    assert raised.value.reason is Reason.BUSY
    assert slow.begun == []


def test_what_cannot_be_restored_is_tried_once_for_each_container(world: World, slow: Slow) -> None:
    """Then it is given away as it is."""
    world.kernel.refused.add("routes")
    ended(world)
    slow.go()
    other = world.run_pod()
    with pytest.raises(StillReturning):
        world.create(other, "app", ("ens1", "net1"))
    slow.go()
    world.made -= 1  # the same container is decided on again
    world.create(other, "app", ("ens1", "net1"))

    assert inside(world, other) == {"net1"}


def test_what_is_not_whole_is_left_alone_longer_each_time(world: World, slow: Slow) -> None:
    """Whatever happens to links meanwhile: to try may be the reason, as it may set the interface down and up."""
    world.kernel.refused.add("routes")
    ended(world)
    slow.go()
    tried = []
    for second in range(1, 1000):
        world.clock += 1
        world.custody.settle()
        world.custody.tick()
        if slow.begun:
            tried.append(second)
            slow.go()
    assert tried == [3, 9, 21, 45, 93, 189, 381, 765]

    world.kernel.refused.clear()
    world.clock += AGAIN_AT_LATEST_S
    world.custody.tick()
    slow.go()
    world.assert_all_is_home()


def test_a_way_that_fails_is_gone_again(world: World, slow: Slow) -> None:
    """What the kernel refuses is told, and the timer tries again."""
    world.kernel.refused.add("bring_home")
    _, container_id = ended(world)
    slow.go()
    world.kernel.refused.clear()
    for _ in range(10):
        world.custody.tick()
    slow.go()
    world.custody.end(container_id)

    world.assert_all_is_home()


def test_a_release_waits_for_what_is_under_way_and_then_insists(world: World, slow: Slow) -> None:
    """It is asked again with the next tick; its own way it goes at once."""
    ended(world)
    [claim] = world.custody.claims
    assert world.custody.release(claim.mark) == ()
    assert world.custody.claims == (claim,)
    world.kernel.refused.add("bring_home")
    slow.go()
    world.kernel.refused.clear()
    world.custody.release(claim.mark)

    assert slow.begun == []
    world.assert_all_is_home()


def test_a_claim_that_is_gone_meanwhile(world: World, slow: Slow) -> None:
    """Such as by another daemon; what comes of the way is no news then."""
    ended(world)
    [claim] = world.custody.claims
    [(way, then)] = slow.begun
    report = way()
    then(report)
    then(report)

    assert world.custody.claims == ()
    assert world.kernel.find(HOME, claim.ifname) is not None
