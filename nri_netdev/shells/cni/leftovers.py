"""Plugins that an earlier daemon has started and not seen end.

A daemon that is killed does not take its plugins with it. One that is still at its ADD would give an address after the
next daemon's DEL, and nobody would ever take that back. So such a one is waited for. Each is known by a variable in its
environment whose value is a secret: what a pod knows, it could have in its own processes' environment too.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_KILL_S = 5.0
"""How long a process that is killed may take to end, unless the kernel holds it."""


def outlast(variable: str, limit_s: float) -> bool:
    """Wait until no process is left that was started with a variable, and kill what takes longer than a limit.

    Args:
        variable: `NAME=value`.
        limit_s: the limit.

    Returns:
        Whether none is left.
    """
    wanted = variable.encode()
    end_s = time.monotonic() + limit_s
    while pids := tuple(_pids(wanted)):
        remaining_s = end_s - time.monotonic()
        if remaining_s < -_KILL_S:
            return False
        for pid in pids:
            _outlast(pid, wanted, remaining_s)
    return True


def _outlast(pid: int, variable: bytes, limit_s: float) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return  # it has ended
    try:
        if not _has(pid, variable):  # another has its number
            return
        if limit_s <= 0 or not _ended(pidfd, limit_s):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            _ended(pidfd, _KILL_S)
    finally:
        os.close(pidfd)


def _ended(pidfd: int, limit_s: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(limit_s * 1000))


def _pids(variable: bytes) -> Iterator[int]:
    for entry in os.listdir(_PROC):  # noqa: PTH208 - names alone, of thousands
        if entry.isdecimal() and _has(int(entry), variable):
            yield int(entry)


def _has(pid: int, variable: bytes) -> bool:
    """Whether a process, that is no zombie and that we may look at, has a variable."""
    try:
        return variable in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
