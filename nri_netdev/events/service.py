"""Hears what the daemon tells of pods, and writes it as Events of Kubernetes; lives as long as its container.

Neither side waits for the other: while the API server is away notices are counted, and while the daemon is away there
is nothing to hear. To hear everything again after a restart writes the same objects again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from nri_netdev.errors import ClusterError, NriNetdevError, StateError
from nri_netdev.events.groups import Groups
from nri_netdev.events.notice import COMPONENT, Notice, object_of, path_of
from nri_netdev.events.tally import Count, Tally
from nri_netdev.log import event
from nri_netdev.shells.kube.client import ApiClient, Backoff
from nri_netdev.shells.observe.listener import ToldEvent

_log = logging.getLogger(__name__)

TURN_S = 1.0
"""How long to listen at most before it is looked what is to be written."""
AWAY_S = 1.0
"""How long to wait before the daemon is looked for again."""
WRITES = 10
"""In a turn, so that the pods of a node that starts do not fall upon the API server together."""
GONE = frozenset({"NotFound", "NamespaceTerminating"})


class Hearing(Protocol):
    """Where events come from."""

    lost: int
    """How many could not be heard."""

    def hear(self, timeout_s: float) -> tuple[ToldEvent, ...]:
        """The next events, after so many seconds nothing; `StateError` if there is no daemon."""


class EventService:
    """Writes what it hears.

    Args:
        listener: the daemon's stream.
        client: the API server.
        node: the name of this node.
        backoff: how long to leave the API server alone after a failure.
        now_s: the wall clock, seconds since the epoch.
        sleep: waits.
    """

    def __init__(
        self,
        listener: Hearing,
        client: ApiClient,
        *,
        node: str,
        backoff: Backoff | None = None,
        now_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._listener = listener
        self._client = client
        self._node = node
        self._backoff = backoff or Backoff()
        self._now_s = now_s
        self._sleep = sleep
        self._groups = Groups()
        self._tally = Tally()
        self._not_before_s = 0.0
        self._lost = 0
        self._away = ""
        self._refusal = ""

    def run(self) -> None:
        """Serve until an exception from outside, such as a signal's, ends it; then write what is left, once."""
        event(_log, logging.INFO, "notices.started", node=self._node)
        try:
            while True:
                self.turn()
        finally:
            self._not_before_s = 0.0
            self._count(until_s=float("inf"))
            self._write()

    def turn(self) -> None:
        """Listen for a while, then write what is due."""
        try:
            heard = self._listener.hear(TURN_S)
        except StateError as error:
            if str(error) != self._away:
                event(_log, logging.WARNING, "stream.away", reason=str(error), action="trying again")
            self._away, heard = str(error), ()
            self._sleep(AWAY_S)
        else:
            if self._away:
                event(_log, logging.INFO, "stream.back")
            self._away = ""
        if self._listener.lost != self._lost:
            event(_log, logging.WARNING, "stream.lost", count=self._listener.lost - self._lost)
            self._lost = self._listener.lost
        for told in heard:
            for happening in self._groups.add(told):
                self._tally.add(happening, now_s=self._now_s())
        self._count(until_s=self._now_s())
        self._write()

    def _count(self, *, until_s: float) -> None:
        for happening in self._groups.closed(until_s):
            self._tally.add(happening, now_s=self._now_s())

    def _write(self) -> None:
        """Write what may be written now; after a failure that will pass nothing, until it may have passed."""
        for _ in range(WRITES):
            now_s = self._now_s()
            count = self._tally.next(now_s) if now_s >= self._not_before_s else None
            if count is None:
                return
            times = count.count
            try:
                self._apply(count)
            except ClusterError as error:
                if error.is_passing:
                    self._not_before_s = now_s + self._backoff.failed(error.retry_after_s)
                    self._refused(count.notice, error)
                    return
                if not _is_gone(error):
                    self._refused(count.notice, error)
            except NriNetdevError as error:  # the token cannot be read
                self._not_before_s = now_s + self._backoff.failed()
                self._refused(count.notice, error)
                return
            else:
                self._backoff.succeeded()
                self._refusal = ""
            self._tally.wrote(count, times)

    def _apply(self, count: Count) -> None:
        document = object_of(
            count.notice, count=count.count, first_s=count.first_s, last_s=count.last_s, node=self._node
        )
        self._client.apply(path_of(count.notice), document, manager=COMPONENT)

    def _refused(self, notice: Notice, error: NriNetdevError) -> None:
        """Log a refusal, once until it is another one."""
        kind = f"{error.status} {error.reason}" if isinstance(error, ClusterError) else str(error)
        if kind != self._refusal:
            pod = f"{notice.pod.namespace}/{notice.pod.name}"
            event(_log, logging.WARNING, "notice.refused", pod=pod, notice=notice.reason, reason=str(error))
        self._refusal = kind


def _is_gone(error: ClusterError) -> bool:
    """Whether a namespace is gone or going, and all its pods with it."""
    return error.reason in GONE or (error.status == 403 and "because it is being terminated" in error.message)
