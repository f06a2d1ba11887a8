"""Receives what the daemon logs of pods, and writes it as Events of Kubernetes; lives as long as its container.

Neither side waits for the other: while the API server is away notices are counted, and while the daemon is away there
is nothing to receive. To receive everything again after a restart writes the same objects again.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Iterator
from typing import Protocol

from nri_netdev.backoff import backoff
from nri_netdev.errors import ClusterError, NriNetdevError, StateError
from nri_netdev.events.correlator import Correlator, Count
from nri_netdev.events.groups import Groups
from nri_netdev.events.notice import COMPONENT, Notice, object_of, path_of
from nri_netdev.log import event
from nri_netdev.shells.kube.client import ApiClient
from nri_netdev.shells.observe.listener import LogEvent

_log = logging.getLogger(__name__)

POLL_S = 1.0
"""How long to listen at most before it is looked what is to be written."""
AWAY_S = 1.0
"""How long to wait before the daemon is looked for again, or at the end the API server."""
WRITES = 10
"""In a poll, so that the pods of a node that starts do not fall upon the API server together."""
BACKOFF_FIRST_S = 1.0
BACKOFF_LAST_S = 60.0
"""Pauses after failures in a row at the API server."""
LISTEN_S = 10.0
"""How long a daemon that ends at the same time may still log: it takes 5 s to bring interfaces home."""
END_S = 25.0
"""When to leave what is not written by then: Kubernetes kills after 30 s."""
GONE = frozenset({"NotFound", "NamespaceTerminating"})


class Subscriber(Protocol):
    """Where events come from."""

    lost: int
    """How many could not be received."""

    def receive(self, timeout_s: float) -> tuple[LogEvent, ...]:
        """The next events, after so many seconds nothing; `StateError` if there is no daemon."""


class Clock(Protocol):
    """Of the module `time`, what is used."""

    def time(self) -> float:
        """The wall clock, seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds, never fewer than before."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


class EventService:
    """Writes what it receives.

    Args:
        listener: the daemon's stream.
        client: the API server.
        node: the name of this node.
        rng: shortens pauses.
        clock: measures them.
    """

    def __init__(
        self,
        listener: Subscriber,
        client: ApiClient,
        *,
        node: str,
        rng: random.Random,
        clock: Clock = time,
    ) -> None:
        self._listener = listener
        self._client = client
        self._node = node
        self._rng = rng
        self._clock = clock
        self._groups = Groups()
        self._correlator = Correlator()
        self._pauses = self._backoff()
        self._not_before_s = 0.0
        self._ended_s = math.inf
        self._lost = 0
        self._away = ""
        self._refusal = ""

    def run(self) -> None:
        """Serve until `end`; then hear the daemon out, and write all that is left."""
        event(_log, logging.INFO, "notices.started", node=self._node)
        while not self._is_over():
            self.poll()
        self._count(until_s=math.inf)
        while self._clock.monotonic() < self._ended_s + END_S and (count := self._correlator.next(None)):
            if not self._write(count):
                self._clock.sleep(AWAY_S)
        self._client.close()

    def end(self) -> None:
        """Have `run` come to its end; for a signal's handler."""
        self._ended_s = self._clock.monotonic()

    def poll(self) -> None:
        """Listen for a while, then write what is due."""
        received = self._receive()
        if self._listener.lost != self._lost:
            event(_log, logging.WARNING, "stream.lost", count=self._listener.lost - self._lost)
            self._lost = self._listener.lost
        for one in received:
            for occurrence in self._groups.add(one):
                self._correlator.add(occurrence, now_s=self._clock.time())
        self._count(until_s=self._clock.time())
        for _ in range(WRITES):
            is_due = self._clock.monotonic() >= self._not_before_s
            count = self._correlator.next(self._clock.time()) if is_due else None
            if count is None or not self._write(count):
                return

    def _backoff(self) -> Iterator[float]:
        return backoff(BACKOFF_FIRST_S, BACKOFF_LAST_S, self._rng)

    def _is_over(self) -> bool:
        """Whether it is to end, and the daemon has ended too or taken too long."""
        waited_s = self._clock.monotonic() - self._ended_s
        return waited_s >= (0 if self._away else LISTEN_S)

    def _receive(self) -> tuple[LogEvent, ...]:
        try:
            received = self._listener.receive(POLL_S)
        except StateError as error:
            if str(error) != self._away:
                event(_log, logging.WARNING, "stream.away", reason=str(error), action="trying again")
            self._away = str(error)
            self._clock.sleep(AWAY_S)
            return ()
        if self._away:
            event(_log, logging.INFO, "stream.back")
        self._away = ""
        return received

    def _count(self, *, until_s: float) -> None:
        for occurrence in self._groups.closed(until_s):
            self._correlator.add(occurrence, now_s=self._clock.time())

    def _write(self, count: Count) -> bool:
        """Write a notice; returns whether the next one may follow at once, or a failure has to pass first."""
        times = count.count
        try:
            self._apply(count)
        except NriNetdevError as error:
            is_refused = isinstance(error, ClusterError) and not error.is_passing
            if not (isinstance(error, ClusterError) and _is_gone(error)):
                self._refused(count.notice, error)
            if not is_refused:  # the server is away, or the token or the certificates cannot be read
                asked_s = error.retry_after_s if isinstance(error, ClusterError) else 0.0
                self._not_before_s = self._clock.monotonic() + max(asked_s, next(self._pauses))
                self._correlator.failed(count)
                return False
        else:
            self._pauses = self._backoff()
            self._refusal = ""
        self._correlator.wrote(count, times)
        return True

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
