"""How often each notice has happened, and how often that is written."""

from __future__ import annotations

from dataclasses import replace

from nri_netdev.events.groups import Happening
from nri_netdev.events.notice import Notice
from nri_netdev.events.tally import AGAIN_S, BURST, KEPT_S, MOST_NOTICES, MOST_PODS, Tally
from tests.events.telling import POD, START_S, notice


def happen(tally: Tally, one: Notice, at_s: float = 0.0, *, now_s: float | None = None) -> None:
    tally.add(Happening(notice=one, at_s=START_S + at_s), now_s=START_S + (at_s if now_s is None else now_s))


def write_all(tally: Tally, at_s: float = 0.0) -> list[tuple[str, int]]:
    """Write what may be written: messages and counts."""
    wrote = []
    while count := tally.next(START_S + at_s):
        wrote.append((count.notice.message, count.count))
        tally.wrote(count, count.count)
    return wrote


def test_it_is_counted() -> None:
    """The same notice is one entry, first and last time and number; once written, only news is."""
    tally = Tally()
    happen(tally, notice(), 0)
    happen(tally, notice(), 5)
    count = tally.next(START_S + 5)
    assert count is not None
    assert (count.count, count.first_s - START_S, count.last_s - START_S) == (2, 0, 5)
    assert write_all(tally) == [("in the pod: nic0", 2)]
    assert write_all(tally) == []
    happen(tally, notice(), 7)
    assert write_all(tally, 7) == [("in the pod: nic0", 3)]


def test_what_happens_while_it_is_written() -> None:
    """Is not taken for written."""
    tally = Tally()
    happen(tally, notice())
    count = tally.next(START_S)
    assert count is not None
    happen(tally, notice())
    tally.wrote(count, 1)
    assert write_all(tally) == [("in the pod: nic0", 2)]


def test_a_crash_loop() -> None:
    """A thousand restarts in an hour cost a pod some writes at first, and one a minute; another pod nothing."""
    tally, wrote = Tally(), 0
    for restart in range(1000):
        at_s = restart * 3.6
        happen(tally, notice("in the pod: nic0"), at_s)
        happen(tally, notice("back on the node, as before: nic0"), at_s + 1)
        wrote += len(write_all(tally, at_s + 1))
    assert wrote <= BURST + 3600 / AGAIN_S
    happen(tally, notice("annotation", warning=True), 3600)
    happen(tally, notice(pod=replace(POD, uid="u2")), 3600)
    assert write_all(tally, 3600) == [("in the pod: nic0", 1)]
    last = write_all(tally, 3600 + 3 * AGAIN_S)
    assert last[0] == ("annotation", 1)
    assert ("in the pod: nic0", 1000) in last


def test_news_and_warnings_first() -> None:
    """What nobody knows goes before what has only become more."""
    tally = Tally()
    happen(tally, notice("old"))
    write_all(tally)
    happen(tally, notice("old"), 1)
    happen(tally, notice("new"), 2)
    happen(tally, notice("bad", warning=True), 3)
    assert write_all(tally, 3) == [("bad", 1), ("new", 1), ("old", 2)]


def test_what_is_long_ago() -> None:
    """Is not told, and nothing is counted on from it: the API server has forgotten it too."""
    tally = Tally()
    happen(tally, notice(), 0, now_s=KEPT_S + 1)
    assert tally.waiting == 0
    happen(tally, notice(), 0)
    write_all(tally)
    happen(tally, notice(), KEPT_S + 1)
    assert write_all(tally, KEPT_S + 1) == [("in the pod: nic0", 1)]


def test_it_is_bounded() -> None:
    """In notices of a pod and in pods: those of which nothing was heard for longest are forgotten."""
    tally = Tally()
    for number in range(MOST_NOTICES + 5):
        happen(tally, notice(f"{number}"))
    assert tally.waiting == MOST_NOTICES
    assert len(write_all(tally)) == BURST
    for number in range(MOST_PODS):
        happen(tally, notice(pod=replace(POD, uid=f"other {number}")))
    assert tally.waiting == MOST_PODS
    assert len(write_all(tally)) == MOST_PODS
