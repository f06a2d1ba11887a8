"""A node in memory with its daemon, and an engine that tells it what happens: for the tests of custody."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from nri_netdev import faults
from nri_netdev.custody.custody import Custody
from nri_netdev.custody.holders import GRACE_S
from nri_netdev.custody.returning import Beside
from nri_netdev.domain.annotations.grammars import Grammar
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import MARK_PREFIX
from nri_netdev.domain.metadata import Handout
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.fields import read_setup
from nri_netdev.domain.setup.values import PLAIN
from nri_netdev.domain.verdict.outcome import Grant
from tests.fakes import HOME, Device, FakeKernel, FakeLedger, FakePidfds, Namespace


class Killed(BaseException):
    """The daemon was killed at a fault point."""


@dataclass
class World:
    """A node with its daemon, and an engine that tells it what happens."""

    kernel: FakeKernel = field(default_factory=FakeKernel)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    clock: float = 1000.0
    made: int = 0
    beside: Beside | None = None
    """What takes long; None for at once."""
    shares_pids: bool = True
    """Whether the engine is in the daemon's pid namespace."""

    def __post_init__(self) -> None:
        self.live_pods: dict[str, PodSandbox] = {}
        self.live: dict[str, Container] = {}
        self.namespaces: dict[str, Namespace] = {}
        self.start_daemon()

    def start_daemon(self, *, synchronize: bool = True) -> None:
        self.kernel.pidfds = FakePidfds(self.kernel)  # an old one's have gone with it
        self.custody = Custody(
            self.ledger,
            self.kernel,
            encode=encoded,
            now_s=lambda: self.clock,
            monotonic_s=lambda: self.clock,
            beside=self.beside,
        )
        if synchronize:
            self.synchronize()

    def synchronize(self) -> None:
        self.custody.synchronize(self.live_pods.values(), self.live.values(), shares_pids=self.shares_pids)

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
        self.live[container.id] = dataclasses.replace(container, pid=0)  # it has no process yet
        if moves:
            self.kernel.runtime_create(self.namespaces[pod.id], net_devices(grants))
        return container

    def prepare(self, pod: PodSandbox, asked: Mapping[str, tuple[Entry, ...]]) -> None:
        """Tell of a pod, whose containers will ask for this."""
        self.custody.prepare(pod, asked)

    def answer(
        self, pod: PodSandbox, name: str, asked: tuple[Entry, ...], *, moves: bool = True, late: bool = False
    ) -> Container:
        """Create a container as the daemon has it done: from what is prepared if it is ready, else by a whole decision.

        Args:
            pod: its pod.
            name: its name.
            asked: what it asks for.
            moves: whether the runtime moves the interfaces in.
            late: whether the claim is written down only after that.
        """
        self.made += 1
        container = Container(id=f"c{self.made}", name=name, pod_id=pod.id, pid=10_000 + self.made)
        prepared = self.custody.ready(pod.id, name)
        grants = self.custody.create(pod, container, asked) if prepared is None else prepared.grants
        self.live[container.id] = dataclasses.replace(container, pid=0)  # it has its answer by now
        if prepared is not None:
            self.custody.give(prepared, container.id, name)
        if not late:
            self.custody.record(container.id)
        if moves:
            self.kernel.runtime_create(self.namespaces[pod.id], net_devices(grants))
        self.custody.record(container.id)
        return container

    def start(self, container: Container) -> None:
        self.namespaces[container.pod_id].processes.add(container.pid)
        self.custody.start(self.live_pods[container.pod_id], container, ())
        self.live[container.id] = dataclasses.replace(container, is_running=True)

    def run(self, pod: PodSandbox, name: str, *asked: tuple[str, str], scope: Scope = Scope.CONTAINER) -> Container:
        container = self.create(pod, name, *asked, scope=scope)
        self.start(container)
        return container

    def die(self, container: Container, *, told: bool = True, noticed: bool = True) -> None:
        """A container's process ends.

        Args:
            container: the container.
            told: whether the engine tells the daemon.
            noticed: whether the engine has noticed; else it still lists the container as running.
        """
        if noticed:
            self.live.pop(container.id, None)
        self.kernel.exit(container.pid)
        if told:
            self.custody.end(container.id)

    def remove_pod(self, pod: PodSandbox, *, told: bool = True, netns_first: bool = False) -> None:
        namespace = self.namespaces[pod.id]
        for container in [c for c in self.live.values() if c.pod_id == pod.id]:
            self.die(container, told=told)
        del self.live_pods[pod.id]
        if netns_first:
            self.kernel.unmount(namespace)
        if told:
            self.custody.end(pod.id)
        self.kernel.unmount(namespace)

    def wait(self) -> None:
        """Let time pass until it is known what became of whatever a daemon has died over."""
        self.clock += GRACE_S
        self.custody.tick()

    def home(self) -> dict[str, tuple[str, ...]]:
        """Names at home, and the addresses there."""
        return {d.link.ifname: tuple(map(str, d.addresses)) for d in self.kernel.devices if d.netns == HOME}

    def assert_all_is_home(self) -> None:
        assert self.custody.claims == ()
        assert self.ledger.rows == {}
        assert self.ledger.prepared == {}
        assert not self.custody.preparations
        assert not self.custody.holders()
        assert not self.kernel.pidfds.watched
        assert self.kernel.pods.pins() == frozenset()
        assert all(d.netns == HOME for d in self.kernel.devices)
        assert not [n for d in self.kernel.devices for n in d.link.altnames if n.startswith(MARK_PREFIX)]


def net_devices(grants: Iterable[Grant]) -> dict[str, str]:
    """What the runtime is asked to move."""
    return {grant.link.ifname: grant.entry.inside for grant in grants if not grant.entry.is_shared}


def entries(
    *asked: tuple[str, str], scope: Scope = Scope.CONTAINER, setup: Mapping[str, object] | None = None
) -> tuple[Entry, ...]:
    wanted = read_setup(json.dumps(setup)) if setup else PLAIN
    return tuple(
        Entry(interface=host, name=inside, key="k", number=n, scope=scope, grammar=Grammar.NATIVE, setup=wanted)
        for n, (host, inside) in enumerate(asked, 1)
    )


def encoded(grants: Sequence[Grant], _handout: Handout | None) -> bytes:
    """An answer that can be read."""
    return " ".join(f"{grant.link.ifname}={grant.entry.inside}" for grant in grants).encode()


def inside(world: World, pod: PodSandbox) -> set[str]:
    return {d.link.ifname for d in world.kernel.devices if d.netns == world.namespaces[pod.id].ino}


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


def steps_of(action: Callable[[], None]) -> int:
    count = 0

    def tally(_: str) -> None:
        nonlocal count
        count += 1

    with faults.hooked(tally):
        action()
    return count


SABOTAGE: dict[str, Callable[[World, Device], None]] = {
    "renamed": lambda w, d: w.kernel.change(d, ifname="evil"),
    "mac and mtu": lambda w, d: w.kernel.change(d, mac="02:ff:ff:ff:ff:ff", mtu=68),
    "set down": lambda w, d: w.kernel.change(d, is_up=False),
    "mark removed": lambda w, d: w.kernel.change(d, altnames=()),
    "renamed and mark removed": lambda w, d: w.kernel.change(d, ifname="evil", altnames=()),
    "moved into a netns of its own": lambda w, d: w.kernel.move(d, w.kernel.new_netns(processes=[77]).ino),
}
