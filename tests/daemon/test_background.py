"""The background: any thread begins what runs on the daemon's loop, for as long as there is one."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from nri_netdev.daemon.background import Background


def on_loop(test: Callable[[Background], Coroutine[Any, Any, None]]) -> Background:
    """Run an async test, at most a minute; the background whose loop is over then."""
    background = Background()

    async def bounded() -> None:
        async with asyncio.timeout(60):
            background.begin()
            await test(background)

    asyncio.run(bounded())
    return background


async def nothing() -> None:
    """Come to an end at once."""


def test_what_another_thread_spawns_runs_on_the_loop() -> None:
    """Whoever spawns does not wait for it."""

    async def check(background: Background) -> None:
        ran: list[threading.Thread] = []

        async def work() -> None:
            ran.append(threading.current_thread())

        await asyncio.to_thread(background.spawn, work())
        await background.finish(60)
        assert ran == [threading.current_thread()]

    on_loop(check)


def test_calls_are_done_in_their_order() -> None:
    """Functions that threads have called one after another run on the loop in that order."""

    async def check(background: Background) -> None:
        called: list[int] = []
        for number in range(5):
            assert await asyncio.to_thread(background.call, lambda number=number: called.append(number))
        assert called == [0, 1, 2, 3, 4]

    on_loop(check)


def test_finishing_waits_for_all_that_was_spawned() -> None:
    """What has come to its end is forgotten."""

    async def check(background: Background) -> None:
        go, ended = asyncio.Event(), []

        async def work(number: int) -> None:
            await go.wait()
            ended.append(number)

        for number in range(3):
            await asyncio.to_thread(background.spawn, work(number))
        finishing = asyncio.ensure_future(background.finish(60))
        await asyncio.sleep(0)  # it waits
        assert not finishing.done()
        go.set()
        await finishing
        assert sorted(ended) == [0, 1, 2]
        assert background._tasks == set()

    on_loop(check)


def test_finishing_waits_no_longer_than_it_is_told() -> None:
    """What goes on after that is left alone."""

    async def check(background: Background) -> None:
        go = asyncio.Event()

        async def work() -> None:
            await go.wait()

        await asyncio.to_thread(background.spawn, work())
        await background.finish(0)
        (task,) = background._tasks
        assert not task.done()
        go.set()
        await background.finish(60)
        assert task.done()

    on_loop(check)


def test_finishing_nothing_takes_no_time() -> None:
    """There need not be anything to wait for."""
    on_loop(lambda background: background.finish(60))


def test_after_the_loop_is_over_nothing_is_begun() -> None:
    """A coroutine that comes too late is closed, so that Python does not warn of it; and who calls is told."""
    background = on_loop(lambda _: nothing())
    late = nothing()
    background.spawn(late)
    assert inspect.getcoroutinestate(late) == inspect.CORO_CLOSED
    assert not background.call(lambda: None)


def test_before_the_loop_begins_nothing_is_begun() -> None:
    """A coroutine that comes too early is closed as well."""
    early = nothing()
    Background().spawn(early)
    assert inspect.getcoroutinestate(early) == inspect.CORO_CLOSED
