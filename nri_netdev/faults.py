"""Fault points: named instants between any two changes of kernel or ledger, where tests make the process fail.

`step("homing.moved")` does nothing, unless a test has put a hook in its place that raises, counts, or kills the
process. No environment variable and no option reaches it: a release has no way to turn it on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_hook: Callable[[str], None] | None = None


def step(name: str) -> None:
    """Pass the fault point of this name; names are dotted, module first, and need not be unique."""
    if _hook is not None:
        _hook(name)


@contextmanager
def hooked(hook: Callable[[str], None]) -> Iterator[None]:
    """Call `hook` with the name of each fault point that is passed, on any thread; for tests."""
    global _hook  # noqa: PLW0603 - one hook per process is the point
    previous, _hook = _hook, hook
    try:
        yield
    finally:
        _hook = previous
