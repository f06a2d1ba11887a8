"""Custody, against a node in memory: cases, then every fault point, then random lives."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nri_netdev.custody import LOST_AFTER_S, Custody
from nri_netdev.domain.claim import DECISIONS, MARK_PREFIX, Holder, Place, State, decide, state_after
from nri_netdev.domain.grammars import Grammar, Scope
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.request import Entry
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.domain.verdict import Grant
from nri_netdev.errors import RequestError
from nri_netdev.shells import faults
from tests.fakes import HOME, Device, FakeKernel, FakeLedger, Namespace


class Killed(BaseException):
    """The daemon was killed at a fault point."""


class Kernel(FakeKernel):
    """As the real one, it takes no mark for a part of what an interface was."""

    def snapshot(self, ifindex: int) -> Snapshot:
        snapshot = super().snapshot(ifindex)
        altnames = tuple(name for name in snapshot.link.altnames if not name.startswith(MARK_PREFIX))
        return dataclasses.replace(snapshot, link=dataclasses.replace(snapshot.link, altnames=altnames))


@dataclass
class World:
    """A node with its daemon, and an engine that tells it what happens."""

    kernel: FakeKernel = field(default_factory=Kernel)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    clock: float = 1000.0
    made: int = 0

    def __post_init__(self) -> None:
        self.live_pods: dict[str, PodSandbox] = {}
        self.live: dict[str, Container] = {}
        self.namespaces: dict[str, Namespace] = {}
        self.start_daemon()

    def start_daemon(self, *, synchronize: bool = True) -> None:
        self.custody = Custody(self.ledger, self.kernel, now_s=lambda: self.clock, monotonic_s=lambda: self.clock)
        if synchronize:
            self.synchronize()

    def synchronize(self) -> None:
        self.custody.synchronize(self.live_pods.values(), self.live.values())

    def run_pod(self, *, host: bool = False) -> PodSandbox:
        self.made += 1
        namespace = self.kernel.new_netns()
        pod_id = f"pod{self.made}"
        path = "/home" if host else namespace.path
        pod = PodSandbox(id=pod_id, namespace="default", name=pod_id, netns_path=path)
        self.live_pods[pod_id] = pod
        self.namespaces[pod_id] = namespace
        return pod

    def create(
        self,
        pod: PodSandbox,
        name: str,
        *asked: tuple[str, str],
        scope: Scope = Scope.CONTAINER,
        moves: bool = True,
    ) -> Container:
        """Create a container as an engine does: ask the plugin, then have the runtime move."""
        self.made += 1
        container = Container(id=f"c{self.made}", name=name, pod_id=pod.id, pid=10_000 + self.made)
        grants = self.custody.create(pod, container, entries(*asked, scope=scope))
        self.live[container.id] = container
        if moves:
            self.kernel.runtime_create(
                self.namespaces[pod.id], {grant.link.ifname: grant.entry.inside for grant in grants}
            )
        return container

    def prepare(self, pod: PodSandbox, asked: Mapping[str, tuple[Entry, ...]]) -> None:
        """Tell of a pod, whose containers will ask for this."""
        self.custody.prepare(pod, asked, encode=encoded)

    def answer(
        self, pod: PodSandbox, name: str, asked: tuple[Entry, ...], *, moves: bool = True, late: bool = False
    ) -> Container:
        """Create a container as the daemon has it done: from its draft if that is ready, else by a whole decision.

        Args:
            pod: its pod.
            name: its name.
            asked: what it asks for.
            moves: whether the runtime moves the interfaces in.
            late: whether the claim is written down only after that.
        """
        self.made += 1
        container = Container(id=f"c{self.made}", name=name, pod_id=pod.id, pid=10_000 + self.made)
        draft = self.custody.ready(pod.id, name)
        grants = self.custody.create(pod, container, asked) if draft is None else draft.grants
        self.live[container.id] = container  # it has its answer by now
        if draft is not None:
            self.custody.confirm(draft, container.id, name)
        if not late:
            self.custody.confirmed(container.id)
        if moves:
            self.kernel.runtime_create(
                self.namespaces[pod.id], {grant.link.ifname: grant.entry.inside for grant in grants}
            )
        self.custody.confirmed(container.id)
        return container

    def start(self, container: Container) -> None:
        self.namespaces[container.pod_id].processes.add(container.pid)
        self.custody.starting(self.live_pods[container.pod_id], container, ())
        self.live[container.id] = dataclasses.replace(container, is_running=True)

    def run(self, pod: PodSandbox, name: str, *asked: tuple[str, str], scope: Scope = Scope.CONTAINER) -> Container:
        container = self.create(pod, name, *asked, scope=scope)
        self.start(container)
        return container

    def die(self, container: Container, *, told: bool = True) -> None:
        self.live.pop(container.id, None)
        self.namespaces[container.pod_id].processes.discard(container.pid)
        self.kernel.reap()
        if told:
            self.custody.ended(container.id)

    def remove_pod(self, pod: PodSandbox, *, told: bool = True, netns_first: bool = False) -> None:
        namespace = self.namespaces[pod.id]
        for container in [c for c in self.live.values() if c.pod_id == pod.id]:
            self.die(container, told=told)
        del self.live_pods[pod.id]
        if netns_first:
            self.kernel.unmount(namespace)
        if told:
            self.custody.ended(pod.id)
        self.kernel.unmount(namespace)

    def home(self) -> dict[str, tuple[str, ...]]:
        """Names at home, and the addresses there."""
        return {d.link.ifname: tuple(map(str, d.addresses)) for d in self.kernel.devices if d.netns == HOME}

    def assert_all_is_home(self) -> None:
        assert self.custody.claims == ()
        assert self.ledger.rows == {}
        assert self.ledger.drafted == {}
        assert not self.custody.has_drafts
        assert not self.custody.holders()
        assert self.kernel.pins() == frozenset()
        assert all(d.netns == HOME for d in self.kernel.devices)
        assert not [n for d in self.kernel.devices for n in d.link.altnames if n.startswith(MARK_PREFIX)]


def entries(*asked: tuple[str, str], scope: Scope = Scope.CONTAINER) -> tuple[Entry, ...]:
    return tuple(
        Entry(interface=host, name=inside, key="k", number=n, scope=scope, grammar=Grammar.NATIVE)
        for n, (host, inside) in enumerate(asked, 1)
    )


def encoded(grants: Sequence[Grant]) -> bytes:
    """An answer that can be read."""
    return " ".join(f"{grant.link.ifname}={grant.entry.inside}" for grant in grants).encode()


@pytest.fixture(name="world")
def _world() -> World:
    world = World()
    world.kernel.add("ens1")
    world.kernel.add("ens2", kind=None)
    return world


def inside(world: World, pod: PodSandbox) -> set[str]:
    return {d.link.ifname for d in world.kernel.devices if d.netns == world.namespaces[pod.id].ino}


# -- the table -------------------------------------------------------------------------------------------------------


def test_the_table_of_decisions_is_complete() -> None:
    """Every state and place has its action."""
    assert set(DECISIONS) == {(state, place) for state in State for place in Place}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("place", Place)
@pytest.mark.parametrize("holder", Holder)
def test_deciding_twice_decides_the_same(state: State, place: Place, holder: Holder) -> None:
    """A decision that was taken and not yet carried out is taken again."""
    after = state_after(state, place, holder)

    assert decide(after, place, holder) is decide(state, place, holder)


@pytest.mark.parametrize("place", Place)
def test_what_turned_homeward_never_turns_back(place: Place) -> None:
    """The end of a holder is final, whatever is heard later."""
    for holder in Holder:
        for state in (State.RETURNING, State.PARTIAL, State.LOST):
            assert state_after(state, place, holder).is_homeward


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


SABOTAGE: dict[str, Callable[[World, Device], None]] = {
    "renamed": lambda w, d: w.kernel.change(d, ifname="evil"),
    "mac and mtu": lambda w, d: w.kernel.change(d, mac="02:ff:ff:ff:ff:ff", mtu=68),
    "set down": lambda w, d: w.kernel.change(d, is_up=False),
    "mark removed": lambda w, d: w.kernel.change(d, altnames=()),
    "renamed and mark removed": lambda w, d: w.kernel.change(d, ifname="evil", altnames=()),
    "moved into a netns of its own": lambda w, d: w.kernel.move(d, w.kernel.new_netns(processes=[77]).ino),
}


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


def steps_of(action: Callable[[], None]) -> int:
    count = 0

    def tally(_: str) -> None:
        nonlocal count
        count += 1

    with faults.hooked(tally):
        action()
    return count


def killed_at(at: int, action: Callable[[], object]) -> bool:
    """Kill the daemon at this fault point, counted from 1; whether it came there."""
    left = at

    def kill(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    with faults.hooked(kill):
        try:
            action()
        except Killed:
            return True
    return False


def new_world() -> World:
    world = World()
    world.kernel.add("ens1")
    world.kernel.add("ens2", kind=None)
    return world


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
        commits.append(dict(world.ledger.rows))

    world.ledger.write = recorded  # type: ignore[method-assign]
    life(world)
    for rows in commits:
        after = new_world()
        after.ledger.rows = dict(rows)  # type: ignore[arg-type]
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
    assert world.kernel.pins() == {claim.netns.pin for claim in world.custody.claims}

    world.remove_pod(pod, told=False)
    world.start_daemon()

    world.assert_all_is_home()
    assert "ens1" in world.home()


class Lives(RuleBasedStateMachine):
    """Random lives of pods, containers, daemons, engines and devices."""

    names = ("ens1", "ens2", "ens3")
    deaths = st.sampled_from([0] * 9 + list(range(1, 7)))
    """At which fault point the daemon is killed; mostly none."""

    @initialize()
    def boot(self) -> None:
        self.world = World()
        self.kinds = {"ens1": "veth", "ens2": None, "ens3": "macvlan"}
        self.asked: dict[tuple[str, str], tuple[Entry, ...]] = {}
        for ifname, kind in self.kinds.items():
            self.world.kernel.add(ifname, kind=kind)
        self.is_up = True
        self.run_pod()
        self.run_pod()

    def teardown(self) -> None:
        """Whatever happened, when all pods have gone and the daemon runs, everything is home."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.kernel.refused.clear()
        for pod in list(world.live_pods.values()):
            world.remove_pod(pod, told=False)
        world.start_daemon()
        world.custody.tick()
        world.custody.settle()
        world.assert_all_is_home()
        assert set(world.home()) == set(self.names)

    @rule()
    def run_pod(self) -> None:
        if len(self.world.live_pods) < 3:
            self.world.run_pod()

    @precondition(lambda self: self.is_up and self.world.live_pods)
    @rule(data=st.data(), at=deaths)
    def prepare(self, data: st.DataObject, at: int) -> None:
        """The engine tells of some pods, and the daemon may die over it."""
        askers = [self.some_asker(data) for _ in range(data.draw(st.integers(1, 3)))]

        def told() -> None:
            for pod, app, asked in askers:
                self.world.prepare(pod, {app if asked[0].scope is Scope.CONTAINER else "": asked})

        self.perhaps_killed(at, told)

    @precondition(lambda self: self.is_up and self.world.live_pods)
    @rule(data=st.data(), at=deaths, runtime=st.sampled_from(["moves", "is quick", "fails"]), go=st.booleans())
    def create(self, data: st.DataObject, at: int, runtime: str, go: bool) -> None:
        """From a draft, or by a whole decision; the daemon may die before the claim is written down, or while."""
        if data.draw(st.booleans()):
            self.prepare(data, 0)
        pod, app, asked = self.some_asker(data)
        made: list[Container] = []
        moves, late = runtime != "fails", runtime == "is quick"
        with contextlib.suppress(RequestError):
            self.perhaps_killed(at, lambda: made.append(self.world.answer(pod, app, asked, moves=moves, late=late)))
        if not made or not go:
            return
        try:
            self.world.start(made[0])
        except RequestError:  # the engine undoes what it cannot start
            self.world.die(made[0])

    def some_asker(self, data: st.DataObject) -> tuple[PodSandbox, str, tuple[Entry, ...]]:
        """A container that may be created, and what it asks for, which never changes."""
        pod_id = data.draw(st.sampled_from(sorted(self.world.live_pods)))
        app = data.draw(st.sampled_from(["one", "two"]))
        if (pod_id, app) not in self.asked:
            is_first = pod_id not in {pod for pod, _ in self.asked}
            ifname = data.draw(st.sampled_from(self.names))
            scope = data.draw(st.sampled_from(Scope)) if is_first else Scope.CONTAINER
            asked = entries((ifname, f"n{ifname}"), scope=scope)
            for name in ("one", "two") if scope is Scope.POD else (app,):
                self.asked[pod_id, name] = asked
        return self.world.live_pods[pod_id], app, self.asked[pod_id, app]

    def perhaps_killed(self, at: int, action: Callable[[], object]) -> None:
        """Do something, and kill the daemon at this fault point if it comes to it."""
        if killed_at(at, action):
            self.is_up = False

    @precondition(lambda self: self.world.live)
    @rule(data=st.data(), told=st.booleans())
    def die(self, data: st.DataObject, told: bool) -> None:
        container = self.world.live[data.draw(st.sampled_from(sorted(self.world.live)))]
        self.world.die(container, told=told and self.is_up)

    @precondition(lambda self: self.world.live_pods)
    @rule(data=st.data(), told=st.booleans(), netns_first=st.booleans())
    def remove_pod(self, data: st.DataObject, told: bool, netns_first: bool) -> None:
        pod = self.world.live_pods[data.draw(st.sampled_from(sorted(self.world.live_pods)))]
        self.world.remove_pod(pod, told=told and self.is_up, netns_first=netns_first)

    @rule()
    def kill_daemon(self) -> None:
        self.is_up = False

    @precondition(lambda self: not self.is_up)
    @rule(synchronize=st.booleans())
    def start_daemon(self, synchronize: bool) -> None:
        self.world.start_daemon(synchronize=synchronize)
        self.is_up = True

    @precondition(lambda self: self.is_up)
    @rule(at=st.integers(1, 6))
    def kill_daemon_within(self, at: int) -> None:
        """Kill it at one of the next fault points of a Synchronize."""
        self.perhaps_killed(at, self.world.synchronize)

    @precondition(lambda self: self.is_up)
    @rule()
    def refresh_drafts(self) -> None:
        self.world.custody.refresh_drafts()

    @precondition(lambda self: self.is_up)
    @rule()
    def tick(self) -> None:
        self.world.clock += 1
        self.world.custody.tick()

    @rule(data=st.data(), sabotage=st.sampled_from(sorted(SABOTAGE)))
    def sabotage(self, data: st.DataObject, sabotage: str) -> None:
        held = {claim.ifindex for claim in self.world.custody.claims if claim.state is State.HELD}
        out = [d for d in self.world.kernel.devices if d.netns != HOME and d.link.ifindex in held]
        if out and "netns of its own" not in sabotage:
            SABOTAGE[sabotage](self.world, data.draw(st.sampled_from(out)))

    @rule(what=st.sampled_from(["bring_home", "restore", "complete"]))
    def refuse(self, what: str) -> None:
        self.world.kernel.refused ^= {what}

    @invariant()
    def nothing_is_lost(self) -> None:
        """Every device that was plugged in is somewhere."""
        assert len(self.world.kernel.devices) == len(self.names)

    @invariant()
    def one_holder_each(self) -> None:
        """No interface has two claims or drafts, and all that is out is claimed."""
        ledger = self.world.ledger
        claimed = [claim.ifname for claim in (*ledger.rows.values(), *ledger.drafted.values())]
        assert len(claimed) == len(set(claimed))
        assert len([d for d in self.world.kernel.devices if d.netns != HOME]) <= len(claimed)

    @precondition(lambda self: self.is_up)
    @invariant()
    def every_mark_and_pin_is_needed(self) -> None:
        """By a claim or a draft; and who has one is heard of."""
        claims = (*self.world.ledger.rows.values(), *self.world.ledger.drafted.values())
        marks = {n for d in self.world.kernel.devices for n in d.link.altnames if n.startswith(MARK_PREFIX)}
        assert marks <= {claim.mark for claim in claims}
        assert self.world.kernel.pins() <= {claim.netns.pin for claim in claims}
        assert {claim.owner.pod_id for claim in claims} <= set(self.world.custody.holders())

    @precondition(lambda self: self.is_up)
    @invariant()
    def settling_twice_changes_nothing(self) -> None:
        """What was done once is done."""
        self.world.custody.settle()
        before = (dict(self.world.ledger.rows), [dataclasses.replace(d) for d in self.world.kernel.devices])
        self.world.custody.settle()
        assert before == (self.world.ledger.rows, self.world.kernel.devices)


Lives.TestCase.settings = settings(
    max_examples=250, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLives = Lives.TestCase
