"""An alarm clock that any thread sets and that rings on an event loop; setting it takes a microsecond.

For what must be noticed on the rare occasion that it takes too long: to wake the loop each time, to have it wait, costs
more than most of what is watched. A timer of the kernel's does not wake anybody until it has run out.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable

from nri_netdev.errors import StateError

_CLOCK_MONOTONIC = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Itimerspec(ctypes.Structure):
    """`struct itimerspec`: the pause between rings, and how long until the first."""

    _fields_ = [(name, ctypes.c_long) for name in ("pause_s", "pause_ns", "first_s", "first_ns")]


class Alarm:
    """One alarm (timerfd_create(2)); `fileno` is readable when `ring` is to be called.

    Raises:
        StateError: The kernel gives none.
    """

    def __init__(self) -> None:
        self._fd: int = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise StateError(f"cannot make a timer: {os.strerror(ctypes.get_errno())}")
        self._lock = threading.Lock()
        self._late: Callable[[], None] | None = None
        self._due_s = 0.0

    def fileno(self) -> int:
        """For the selector of a loop."""
        return self._fd

    def set(self, after_s: float, late: Callable[[], None]) -> None:
        """Have `late` called after so many seconds, unless it is cleared before."""
        with self._lock:
            self._late, self._due_s = late, time.monotonic() + after_s
        seconds, fraction = divmod(after_s, 1)
        spec = _Itimerspec(0, 0, int(seconds), int(fraction * 1e9) or 1)
        _libc.timerfd_settime(self._fd, 0, ctypes.byref(spec), None)

    def clear(self) -> bool:
        """Whether it was cleared in time: if not, it has rung. The timer runs out by itself."""
        with self._lock:
            was, self._late = self._late, None
        return was is not None

    def ring(self) -> None:
        """Call what is due, if it still is; on the loop. Who clears meanwhile waits until that is done."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        with self._lock:
            if self._late is not None and time.monotonic() >= self._due_s:
                late, self._late = self._late, None
                late()

    def close(self) -> None:
        """Give the timer back."""
        os.close(self._fd)
