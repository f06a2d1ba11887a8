"""What a daemon does that is registered with the engine while another one serves: listen, and answer nothing.

Between the two a container that asks for interfaces would get none, and the engine waits: so what it asks is held back
until one of them answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

from nri_netdev.daemon.hooks import REFUSABLE
from nri_netdev.daemon.roster import Roster
from nri_netdev.daemon.succession import Succession, Turn
from nri_netdev.domain.annotations.relevance import mentions
from nri_netdev.errors import Reason, RequestError
from nri_netdev.shells.engine.connection import EngineConnection
from nri_netdev.shells.engine.translate import pod_of
from nri_netdev.wire.methods import EventKind
from nri_netdev.wire.session import Request

SETTLED_S = 1.0
"""How long after Synchronize an engine tells of all that happens: at that moment CRI-O may leave out a create."""


class Everybody(Collection[str]):
    """The ids of pods and containers that concern whoever stands by: every one, as it does not know who holds what."""

    def __contains__(self, _: object) -> bool:
        return True

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter(())


EVERYBODY = Everybody()


class Standby:
    """Listens to the engine while another daemon serves.

    Args:
        succession: who is to answer.
        limit_s: gives how long an event may be held back.
        refuse: keeps a container from running.
    """

    def __init__(
        self,
        succession: Succession,
        limit_s: Callable[[], float],
        refuse: Callable[[EngineConnection, Request, RequestError], None],
    ) -> None:
        self._succession = succession
        self._limit_s = limit_s
        self._refuse = refuse
        self._synchronized_s = 0.0
        self.roster: Roster | None = None
        """What exists; None before the engine has told, when its connection is over, and when we have taken over."""

    def begin(self, roster: Roster) -> None:
        """Take the engine's list of all that exists."""
        self._synchronized_s = time.monotonic()
        self.roster = roster

    @property
    def is_settled(self) -> bool:
        """Whether the engine has told what exists, and tells of all that happens since."""
        return self.roster is not None and time.monotonic() - self._synchronized_s > SETTLED_S

    def note(self, request: Request) -> None:
        """Take an event that is not ours to answer, or not yet."""
        if self.roster is not None:
            self.roster.note(request)

    def answer(self, connection: EngineConnection, request: Request) -> float | None:
        """Answer an event with nothing, unless it has become our turn.

        Returns:
            None if it is answered. If not, we have taken over, and it is to be handled: how long it was held back.
        """
        begin_s = time.monotonic()
        may_ask = request.kind in REFUSABLE
        is_asking = may_ask and mentions(pod_of(request.pod, request.container).annotations)
        turn = self._succession.turn(self._limit_s()) if is_asking else Turn.THEIRS
        if turn is Turn.OURS:
            return time.monotonic() - begin_s
        if turn is Turn.NOBODYS:
            error = RequestError("nri-netdev is being replaced on this node; retry", reason=Reason.BUSY)
            self._refuse(connection, request, error)
            return None
        if request.kind is EventKind.START_CONTAINER:
            self._succession.pass_on(lambda: None, lambda: self._started(request.container.id))
        connection.reply(request, None)
        return None

    def _started(self, container_id: str) -> None:
        if self.roster is not None:
            self.roster.started(container_id)
