"""The succession of daemons on a node: one answers the engine; the next is registered already, and takes over.

Three locks in the state directory say who does what (docs/adr/0024):

- `lock` is of the daemon that has the ledger;
- `answering` is of the one that answers the engine. It is let go of first: from then on a successor holds back what it
  is asked, until it has the ledger;
- `standby` is shared by those that are registered, and could answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TypeVarTuple

from nri_netdev.log import event
from nri_netdev.shells.store.lock import Lock

_log = logging.getLogger(__name__)
_Ts = TypeVarTuple("_Ts")

POLL_S = 0.01
"""How often a daemon that stands by looks whether it is its turn, in seconds."""


class Turn(Enum):
    """Who is to answer the engine."""

    OURS = auto()
    THEIRS = auto()
    NOBODYS = auto()
    """The daemon that answered has let go, and nobody has taken over yet."""


@dataclass(frozen=True, slots=True)
class _Locks:
    ledger: Lock
    answering: Lock
    standby: Lock


class Succession:
    """This daemon's place among those of its state directory.

    A daemon that was never told to stand by answers: where there can be no lock, nobody else can serve.

    Args:
        state_dir: the state directory.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._locks: _Locks | None = None
        self._turn = threading.Lock()
        """Held while an event is passed on: when it is free, none is on its way."""
        self._is_answering = True
        self._is_standing_by = False
        self._is_over = False
        self._took_over = threading.Event()

    def pass_on(self, serve: Callable[[], None], otherwise: Callable[[], None]) -> bool:
        """Do the one thing with an event if we answer the engine, the other if not; returns whether we do."""
        with self._turn:
            (serve if self._is_answering else otherwise)()
            return self._is_answering

    def pass_on_now(self, answer: Callable[[*_Ts], bool], *event: *_Ts) -> bool:
        """Have an event answered at once if we answer the engine; returns whether it is."""
        with self._turn:
            return self._is_answering and answer(*event)

    @property
    def is_answering(self) -> bool:
        """Whether we answer the engine; for what may as well be asked again of `pass_on`."""
        return self._is_answering

    @property
    def is_in_place(self) -> bool:
        """Whether we answer the engine, or stand by; without locks we may answer beside one that can give."""
        return self._locks is not None and (self._is_answering or self._is_standing_by)

    @property
    def is_lockless(self) -> bool:
        """Whether there could be no lock until now."""
        return self._locks is None

    # -- before ------------------------------------------------------------------------------------------------------

    def take(self) -> int | None:
        """Take the ledger's lock if it is free.

        Returns:
            None when it is ours now, else the pid of the daemon that has it (0 if that is unknown).

        Raises:
            StateError: There can be no lock.
        """
        if self._locks is None:
            self._locks = _Locks(*(Lock(self._state_dir, name) for name in ("lock", "answering", "standby")))
        pid = self._locks.ledger.take()
        if pid is not None:
            self._is_answering = False
        return pid

    @property
    def is_standing_by(self) -> bool:
        """Whether we are known to stand by."""
        return self._is_standing_by

    def stand_by(self, *, is_registered: bool) -> None:
        """Let it be known whether we are registered with the engine, and could answer."""
        if self._locks is not None and is_registered != self._is_standing_by:
            (self._locks.standby.share if is_registered else self._locks.standby.release)()
            self._is_standing_by = is_registered
            if is_registered:
                event(_log, logging.INFO, "daemon.stands_by")

    def turn(self, limit_s: float) -> Turn:
        """Whose turn it is. Between two daemons that is not known at once: then wait, as long as this at most."""
        until_s = time.monotonic() + limit_s
        while not self._took_over.is_set():
            if not self._is_nobodys():
                return Turn.OURS if self._took_over.is_set() else Turn.THEIRS
            if time.monotonic() > until_s:
                return Turn.NOBODYS
            self._took_over.wait(POLL_S)
        return Turn.OURS

    def _is_nobodys(self) -> bool:
        with self._turn:  # to look at a lock that is being taken would let go of it
            if self._is_answering or self._is_over or self._locks is None:
                return False
            return not self._locks.answering.is_taken()

    def take_over(self, begin: Callable[[], None]) -> None:
        """Answer from now on; we have the ledger.

        Args:
            begin: called while no event is passed on.
        """
        self.stand_by(is_registered=False)
        with self._turn:
            begin()
            if self._locks is not None:
                self._locks.answering.take_soon()
            self._is_answering = True
            self._took_over.set()

    # -- after -------------------------------------------------------------------------------------------------------

    def has_successor(self) -> bool:
        """Whether another daemon stands by."""
        return self._locks is not None and self._locks.standby.is_shared()

    def hand_over(self) -> None:
        """Answer no more; whoever stands by does. What was passed on before is still to be finished."""
        with self._turn:
            self._is_answering = False
            self._is_over = True
            self._took_over.clear()
            if self._locks is not None:
                self._locks.answering.release()

    def close(self) -> None:
        """Let go of every lock."""
        with self._turn:
            self._is_over = True
        if self._locks is not None:
            for lock in (self._locks.answering, self._locks.ledger, self._locks.standby):
                lock.close()
