"""What the daemon counts and times; `nri_netdev.shells.observe.prometheus` shows it to Prometheus.

`Meters` costs nothing but dictionaries, so the daemon always has one: `nri-netdev status` shows from it. Most counters
are a fold over the events that are logged (`COUNTED`), so that what is counted and what is told cannot differ.
"""

from __future__ import annotations

import bisect
import contextlib
import re
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What Prometheus takes a metric for."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The definition of a metric; docs/metrics.md is checked against these."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, in seconds."""


_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

BUILD = Metric(name="nri_netdev_build_info", kind=Kind.GAUGE, text="Always 1; the version.", labels=("version",))
READY = Metric(
    name="nri_netdev_ready", kind=Kind.GAUGE, text="1 while registered with the engine and the ledger is usable."
)
CLAIMS = Metric(name="nri_netdev_claims", kind=Kind.GAUGE, text="Interfaces given away, by state.", labels=("state",))
POOL_SIZE = Metric(
    name="nri_netdev_pool_interfaces",
    kind=Kind.GAUGE,
    text="Interfaces that the selectors of a pool describe, those given away included.",
    labels=("pool",),
)
POOL_FREE = Metric(
    name="nri_netdev_pool_free_interfaces",
    kind=Kind.GAUGE,
    text="Those of them that could be given now: on the host, in nobody's hands, movable and no lifeline.",
    labels=("pool",),
)
CONTAINERS = Metric(
    name="nri_netdev_containers_total",
    kind=Kind.COUNTER,
    text="Containers that the engine was about to create, by whether their pod has annotations for nri-netdev.",
    labels=("annotated",),
)
CREATE_SECONDS = Metric(
    name="nri_netdev_create_seconds",
    kind=Kind.HISTOGRAM,
    text="Time to answer CreateContainer for a pod with annotations.",
    buckets=_BUCKETS_S,
)
GRANTS = Metric(
    name="nri_netdev_grants_total",
    kind=Kind.COUNTER,
    text="Containers that were given interfaces, by how: ready (as made ready when the pod came), decided (just then).",
    labels=("how",),
)
REFUSALS = Metric(
    name="nri_netdev_refusals_total",
    kind=Kind.COUNTER,
    text="Containers that were refused, by the moment (create, start) and the reason.",
    labels=("moment", "reason"),
)
MOVE_SECONDS = Metric(
    name="nri_netdev_move_seconds",
    kind=Kind.HISTOGRAM,
    text="Time of the moves that nri-netdev makes itself: in (where the runtime does not) and home, by driver.",
    labels=("direction", "driver"),
    buckets=_BUCKETS_S,
)
ARRIVALS = Metric(
    name="nri_netdev_arrivals_total", kind=Kind.COUNTER, text="Interfaces that arrived in their pod, complete."
)
RETURNS = Metric(
    name="nri_netdev_returns_total",
    kind=Kind.COUNTER,
    text="Claims that ended: whole (all is as it was), reboot, forced (by `nri-netdev release`).",
    labels=("how",),
)
TROUBLES = Metric(
    name="nri_netdev_claim_troubles_total",
    kind=Kind.COUNTER,
    text="Troubles told of claims, by the state of the claim: partial (at home, not whole), lost, held (astray) ….",
    labels=("state",),
)
INCOMPLETE = Metric(
    name="nri_netdev_returns_incomplete_total",
    kind=Kind.COUNTER,
    text="Claims whose way home did not end at once: partial (at home, not as it was) or lost (cannot be found).",
    labels=("how",),
)
IGNORED = Metric(
    name="nri_netdev_runtime_ignored_total",
    kind=Kind.COUNTER,
    text="Times that a runtime handler was found to ignore linux.netDevices.",
    labels=("handler",),
)
MISSED = Metric(
    name="nri_netdev_missed_containers_total",
    kind=Kind.COUNTER,
    text="Running containers found without the interfaces that they ask for, created while no daemon was there.",
)
PREVENTED = Metric(
    name="nri_netdev_starts_prevented_total",
    kind=Kind.COUNTER,
    text="Container processes killed before they ran, on engines that do not heed an error at the start.",
)
REGISTRATIONS = Metric(
    name="nri_netdev_engine_registrations_total",
    kind=Kind.COUNTER,
    text="Times that the engine took the plugin; every one after the first is a reconnection.",
)
LEDGER_ERRORS = Metric(
    name="nri_netdev_ledger_errors_total", kind=Kind.COUNTER, text="Failures to open, read or write the ledger."
)
CUSTODY_ERRORS = Metric(
    name="nri_netdev_custody_errors_total",
    kind=Kind.COUNTER,
    text="Operations that the kernel or the disk refused and that are tried again, by what was being done.",
    labels=("doing",),
)
BUGS = Metric(
    name="nri_netdev_bugs_total", kind=Kind.COUNTER, text="Exceptions that nobody foresaw; the log has the traceback."
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
    PREVENTED,
    REGISTRATIONS,
    LEDGER_ERRORS,
    CUSTODY_ERRORS,
    BUGS,
)

# -- reasons of refusals -----------------------------------------------------------------------------------------------

REASONS: Mapping[str, str] = {
    "bug": r"internal error",
    "busy": r"retry|in time",
    "ledger": r"ledger|nothing can be given on this node",
    "arrival": r"did not arrive",
    "policy": r"\brules?\b|at most",
    "absent": r"is not on this node",
    "held": r"\bheld\b|\bgiven to\b|\bholds\b",
    "lifeline": r"default route|protected|master|enslaved|loopback|never lets leave|is beneath|carries",
    "pool": r"\bpools?\b",
    "pod": r"host network|taken in the pod|network namespace",
    "annotation": r"annotation|YAML|field",
}
"""Label `reason` of a refusal, by a pattern in its text; the first that is found counts. Everything else is `other`."""


def reason_of(text: str) -> str:
    """Sort a refusal's text into the few reasons that are a label."""
    return next((name for name, pattern in REASONS.items() if re.search(pattern, text)), "other")


# -- counting ----------------------------------------------------------------------------------------------------------

Labels = tuple[str, ...]
Fields = Mapping[str, object]


def _text(name: str, default: str = "unknown") -> Callable[[Fields], Labels]:
    return lambda fields: (str(fields.get(name) or default),)


def _refusal(moment: str) -> Callable[[Fields], Labels]:
    return lambda fields: (moment, reason_of(str(fields.get("reason", ""))))


_IN_LEDGER = re.compile(r"^cannot \w+ the ledger")
"""A refusal because of the ledger itself; that there was none to begin with is counted once, when it is told."""


def _plain(_: Fields) -> Labels:
    return ()


COUNTED: tuple[tuple[str, Metric, Callable[[Fields], Labels | None]], ...] = (
    ("create.refused", REFUSALS, _refusal("create")),
    ("create.refused", LEDGER_ERRORS, lambda fields: () if _IN_LEDGER.search(str(fields.get("reason"))) else None),
    ("start.refused", REFUSALS, _refusal("start")),
    ("start.prevented", PREVENTED, _plain),
    ("claim.arrived", ARRIVALS, _plain),
    ("claim.home", RETURNS, lambda fields: (str(fields.get("by") or "whole"),)),
    ("claim.released", RETURNS, lambda _: ("forced",)),
    ("claim.trouble", TROUBLES, _text("state")),
    ("runtime.ignored", IGNORED, _text("handler")),
    ("container.missed", MISSED, _plain),
    ("engine.registered", REGISTRATIONS, _plain),
    ("ledger.unusable", LEDGER_ERRORS, _plain),
    ("custody.refused", LEDGER_ERRORS, lambda fields: () if "ledger" in str(fields.get("doing")) else None),
    ("custody.refused", CUSTODY_ERRORS, _text("doing", "work")),
    ("custody.bug", BUGS, _plain),
    ("engine.bug", BUGS, _plain),
)
"""Which event adds one to which counter, under which labels; None for an event that is not meant."""

HOMEWARD = ("partial", "lost")
"""States of a claim that a trouble turns into an incomplete return, counted once for each claim."""
ENDED = ("claim.home", "claim.released")

TOLD = ("create.refused", "start.refused", "container.missed", "claim.trouble", "custody.bug", "engine.bug")
"""Events that `nri-netdev status` shows the latest of."""
TOLD_AT_MOST = 20


@dataclass(slots=True)
class Histogram:
    """Counts by bucket; the last one is of what exceeds every bound."""

    counts: list[int]
    sum_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event worth showing."""

    at_s: float
    name: str
    fields: Mapping[str, str]


@dataclass(slots=True)
class Meters:
    """Everything counted since the daemon started. Any thread may use it."""

    counters: dict[tuple[str, Labels], int] = field(default_factory=lambda: defaultdict(int))
    histograms: dict[tuple[str, Labels], Histogram] = field(default_factory=dict)
    told: deque[Told] = field(default_factory=lambda: deque(maxlen=TOLD_AT_MOST))
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

    def heard(self, name: str, fields: Fields) -> None:
        """Count an event of the log: an observer for `nri_netdev.log.observed`."""
        for known, metric, labels_of in COUNTED:
            if known == name and (labels := labels_of(fields)) is not None:
                self.count(metric, *labels)
        self._follow(name, fields)
        if name in TOLD:
            texts = {key: str(value) for key, value in fields.items()}
            with self._lock:
                self.told.append(Told(at_s=time.time(), name=name, fields=texts))

    def _follow(self, name: str, fields: Fields) -> None:
        """Count a claim that becomes partial or lost once, however often and in how many words that is told."""
        claim, state = str(fields.get("claim", "")), str(fields.get("state", ""))
        with self._lock:
            if name == "claim.trouble" and state in HOMEWARD and (claim, state) not in self._incomplete:
                self._incomplete.add((claim, state))
                self.counters[INCOMPLETE.name, (state,)] += 1
            elif name in ENDED:
                self._incomplete -= {(claim, state) for state in HOMEWARD}

    def total(self, metric: Metric) -> int:
        """A counter over all of its labels."""
        with self._lock:
            return sum(value for (name, _), value in self.counters.items() if name == metric.name)

    def read(self) -> tuple[dict[tuple[str, Labels], int], dict[tuple[str, Labels], Histogram]]:
        """Counters and histograms at one moment."""
        with self._lock:
            histograms = {key: Histogram(list(h.counts), h.sum_s) for key, h in self.histograms.items()}
            return dict(self.counters), histograms


Gauges = Mapping[tuple[str, Labels], float]
