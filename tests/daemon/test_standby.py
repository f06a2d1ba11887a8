"""One daemon after the other on one node: no container is without its interface, and none is answered twice."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator

import pytest

from nri_netdev.daemon import hooks, standby
from nri_netdev.daemon.service import Daemon
from nri_netdev.domain.claim import State
from nri_netdev.errors import RemoteError
from nri_netdev.testing.engine import Engine
from tests.daemon.node import Node, is_untouched, on_loop, until
from tests.fakes import HOME

PLUGIN = "10-nri-netdev"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """This engine tells of all that happens from Synchronize on."""
    monkeypatch.setattr(standby, "SETTLED_S", 0.0)


class Running:
    """A daemon that runs."""

    def __init__(self, node: Node) -> None:
        self.daemon = Daemon(node.settings, {}, node.custody)
        self.task = asyncio.ensure_future(self.daemon.run())

    async def end(self) -> None:
        """Tell it to end, and wait until it has."""
        self.task.cancel()
        await asyncio.wait([self.task])


@contextlib.asynccontextmanager
async def started(node: Node) -> AsyncIterator[Running]:
    """A daemon that is in its place: it answers, or stands by."""
    running = Running(node)
    try:
        await until(lambda: running.daemon.is_started or running.task.done())
        yield running
    finally:
        await running.end()


async def lives(node: Node, engine: Engine, number: int) -> None:
    """A container is created with its interface, starts with it inside, and ends; then that is home."""
    pod, container = node.pod(), node.container(number)
    await engine.run_pod_sandbox(pod)
    adjust = await engine.create_container(pod, container)
    assert set(adjust.linux.net_devices) == {"ens1"}, number
    node.kernel.runtime_create(node.netns, {"ens1": "ens1"})
    await engine.start_container(pod, container)
    assert [claim.state for claim in tuple(node.ledger.rows.values())] == [State.HELD]
    await engine.stop_container(pod, container)
    await until(lambda: node.nic.netns == HOME and not node.ledger.rows)


@on_loop
async def test_the_next_one_is_registered_before_the_first_one_goes(node: Node) -> None:
    """Both are with the engine, one answers; the next one is not ready, and is when the first has gone."""
    async with node.engine() as engine, started(node) as first, started(node) as second:
        assert engine.plugins == (PLUGIN, PLUGIN)
        assert (first.daemon.is_ready, second.daemon.is_ready) == (True, False)
        await lives(node, engine, 1)
        await first.end()
        await until(lambda: second.daemon.is_ready)
        await until(lambda: engine.plugins == (PLUGIN,))
        await lives(node, engine, 2)


@on_loop
async def test_no_create_falls_between_them(node: Node) -> None:
    """While daemons replace each other, whatever is created gets its interface: by one of them, never by both."""
    async with node.engine(request_timeout_s=20.0) as engine, contextlib.AsyncExitStack() as stack:
        serving = await stack.enter_async_context(started(node))
        is_over = False

        async def create() -> int:
            for number in itertools.count(1):
                if is_over:
                    return number
                await lives(node, engine, number)
            raise AssertionError

        creating = asyncio.ensure_future(create())
        for _ in range(15):
            following = await stack.enter_async_context(started(node))
            await asyncio.gather(serving.end(), asyncio.sleep(0.05))
            serving = following
        is_over = True
        assert await creating > 15
        assert is_untouched(node)


@on_loop
async def test_what_a_predecessor_gave_stays_given(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """Containers that were created while it stood by are known to it, as they are: they run, and end."""
    caplog.set_level(logging.INFO)
    async with node.engine() as engine, started(node) as first, started(node) as second:
        pod, container = node.pod(), node.container()
        await engine.run_pod_sandbox(pod)
        await engine.create_container(pod, container)
        node.kernel.runtime_create(node.netns, {"ens1": "ens1"})
        await engine.start_container(pod, container)
        await first.end()
        await until(lambda: second.daemon.is_ready)
        await until(lambda: "daemon.took_over" in caplog.messages)
        await asyncio.wrap_future(second.daemon._lane.later(lambda _: None))
        assert [claim.state for claim in node.ledger.rows.values()] == [State.HELD]
        assert node.nic.netns == node.netns.ino
        assert "container.missed" not in caplog.messages
        await engine.stop_container(pod, container)
        await until(lambda: is_untouched(node))


@on_loop
async def test_what_ended_while_it_stood_by_comes_home(node: Node) -> None:
    """It is not asked what the one before is asked; it has heard it."""
    async with node.engine() as engine, started(node) as first, started(node) as second:
        await lives(node, engine, 1)
        await first.end()
        await until(lambda: second.daemon.is_ready)
        assert is_untouched(node)


@on_loop
async def test_created_by_one_and_started_under_the_next(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """The check at the start is made by whoever answers then; what is held back until then is not missing anything."""
    caplog.set_level(logging.INFO)
    async with node.engine() as engine, started(node) as first, started(node):
        pod, container = node.pod(), node.container()
        await engine.run_pod_sandbox(pod)
        await engine.create_container(pod, container)
        ending = asyncio.ensure_future(first.end())
        await engine.start_container(pod, container)  # the runtime has moved nothing
        await ending
        assert node.nic.netns == node.netns.ino
        assert not {"container.missed", "claim.home"} & set(caplog.messages)


@on_loop
async def test_held_back_too_long_it_is_refused(node: Node) -> None:
    """Where nobody takes over, a container that asks does not come; one that asks for nothing does."""
    async with node.engine(request_timeout_s=0.3) as engine, started(node) as first, started(node) as second:
        await engine.create_container(node.pod(), node.container(3))
        await engine.stop_container(node.pod(), node.container(3))
        await until(lambda: is_untouched(node))
        second.daemon._succession.take = lambda: 1  # type: ignore[method-assign] # the ledger stays with somebody
        await first.end()
        with pytest.raises(RemoteError, match="nri-netdev is being replaced on this node; retry"):
            await engine.start_container(node.pod(), node.container(3))
        assert not (await engine.create_container(node.pod(None, "p2"), node.container(2, "p2"))).ByteSize()
        with pytest.raises(RemoteError, match="nri-netdev is being replaced on this node; retry"):
            await engine.create_container(node.pod(), node.container())
        assert is_untouched(node)


@on_loop
async def test_a_start_that_is_held_back_too_long_is_prevented(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the engine does not heed the refusal, the process is killed before it runs."""
    killed: list[int] = []
    monkeypatch.setattr(hooks, "kill_in_netns", lambda pid, _: killed.append(pid) or True)
    engine = Engine(node.settings.socket, runtime_name="cri-o", runtime_version="1.36.3", request_timeout_s=0.3)
    async with engine, started(node) as first, started(node) as second:
        pod, container = node.pod(), node.container()
        await engine.create_container(pod, container)
        second.daemon._succession.take = lambda: 1  # type: ignore[method-assign] # the ledger stays with somebody
        await first.end()
        container.pid = 1001
        with pytest.raises(RemoteError, match="is being replaced"):
            await engine.start_container(pod, container)
        assert killed == [1001]


@on_loop
async def test_a_standby_without_its_engine_is_none(node: Node) -> None:
    """Hung up on, it does not count, and it is no successor, until it is registered again."""
    async with node.engine() as engine, started(node) as first, started(node) as second:
        assert first.daemon._succession.has_successor()
        engine.hang_up()
        await until(lambda: not second.daemon.is_started)
        await until(lambda: first.daemon.is_started and second.daemon.is_started)
        await until(first.daemon._succession.has_successor)
        await first.end()
        await until(lambda: second.daemon.is_ready)
        await lives(node, engine, 1)


@on_loop
async def test_killed_it_is_followed_at_once(node: Node) -> None:
    """A daemon that ends without a word is followed by the one that stands by."""
    async with node.engine() as engine, started(node) as first, started(node) as second:
        assert first.daemon._connection is not None
        first.daemon._connection.close()
        first.daemon._succession.close()  # as the kernel does with the locks of the dead
        await until(lambda: second.daemon.is_ready)
        await lives(node, engine, 1)


@on_loop
async def test_told_to_stop_while_it_stands_by(node: Node) -> None:
    """It goes; the one that serves serves on."""
    async with node.engine() as engine, started(node) as first:
        async with started(node):
            pass
        await until(lambda: engine.plugins == (PLUGIN,))
        assert not first.daemon._succession.has_successor()
        await lives(node, engine, 1)


@on_loop
async def test_an_answer_that_was_lost_is_given_again(node: Node) -> None:
    """The first one had promised when it was killed: the engine shows no device, so the next one answers, the same."""
    async with node.engine() as engine, started(node) as first:
        pod, container = node.pod("- {interface: ens1, name: net1}"), node.container()
        await engine.create_container(pod, container)
        await first.end()
        async with started(node):
            adjust = await engine.create_container(pod, container)
            assert {name: device.name for name, device in adjust.linux.net_devices.items()} == {"ens1": "net1"}
            assert len(node.ledger.rows) == 1


@on_loop
async def test_an_answer_that_the_engine_has_is_not_given_twice(node: Node) -> None:
    """It shows what the one before gave; two that give it make the creation fail."""
    async with node.engine() as engine, started(node) as first:
        pod, container = node.pod(), node.container()
        adjust = await engine.create_container(pod, container)
        await first.end()
        async with started(node):
            container.linux.net_devices["ens1"].CopyFrom(adjust.linux.net_devices["ens1"])
            assert not (await engine.create_container(pod, container)).ByteSize()
