"""Random lives of pods, containers, daemons, engines and devices: nothing is lost, nobody has what another has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import MARK_PREFIX, State
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import RequestError
from tests.fakes import HOME, Device
from tests.world import SABOTAGE, World, entries, killed_at

SETUPS: tuple[dict[str, object], ...] = ({}, {}, {"mtu": 9000, "addresses": ["203.0.113.9/24"]}, {"share": "macvlan"})
"""What is asked to be set."""


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
        self.plugged = [self.world.kernel.add(ifname, kind=kind) for ifname, kind in self.kinds.items()]
        self.is_up = True
        self.is_synchronized = True
        """Whether the engine has listed what exists since the daemon started."""
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
        """From what is prepared, or by a whole decision; it may die before the claim is written down, or while."""
        if data.draw(st.booleans()):
            self.prepare(data, 0)
        pod, app, asked = self.some_asker(data)
        made: list[Container] = []
        moves, late = runtime != "fails", runtime == "is quick"
        try:
            self.perhaps_killed(at, lambda: made.append(self.world.answer(pod, app, asked, moves=moves, late=late)))
        except RequestError:
            assert {entry.interface for entry in asked}.isdisjoint(self.dead_who_hold())
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
            setup = data.draw(st.sampled_from(SETUPS))
            inside = f"n{ifname}{app}" if "share" in setup else f"n{ifname}"
            asked = entries((ifname, inside), scope=scope, setup=setup)
            for name in ("one", "two") if scope is Scope.POD else (app,):
                self.asked[pod_id, name] = asked
        return self.world.live_pods[pod_id], app, self.asked[pod_id, app]

    def dead_who_hold(self) -> set[str]:
        """Interfaces that containers hold whose process has ended, as far as a daemon ever saw that process."""
        is_alive = self.world.kernel.processes.is_alive
        if not self.is_synchronized:  # then a pid that is free may be one of another pid namespace
            return set()
        claims = [claim for claim in self.world.custody.claims if claim.owner.scope is Scope.CONTAINER]
        return {claim.ifname for claim in claims if claim.state.is_given and claim.pid and not is_alive(claim.pid)}

    def perhaps_killed(self, at: int, action: Callable[[], object]) -> None:
        """Do something, and kill the daemon at this fault point if it comes to it."""
        if killed_at(at, action):
            self.is_up = False

    @precondition(lambda self: self.world.live)
    @rule(data=st.data(), told=st.booleans(), noticed=st.booleans())
    def die(self, data: st.DataObject, told: bool, noticed: bool) -> None:
        """The engine tells, or has noticed and tells nothing, or has not even noticed."""
        container = self.world.live[data.draw(st.sampled_from(sorted(self.world.live)))]
        self.world.die(container, told=told and noticed and self.is_up, noticed=noticed)

    @precondition(lambda self: self.is_up)
    @rule(at=deaths)
    def hear_of_deaths(self, at: int) -> None:
        """The kernel tells of processes that have ended."""
        self.perhaps_killed(at, self.world.custody.deaths.settle)
        if self.is_up:
            assert not self.dead_who_hold()

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
        self.is_synchronized = synchronize

    @precondition(lambda self: self.is_up)
    @rule(at=st.integers(1, 6))
    def kill_daemon_within(self, at: int) -> None:
        """Kill it at one of the next fault points of a Synchronize."""
        self.is_synchronized = True
        self.perhaps_killed(at, self.world.synchronize)

    @precondition(lambda self: self.is_up)
    @rule()
    def refresh_prepared(self) -> None:
        self.world.custody.preparations.refresh()

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

    @rule(what=st.sampled_from(["bring_home", "restore", "complete", "apply", "share"]))
    def refuse(self, what: str) -> None:
        self.world.kernel.refused ^= {what}

    @invariant()
    def nothing_is_lost(self) -> None:
        """Every device that was plugged in is somewhere."""
        assert len(self.world.kernel.devices) - len(self.shares()) == len(self.names)

    def shares(self) -> list[Device]:
        """The devices that pods have on interfaces at home."""
        return [device for device in self.world.kernel.devices if not any(device is one for one in self.plugged)]

    @invariant()
    def one_holder_each(self) -> None:
        """No interface has two claims, prepared or not, and all that is out is claimed."""
        ledger = self.world.ledger
        claims = [*ledger.rows.values(), *ledger.prepared.values()]
        whole = [claim.ifname for claim in claims if not claim.is_share]
        assert len(whole) == len(set(whole))
        assert len([d for d in self.world.kernel.devices if d.netns != HOME]) <= len(claims)

    @invariant()
    def a_share_is_where_its_interface_is_not_given(self) -> None:
        """Nobody has an interface while another has a share of it, and no share is where nobody has it."""
        rows = self.world.ledger.rows.values()
        shared = {claim.ifname for claim in rows if claim.is_share}
        whole = {claim.ifname for claim in rows if not claim.is_share and claim.state is not State.PARTIAL}
        assert not shared & whole
        assert len(self.shares()) <= len([c for c in rows if c.is_share])

    @precondition(lambda self: self.is_up)
    @invariant()
    def every_mark_and_pin_is_needed(self) -> None:
        """By a claim, prepared or not; and who has one is heard of."""
        claims = (*self.world.ledger.rows.values(), *self.world.ledger.prepared.values())
        marks = {n for d in self.world.kernel.devices for n in d.link.altnames if n.startswith(MARK_PREFIX)}
        assert marks <= {claim.mark for claim in claims}
        assert self.world.kernel.pods.pins() <= {claim.netns.pin for claim in claims}
        assert {claim.owner.pod_id for claim in claims} <= set(self.world.custody.holders())

    @precondition(lambda self: self.is_up)
    @invariant()
    def settling_twice_changes_nothing(self) -> None:
        """What was done once is done."""
        self.world.custody.settle()
        before = (dict(self.world.ledger.rows), [dataclasses.replace(d) for d in self.world.kernel.devices])
        self.world.custody.settle()
        assert before == (self.world.ledger.rows, self.world.kernel.devices)

    @precondition(lambda self: self.is_up)
    @invariant()
    def no_process_is_watched_in_vain(self) -> None:
        """But for that of a container that holds something; after the invariants above, which settle."""
        holders = {claim.owner.container_id for claim in self.world.custody.claims if claim.state.is_given}
        assert set(self.world.kernel.pidfds.watched) <= holders


Lives.TestCase.settings = settings(
    max_examples=250, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLives = Lives.TestCase
