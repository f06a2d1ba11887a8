"""The daemon between an engine on a real socket and a node in memory: who is answered what, when, by which thread."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import replace

import pytest

from nri_netdev.custody.returning import Beside
from nri_netdev.daemon import service
from nri_netdev.domain.claim import State
from nri_netdev.errors import ConfigurationError, RemoteError, StateError
from tests.custody.test_returning import Slow
from tests.daemon.node import Node, announced, is_untouched, on_loop, until, until_given
from tests.fakes import HOME, FakePlugins


@on_loop
async def test_gives_and_takes_back(node: Node) -> None:
    """An interface is given with the answer, held through the container's life, and home when that ends."""
    async with node.engine() as engine, node.daemon():
        assert await engine.wait_plugin() == "10-nri-netdev"
        pod = node.pod("- {interface: ens1, name: net1}")
        await engine.run_pod_sandbox(pod)
        adjust = await engine.create_container(pod, node.container())
        assert {name: device.name for name, device in adjust.linux.net_devices.items()} == {"ens1": "net1"}
        await until(lambda: node.ledger.rows)
        assert [claim.state for claim in tuple(node.ledger.rows.values())] == [State.PLANNED]
        node.kernel.runtime_create(node.netns, {"ens1": "net1"})
        await engine.start_container(pod, node.container())
        assert [claim.state for claim in tuple(node.ledger.rows.values())] == [State.HELD]
        await engine.stop_container(pod, node.container())
        assert tuple(node.ledger.rows.values()) == ()
        assert node.nic.netns == HOME
        assert node.nic.link.ifname == "ens1"


@on_loop
async def test_what_was_ready_for_one_connection_is_not_for_the_next(node: Node) -> None:
    """The engine may be another one: a container that comes then is judged as if nothing had been prepared."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        pod = await announced(node, engine)
        engine.hang_up()
        await until(lambda: not engine.plugins)
        await engine.wait_plugin(timeout_s=20)
        await until(lambda: is_untouched(node))
        assert (await engine.create_container(pod, node.container())).linux.net_devices
        await until(lambda: node.ledger.rows)


@on_loop
async def test_without_a_ledger_nothing_is_given_and_all_else_goes_on(node: Node) -> None:
    """The reason is announced, plain containers run, and when the ledger is well again things are given again."""
    node.trouble = StateError("cannot open the ledger: it is damaged; move it away")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        with pytest.raises(
            RemoteError, match="nothing can be given on this node: cannot open the ledger: it is damaged"
        ):
            await engine.create_container(node.pod(), node.container())
        assert not (await engine.create_container(node.pod(None, "p2"), node.container(2, "p2"))).ByteSize()
        node.trouble = None
        await until_given(node, engine)


@on_loop
async def test_a_state_directory_that_cannot_be_written(node: Node) -> None:
    """The daemon starts, serves and says why it gives nothing; once the directory is well again, it gives."""
    node.settings.state_dir.touch()
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        with pytest.raises(RemoteError, match="nothing can be given on this node: cannot open the lock"):
            await engine.create_container(node.pod(), node.container())
        assert not (await engine.create_container(node.pod(None, "p2"), node.container(2, "p2"))).ByteSize()
        node.settings.state_dir.unlink()
        await until_given(node, engine)


@on_loop
async def test_a_full_disk_refuses_and_forgets(node: Node) -> None:
    """What cannot be written down is not promised."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        node.ledger.is_full = True
        with pytest.raises(RemoteError, match="cannot write the ledger"):
            await engine.create_container(node.pod(), node.container())
        node.ledger.is_full = False
        assert (await engine.create_container(node.pod(), node.container(2))).linux.net_devices


@on_loop
async def test_engines_come_and_go(node: Node) -> None:
    """A daemon that starts before there is an engine, or is hung up on, serves the next one."""
    async with node.daemon():
        for _ in range(2):
            async with node.engine() as engine:
                await engine.wait_plugin(timeout_s=20)
                engine.hang_up()
                await engine.wait_plugin(timeout_s=20)
                await engine.create_container(node.pod(None), node.container())


@on_loop
async def test_what_ended_unseen_comes_home_on_synchronize(node: Node) -> None:
    """A container that an engine no longer knows has ended."""
    async with node.daemon():
        async with node.engine() as engine:
            await engine.wait_plugin()
            await engine.create_container(node.pod(), node.container())
            node.kernel.runtime_create(node.netns, {"ens1": "ens1"})
            await engine.start_container(node.pod(), node.container())
        async with node.engine() as engine:
            await engine.wait_plugin(timeout_s=20)
            await until(lambda: node.nic.netns == HOME)
            await until(lambda: not tuple(node.ledger.rows.values()))


@on_loop
async def test_told_to_stop_it_finishes_what_it_has_begun(node: Node) -> None:
    """A create that is under way when the daemon is stopped is answered."""
    slow = node.slow_to_pin()
    async with node.engine(request_timeout_s=30.0) as engine, node.daemon() as daemon:
        await engine.wait_plugin()
        create = asyncio.ensure_future(engine.create_container(node.pod(), node.container()))
        await until(lambda: node.ledger.rows)
        daemon.cancel()
        slow.set()
        await until(create.done)
        assert create.result().linux.net_devices


@on_loop
async def test_launched_by_the_engine(node: Node) -> None:
    """It serves over a socket that it is born with, under the name it is given, and ends when the engine hangs up."""
    ours, theirs = socket.socketpair()
    with ours:
        environment = {
            "NRI_PLUGIN_NAME": "netdev",
            "NRI_PLUGIN_IDX": "42",
            "NRI_PLUGIN_SOCKET": str(os.dup(theirs.fileno())),
        }
        theirs.close()
        async with node.daemon(environment) as task:
            reader, writer = await asyncio.open_connection(sock=ours)
            said = await reader.readuntil(b"netdev\x12\x0242")
            assert b"RegisterPlugin" in said
            writer.close()
            await task


@on_loop
async def test_a_launch_that_makes_no_sense(node: Node) -> None:
    """What is no file descriptor is an error at start."""
    async with node.daemon({"NRI_PLUGIN_SOCKET": "x"}) as task:
        with pytest.raises(ConfigurationError, match="NRI_PLUGIN_SOCKET=x is not a file descriptor"):
            await task


@on_loop
async def test_releases_that_are_asked_for(node: Node) -> None:
    """What `nri-netdev release` writes down is done within a tick, whoever uses the interface."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        await engine.create_container(node.pod(), node.container())
        node.kernel.runtime_create(node.netns, {"ens1": "ens1"})
        await engine.start_container(node.pod(), node.container())
        node.ledger.asked = {claim.mark for claim in tuple(node.ledger.rows.values())}
        await until(lambda: node.nic.netns == HOME)
        await until(lambda: not tuple(node.ledger.rows.values()))


def test_a_process_that_ends_unheard(
    node: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its interface comes home although the engine says nothing, before any timer; so does the next container's."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(service, "TICK_S", 600.0)

    @on_loop
    async def check(node: Node) -> None:
        async with node.engine() as engine, node.daemon():
            await engine.wait_plugin()
            for number in (1, 2):
                container = node.container(number)
                await engine.create_container(node.pod(), container)
                node.kernel.runtime_create(node.netns, {"ens1": "ens1"})
                container.pid = 1000 + number
                node.netns.processes.add(container.pid)
                await engine.start_container(node.pod(), container)
                node.kernel.exit(container.pid)
                await until(lambda: is_untouched(node))
                assert node.nic.netns == HOME
                await engine.stop_container(node.pod(), container)
            await engine.create_container(node.pod(), node.container(3))
            node.kernel.runtime_create(node.netns, {"ens1": "ens1"})
            container = node.container(3)
            container.pid = 1003
            node.netns.processes.add(container.pid)
            await engine.start_container(node.pod(), container)
            assert node.kernel.pidfds.watched == {"c3": 1003}

    check(node)
    assert node.kernel.pidfds.watched == {}
    assert caplog.messages.count("holder.died") == 2


@on_loop
async def test_a_list_that_names_the_dead(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """The engine comes back with a container whose process has ended: nobody misses anything there."""
    caplog.set_level(logging.INFO)
    container = node.container()
    async with node.engine() as engine:
        await engine.run_pod_sandbox(node.pod())
        await engine.create_container(node.pod(), container)
        container.pid = 1001
        await engine.start_container(node.pod(), container)
        async with node.daemon():
            await until(lambda: "engine.synchronized" in caplog.messages)
            await engine.create_container(node.pod(), node.container(2))  # waits for its turn
    assert "container.missed" not in caplog.messages


@on_loop
async def test_what_is_attached_late_robs_nobody(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """A missed container waits for its address; whoever has come since keeps what it has."""
    caplog.set_level(logging.INFO)
    slow = Slow()
    node.settings = replace(node.settings, on_missed="attach")
    node.beside = Beside(plugins=FakePlugins(), plugin_runs=slow)
    missed = node.pod("- {interface: ens1, ipam: {type: dhcp}}")
    nic, netns = node.kernel.add("ens2"), node.kernel.new_netns()
    other, container = node.pod("- ens2", "p2"), node.container(2, "p2")
    other.linux.namespaces[0].path = netns.path
    async with node.engine() as engine:
        await engine.run_pod_sandbox(missed)
        await engine.create_container(missed, node.container())
        await engine.start_container(missed, node.container())
        async with node.daemon():
            await until(lambda: slow.begun)
            await engine.run_pod_sandbox(other)
            await engine.create_container(other, container)
            node.kernel.runtime_create(netns, {"ens2": "ens2"})
            await engine.start_container(other, container)
            await until(lambda: "claim.arrived" in caplog.messages)
            assert node.running is not None
            await asyncio.wrap_future(node.running._lane.later(lambda _: slow.go()))
            node.running._lane.retry()
            await until(lambda: "container.attached" in caplog.messages)

            assert (node.nic.netns, nic.netns) == (node.netns.ino, netns.ino)
            assert {claim.state for claim in node.ledger.rows.values()} == {State.HELD}


@pytest.mark.parametrize("on_missed", ["report", "attach"])
def test_running_without_its_interface(node: Node, caplog: pytest.LogCaptureFixture, on_missed: str) -> None:
    """What started while no daemon looked is announced, or given its interface, as the operator has decided."""

    @on_loop
    async def check(node: Node) -> None:
        node.settings = replace(node.settings, on_missed=on_missed)
        async with node.engine() as engine:
            await engine.run_pod_sandbox(node.pod())
            await engine.create_container(node.pod(), node.container())
            await engine.start_container(node.pod(), node.container())
            async with node.daemon():
                event = {"report": "container.missed", "attach": "container.attached"}[on_missed]
                await until(lambda: event in caplog.messages)
                assert (node.nic.netns == node.netns.ino) == (on_missed == "attach")
                assert len(tuple(node.ledger.rows.values())) == (on_missed == "attach")

    caplog.set_level(logging.INFO)
    check(node)
