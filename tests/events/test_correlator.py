"""How often each notice has happened, and how often that is written."""

from __future__ import annotations

from dataclasses import replace

from nri_netdev.events.correlator import AGAIN_S, BURST, KEPT_S, MOST_NOTICES, MOST_PODS, Correlator
from nri_netdev.events.groups import Occurrence
from nri_netdev.events.notice import Notice
from tests.events.logged import POD, START_S, notice


def happen(correlator: Correlator, one: Notice, at_s: float = 0.0, *, now_s: float | None = None) -> None:
    correlator.add(Occurrence(notice=one, at_s=START_S + at_s), now_s=START_S + (at_s if now_s is None else now_s))


def write_all(correlator: Correlator, at_s: float = 0.0) -> list[tuple[str, int]]:
    """Write what may be written: messages and counts."""
    wrote = []
    while count := correlator.next(START_S + at_s):
        wrote.append((count.notice.message, count.count))
        correlator.wrote(count, count.count)
    return wrote


def test_it_is_counted() -> None:
    """The same notice is one entry, first and last time and number; once written, only news is."""
    correlator = Correlator()
    happen(correlator, notice(), 0)
    happen(correlator, notice(), 5)
    count = correlator.next(START_S + 5)
    assert count is not None
    assert (count.count, count.first_s - START_S, count.last_s - START_S) == (2, 0, 5)
    assert write_all(correlator) == [("in the pod: nic0", 2)]
    assert write_all(correlator) == []
    happen(correlator, notice(), 7)
    assert write_all(correlator, 7) == [("in the pod: nic0", 3)]


def test_what_happens_while_it_is_written() -> None:
    """Is not taken for written."""
    correlator = Correlator()
    happen(correlator, notice())
    count = correlator.next(START_S)
    assert count is not None
    happen(correlator, notice())
    correlator.wrote(count, 1)
    assert write_all(correlator) == [("in the pod: nic0", 2)]


def test_what_fails() -> None:
    """Lets all others go first, and takes of what its pod may write; at the end no pod waits."""
    correlator = Correlator()
    happen(correlator, notice("bad", warning=True))
    happen(correlator, notice("good", pod=replace(POD, uid="u2")), 1)
    bad = correlator.next(START_S)
    assert bad is not None
    correlator.failed(bad)
    assert write_all(correlator) == [("good", 1), ("bad", 1)]
    happen(correlator, notice("bad", warning=True))
    for _ in range(BURST - 2):
        bad = correlator.next(START_S)
        assert bad is not None
        correlator.failed(bad)
    assert correlator.next(START_S) is None
    assert correlator.next(None) is bad


def test_a_clock_that_is_set_back() -> None:
    """Silences nobody."""
    correlator = Correlator()
    for number in range(BURST):
        happen(correlator, notice(f"{number}"), 86_400)
    assert len(write_all(correlator, 86_400)) == BURST
    happen(correlator, notice("more"), 0)
    assert write_all(correlator, 0) == []
    assert write_all(correlator, AGAIN_S) == [("more", 1)]


def test_a_crash_loop() -> None:
    """A thousand restarts in an hour cost a pod some writes at first, and one a minute; another pod nothing."""
    correlator, wrote = Correlator(), 0
    for restart in range(1000):
        at_s = restart * 3.6
        happen(correlator, notice("in the pod: nic0"), at_s)
        happen(correlator, notice("back on the node, as before: nic0"), at_s + 1)
        wrote += len(write_all(correlator, at_s + 1))
    assert wrote <= BURST + 3600 / AGAIN_S
    happen(correlator, notice("annotation", warning=True), 3600)
    happen(correlator, notice(pod=replace(POD, uid="u2")), 3600)
    assert write_all(correlator, 3600) == [("in the pod: nic0", 1)]
    last = write_all(correlator, 3600 + 3 * AGAIN_S)
    assert last[0] == ("annotation", 1)
    assert ("in the pod: nic0", 1000) in last


def test_news_and_warnings_first() -> None:
    """What nobody knows goes before what has only become more."""
    correlator = Correlator()
    happen(correlator, notice("old"))
    write_all(correlator)
    happen(correlator, notice("old"), 1)
    happen(correlator, notice("new"), 2)
    happen(correlator, notice("bad", warning=True), 3)
    assert write_all(correlator, 3) == [("bad", 1), ("new", 1), ("old", 2)]


def test_what_is_long_ago() -> None:
    """Is not written, and nothing is counted on from it: the API server has forgotten it too."""
    correlator = Correlator()
    happen(correlator, notice(), 0, now_s=KEPT_S + 1)
    assert correlator.waiting == 0
    happen(correlator, notice(), 0)
    write_all(correlator)
    happen(correlator, notice(), KEPT_S + 1)
    assert write_all(correlator, KEPT_S + 1) == [("in the pod: nic0", 1)]


def test_it_is_bounded() -> None:
    """In notices of a pod and in pods: those of which nothing was heard for longest are forgotten."""
    correlator = Correlator()
    for number in range(MOST_NOTICES + 5):
        happen(correlator, notice(f"{number}"))
    assert correlator.waiting == MOST_NOTICES
    assert len(write_all(correlator)) == BURST
    for number in range(MOST_PODS):
        happen(correlator, notice(pod=replace(POD, uid=f"other {number}")))
    assert correlator.waiting == MOST_PODS
    assert len(write_all(correlator)) == MOST_PODS
