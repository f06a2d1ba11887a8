"""Ways home beside the lane: an interface that takes long to bring home delays nobody else.

A driver may take a second to set an interface down and up, and ten thousand routes take as long. Custody begins a way
home and goes on with other jobs; what came of it is a job again (docs/adr/0016).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nri_netdev.daemon.lane import Lane
from nri_netdev.errors import KernelError
from nri_netdev.log import event

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_AT_ONE_TIME = 4
"""The kernel changes one interface at a time, but waits for drivers and for netns that die meanwhile."""


class Returns:
    """Ways home on threads of their own; implements `nri_netdev.custody.ports.Returns`.

    Args:
        lane: gets the job that ends each.
        at_one_time: how many are gone at one time; those of another object do not count.
        doing: what each does, for the error that tells of a bug.
    """

    def __init__(self, lane: Lane, *, at_one_time: int = _AT_ONE_TIME, doing: str = "bring an interface home") -> None:
        self._lane = lane
        self._doing = doing
        self._pool = ThreadPoolExecutor(at_one_time, thread_name_prefix="return")
        self._idle = threading.Condition()
        self._count = 0

    def begin(self, way: Callable[[], _T], then: Callable[[_T | KernelError], None]) -> None:
        """Begin a way home; `then` is called with what came of it, as a job of the lane."""
        with self._idle:
            self._count += 1
        try:
            self._pool.submit(self._go, way, then)
        except RuntimeError:  # closed: the next daemon brings it home
            self._end()

    def _go(self, way: Callable[[], _T], then: Callable[[_T | KernelError], None]) -> None:
        outcome: _T | KernelError
        try:
            outcome = way()
        except KernelError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - the root of a thread
            event(_log, logging.ERROR, "custody.bug", exc_info=True)
            outcome = KernelError(action=self._doing, errno=0, reason=f"internal error ({error!r})")

        def done(_custody: object) -> None:
            then(outcome)

        self._lane.later(done).add_done_callback(lambda _: self._end())

    def _end(self) -> None:
        self._lane.retry()  # what waited for it has been parked by now, as the lane does one job at a time
        with self._idle:
            self._count -= 1
            self._idle.notify_all()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until none is under way; whether that is so."""
        with self._idle:
            return self._idle.wait_for(lambda: self._count == 0, timeout_s)

    def close(self) -> None:
        """Begin none any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
