"""What goes on on the daemon's loop beside its main tasks, begun from any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Background:
    """The coroutines that answer the engine; `finish` lets them come to their end."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Use the loop that runs now."""
        self._loop = asyncio.get_running_loop()

    def call(self, function: Callable[[], object]) -> bool:
        """Call a function on the loop, in the order of the calls; whether there still is a loop to do so."""
        try:
            if self._loop is None:
                return False
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is over
            return False
        return True

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the loop; without effect once the loop is over."""
        if not self.call(lambda: self._begin(work)):
            work.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, timeout_s: float) -> None:
        """Wait for what was spawned, no longer than this."""
        await asyncio.sleep(0)  # what was spawned on other threads begins
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)


async def readable(fd: int) -> None:
    """Wait until there is something to read from an fd."""
    loop, found = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, found.set)
    try:
        await found.wait()
    finally:
        loop.remove_reader(fd)
