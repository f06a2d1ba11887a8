"""The lane to custody: one job at a time, in the order in which they were given, from whatever thread.

Custody waits for SQLite, netlink and drivers, so it has a thread of its own. There are three ways to have it do a job:

- `Lane.try_now`: on the calling thread, at once, if no job is under way or waiting: for what waits for nothing;
- `Lane.ask`: have it done and wait for the outcome, no longer than an engine does;
- `Lane.later`: have it done, whenever that is.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, TypeVar

from nri_netdev.custody.custody import Custody
from nri_netdev.custody.returning import StillReturning
from nri_netdev.errors import NriNetdevError, Reason, RequestError, refusal_for
from nri_netdev.log import event

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

DEFAULT_REQUEST_TIMEOUT_MS = 2000
"""The engine's patience where it does not say (NRI before 0.7)."""

LONGER = 2.5
"""How much longer than others an answer may take whose refusal costs more than a retry: nearly as long as engines wait.
A refused create is tried again; by a refused start a pod that is not to be restarted has failed."""

TURN_S = 0.005
"""How long `try_now` waits for the job under way, rather than give up: most take one millisecond."""


def patience_s(request_timeout_ms: int) -> float:
    """How long an answer may take, in seconds: a third of what the engine waits, as others are in the queue too."""
    return (request_timeout_ms or DEFAULT_REQUEST_TIMEOUT_MS) / 3000


def refusal_for_bug(error: Exception) -> RequestError:
    """The error that refuses a request because our own code failed."""
    text = f"internal error ({type(error).__name__}); see the log of nri-netdev on this node"
    return RequestError(text, reason=Reason.BUG)


class Lane:
    """Custody, for those who have a job for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        """Guards the four fields that follow; notified when a job is added or has ended."""
        self._jobs: deque[tuple[Future[Any], Callable[[], None]]] = deque()
        self._parked: list[tuple[Future[Any], Callable[[], None]]] = []
        """Jobs that are to be done again when an interface has come home."""
        self._late: set[Future[Any]] = set()
        """Of the jobs whose answer has been given without them: they are not done, or not done again."""
        self._is_busy = False
        """Whether a job is under way."""
        self._is_open = True
        self._thread = threading.Thread(target=self._work, name="custody", daemon=True)
        self._thread.start()
        self.custody: Custody | None = None
        """To be read only; to change anything takes a job. None while the ledger cannot be used."""
        self.trouble = ""
        """Why there is no custody, or ""."""
        self.holders: Collection[str] = ()
        """Live view of the ids of pods and containers that have claims; safe to read from any thread."""
        self.limit_s = patience_s(0)
        """How long a job may take that an engine waits for."""

    # -- the three ways --------------------------------------------------------------------------------------------

    def try_now(self, job: Callable[[Custody], bool]) -> bool:
        """Do a job on this thread, if custody is free now or within milliseconds and no job waits.

        Returns:
            What the job returned; False if it was not done.
        """
        with self._changed:
            if self._is_busy and not self._jobs:
                self._changed.wait_for(lambda: not self._is_busy, TURN_S)
            if self._is_busy or self._jobs or self.custody is None:
                return False
            self._is_busy = True
        try:
            return job(self.custody)
        finally:
            self._end_turn()

    def ask(
        self,
        job: Callable[[Custody], _T],
        *,
        too_late: str,
        undo: Callable[[Custody], None] | None = None,
        limit_s: float | None = None,
    ) -> Callable[[], Awaitable[_T]]:
        """Have a job done that an engine waits for. It takes its place in the lane now, on whatever thread this is.

        Args:
            job: what to do.
            too_late: what to answer if it takes longer than `limit_s`; then it ends if it is under way, and is not
                begun if it waits.
            undo: what to do after it in that case.
            limit_s: a limit in place of `Lane.limit_s`.

        Returns:
            What gives the outcome, to be called and awaited on the loop. It raises `RequestError`: custody refuses, or
            is not done in time.
        """

        def whole() -> _T:
            if self.custody is None:
                raise RequestError(f"nothing can be given on this node: {self.trouble}", reason=Reason.LEDGER)
            return job(self.custody)

        return partial(self._outcome, self._enqueue(whole), too_late, undo, limit_s)

    def later(self, job: Callable[[Custody], None]) -> Future[None]:
        """Have a job done that nobody waits for; what goes wrong is logged.

        Returns:
            Done when the job is; for those who want to know.
        """

        def whole() -> None:
            try:
                if self.custody is not None:
                    job(self.custody)
            except StillReturning:
                raise
            except NriNetdevError as error:
                event(_log, logging.ERROR, "custody.refused", error=str(error))
            except Exception:  # noqa: BLE001 - the root of a job
                event(_log, logging.ERROR, "custody.bug", exc_info=True)

        return self._enqueue(whole)

    def retry(self) -> None:
        """Do again, before the jobs that wait, those that an interface on its way home has stopped.

        They were given before those; and one of those may begin the next way home, which would stop them again.
        """
        with self._changed:
            self._jobs.extendleft(reversed(self._parked))
            self._parked.clear()
            self._changed.notify_all()

    # -- life ------------------------------------------------------------------------------------------------------

    async def open(self, new_custody: Callable[[], Custody]) -> None:
        """Make custody, on its thread.

        Raises:
            StateError: The ledger cannot be used.
        """
        self.custody = await asyncio.wrap_future(self._enqueue(new_custody))
        self.holders = self.custody.holders()
        self.trouble = ""

    async def close(self) -> None:
        """End the thread after the job that is under way; what waits is given up, and so is what comes later."""
        with self._changed:
            self._is_open = False
            given_up = [*self._jobs, *self._parked]
            self._parked.clear()
            self._changed.notify_all()
        await asyncio.to_thread(self._thread.join)
        for future, _ in given_up:
            if not future.cancel():  # it was begun
                future.set_exception(CancelledError())

    # -- within ----------------------------------------------------------------------------------------------------

    def _enqueue(self, job: Callable[[], _T]) -> Future[_T]:
        future: Future[_T] = Future()

        def run() -> None:
            is_late, is_begun = future in self._late, future.running()
            if is_late and is_begun:
                future.set_exception(CancelledError())
                return
            if is_late:
                future.cancel()
            if not is_begun and not future.set_running_or_notify_cancel():
                return
            try:
                result = job()
            except StillReturning:
                self._park(future, run)
            except BaseException as error:  # noqa: BLE001 - whoever asked gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._changed:
            if self._is_open:
                self._jobs.append((future, run))
                self._changed.notify_all()
            else:
                future.cancel()
        return future

    def _park(self, future: Future[Any], job: Callable[[], None]) -> None:
        with self._changed:
            self._parked.append((future, job))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._is_open or (self._jobs and not self._is_busy))
                if not self._is_open:
                    return
                _, job = self._jobs.popleft()
                self._is_busy = True
            try:
                job()
            finally:
                self._end_turn()

    def _end_turn(self) -> None:
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()

    async def _outcome(
        self, future: Future[_T], too_late: str, undo: Callable[[Custody], None] | None, limit_s: float | None
    ) -> _T:
        waiting = asyncio.wrap_future(future)
        done, _ = await asyncio.wait([waiting], timeout=self.limit_s if limit_s is None else limit_s)
        if not done:
            self._late.add(future)
            future.add_done_callback(self._late.discard)
            waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # else asyncio logs it
            future.add_done_callback(lambda ended: self._ended_late(ended, undo))
            raise RequestError(too_late, reason=Reason.BUSY)
        try:
            return waiting.result()
        except RequestError:
            raise
        except NriNetdevError as error:
            raise refusal_for(error) from error
        except Exception as error:
            event(_log, logging.ERROR, "custody.bug", exc_info=True)
            raise refusal_for_bug(error) from error

    def _ended_late(self, future: Future[_T], undo: Callable[[Custody], None] | None) -> None:
        """A job has ended after its answer was due; it is undone, since the answer was no."""
        if future.cancelled():
            return
        error = future.exception()
        is_given_up = isinstance(error, CancelledError)
        if error is not None and not is_given_up and not isinstance(error, NriNetdevError):
            event(_log, logging.ERROR, "custody.bug", error=repr(error))
        if undo is not None and (error is None or is_given_up):
            self.later(undo)
