"""The worker: who has custody - SQLite, netlink, drivers that take their time - one job at a time.

Jobs are done by a thread of its own, in the order in which they are given. The event loop asks it and waits no longer
than an engine does: what is not done when an answer is due is answered without it - a create with an error, a teardown
with yes - and goes on. Where nothing else is in hand, a job may be done at once by the thread that asks.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any, TypeVar

from nri_netdev.custody import Custody
from nri_netdev.errors import NriNetdevError, RequestError
from nri_netdev.logs import event
from nri_netdev.shells.alarm import Alarm

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

DEFAULT_REQUEST_TIMEOUT_MS = 2000
"""The engine's patience where it does not tell (NRI before 0.7)."""


def patience_s(request_timeout_ms: int) -> float:
    """How long an answer may take, in seconds: a third of what the engine waits, as others are in the queue too."""
    return (request_timeout_ms or DEFAULT_REQUEST_TIMEOUT_MS) / 3000


class Not(Enum):
    """Why `Worker.at_once` has no result."""

    NOW = "now"
    """Something else is in hand, or the job is none that is done at once: nothing has been done."""
    IN_TIME = "in time"
    """It took too long, and was answered by somebody else."""


class Worker:
    """Custody, as those see it who have something to be done."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="custody")
        self._turn = threading.Lock()
        """Whoever has it has custody."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._given = self._done = 0
        self.alarm = Alarm()
        """Rings on the event loop when a job that is done at once takes too long."""
        self.custody: Custody | None = None
        """What is there to be read; only jobs may change it. None while the ledger cannot be used."""
        self.trouble = ""
        """Why there is no custody, or ""."""
        self.holders: frozenset[str] = frozenset()
        """The ids of every pod and container that a claim hangs on, after the job before."""
        self.limit_s = patience_s(0)
        """How long a job may take that an engine waits for."""

    async def open(self, new_custody: Callable[[], Custody]) -> None:
        """Make custody, on its thread.

        Raises:
            StateError: The ledger cannot be used.
        """
        self.custody = await self._work(new_custody)
        self.holders = self.custody.holders()
        self.trouble = ""

    async def ask(
        self, job: Callable[[Custody], _T], *, too_late: str, undo: Callable[[Custody], None] | None = None
    ) -> _T:
        """Have custody do a job that an engine waits for.

        Args:
            job: what to do.
            too_late: what to say if it takes longer than `limit_s`; then it goes on.
            undo: what to do after it in that case.

        Raises:
            RequestError: Custody refuses, or is not done in time.
        """

        def whole() -> _T:
            if self.custody is None:
                raise RequestError(f"nothing can be given on this node: {self.trouble}")
            try:
                return job(self.custody)
            finally:
                self.holders = self.custody.holders()

        future = self._work(whole)
        done, _ = await asyncio.wait([future], timeout=self.limit_s)
        if not done:
            self.spawn(self._settle_late(future, undo))
            raise RequestError(too_late)
        try:
            return future.result()
        except RequestError:
            raise
        except NriNetdevError as error:
            raise RequestError(str(error)) from error
        except Exception as error:
            event(_log, logging.ERROR, "custody.bug", exc_info=True)
            raise RequestError(
                f"internal error ({type(error).__name__}); see the log of nri-netdev on this node"
            ) from error

    async def quietly(self, job: Callable[[Custody], None]) -> None:
        """Have custody do a job that nobody waits for."""

        def whole() -> None:
            if self.custody is not None:
                try:
                    job(self.custody)
                finally:
                    self.holders = self.custody.holders()

        try:
            await self._work(whole)
        except NriNetdevError as error:
            event(_log, logging.ERROR, "custody.refused", error=str(error))
        except Exception:  # noqa: BLE001 - the root of a task
            event(_log, logging.ERROR, "custody.bug", exc_info=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start what goes on beside the loop, until `finish`."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, timeout_s: float) -> None:
        """Let what was spawned come to its end, as far as it does in this time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def close(self) -> None:
        """End the thread after the job that it has in hand."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self.alarm.close()

    def is_idle(self) -> bool:
        """Whether nothing is in hand, and nothing waits for its turn."""
        return self._given == self._done and not self._tasks

    def at_once(
        self, job: Callable[[Custody], _T | None], *, late: Callable[[], None], undo: Callable[[Custody], None]
    ) -> _T | Not:
        """Do a job that an engine waits for on this thread, now, if nothing else is in hand.

        Args:
            job: what to do; its None says that it is to be done in some other way, and that nothing has changed.
            late: called on the event loop when it takes longer than `limit_s`: answers for it, for good.
            undo: done after it in that case.
        """
        if not self.is_idle() or not self._turn.acquire(blocking=False):
            return Not.NOW
        try:
            if not self.is_idle() or self.custody is None:
                return Not.NOW
            self.alarm.set(self.limit_s, late)
            result = _guarded(job, self.custody)
            if self.alarm.clear():
                return Not.NOW if result is None else result
            if result is not None:
                _guarded(undo, self.custody)
            return Not.IN_TIME
        finally:
            self._turn.release()

    def _work(self, job: Callable[[], _T]) -> asyncio.Future[_T]:
        def in_turn() -> _T:
            with self._turn:
                try:
                    return job()
                finally:
                    self._done += 1

        self._given += 1
        return asyncio.get_running_loop().run_in_executor(self._thread, in_turn)

    async def _settle_late(self, future: asyncio.Future[_T], undo: Callable[[Custody], None] | None) -> None:
        """See a job to its end that came too late for its answer, and undo it if the answer was no."""
        await asyncio.wait([future])
        error = future.exception()
        if error is not None and not isinstance(error, NriNetdevError):
            event(_log, logging.ERROR, "custody.bug", error=repr(error))
        if undo is not None and error is None:
            await self.quietly(undo)


def _guarded(job: Callable[[Custody], _T | None], custody: Custody) -> _T | None:
    """Do a job that has another chance; None if it fails."""
    try:
        return job(custody)
    except NriNetdevError:
        return None  # the other way tells why
    except Exception:  # noqa: BLE001 - the root of what a thread was asked
        event(_log, logging.ERROR, "custody.bug", exc_info=True)
        return None
