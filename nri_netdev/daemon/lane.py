"""The worker: who has custody - SQLite, netlink, drivers that take their time - one job at a time.

Jobs are done by a thread of its own, in the order in which they are given. The event loop asks it and waits no longer
than an engine does: what is not done when an answer is due is answered without it - a create with an error, a teardown
with yes - and goes on. Where nothing is in hand, another thread may have custody for what takes no time (`begin`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from nri_netdev.custody.custody import Custody
from nri_netdev.errors import NriNetdevError, RequestError
from nri_netdev.log import event

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

DEFAULT_REQUEST_TIMEOUT_MS = 2000
"""The engine's patience where it does not tell (NRI before 0.7)."""

BEGIN_S = 0.005
"""How long to wait for the job in hand, rather than be the next job: most take one millisecond."""


def patience_s(request_timeout_ms: int) -> float:
    """How long an answer may take, in seconds: a third of what the engine waits, as others are in the queue too."""
    return (request_timeout_ms or DEFAULT_REQUEST_TIMEOUT_MS) / 3000


class Worker:
    """Custody, as those see it who have something to be done."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="custody")
        self._turn = threading.Lock()
        """Whoever has it has custody."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._given = self._done = 0
        self.custody: Custody | None = None
        """What is there to be read; only jobs may change it. None while the ledger cannot be used."""
        self.trouble = ""
        """Why there is no custody, or ""."""
        self.holders: Collection[str] = ()
        """The ids of every pod and container that a claim hangs on, as they are at any time."""
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
            return job(self.custody)

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
                job(self.custody)

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

    def begin(self) -> Custody | None:
        """Have custody on this thread, until `end`, for what takes no time.

        None if that is not to be had soon, or if jobs wait for their turn, which were given before.
        """
        if not self._turn.acquire(timeout=BEGIN_S):
            return None
        if self._given == self._done and self.custody is not None:
            return self.custody
        self._turn.release()
        return None

    def end(self) -> None:
        """Give custody back."""
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
