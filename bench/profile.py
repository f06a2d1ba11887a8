"""`python -m bench.profile`: where the time of a CreateContainer goes, in this daemon.

The daemon runs under the engine's stand-in with a stopwatch around each of its steps. What a step calls that has a
stopwatch too is not counted twice: its own time is told. A stopwatch costs a microsecond or so itself.
"""

from __future__ import annotations

import argparse
import atexit
import functools
import importlib
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import contender, host, measures, programs
from bench.contender import Engine

STEPS = {
    "nri_netdev.shells.engine.connection": (
        "EngineConnection._read_events",
        "EngineConnection._receive",
        "EngineConnection._send",
        "EngineConnection.reply",
        "EngineConnection.answer",
    ),
    "nri_netdev.wire.session": ("PluginSession.receive_data", "PluginSession.reply", "PluginSession.answer", "peek"),
    "nri_netdev.daemon.relevance": ("Relevance.of_peek", "Relevance.concerns"),
    "nri_netdev.daemon.hooks": (
        "Hooks.answer_now",
        "Hooks.run_pod_sandbox",
        "Hooks.create_container",
        "pod_of",
        "container_of",
        "adjustment",
        "entries_of",
    ),
    "nri_netdev.daemon.lane": ("Lane.try_now", "Lane.ask"),
    "nri_netdev.custody.custody": (
        "Custody.prepare",
        "Custody.ready",
        "Custody.give",
        "Custody.record",
        "Custody.create",
        "Custody.end",
    ),
    "nri_netdev.custody.settle": ("Settler.settle", "locate"),
    "nri_netdev.custody.promise": ("Promiser.promise", "Promiser.make_way"),
    "nri_netdev.custody.prepare": ("Preparations.prepare", "Preparations.ready", "Preparations.refresh"),
    "nri_netdev.custody.evaluate": ("Evaluator.evaluate", "judge"),
    "nri_netdev.custody.claims": ("Claims.give",),
    "nri_netdev.shells.store.ledger": ("Ledger.write",),
    "nri_netdev.shells.kernel.host": (
        "Host.inventory",
        "Host.revision",
        "Host.cached_revision",
        "Host.is_called",
        "Host.link",
        "Host.links",
        "Host.snapshot",
        "Host.mark",
        "Host.unmark",
        "Host.restore",
    ),
    "nri_netdev.shells.kernel.pods": (
        "Pods.revision",
        "Pods.cached_revision",
        "Pods.links",
        "Pods.netns",
        "Pods.is_home",
        "Pods.pin",
        "Pods.pinned",
        "Pods.unpin",
        "Pods.view",
    ),
    "nri_netdev.shells.kernel.rtnetlink": ("Rtnl.__init__", "Rtnl.get", "Rtnl.dump", "Rtnl.change", "parse_link"),
    "nri_netdev.shells.kernel.sysctls": ("Sysctls.differing",),
}
"""What has a stopwatch: functions by module, under the names by which they are called."""


class _Watch(threading.local):
    """What is running on a thread: for each function the time that its callees took."""

    def __init__(self) -> None:
        self.stack: list[int] = []


_watch = _Watch()
_spent: dict[str, list[int]] = defaultdict(lambda: [0, 0])
"""By step: how often, and its own nanoseconds."""


def _timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        stack = _watch.stack
        stack.append(0)
        begin = time.perf_counter_ns()
        try:
            return function(*args, **kwargs)
        finally:
            took = time.perf_counter_ns() - begin
            spent = _spent[name]
            spent[0] += 1
            spent[1] += took - stack.pop()
            if stack:
                stack[-1] += took

    return timed


def _daemon(result: Path) -> None:
    """Be the daemon, watched; the steps are written when it ends."""
    for module_name, names in STEPS.items():
        module = importlib.import_module(module_name)
        for name in names:
            *owners, attribute = name.split(".")
            owner = functools.reduce(getattr, owners, module)
            setattr(owner, attribute, _timed(name, getattr(owner, attribute)))
    atexit.register(lambda: result.write_text(json.dumps(_spent), encoding="utf-8"))
    from nri_netdev.cli import main  # noqa: PLC0415 - after the stopwatches are in place

    sys.exit(main(sys.argv[3:]))


def _profile(engine: Engine, *, count: int, is_annotated: bool) -> None:
    result = host.PLACE / "profile.json"
    plugin = contender.ours("-m", "bench.profile", "--daemon", str(result))
    subject: dict[str, Any] = {"netns": host.add_pod_netns(0), "devices": contender.ONE} if is_annotated else {}
    with engine.running(plugin):
        times = engine.times("create", count, **subject)
    steps: dict[str, tuple[int, int]] = json.loads(result.read_text(encoding="utf-8"))
    what = "annotated" if is_annotated else "not annotated"
    median_us = measures.percentile(times.rest_us, 50)
    print(
        f"{count} containers, {what}, created, stopped and removed; CreateContainer takes {median_us:.0f} µs (median)"
    )
    print(f"{'step':<32}  {'calls':>6}  {'µs of its own':>13}   each a container")
    for name, (calls, spent_ns) in sorted(steps.items(), key=lambda item: -item[1][1]):
        print(f"{name:<32}  {calls / count:>6.1f}  {spent_ns / 1000 / count:>13.1f}")


def main() -> int:
    """Profile a plain and an annotated CreateContainer."""
    if sys.argv[1:2] == ["--daemon"]:
        _daemon(Path(sys.argv[2]))
    parser = argparse.ArgumentParser(prog="bench.profile", description="Where the time of a CreateContainer goes.")
    parser.add_argument("--count", type=int, default=500, metavar="N", help="containers (500)")
    options = parser.parse_args()
    made = programs.build()
    host.enter(["bench.profile", *sys.argv[1:]])
    with Engine(made, programs.CACHE / "plugins.log") as engine:
        for is_annotated in (False, True):
            _profile(engine, count=options.count, is_annotated=is_annotated)
            print(flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
