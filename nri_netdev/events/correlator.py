"""How often each notice has happened, and what of that the API server does not know yet, within bounds.

Each write says all there is to say of a notice, so nothing is lost by waiting: a notice that comes again and again is
counted here, and written when its pod may write again. Any number of restarts costs a pod a write a minute.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from nri_netdev.events.groups import Occurrence
from nri_netdev.events.notice import Notice, NoticeType

KEPT_S = 3600.0
"""As long as API servers keep events by default (`--event-ttl`): what is older is neither counted on nor written."""
BURST = 12
"""Writes that a pod may have at once: more than a pod's life needs."""
AGAIN_S = 60.0
"""After so many seconds it may have another one."""
MOST_PODS = 1024
MOST_NOTICES = 32
"""Different ones of a pod."""


@dataclass(slots=True, kw_only=True)
class Count:
    """How often a notice has happened, and when."""

    notice: Notice
    first_s: float
    last_s: float
    count: int = 0
    written: int = 0
    """As often as the API server knows."""
    failures: int = 0
    """Writes in vain since then."""

    @property
    def rank(self) -> tuple[int, bool, bool, float]:
        """What is written first: what has failed least, what nobody knows yet, warnings, what has waited longest."""
        return self.failures, self.written > 0, self.notice.type is NoticeType.NORMAL, self.last_s


@dataclass(slots=True)
class _Pod:
    tokens: float = BURST
    filled_s: float = 0.0
    counts: OrderedDict[Notice, Count] = field(default_factory=OrderedDict)

    def fill(self, now_s: float) -> None:
        self.tokens = min(BURST, self.tokens + max(0.0, now_s - self.filled_s) / AGAIN_S)
        self.filled_s = now_s


class Correlator:
    """Counts notices."""

    def __init__(self) -> None:
        self._pods: OrderedDict[str, _Pod] = OrderedDict()
        """By uid, those that had one last at the end."""
        self._unwritten: dict[Notice, Count] = {}

    def add(self, occurrence: Occurrence, *, now_s: float) -> None:
        """Count a notice.

        Args:
            occurrence: the notice.
            now_s: seconds since the epoch.
        """
        notice, at_s = occurrence.notice, occurrence.at_s
        if now_s - at_s > KEPT_S:
            return
        pod = self._pods.get(notice.pod.uid)
        if pod is None:
            pod = self._pods[notice.pod.uid] = _Pod(filled_s=now_s)
        self._pods.move_to_end(notice.pod.uid)
        count = pod.counts.get(notice)
        if count is None or at_s - count.last_s > KEPT_S:
            count = pod.counts[notice] = Count(notice=notice, first_s=at_s, last_s=at_s)
        pod.counts.move_to_end(notice)
        count.count, count.last_s = count.count + 1, at_s
        self._unwritten[notice] = count
        self._forget_some()

    def next(self, now_s: float | None) -> Count | None:
        """What is to be written next; None if nothing is, or its pod has to wait.

        Args:
            now_s: seconds since the epoch; None at the end, when no pod waits for another time.
        """
        allowed = [count for count in self._unwritten.values() if now_s is None or self._may_write(count.notice, now_s)]
        return min(allowed, key=lambda count: count.rank, default=None)

    def wrote(self, count: Count, times: int) -> None:
        """Note that the API server knows of a notice, or will never want to."""
        count.written, count.failures = times, 0
        if count.written == count.count:
            self._unwritten.pop(count.notice, None)
        self._pods[count.notice.pod.uid].tokens -= 1

    def failed(self, count: Count) -> None:
        """Note a write in vain that may do later: others come first, and the pod has had a write."""
        count.failures += 1
        self._pods[count.notice.pod.uid].tokens -= 1

    @property
    def waiting(self) -> int:
        """How many notices are not written as they are."""
        return len(self._unwritten)

    def _may_write(self, notice: Notice, now_s: float) -> bool:
        pod = self._pods[notice.pod.uid]
        pod.fill(now_s)
        return pod.tokens >= 1

    def _forget_some(self) -> None:
        """Keep the bounds, by the notices and pods that had none for the longest time."""
        if len(self._pods) > MOST_PODS:
            _, pod = self._pods.popitem(last=False)
            for notice in pod.counts:
                self._unwritten.pop(notice, None)
        latest = next(reversed(self._pods.values()))
        if len(latest.counts) > MOST_NOTICES:
            notice, _ = latest.counts.popitem(last=False)
            self._unwritten.pop(notice, None)
