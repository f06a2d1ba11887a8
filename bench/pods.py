"""`python -m bench.pods`: how long a real container takes until it runs, on real containerd with runc.

Without a plugin, with the Go plugin and with this daemon in turn, A B C A B C. What is timed is CreateContainer and
StartContainer of the CRI, each by a crictl of its own. An annotated container gets one end of a veth; for the Go plugin
that is made anew each time, for nobody brings it home. Needs what `make e2e-tools` builds.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from bench import programs
from tests.e2e import tools
from tests.e2e.cells import ENGINES, RUNTIMES, Cell
from tests.e2e.cri import Crictl
from tests.e2e.engine import Engine
from tests.e2e.node import NRI_SOCKET, Node
from tests.e2e.wait import wait_until

KEY = "network-devices.noderesource.dev/container.app"
"""The device-injector's, which both plugins understand."""
ASKS = {KEY: "- {hostIf: nic0, name: net1}"}
ADDRESS = "198.51.100.7/24"
_HOME_S = 10

Plugin = Callable[[Node, Engine], contextlib.AbstractContextManager[object]]


@contextlib.contextmanager
def nobody(node: Node, engine: Engine) -> Iterator[None]:
    """No plugin at all."""
    del node, engine
    yield


@contextlib.contextmanager
def injector(node: Node, engine: Engine) -> Iterator[None]:
    """The Go plugin, from when the engine knows it."""
    known = engine.log_text().count("10-injector")
    process = node.machine.popen([programs.build().injector, "-socket", NRI_SOCKET])
    try:
        wait_until(lambda: engine.log_text().count("10-injector") > known, timeout_s=10, what="the Go plugin is known")
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def ours(node: Node, engine: Engine) -> contextlib.AbstractContextManager[object]:
    """This daemon, as it logs by default."""
    del engine
    return node.daemon(log_level="info")


PLUGINS: dict[str, Plugin] = {"no plugin": nobody, "Go plugin": injector, "nri-netdev": ours}


def one_ms(crictl: Crictl, node: Node, *, is_annotated: bool) -> float:
    """Milliseconds until one container runs, in a pod of its own."""
    if is_annotated and node.link("nic0") is None:
        node.add_veth("nic0", addresses=[ADDRESS])
    pod = crictl.run_pod("web", annotations=ASKS if is_annotated else None)
    begin = time.perf_counter()
    container = crictl.run(pod, "app")
    took = time.perf_counter() - begin
    if is_annotated and "net1" not in {link["ifname"] for link in crictl.ip_json(container, "link")}:
        raise AssertionError("the container runs without its interface")
    crictl.delete_pod(pod)
    return took * 1000


def measure(engine: Engine, *, rounds: int, count: int) -> dict[tuple[str, bool], list[float]]:
    """The median of each round, by plugin and whether containers were annotated."""
    node, crictl = Node(engine.machine), Crictl(engine)
    found: dict[tuple[str, bool], list[float]] = {}
    for number in range(rounds):
        for name, plugin in PLUGINS.items():
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            with plugin(node, engine):
                for is_annotated in (False, True) if plugin is not nobody else (False,):
                    one_ms(crictl, node, is_annotated=is_annotated)
                    times = [one_ms(crictl, node, is_annotated=is_annotated) for _ in range(count)]
                    found.setdefault((name, is_annotated), []).append(median(times))
            with contextlib.suppress(subprocess.SubprocessError):
                node.clean()
    return found


def markdown(found: dict[tuple[str, bool], list[float]]) -> str:
    """A table of ratios to no plugin at all: the median of the rounds' ratios."""
    alone = found["no plugin", False]
    rows = ["| | not annotated | annotated |", "|---|---|---|"]
    for name in PLUGINS:
        ratios = [
            f"{median(a / b for a, b in zip(found[name, kind], alone, strict=True)):.2f}"
            if (name, kind) in found
            else ""
            for kind in (False, True)
        ]
        rows.append(f"| {name} | {ratios[0]} | {ratios[1]} |")
    return "\n".join(rows)


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="bench.pods", description="How long real containers take to run.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each has its turn (5)")
    parser.add_argument("--count", type=int, default=10, metavar="N", help="containers of each kind a turn (10)")
    options = parser.parse_args()
    cell = Cell(engine=ENGINES["containerd"], runtime=RUNTIMES["runc"])
    missing = [*tools.missing(), *cell.missing()]
    if missing:
        print(f"not measured, for there is no {', '.join(missing)}; run: make e2e-tools", file=sys.stderr)
        return 1
    from tests.e2e.machine import Machine  # noqa: PLC0415 - needs root

    with (
        tempfile.TemporaryDirectory(prefix="nri-netdev-bench-") as directory,
        Machine(Path(directory)) as machine,
        cell.engine(machine, handlers=cell.handlers()) as engine,
    ):
        found = measure(engine, rounds=options.rounds, count=options.count)
    for (name, is_annotated), times in found.items():
        kind = "annotated" if is_annotated else "not annotated"
        print(f"{name}, {kind}: {median(times):.0f} ms until it runs")
    print(markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
