"""Whether the daemon can give now: registered with the engine, and its ledger can be written.

The ledger is tried by writing nothing new to it, on a thread and a connection of their own, so that neither a request
nor a move waits for a disk that is slow or full.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from nri_netdev.log import event
from nri_netdev.shells.store.ledger import why_not_writable

_log = logging.getLogger(__name__)

LOOK_S = 3.0
"""How often the ledger is tried."""


class Able(Protocol):
    """What is asked of the daemon; from any thread."""

    @property
    def is_ready(self) -> bool:
        """Whether it is registered with the engine and has a ledger."""

    @property
    def trouble(self) -> str:
        """Why it has none, or ""."""


class Readiness:
    """Looks, remembers since when, and tells in the log when it changes.

    Args:
        able: the daemon.
        state_dir: where the ledger is.
        now_s: the wall clock, in seconds since the epoch.
    """

    def __init__(self, able: Able, state_dir: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._able = able
        self._state_dir = state_dir
        self._now_s = now_s
        self._unwritable = ""
        self._lock = threading.Lock()
        self.since_s: float | None = None
        """Since when it is ready, in seconds since the epoch; None while it is not."""

    @property
    def trouble(self) -> str:
        """Why nothing can be given, where that is the ledger; or ""."""
        return self._able.trouble or self._unwritable

    def look(self) -> bool:
        """Whether it is ready now. Any thread may ask."""
        is_ready = self._able.is_ready and not self.trouble
        with self._lock:
            if is_ready == (self.since_s is not None):
                return is_ready
            self.since_s = self._now_s() if is_ready else None
        if is_ready:
            event(_log, logging.INFO, "daemon.ready")
        else:
            event(_log, logging.WARNING, "daemon.unready", reason=self.trouble or "not registered with an engine")
        return is_ready

    async def watch(self) -> None:
        """Try the ledger again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)
            if self._able.is_ready:
                unwritable = await asyncio.to_thread(why_not_writable, self._state_dir)
                self._unwritable = unwritable or ""
