"""Counters and durations of the daemon; `nri_netdev.shells.observe.prometheus` serves them to Prometheus.

`Meters` is a few dictionaries, so the daemon always has one, and `nri-netdev status` works without Prometheus. Most
counters count events of the log (`COUNTED`), so that metrics and log cannot differ.
"""

from __future__ import annotations

import bisect
import contextlib
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nri_netdev.errors import Reason, RequestError, StateError


class MetricKind(StrEnum):
    """The type of a metric in Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The definition of a metric; docs/metrics.md is checked against these."""

    name: str
    kind: MetricKind
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, in seconds."""


_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

BUILD = Metric(name="nri_netdev_build_info", kind=MetricKind.GAUGE, text="Always 1; the version.", labels=("version",))
READY = Metric(
    name="nri_netdev_ready", kind=MetricKind.GAUGE, text="1 while registered with the engine and the ledger is usable."
)
CLAIMS = Metric(
    name="nri_netdev_claims", kind=MetricKind.GAUGE, text="Interfaces given away, by state.", labels=("state",)
)
POOL_SIZE = Metric(
    name="nri_netdev_pool_interfaces",
    kind=MetricKind.GAUGE,
    text="Interfaces that the selectors of a pool describe, those given away included.",
    labels=("pool",),
)
POOL_FREE = Metric(
    name="nri_netdev_pool_free_interfaces",
    kind=MetricKind.GAUGE,
    text="Those of them that could be given now: on the host, in nobody's hands, movable and no lifeline.",
    labels=("pool",),
)
CONTAINERS = Metric(
    name="nri_netdev_containers_total",
    kind=MetricKind.COUNTER,
    text="Containers that the engine was about to create, by whether their pod has annotations for nri-netdev.",
    labels=("annotated",),
)
CREATE_SECONDS = Metric(
    name="nri_netdev_create_seconds",
    kind=MetricKind.HISTOGRAM,
    text="Time to answer CreateContainer for a pod with annotations.",
    buckets=_BUCKETS_S,
)
GRANTS = Metric(
    name="nri_netdev_grants_total",
    kind=MetricKind.COUNTER,
    text="Containers that were given interfaces, by how: ready (as made ready when the pod came), decided (just then).",
    labels=("how",),
)
REFUSALS = Metric(
    name="nri_netdev_refusals_total",
    kind=MetricKind.COUNTER,
    text="Containers that were refused, by the moment (create, start) and the reason.",
    labels=("moment", "reason"),
)
MOVE_SECONDS = Metric(
    name="nri_netdev_move_seconds",
    kind=MetricKind.HISTOGRAM,
    text="Time of the moves that nri-netdev makes itself: in (where the runtime does not) and home, by driver.",
    labels=("direction", "driver"),
    buckets=_BUCKETS_S,
)
ARRIVALS = Metric(
    name="nri_netdev_arrivals_total", kind=MetricKind.COUNTER, text="Interfaces that arrived in their pod, complete."
)
RETURNS = Metric(
    name="nri_netdev_returns_total",
    kind=MetricKind.COUNTER,
    text="Claims that ended: whole (all is as it was), reboot, forced (by `nri-netdev release`), gone (no device).",
    labels=("how",),
)
TROUBLES = Metric(
    name="nri_netdev_claim_troubles_total",
    kind=MetricKind.COUNTER,
    text="Troubles told of claims, by the state of the claim: partial (at home, not whole), lost, held (astray) ….",
    labels=("state",),
)
INCOMPLETE = Metric(
    name="nri_netdev_returns_incomplete_total",
    kind=MetricKind.COUNTER,
    text="Claims whose way home did not end at once: partial (at home, not as it was) or lost (cannot be found).",
    labels=("how",),
)
IGNORED = Metric(
    name="nri_netdev_runtime_ignored_total",
    kind=MetricKind.COUNTER,
    text="Times that a runtime handler was found to ignore linux.netDevices.",
    labels=("handler",),
)
MISSED = Metric(
    name="nri_netdev_missed_containers_total",
    kind=MetricKind.COUNTER,
    text="Running containers found without the interfaces that they ask for, created while no daemon was there.",
)
UNREAD = Metric(
    name="nri_netdev_unread_keys_total",
    kind=MetricKind.COUNTER,
    text="Annotation keys that nobody reads, by why: container (none of that name comes), unknown (no grammar has it).",
    labels=("why",),
)
PREVENTED = Metric(
    name="nri_netdev_starts_prevented_total",
    kind=MetricKind.COUNTER,
    text="Container processes killed before they ran, on engines that do not heed an error at the start.",
)
REGISTRATIONS = Metric(
    name="nri_netdev_engine_registrations_total",
    kind=MetricKind.COUNTER,
    text="Times that the engine took the plugin; every one after the first is a reconnection.",
)
LEDGER_ERRORS = Metric(
    name="nri_netdev_ledger_errors_total", kind=MetricKind.COUNTER, text="Failures to open, read or write the ledger."
)
CUSTODY_ERRORS = Metric(
    name="nri_netdev_custody_errors_total",
    kind=MetricKind.COUNTER,
    text="Operations that the kernel or the disk refused and that are tried again, by what was being done.",
    labels=("doing",),
)
BUGS = Metric(
    name="nri_netdev_bugs_total",
    kind=MetricKind.COUNTER,
    text="Exceptions that nobody foresaw; the log has the traceback.",
)

METRICS = (
    BUILD,
    READY,
    CLAIMS,
    POOL_SIZE,
    POOL_FREE,
    CONTAINERS,
    CREATE_SECONDS,
    GRANTS,
    REFUSALS,
    MOVE_SECONDS,
    ARRIVALS,
    RETURNS,
    INCOMPLETE,
    TROUBLES,
    IGNORED,
    MISSED,
    UNREAD,
    PREVENTED,
    REGISTRATIONS,
    LEDGER_ERRORS,
    CUSTODY_ERRORS,
    BUGS,
)

# -- counting ----------------------------------------------------------------------------------------------------------

Labels = tuple[str, ...]
Fields = Mapping[str, object]


def _text(name: str, default: str = "unknown") -> Callable[[Fields], Labels]:
    return lambda fields: (str(fields.get(name) or default),)


def _refusal(moment: str) -> Callable[[Fields], Labels]:
    def labels(fields: Fields) -> Labels:
        error = fields.get("reason")
        return moment, (error.reason if isinstance(error, RequestError) else Reason.OTHER).value

    return labels


def _of_ledger(fields: Fields) -> Labels | None:
    """Whether the ledger failed; a request that is refused because there is no ledger at all is not counted again."""
    error = fields.get("reason")
    return () if isinstance(error, RequestError) and isinstance(error.__cause__, StateError) else None


_LEDGER_WORK = frozenset({"read the ledger", "write the ledger"})
"""Values of `doing`."""


def _plain(_: Fields) -> Labels:
    return ()


COUNTED: tuple[tuple[str, Metric, Callable[[Fields], Labels | None]], ...] = (
    ("create.refused", REFUSALS, _refusal("create")),
    ("create.refused", LEDGER_ERRORS, _of_ledger),
    ("start.refused", REFUSALS, _refusal("start")),
    ("start.prevented", PREVENTED, _plain),
    ("claim.arrived", ARRIVALS, _plain),
    ("claim.home", RETURNS, lambda fields: (str(fields.get("by") or "whole"),)),
    ("claim.released", RETURNS, lambda _: ("forced",)),
    ("claim.gone", RETURNS, lambda _: ("gone",)),
    ("claim.trouble", TROUBLES, _text("state")),
    ("runtime.ignored", IGNORED, _text("handler")),
    ("container.missed", MISSED, _plain),
    ("key.unread", UNREAD, _text("why")),
    ("engine.registered", REGISTRATIONS, _plain),
    ("ledger.unusable", LEDGER_ERRORS, _plain),
    ("custody.refused", LEDGER_ERRORS, lambda fields: () if fields.get("doing") in _LEDGER_WORK else None),
    ("custody.refused", CUSTODY_ERRORS, _text("doing", "work")),
    ("custody.bug", BUGS, _plain),
    ("engine.bug", BUGS, _plain),
)
"""Events, the counters that they increment, and the labels; labels of None leave the event out."""

HOMEWARD = ("partial", "lost")
"""States of a claim whose return is incomplete; counted once for each claim."""
ENDED = ("claim.home", "claim.released", "claim.gone")

RECENT = ("create.refused", "start.refused", "container.missed", "claim.trouble", "custody.bug", "engine.bug")
"""Events whose latest occurrences `nri-netdev status` shows."""
RECENT_AT_MOST = 20


@dataclass(slots=True)
class Histogram:
    """Durations by bucket; the last bucket is for those above every bound."""

    counts: list[int]
    sum_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentEvent:
    """An event that `nri-netdev status` shows."""

    at_s: float
    """Seconds since the epoch."""
    name: str
    fields: Mapping[str, str]


@dataclass(slots=True)
class Meters:
    """Everything counted since the daemon started. Any thread may use it."""

    counters: dict[tuple[str, Labels], int] = field(default_factory=lambda: defaultdict(int))
    histograms: dict[tuple[str, Labels], Histogram] = field(default_factory=dict)
    recent: deque[RecentEvent] = field(default_factory=lambda: deque(maxlen=RECENT_AT_MOST))
    _incomplete: set[Labels] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, metric: Metric, *labels: str) -> None:
        """Add one to a counter."""
        with self._lock:
            self.counters[metric.name, labels] += 1

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Add a duration to a histogram."""
        with self._lock:
            known = self.histograms.get((metric.name, labels))
            if known is None:
                known = self.histograms[metric.name, labels] = Histogram([0] * (len(metric.buckets) + 1))
            known.counts[bisect.bisect_left(metric.buckets, seconds)] += 1
            known.sum_s += seconds

    @contextlib.contextmanager
    def timed(self, metric: Metric, *labels: str) -> Iterator[None]:
        """Add the duration of a block, however it ends."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self.observe(metric, time.perf_counter() - start_s, *labels)

    def count_event(self, name: str, fields: Fields) -> None:
        """Count an event of the log: an observer for `nri_netdev.log.observed`."""
        for known, metric, labels_of in COUNTED:
            if known == name and (labels := labels_of(fields)) is not None:
                self.count(metric, *labels)
        self._follow(name, fields)
        if name in RECENT:
            texts = {key: str(value) for key, value in fields.items()}
            with self._lock:
                self.recent.append(RecentEvent(at_s=time.time(), name=name, fields=texts))

    def _follow(self, name: str, fields: Fields) -> None:
        """Count a claim that becomes partial or lost once, however often that is logged."""
        claim, state = str(fields.get("claim", "")), str(fields.get("state", ""))
        with self._lock:
            if name == "claim.trouble" and state in HOMEWARD and (claim, state) not in self._incomplete:
                self._incomplete.add((claim, state))
                self.counters[INCOMPLETE.name, (state,)] += 1
            elif name in ENDED:
                self._incomplete -= {(claim, state) for state in HOMEWARD}

    def read(self) -> tuple[dict[tuple[str, Labels], int], dict[tuple[str, Labels], Histogram]]:
        """Counters and histograms at one moment."""
        with self._lock:
            histograms = {key: Histogram(list(h.counts), h.sum_s) for key, h in self.histograms.items()}
            return dict(self.counters), histograms


Gauges = Mapping[tuple[str, Labels], float]
