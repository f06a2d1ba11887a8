"""The lane: one job at a time, in the order in which they were given, whoever gives them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from nri_netdev.custody.custody import Custody
from nri_netdev.custody.returning import StillReturning
from nri_netdev.daemon.lane import DEFAULT_REQUEST_TIMEOUT_MS, Lane, patience_s
from nri_netdev.errors import KernelError, Reason, RequestError, StateError
from tests.world import new_world


def with_lane(test: Callable[[Lane], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test with a lane that has custody, at most a minute."""

    def run() -> None:
        async def bounded() -> None:
            async with asyncio.timeout(60):
                lane = Lane()
                await lane.open(lambda: new_world().custody)
                try:
                    await test(lane)
                finally:
                    await lane.close()

        asyncio.run(bounded())

    run.__doc__ = test.__doc__
    run.__name__ = test.__name__
    return run


class Busy:
    """A job that is under way until it is let go."""

    def __init__(self, lane: Lane) -> None:
        self._begun, self._may_end = threading.Event(), threading.Event()
        self.done = lane.later(self._job)
        assert self._begun.wait(20)

    def _job(self, _: Custody) -> None:
        self._begun.set()
        self._may_end.wait(20)

    def let_go(self) -> None:
        self._may_end.set()


def test_an_engine_waits_for_others_too() -> None:
    """A third of its time-out is ours; where it names none, a third of what it had before it named any."""
    assert patience_s(6000) == 2.0
    assert patience_s(0) == DEFAULT_REQUEST_TIMEOUT_MS / 3000


@with_lane
async def test_jobs_are_done_in_the_order_in_which_they_are_given(lane: Lane) -> None:
    """From several threads, each of which sees its own order kept."""
    done: list[tuple[int, int]] = []
    busy = Busy(lane)

    def give(thread: int) -> None:
        for number in range(50):
            lane.later(lambda _, number=number: done.append((thread, number)))  # type: ignore[misc]

    threads = [threading.Thread(target=give, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy.let_go()
    await asyncio.wrap_future(lane.later(lambda _: None))

    assert len(done) == 200
    for number in range(4):
        assert [job for thread, job in done if thread == number] == list(range(50))


# -- now ---------------------------------------------------------------------------------------------------------------


@with_lane
async def test_what_takes_no_time_is_done_on_the_callers_thread(lane: Lane) -> None:
    """Within the call, and its answer is the call's."""
    threads: list[int] = []

    def job(_: Custody) -> bool:
        threads.append(threading.get_ident())
        return True

    assert lane.try_now(job)
    assert not lane.try_now(lambda _: False)
    assert threads == [threading.get_ident()]


@with_lane
async def test_nothing_is_done_now_while_a_job_is_under_way_or_waits(lane: Lane) -> None:
    """It would overtake what was given before it."""
    busy = Busy(lane)
    assert not lane.try_now(lambda _: True)
    lane.later(lambda _: None)
    assert not lane.try_now(lambda _: True)
    busy.let_go()
    await asyncio.wrap_future(lane.later(lambda _: None))
    assert lane.try_now(lambda _: True)


@with_lane
async def test_what_is_done_now_keeps_jobs_waiting(lane: Lane) -> None:
    """Custody is one caller's at a time, and the lane goes on even if the caller fails."""
    order: list[str] = []

    def job(_: Custody) -> bool:
        lane.later(lambda _: order.append("later"))
        order.append("now")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lane.try_now(job)
    await asyncio.wrap_future(lane.later(lambda _: None))

    assert order == ["now", "later"]


def test_nothing_is_done_now_without_custody() -> None:
    """There is nothing to do it with."""
    lane = Lane()
    assert not lane.try_now(lambda _: True)
    asyncio.run(lane.close())


# -- ask ---------------------------------------------------------------------------------------------------------------


@with_lane
async def test_what_is_asked_has_its_outcome(lane: Lane) -> None:
    """A value, or the refusal as it was raised."""
    refusal = RequestError("no", reason=Reason.HELD)

    def refuse(_: Custody) -> None:
        raise refusal

    assert await lane.ask(lambda custody: custody.claims, too_late="")() == ()
    with pytest.raises(RequestError) as raised:
        await lane.ask(refuse, too_late="")()
    assert raised.value is refusal


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (StateError("cannot write the ledger", hint="make room"), Reason.LEDGER, "cannot write the ledger; make room"),
        (KernelError(action="pin x", errno=16), Reason.OTHER, "cannot pin x"),
        (ZeroDivisionError("x"), Reason.BUG, r"internal error \(ZeroDivisionError\)"),
    ],
)
def test_every_other_error_refuses_too(error: Exception, reason: Reason, text: str) -> None:
    """With the reason that it stands for; a bug shows its name and no more."""

    @with_lane
    async def check(lane: Lane) -> None:
        def fail(_: Custody) -> None:
            raise error

        with pytest.raises(RequestError, match=text) as raised:
            await lane.ask(fail, too_late="")()
        assert raised.value.reason is reason

    check()


@with_lane
async def test_what_is_not_done_in_time_is_refused_and_undone(lane: Lane) -> None:
    """The job goes on, and what it did is taken back, as the answer was no."""
    undone, begun, may_end = threading.Event(), threading.Event(), threading.Event()
    lane.limit_s = 0.2

    def job(_: Custody) -> None:
        begun.set()
        may_end.wait(20)

    outcome = lane.ask(job, too_late="retry", undo=lambda _: undone.set())
    with pytest.raises(RequestError, match="retry") as raised:
        await outcome()
    assert raised.value.reason is Reason.BUSY
    assert begun.is_set()
    assert not undone.is_set()
    may_end.set()
    assert await asyncio.to_thread(undone.wait, 20)


@with_lane
async def test_what_is_not_begun_in_time_is_never_done(lane: Lane) -> None:
    """Nor undone."""
    done: list[str] = []
    busy = Busy(lane)
    lane.limit_s = 0.0
    with pytest.raises(RequestError, match="retry"):
        await lane.ask(lambda _: done.append("job"), too_late="retry", undo=lambda _: done.append("undo"))()
    busy.let_go()
    for _ in range(2):
        await asyncio.wrap_future(lane.later(lambda _: None))

    assert done == []


@with_lane
async def test_what_waits_too_long_is_not_done_again(lane: Lane) -> None:
    """It has changed something, perhaps: so it is undone, when what it waited for is there."""
    done: list[str] = []
    lane.limit_s = 0.2

    def job(_: Custody) -> None:
        done.append("job")
        raise StillReturning

    with pytest.raises(RequestError, match="retry"):
        await lane.ask(job, too_late="retry", undo=lambda _: done.append("undo"))()
    lane.retry()
    for _ in range(2):
        await asyncio.wrap_future(lane.later(lambda _: None))

    assert done == ["job", "undo"]


@with_lane
async def test_what_failed_too_late_is_not_undone(lane: Lane) -> None:
    """It changed nothing."""
    undone: list[Custody] = []
    busy = Busy(lane)
    lane.limit_s = 0.0

    def fail(_: Custody) -> None:
        raise RequestError("no")

    with pytest.raises(RequestError, match="retry"):
        await lane.ask(fail, too_late="retry", undo=undone.append)()
    busy.let_go()
    for _ in range(2):
        await asyncio.wrap_future(lane.later(lambda _: None))

    assert undone == []


def test_without_custody_nothing_can_be_given() -> None:
    """And the refusal says why."""

    async def main() -> None:
        lane = Lane()
        lane.trouble = "the disk is full"
        with pytest.raises(RequestError, match="nothing can be given on this node: the disk is full") as raised:
            await lane.ask(lambda _: None, too_late="")()
        assert raised.value.reason is Reason.LEDGER
        await lane.close()

    asyncio.run(main())


# -- later, and the end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "name"), [(StateError("no room"), "custody.refused"), (ZeroDivisionError(), "custody.bug")]
)
def test_what_goes_wrong_later_is_logged(error: Exception, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """And the lane goes on."""

    @with_lane
    async def check(lane: Lane) -> None:
        def fail(_: Custody) -> None:
            raise error

        await asyncio.wrap_future(lane.later(fail))
        await asyncio.wrap_future(lane.later(lambda _: None))

    caplog.set_level(logging.INFO)
    check()
    assert [record.message for record in caplog.records] == [name]


def test_the_end_waits_for_the_job_that_is_under_way_alone() -> None:
    """What was waiting is given up, and so is what comes later, so that nobody waits for it."""
    done: list[str] = []

    async def main() -> None:
        lane = Lane()
        await lane.open(lambda: new_world().custody)
        busy = Busy(lane)
        waiting = lane.later(lambda _: done.append("waiting"))
        closing = asyncio.ensure_future(lane.close())
        await asyncio.sleep(0)
        busy.let_go()
        await closing
        assert busy.done.done()
        assert waiting.cancelled()
        assert lane.later(lambda _: done.append("after")).cancelled()

    asyncio.run(main())
    assert done == []


def test_custody_that_cannot_be_opened() -> None:
    """The error is the caller's, and the lane can be opened again."""

    async def main() -> None:
        lane = Lane()

        def fail() -> Custody:
            raise StateError("no room")

        with pytest.raises(StateError):
            await lane.open(fail)
        assert lane.custody is None
        await lane.open(lambda: new_world().custody)
        assert lane.custody is not None
        await lane.close()

    asyncio.run(main())
