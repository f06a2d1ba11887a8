"""Ways home beside the lane: nobody else waits for a slow one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from nri_netdev.custody.custody import Custody
from nri_netdev.custody.leases import Leases
from nri_netdev.custody.returning import Outcome, StillReturning
from nri_netdev.daemon.lane import Lane
from nri_netdev.daemon.returns import Returns
from nri_netdev.domain.setup.leases import Lease, LeaseResult
from nri_netdev.domain.snapshot import HomeReport
from nri_netdev.errors import KernelError, PluginError, RequestError
from tests.custody.test_leases import asking
from tests.daemon.test_lane import with_lane
from tests.fakes import FakeLedger, FakePlugins

REPORT = HomeReport(ifindex=7, ifname="ens1")


@with_lane
async def test_other_jobs_are_done_meanwhile(lane: Lane) -> None:
    """The lane is free while a driver takes its time; a job that needs the interface is done again afterwards."""
    returns = Returns(lane)
    may_end, outcomes = threading.Event(), list[Outcome]()

    def way() -> HomeReport:
        may_end.wait(20)
        return REPORT

    def needing(_: Custody) -> str:
        if not outcomes:
            raise StillReturning
        return "it is home"

    returns.begin(way, outcomes.append)
    waiting = lane.ask(needing, too_late="late")
    assert await lane.ask(lambda _: "free", too_late="late")() == "free"
    assert lane.try_now(lambda _: True)
    assert not returns.wait(0)
    may_end.set()

    assert await waiting() == "it is home"
    assert await asyncio.to_thread(returns.wait, 20)
    assert outcomes == [REPORT]


@with_lane
async def test_who_waited_is_served_before_the_next_way_home_begins(lane: Lane) -> None:
    """In the order in which they came; else a job that begins a way home each time would keep them waiting for ever."""
    returns = Returns(lane)
    is_under_way = True
    may_end, served = threading.Event(), list[str]()

    def way() -> HomeReport:
        may_end.wait(20)
        return REPORT

    def needing(name: str) -> Callable[[Custody], None]:
        def job(_: Custody) -> None:
            if is_under_way:
                raise StillReturning
            served.append(name)

        return job

    def ended(_: Outcome) -> None:
        nonlocal is_under_way
        is_under_way = False
        if not served:
            lane.later(restoring)

    def restoring(_: Custody) -> None:
        nonlocal is_under_way
        is_under_way = True
        returns.begin(way, ended)

    returns.begin(way, ended)
    waiting = [lane.later(needing("first")), lane.later(needing("second"))]
    await asyncio.wrap_future(lane.later(lambda _: may_end.set()))

    for each in waiting:
        await asyncio.wrap_future(each)
    assert served == ["first", "second"]
    assert await asyncio.to_thread(returns.wait, 20)


@with_lane
async def test_what_goes_wrong_is_an_outcome(lane: Lane) -> None:
    """A refusal by the kernel, and a bug, which is logged."""
    returns, outcomes = Returns(lane), list[Outcome]()
    refusal = KernelError(action="move", errno=16)

    def refused() -> HomeReport:
        raise refusal

    def wrong() -> HomeReport:
        raise LookupError("of ours")

    for way in (refused, wrong):
        returns.begin(way, outcomes.append)
        await asyncio.to_thread(returns.wait, 20)

    assert outcomes[0] is refusal
    assert "internal error (LookupError('of ours'))" in str(outcomes[1])


@with_lane
async def test_an_ipam_plugin_that_takes_long(lane: Lane) -> None:
    """Other jobs are done meanwhile; whoever asked for the address has it when the plugin has ended, in one go."""
    may_end = threading.Event()

    class Long(FakePlugins):
        def add(self, lease: Lease) -> LeaseResult:
            may_end.wait(20)
            return super().add(lease)

    runs, plugins = Returns(lane, at_one_time=1, doing="run an IPAM plugin"), Long()
    leases = Leases(FakeLedger(), plugins, runs, lambda: 0.0)
    waiting = lane.ask(lambda _: leases.obtain(asking()), too_late="late", limit_s=20)
    assert await lane.ask(lambda _: "free", too_late="late")() == "free"
    lane.limit_s = 20
    may_end.set()
    assert [one.address for one in (await waiting()).addresses] == ["192.0.2.2/24"]

    plugins.refused["ADD"] = PluginError(plugin="fake", command="ADD", reason="no more", is_answer=True)
    with pytest.raises(RequestError, match="no more"):
        await lane.ask(lambda _: leases.obtain(asking(2)), too_late="late")()
    await asyncio.wrap_future(lane.later(lambda _: leases.release_unneeded(lambda _: False)))
    assert await asyncio.to_thread(runs.wait, 20)
    assert plugins.given == {}


@with_lane
async def test_none_begins_after_the_end(lane: Lane) -> None:
    """The next daemon brings it home."""
    returns = Returns(lane)
    returns.close()
    returns.begin(lambda: pytest.fail("it was begun"), lambda _: pytest.fail("it ended"))

    assert returns.wait(20)


@with_lane
async def test_whoever_waits_when_the_lane_closes_is_given_up(lane: Lane) -> None:
    """With the jobs that were not begun."""

    def never(_: Custody) -> None:
        raise StillReturning

    waiting = lane.later(never)
    await asyncio.wrap_future(lane.later(lambda _: None))
    assert not waiting.done()
    await lane.close()

    assert waiting.done()
