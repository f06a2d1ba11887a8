"""`python -m bench.setups`: what it costs that an interface is set up as its pod asks, on real containerd with runc.

Pods that ask for nothing, for an interface, for one with an address, a route and an MTU, and for the same on a macvlan
of their own, by turns; then the same with other plugins. What is timed is the CRI's RunPodSandbox, CreateContainer and
StartContainer, each by a crictl of its own, and in this daemon custody's own steps (`bench.stopwatch`). The kernel's
part alone is measured by `bench.applying`. Needs what `make e2e-tools` builds.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from bench import applying, host, peers
from bench.applying import ADDRESS, MTU, ROUTE, VIA
from tests.e2e import tools
from tests.e2e.cells import ENGINES, RUNTIMES, Cell
from tests.e2e.cri import Crictl
from tests.e2e.engine import Engine
from tests.e2e.node import Node
from tests.e2e.toolbox import MissingError
from tests.e2e.wait import wait_until

PAGE = peers.REPOSITORY / "docs" / "speed.md"
BEGIN, END = "<!-- measured by `make bench-setups` -->\n", "<!-- /measured by `make bench-setups` -->\n"
GOAL_MS = 3.0
"""What an address, a route and an MTU may add to the start of a container."""

HOME = "198.51.100.7/24"
"""The address of the interface at home, which goes with it unless others are asked for."""
OURS = "nri-netdev.io/container.app"
INJECTORS = "netdevice.noderesource.dev/pod"
_ASKED = f"addresses: [{ADDRESS}], routes: [{{to: {ROUTE}, via: {VIA}}}], mtu: {MTU}"
_POLICY = """
rules:
  - namespaces: ["*"]
    interfaces: ["*"]
    may: [all]
    share: true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a pod asks for, of which plugin."""

    title: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    has_interface: bool = True
    is_brought_home: bool = True
    """Whether the plugin leaves the interface as it was; otherwise it is made anew for the next pod."""
    home: tuple[str, ...] = (HOME,)
    """The addresses of the interface at home."""


NOTHING = Case(title="no plugin", has_interface=False)
INTERFACE = Case(title="nri-netdev: an interface", annotations={OURS: "- {interface: nic0, name: net1}"})
SET_UP = Case(
    title="nri-netdev: with an address, a route, an MTU",
    annotations={OURS: f"- {{interface: nic0, name: net1, {_ASKED}}}"},
)
SHARED = Case(
    title="nri-netdev: the same on a macvlan of its own",
    annotations={OURS: f"- {{interface: nic0, name: net1, share: macvlan, {_ASKED}}}"},
)
INJECTED = Case(
    title="network-device-injector: asked for an address, an MTU",
    is_brought_home=False,
    annotations={
        INJECTORS: json.dumps(
            [
                {
                    "name": "nic0",
                    "new_name": "net1",
                    "address": ADDRESS.partition("/")[0],
                    "prefix": int(ADDRESS.partition("/")[2]),
                    "mtu": MTU,
                }
            ]
        )
    },
)
CLAIMED = Case(
    title=f"dranet {peers.DRANET_VERSION}: with an address, a route, an MTU",
    is_brought_home=False,
    home=(),  # dranet takes the routes of home along, and fails at those of an address that it leaves behind
)
_CLAIM = {
    "interface": {"name": "net1", "addresses": [ADDRESS], "mtu": MTU},
    "routes": [{"destination": ROUTE, "gateway": VIA}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One container, in milliseconds."""

    pod_ms: float
    create_ms: float
    start_ms: float
    inside: str
    """What its interface has."""
    own_ms: Mapping[str, float] = field(default_factory=dict)
    """What custody took: to prepare the pod, to start the container, and within the latter for each step."""

    @property
    def whole_ms(self) -> float:
        """From RunPodSandbox until the container runs."""
        return self.pod_ms + self.create_ms + self.start_ms


Samples = dict[str, list[list[Sample]]]
"""By title of the case: the samples of each round."""


class Bench:
    """Pods on one engine.

    Args:
        engine: where they run.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._crictl = Crictl(engine)
        self.node = Node(engine.machine)
        self.samples: Samples = defaultdict(list)

    def turn(
        self,
        plugin: Callable[[Node, Engine], AbstractContextManager[peers.Before]],
        cases: Sequence[Case],
        count: int,
    ) -> None:
        """Have containers of each case, by turns, while a plugin runs."""
        found: dict[str, list[Sample]] = {case.title: [] for case in cases}
        with plugin(self.node, self._engine) as before:
            for number in range(count + 1):
                for case in cases if number % 2 else reversed(cases):  # what a pod leaves to be done delays the next
                    sample = self._one(case, before)
                    if number:  # the first warms up
                        found[case.title].append(sample)
        for title, samples in found.items():
            self.samples[title].append(samples)
        with contextlib.suppress(subprocess.SubprocessError):
            self.node.clean()

    def _one(self, case: Case, before: peers.Before) -> Sample:
        if self.node.link("nic0") is None:
            self.node.add_veth("nic0", addresses=case.home)
        uid = str(uuid.uuid4())
        before(uid)
        times = [perf_counter()]
        pod = self._crictl.run_pod("web", annotations=case.annotations, uid=uid)
        times.append(perf_counter())
        container = self._crictl.create(pod, "app")
        times.append(perf_counter())
        self._crictl.start(container)
        times.append(perf_counter())
        inside = self._inside(container) if case.has_interface else ""
        self._crictl.delete_pod(pod)
        if not case.is_brought_home and self.node.link("nic0") is not None:
            self.node.ip("link", "delete", "nic0")
        if OURS in case.annotations:
            wait_until(self._is_home, timeout_s=10, what="nic0 is home, and has no mark any more")
        pod_ms, create_ms, start_ms = ((after - since) * 1000 for since, after in itertools.pairwise(times))
        own_ms = self._own(pod, container) if OURS in case.annotations else {}
        return Sample(pod_ms=pod_ms, create_ms=create_ms, start_ms=start_ms, inside=inside, own_ms=own_ms)

    def _is_home(self) -> bool:
        link = self.node.link("nic0")
        return link is not None and not link.get("altnames")

    def _inside(self, container: str) -> str:
        """What `net1` has in the pod: its MTU, address and routes."""
        found = [one for one in self._crictl.ip_json(container, "address") if one["ifname"] == "net1"]
        if not found:
            raise AssertionError("the container runs without its interface")
        addresses = [f"{one['local']}/{one['prefixlen']}" for one in found[0]["addr_info"] if one["family"] == "inet"]
        routes = [route["dst"] for route in self._crictl.ip_json(container, "route") if route.get("gateway") == VIA]
        return ", ".join(
            [f"MTU {found[0]['mtu']}", *(addresses or ["no address"]), *(f"route to {to}" for to in routes)]
        )

    def _own(self, pod: str, container: str) -> dict[str, float]:
        lines = map(json.loads, self.stopwatch.read_text(encoding="utf-8").splitlines())
        own: dict[str, float] = {}
        for line in lines:
            if line["of"] in {pod, container}:
                own[line["what"]] = line["ms"]
                own |= line["within"] if line["what"] == "start" else {}
        return own

    # -- plugins ---------------------------------------------------------------------------------------------------

    @property
    def stopwatch(self) -> Path:
        """Where the daemon's stopwatch writes."""
        return self._engine.machine.directory / "stopwatch.jsonl"

    @contextlib.contextmanager
    def ours(self, node: Node, _: Engine) -> Iterator[peers.Before]:
        """This daemon, as it logs by default, with a stopwatch."""
        self.stopwatch.unlink(missing_ok=True)
        program = [sys.executable, "-m", "bench.stopwatch", self.stopwatch, "run"]
        environment = {"PYTHONPATH": str(peers.REPOSITORY)}
        with node.daemon(config=_POLICY, log_level="info", program=program, env=environment):
            yield peers.nothing


@contextlib.contextmanager
def _nobody(_: Node, __: Engine) -> Iterator[peers.Before]:
    yield peers.nothing


# -- results -----------------------------------------------------------------------------------------------------------


def _middle(rounds: Sequence[Sequence[Sample]], of: Callable[[Sample], float]) -> float:
    """The median of the rounds' medians."""
    return median(median(map(of, samples)) for samples in rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What one case takes more than another, in ms: of containers that came one after the other."""

    median: float
    low: float
    high: float
    """Between these the true median is, of all containers that could be measured, in 95 cases of 100."""

    def __str__(self) -> str:
        return f"{self.median:.1f} ms ({self.low:.1f} to {self.high:.1f})"


def difference(samples: Samples, case: Case, base: Case, of: Callable[[Sample], float]) -> Difference:
    """What a case takes more than another."""
    pairs = sorted(
        of(one) - of(other)
        for ones, others in zip(samples[case.title], samples[base.title], strict=True)
        for one, other in zip(ones, others, strict=True)
    )
    middle, reach = (len(pairs) - 1) / 2, 0.98 * math.sqrt(len(pairs))
    low, high = max(0, math.floor(middle - reach)), min(len(pairs) - 1, math.ceil(middle + reach))
    return Difference(median=median(pairs), low=pairs[low], high=pairs[high])


def _whole(sample: Sample) -> float:
    return sample.whole_ms


def _start(sample: Sample) -> float:
    return sample.start_ms


def _own(step: str, sample: Sample) -> float:
    return sample.own_ms.get(step, 0.0)


def markdown(samples: Samples) -> str:
    """The table: ratios to no plugin at all, for another machine has other times, and custody's part in ms."""
    alone = samples[NOTHING.title]
    rows = ["| | until it runs | StartContainer | custody's part | inside |", "|---|---|---|---|---|"]
    for title, rounds in samples.items():
        ratios = [
            median(median(map(of, ones)) / median(map(of, others)) for ones, others in zip(rounds, alone, strict=True))
            for of in (_whole, _start)
        ]
        own = _middle(rounds, partial(_own, "start"))
        told = "; ".join(sorted({sample.inside for ones in rounds for sample in ones}))
        rows.append(f"| {title} | {ratios[0]:.2f} | {ratios[1]:.2f} | {f'{own:.1f} ms' if own else ''} | {told} |")
    return "\n".join(rows)


def verdict(samples: Samples) -> str:
    """What an address, a route and an MTU add, beside the goal.

    The goal is judged by custody's part, where all of it is done: what engine and OCI runtime take varies by more.
    """
    own, prepared = (difference(samples, SET_UP, INTERFACE, partial(_own, step)) for step in ("start", "prepare"))
    start, whole = (difference(samples, SET_UP, INTERFACE, of) for of in (_start, _whole))
    is_met = "met" if own.high <= GOAL_MS else "not met"
    return (
        f"An address, a route and an MTU add {own} to custody's part of a start (goal: ≤ {GOAL_MS:g} ms, {is_met}), "
        f"{prepared} to what is prepared while nobody waits, {start} to StartContainer as a whole and {whole} to the "
        "time until the container runs: the median difference between containers that came one after the other, and "
        "where it is with a certainty of 95 %."
    )


def kernel(document: Mapping[str, Any], first_ms: float) -> str:
    """The table of the kernel's part."""
    rows = ["| visit to the pod's netns | µs | requests that read | that change |", "|---|---|---|---|"]
    rows += [
        f"| {name} | {visit['us']:.0f} | {visit['reads']} | {visit['changes']} |"
        for name, visit in document["visits"].items()
    ]
    steps = sorted(document["steps_us"].items(), key=lambda item: -item[1])[:4]
    told = ", ".join(f"{name} {took:.0f}" for name, took in steps)
    return "\n".join(
        [
            *rows,
            "",
            f"The longest steps of `apply`, in µs: {told}. The first change of a daemon takes {first_ms:.0f} ms more.",
        ]
    )


def details(samples: Samples) -> str:
    """For a terminal: every figure, in ms."""
    columns = ("RunPodSandbox", "CreateContainer", "StartContainer", "until it runs")
    of: tuple[Callable[[Sample], float], ...] = (lambda one: one.pod_ms, lambda one: one.create_ms, _start, _whole)
    lines = ["  ".join(("case".ljust(54), *columns))]
    for title, rounds in samples.items():
        figures = (f"{_middle(rounds, each):.1f}".rjust(len(name)) for name, each in zip(columns, of, strict=True))
        lines.append("  ".join((title.ljust(54), *figures)))
        steps = sorted({step for ones in rounds for one in ones for step in one.own_ms})
        if steps:
            lines.append(
                "    custody: " + ", ".join(f"{step} {_middle(rounds, partial(_own, step)):.2f}" for step in steps)
            )
    return "\n".join(lines)


def _write_page(text: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}{text}\n{END}{tail}", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.setups", description="What it costs to be set up.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each has its turn (5)")
    parser.add_argument("--count", type=int, default=10, metavar="N", help="containers of each case a turn (10)")
    parser.add_argument(
        "--injector", type=Path, metavar="FILE", help="network-device-injector, if it is to be measured"
    )
    parser.add_argument("--no-dranet", action="store_true", help="without dranet, which takes minutes to build")
    parser.add_argument("--docs", action="store_true", help="write what came of it into docs/speed.md")
    return parser.parse_args()


def _measure(engine: Engine, options: argparse.Namespace) -> Samples:
    bench = Bench(engine)
    turns: list[tuple[Callable[[Node, Engine], AbstractContextManager[peers.Before]], tuple[Case, ...]]]
    turns = [(_nobody, (NOTHING,)), (bench.ours, (INTERFACE, SET_UP, SHARED))]
    if options.injector:
        turns.append((partial(peers.injector, options.injector.resolve()), (INJECTED,)))
    if not options.no_dranet:
        turns.append((partial(peers.dranet, _CLAIM, "nic0"), (CLAIMED,)))
    for number in range(options.rounds):
        for plugin, cases in turns:
            print(f"round {number + 1} of {options.rounds}: {cases[0].title}", file=sys.stderr, flush=True)
            bench.turn(plugin, cases, options.count)
    return bench.samples


def main() -> int:
    """Measure, and print."""
    options = _options()
    cell = Cell(engine=ENGINES["containerd"], runtime=RUNTIMES["runc"])
    missing = [*tools.missing(), *cell.missing()]
    if missing:
        print(f"not measured, for there is no {', '.join(missing)}; run: make e2e-tools", file=sys.stderr)
        return 1
    if not options.no_dranet:
        try:
            peers.DRANET.ensure()
        except MissingError as error:
            print(f"dranet is not measured: {error}", file=sys.stderr)
            options.no_dranet = True
    alone, first_ms = applying.results([]), applying.first_ms()
    from tests.e2e.machine import Machine  # noqa: PLC0415 - needs root

    with (
        tempfile.TemporaryDirectory(prefix="nri-netdev-bench-") as directory,
        Machine(Path(directory)) as machine,
        cell.engine(machine, handlers=cell.handlers()) as engine,
    ):
        samples = _measure(engine, options)
    rounds = f"{options.rounds} rounds of {options.count}"
    print(details(samples), "", sep="\n")
    text = "\n\n".join((f"On {host.shape()}; {rounds}.", markdown(samples), verdict(samples), kernel(alone, first_ms)))
    print(text)
    if options.docs:
        _write_page(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
