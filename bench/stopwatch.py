"""`python -m bench.stopwatch FILE run …`: this daemon, with a stopwatch at its steps that set up interfaces.

A line of JSON is added to FILE for each time that custody prepares a pod or starts a container: what, of which pod or
container, its milliseconds, and those of the steps within it. A stopwatch costs a microsecond or so itself.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

WHOLE = {"Custody.prepare": "prepare", "Custody.start": "start"}
"""What a line is written for, in `nri_netdev.custody.custody`; the first argument is the pod, the second the container
or what is asked for."""

WITHIN = {
    "nri_netdev.custody.settle": {"locate": "locate"},
    "nri_netdev.shells.kernel.pods": {"Pods.complete": "complete"},
    "nri_netdev.shells.kernel.setups": {"Setups.share": "share", "Setups.apply": "apply"},
    "nri_netdev.shells.store.ledger": {"Ledger.write": "ledger"},
}
"""The steps within, by module. Custody does one thing at a time, on one thread."""

_spent_ms: dict[str, float] = {}
"""By step, since the last line."""


def _within(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            _spent_ms[step] = _spent_ms.get(step, 0.0) + (time.perf_counter() - begin) * 1000

    return timed


def _whole(what: str, function: Callable[..., Any], lines: IO[str]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(custody: Any, pod: Any, second: Any, *args: Any, **kwargs: Any) -> Any:
        _spent_ms.clear()
        begin = time.perf_counter()
        try:
            return function(custody, pod, second, *args, **kwargs)
        finally:
            took_ms = (time.perf_counter() - begin) * 1000
            line = {"what": what, "of": getattr(second, "id", pod.id), "ms": took_ms, "within": _spent_ms}
            lines.write(json.dumps(line) + "\n")

    return timed


def _watch(module_name: str, names: dict[str, str], around: Callable[[str, Any], Any]) -> None:
    module = importlib.import_module(module_name)
    for name, step in names.items():
        *owners, attribute = name.split(".")
        owner = functools.reduce(getattr, owners, module)
        setattr(owner, attribute, around(step, getattr(owner, attribute)))


def main() -> int:
    """Be the daemon, watched."""
    lines = Path(sys.argv[1]).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - for as long as it runs
    _watch("nri_netdev.custody.custody", WHOLE, functools.partial(_whole, lines=lines))
    for module_name, names in WITHIN.items():
        _watch(module_name, names, _within)
    from nri_netdev.cli import main as daemon  # noqa: PLC0415 - after the stopwatches are in place

    return daemon(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
