"""`python -m bench.applying`: what one address, one route and an MTU take in the kernel, without an engine.

Each time a fresh veth, up, stands in a pod's netns, as an OCI runtime leaves one. Timed is what the daemon does with it
at StartContainer, visit by visit, and within `apply` step by step; the requests to the kernel are counted. The first
change of a process is told apart, for it loads what a daemon has not used before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from bench import host
from nri_netdev.domain.setup.values import AddressSetup, RouteSetup, Setup
from nri_netdev.shells.kernel import netlink, rtnetlink
from nri_netdev.shells.kernel.host import Host
from nri_netdev.shells.kernel.pods import Pods
from nri_netdev.shells.kernel.setup import apply
from nri_netdev.shells.kernel.setups import Setups
from nri_netdev.testing.node import add_netns

T = TypeVar("T")

ADDRESS, VIA, ROUTE, MTU = "198.51.100.9/24", "198.51.100.1", "203.0.113.0/24", 1400
ASKED = Setup(addresses=(AddressSetup(address=ADDRESS),), routes=(RouteSetup(to=ROUTE, via=VIA),), mtu=MTU)
_FIRSTS = 5
_WARM_UP = 5
_FIRST = """
import time
import nri_netdev.daemon.service
from nri_netdev.shells.kernel.changes import set_up
from nri_netdev.shells.kernel.netns import in_new_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl
def once():
    begin = time.perf_counter()
    with Rtnl() as rtnl:
        set_up(rtnl, 1)
    return time.perf_counter() - begin
first, second = in_new_netns(lambda: (once(), once()))
print((first - second) * 1000)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One call into the pod's netns."""

    us: float
    reads: int
    """Requests to the kernel that read."""
    changes: int
    """Requests that change something."""


class _Count:
    """Counts requests to the kernel."""

    def __init__(self) -> None:
        self.reads = 0
        self.changes = 0
        self._is_changing = False

    def begin(self) -> None:
        """Count from now on."""
        ask, change = netlink.RouteSocket.request, rtnetlink.Rtnl.change

        def asked(*args: Any) -> Any:
            self.reads += not self._is_changing
            return ask(*args)

        def changed(*args: Any) -> None:
            self.changes += 1
            self._is_changing = True
            try:
                change(*args)
            finally:
                self._is_changing = False

        netlink.RouteSocket.request = asked  # type: ignore[method-assign, assignment]
        rtnetlink.Rtnl.change = changed  # type: ignore[method-assign, assignment]


class _Timed:
    """Times visits and steps, by name."""

    def __init__(self) -> None:
        self.count = _Count()
        self.visits: dict[str, list[Visit]] = defaultdict(list)
        self.steps_us: dict[str, list[float]] = defaultdict(list)

    def visit(self, name: str, call: Callable[[], T]) -> T:
        """Make one."""
        reads, changes = self.count.reads, self.count.changes
        begin = time.perf_counter()
        found = call()
        took = (time.perf_counter() - begin) * 1e6
        self.visits[name].append(Visit(us=took, reads=self.count.reads - reads, changes=self.count.changes - changes))
        return found

    def watch_steps(self) -> None:
        """Time the steps of `apply` too."""
        apply.STEPS = tuple(replace(each, act=partial(self._act, each)) for each in apply.STEPS)

    def _act(self, each: apply.ApplyStep, target: Any) -> None:
        begin = time.perf_counter()
        each.act(target)
        self.steps_us[each.name].append((time.perf_counter() - begin) * 1e6)


@contextlib.contextmanager
def _arrived(netns: Path) -> Iterator[None]:
    """A fresh `net1`, up, in the pod's netns, its other end elsewhere."""
    cables = host.PLACE / "netns" / "cables"
    if not cables.exists():
        add_netns(cables)
    host.ip(f"link add net1 type veth peer name net1 netns {cables}", "link set net1 up", netns=netns)
    host.ip("link set net1 up", netns=cables)
    try:
        yield
    finally:
        host.ip("link delete net1", netns=netns)


def _once(timed: _Timed, netns: Path) -> None:
    """What `nri_netdev.custody.arrival` does with an interface that has arrived: find, complete, set up, check."""
    pods = Pods(Host(), host.PLACE / "nri-netdev", lambda *_: contextlib.nullcontext())
    setups = Setups(Host())
    path = str(netns)
    with _arrived(netns):
        links = timed.visit("locate", lambda: pods.links(path))
        ifindex = next(link.ifindex for link in links if link.ifname == "net1")
        timed.visit("complete", lambda: pods.complete(path, ifindex, "net1", (), is_up=True))
        timed.visit("apply", lambda: setups.apply(path, ifindex, ASKED, ()))
        timed.visit("locate again", lambda: pods.links(path))
        timed.visit("check", lambda: pods.complete(path, ifindex, "net1", (), is_up=True))


def _measure(count: int, *, steps: bool = False) -> _Timed:
    netns = host.add_pod_netns(0)
    timed = _Timed()
    timed.count.begin()
    if steps:
        timed.watch_steps()
    for _ in range(count):
        _once(timed, netns)
    return timed


def results(arguments: list[str]) -> Mapping[str, Any]:
    """What a process of this module's own has measured."""
    said = subprocess.run(
        [sys.executable, "-m", "bench.applying", "--json", *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    found: Mapping[str, Any] = json.loads(said.stdout)
    return found


def _document(timed: _Timed) -> dict[str, Any]:
    def middle(visits: list[Visit]) -> Visit:
        warm = visits[_WARM_UP:] or visits
        return replace(warm[-1], us=median(visit.us for visit in warm))

    return {
        "visits": {name: asdict(middle(visits)) for name, visits in timed.visits.items()},
        "steps_us": {name: median(times[_WARM_UP:] or times) for name, times in timed.steps_us.items()},
    }


def _print(document: Mapping[str, Any], first_ms: float) -> None:
    print(f"{'visit':<14}  {'µs':>6}  {'reads':>5}  {'changes':>7}")
    for name, visit in document["visits"].items():
        print(f"{name:<14}  {visit['us']:>6.0f}  {visit['reads']:>5}  {visit['changes']:>7}")
    total = sum(visit["us"] for visit in document["visits"].values())
    print(f"{'all':<14}  {total:>6.0f}   (medians); the first change of a process {first_ms:.1f} ms\n")
    print(f"{'step of apply':<14}  {'µs':>6}")
    for name, took in sorted(document["steps_us"].items(), key=lambda item: -item[1]):
        print(f"{name:<14}  {took:>6.0f}")


def first_ms(times: int = _FIRSTS) -> float:
    """What the first change of a daemon takes more, in milliseconds: it loads what sends changes."""
    command = [sys.executable, "-c", _FIRST]
    return median(
        float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout) for _ in range(times)
    )


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="bench.applying", description="What it takes to set up an interface.")
    parser.add_argument("--count", type=int, default=200, metavar="N", help="interfaces (200)")
    parser.add_argument("--json", action="store_true", help="print for programs")
    options = parser.parse_args()
    if not options.json:
        document = dict(results(["--count", str(options.count)]))
        _print(document, first_ms())
        return 0
    host.enter(["bench.applying", *sys.argv[1:]])
    document = _document(_measure(options.count))
    print(json.dumps({**document, "steps_us": _document(_measure(options.count, steps=True))["steps_us"]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
