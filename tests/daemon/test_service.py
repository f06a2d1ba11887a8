"""The daemon between an engine on a real socket and a node in memory: who is answered what, when, by which thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from nri_netdev.config.settings import Settings
from nri_netdev.custody.custody import Custody
from nri_netdev.daemon import hooks
from nri_netdev.daemon.service import Daemon
from nri_netdev.domain.claim import State
from nri_netdev.errors import ConfigurationError, RemoteError, StateError
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.engine.translate import adjustment
from nri_netdev.testing.engine import Engine
from tests.fakes import HOME, FakeKernel, FakeLedger

KEY = "nri-netdev.io/container.app"


class Node:
    """What a daemon runs on: a state directory, a kernel and a ledger in memory, and one pod."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(
            socket=directory / "nri.sock", state_dir=directory / "state", run_dir=directory / "run"
        )
        self.kernel = FakeKernel()
        self.ledger = FakeLedger()
        self.trouble: StateError | None = None
        self.threads: set[str] = set()
        self.nic = self.kernel.add("ens1")
        self.netns = self.kernel.new_netns()

    def custody(self, _: Settings) -> Custody:
        """What the daemon's worker opens."""
        self.threads.add(threading.current_thread().name)
        if self.trouble:
            raise self.trouble
        return Custody(
            self.ledger,
            self.kernel,
            encode=lambda grants: adjustment(grants).SerializeToString(),
            now_s=time.time,
            monotonic_s=time.monotonic,
        )

    def pod(self, value: str | None = "- ens1", pod_id: str = "p1") -> nri_pb2.PodSandbox:
        annotations = {} if value is None else {KEY: value}
        pod = nri_pb2.PodSandbox(id=pod_id, name="web", namespace="default", uid="u1", annotations=annotations)
        pod.linux.namespaces.add(type="network", path=self.netns.path)
        return pod

    def container(self, number: int = 1, pod_id: str = "p1") -> nri_pb2.Container:
        return nri_pb2.Container(id=f"c{number}", pod_sandbox_id=pod_id, name="app", pid=0)

    @contextlib.asynccontextmanager
    async def daemon(self, environment: Mapping[str, str] | None = None) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.ensure_future(Daemon(self.settings, environment or {}, self.custody).run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    def engine(self, **options: Any) -> Engine:
        return Engine(self.settings.socket, runtime_name="containerd", runtime_version="2.3.4", **options)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def on_loop(test: Callable[[Node], Coroutine[Any, Any, None]]) -> Callable[[Node], None]:
    """Run an async test, at most a minute."""

    def run(node: Node) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(60):
                await test(node)

        asyncio.run(bounded())

    run.__doc__ = test.__doc__
    run.__name__ = test.__name__
    return run


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for knows no event loop
        await asyncio.sleep(0.01)


async def until_given(node: Node, engine: Engine) -> None:
    """As a kubelet does: every try is another container."""
    for number in count(3):
        with contextlib.suppress(RemoteError):
            adjust = await engine.create_container(node.pod(), node.container(number))
            if adjust.linux.net_devices:
                return
        await asyncio.sleep(0.05)


@on_loop
async def test_gives_and_takes_back(node: Node) -> None:
    """From the answer through the container's life to the ledger's last row."""
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


# -- what was made ready -----------------------------------------------------------------------------------------------


async def told(node: Node, engine: Engine, value: str = "- ens1") -> nri_pb2.PodSandbox:
    """Tell of the pod, and wait until all is ready for its container."""
    pod = node.pod(value)
    await engine.run_pod_sandbox(pod)
    await until(lambda: node.ledger.prepared)
    await until(lambda: node.nic.link.altnames)
    return pod


def is_untouched(node: Node) -> bool:
    """Whether nothing is claimed or drafted, marked or pinned."""
    return not (
        tuple(node.ledger.rows.values())
        or tuple(node.ledger.prepared.values())
        or node.nic.link.altnames
        or node.kernel.pods.pins()
    )


@on_loop
async def test_a_container_is_answered_by_what_was_made_ready_for_its_pod(node: Node) -> None:
    """Nothing is judged when it is created, and everything after it is as ever."""

    def inventory(**_: Any) -> Any:
        raise ZeroDivisionError

    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        pod = await told(node, engine, "- {interface: ens1, name: net1}")
        node.kernel.host.inventory = inventory  # type: ignore[method-assign]
        adjust = await engine.create_container(pod, node.container())
        assert {name: device.name for name, device in adjust.linux.net_devices.items()} == {"ens1": "net1"}
        await until(lambda: node.ledger.rows)
        assert [claim.owner.container_id for claim in tuple(node.ledger.rows.values())] == ["c1"]
        assert tuple(node.ledger.prepared.values()) == ()
        node.kernel.runtime_create(node.netns, {"ens1": "net1"})
        await engine.start_container(pod, node.container())
        assert [claim.state for claim in tuple(node.ledger.rows.values())] == [State.HELD]
        await engine.stop_container(pod, node.container())
        assert is_untouched(node)
        assert node.nic.link.ifname == "ens1"


@on_loop
async def test_a_container_that_comes_before_all_is_ready(node: Node) -> None:
    """It waits for its turn and gets what it asked for, once."""
    ready, inventory, asked = threading.Event(), node.kernel.host.inventory, threading.Event()

    def slowly(**fields: Any) -> Any:
        asked.set()
        ready.wait()
        return inventory(**fields)

    node.kernel.host.inventory = slowly  # type: ignore[method-assign]
    async with node.engine(request_timeout_s=60.0) as engine, node.daemon():
        await engine.wait_plugin()
        await engine.run_pod_sandbox(node.pod())
        await until(asked.is_set)
        create = asyncio.ensure_future(engine.create_container(node.pod(), node.container()))
        ready.set()
        assert list((await create).linux.net_devices) == ["ens1"]
        await until(lambda: node.ledger.rows)
        assert (len(tuple(node.ledger.rows.values())), tuple(node.ledger.prepared.values())) == (1, ())


@on_loop
async def test_what_was_made_ready_ends_with_its_pod_or_the_daemon(node: Node) -> None:
    """No row, no mark and no pin is left of it."""
    async with node.engine() as engine:
        async with node.daemon():
            await engine.wait_plugin()
            await engine.stop_pod_sandbox(await told(node, engine))
            assert is_untouched(node)
            await told(node, engine)
        assert is_untouched(node)


@on_loop
async def test_what_was_ready_for_one_connection_is_not_for_the_next(node: Node) -> None:
    """The engine may be another one; a container that is created then is judged as if its pod had never been told."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        pod = await told(node, engine)
        engine.hang_up()
        await until(lambda: not engine.plugins)
        await engine.wait_plugin(timeout_s=20)
        await until(lambda: is_untouched(node))
        assert (await engine.create_container(pod, node.container())).linux.net_devices
        await until(lambda: node.ledger.rows)


@on_loop
async def test_nothing_is_made_ready_where_the_runtime_is_not_asked(node: Node) -> None:
    """With `injection: netlink` the interface is moved when the container is created, and not before."""
    written: list[object] = []
    write = node.ledger.write

    def recorded(**changes: Any) -> None:
        written.append(changes.get("draft"))
        write(**changes)

    node.ledger.write = recorded  # type: ignore[method-assign]
    node.settings = replace(node.settings, injection="netlink")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        await engine.run_pod_sandbox(node.pod())
        assert not (await engine.create_container(node.pod(), node.container())).ByteSize()
        assert node.nic.netns == node.netns.ino
        assert not any(written)


@on_loop
async def test_what_asks_for_nothing_never_meets_the_worker(node: Node) -> None:
    """Un-annotated containers are answered while the worker is busy with something else."""
    busy = threading.Event()
    node.kernel.host.inventory = lambda **_: busy.wait() and None  # type: ignore[method-assign,assignment,func-returns-value]
    async with node.engine(request_timeout_s=6.0) as engine, node.daemon():
        await engine.wait_plugin()
        stuck = asyncio.ensure_future(engine.create_container(node.pod(), node.container()))
        await until(lambda: not stuck.done())
        with pytest.raises(RemoteError, match="still busy"):
            await stuck
        plain = node.pod(None, "p2")
        await engine.run_pod_sandbox(plain)
        assert not (await engine.create_container(plain, node.container(2, "p2"))).ByteSize()
        await engine.start_container(plain, node.container(2, "p2"))
        await engine.stop_container(plain, node.container(2, "p2"))
        await engine.stop_pod_sandbox(plain)
        busy.set()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("- ens9", r'interface "ens9" is not on this node \(annotation .*, entry 1\)'),
        ("- [", "is not YAML"),
        ("- {interface: ens1, name: a/b}", "field name"),
    ],
)
def test_refusals_reach_the_engine(node: Node, value: str, reason: str) -> None:
    """With pod and container, the reason, and nothing moved or written."""

    @on_loop
    async def check(node: Node) -> None:
        async with node.engine() as engine, node.daemon():
            await engine.wait_plugin()
            with pytest.raises(RemoteError, match=rf"nri-netdev: pod default/web, container app: .*{reason}"):
                await engine.create_container(node.pod(value), node.container())
            assert tuple(node.ledger.rows.values()) == ()
            assert node.nic.netns == HOME

    check(node)


@on_loop
async def test_too_slow_is_a_no_that_is_undone(node: Node) -> None:
    """A kernel that takes longer than a third of the engine's patience: refused in time, and nothing stays claimed."""
    slow = threading.Event()
    pin = node.kernel.pods.pin

    def slowly(target: Any) -> None:
        slow.wait()
        pin(target)

    node.kernel.pods.pin = slowly  # type: ignore[method-assign]
    async with node.engine(request_timeout_s=3.0) as engine, node.daemon():
        await engine.wait_plugin()
        with pytest.raises(RemoteError, match="retry"):
            await engine.create_container(node.pod(), node.container())
        slow.set()
        await until(lambda: not tuple(node.ledger.rows.values()) and not node.kernel.pods.pins())
        assert node.nic.link.altnames == ()
        await engine.create_container(node.pod(), node.container(2))
        assert len(tuple(node.ledger.rows.values())) == 1


@on_loop
async def test_a_slow_way_home_delays_nobody(node: Node) -> None:
    """Teardown is answered yes in time and done later; a create that needs the interface gets it or is told why."""
    async with node.engine(request_timeout_s=1.5) as engine, node.daemon():
        await engine.wait_plugin()
        await engine.create_container(node.pod(), node.container())
        node.kernel.runtime_create(node.netns, {"ens1": "ens1"})
        await engine.start_container(node.pod(), node.container())
        slow = threading.Event()
        bring_home = node.kernel.pods.bring_home

        def slowly(*arguments: Any) -> Any:
            slow.wait()
            return bring_home(*arguments)

        node.kernel.pods.bring_home = slowly  # type: ignore[method-assign]
        await engine.stop_container(node.pod(), node.container())
        assert node.nic.netns != HOME
        with pytest.raises(RemoteError, match="being returned; retry"):
            await engine.create_container(node.pod(), node.container(2))
        slow.set()
        await until(lambda: node.nic.netns == HOME)
        await until(lambda: not tuple(node.ledger.rows.values()))
        await engine.create_container(node.pod(), node.container(3))


@on_loop
async def test_without_a_ledger_nothing_is_given_and_all_else_goes_on(node: Node) -> None:
    """The reason is told, plain containers run, and when the ledger is well again things are given again."""
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
async def test_a_bug_of_ours_is_a_refusal(node: Node) -> None:
    """An exception that nobody foresaw stops the container, not the daemon."""

    def inventory(*, is_fresh: bool = False) -> Any:
        raise ZeroDivisionError

    sound, node.kernel.host.inventory = node.kernel.host.inventory, inventory  # type: ignore[method-assign]
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        with pytest.raises(RemoteError, match=r"internal error \(ZeroDivisionError\); see the log of nri-netdev"):
            await engine.create_container(node.pod(), node.container())
        node.kernel.host.inventory = sound  # type: ignore[method-assign]
        assert (await engine.create_container(node.pod(), node.container(2))).linux.net_devices


@on_loop
async def test_engines_come_and_go(node: Node) -> None:
    """Started before there is an engine, hung up on, and served again by the next one."""
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
async def test_two_daemons(node: Node) -> None:
    """The second waits, registered nowhere, until the first has gone."""
    async with node.engine() as engine, node.daemon() as first:
        await engine.wait_plugin()
        async with node.daemon():
            await asyncio.sleep(0.3)
            assert engine.plugins == ("10-nri-netdev",)
            first.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await first
            await until(lambda: not engine.plugins)
            assert await engine.wait_plugin(timeout_s=20) == "10-nri-netdev"


@on_loop
async def test_told_to_stop_it_finishes_what_it_has_begun(node: Node) -> None:
    """A create that is under way when the daemon is stopped is answered."""
    slow = threading.Event()
    pin = node.kernel.pods.pin

    def slowly(target: Any) -> None:
        slow.wait()
        pin(target)

    node.kernel.pods.pin = slowly  # type: ignore[method-assign]
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
    """Over a socket that it is born with, under the name it is given; it ends when the engine hangs up."""
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
    """An fd that is none is an error at start."""
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


# -- runtimes and engines that do not do what they are asked -----------------------------------------------------------


@on_loop
async def test_a_runtime_that_ignores_is_helped_and_remembered(node: Node) -> None:
    """At the start the interface is moved in all the same; the next time that handler is not even asked."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        assert (await engine.create_container(node.pod(), node.container())).linux.net_devices
        assert node.nic.netns == HOME
        await engine.start_container(node.pod(), node.container())
        assert node.nic.netns == node.netns.ino
        await engine.stop_container(node.pod(), node.container())
        assert node.nic.netns == HOME
        assert not (await engine.create_container(node.pod(), node.container(2))).ByteSize()
        assert node.nic.netns == node.netns.ino
        await engine.start_container(node.pod(), node.container(2))
        await engine.stop_container(node.pod(), node.container(2))
        engine.hang_up()
        await until(lambda: not engine.plugins)
        await engine.wait_plugin(timeout_s=20)
        assert (await engine.create_container(node.pod(), node.container(3))).linux.net_devices


@on_loop
async def test_an_engine_that_drops_the_field_is_helped(node: Node) -> None:
    """NRI before 0.11 knows no network devices."""
    async with node.engine(nri_version=(0, 8)) as engine, node.daemon():
        await engine.wait_plugin()
        assert not (await engine.create_container(node.pod(), node.container())).linux.net_devices
        await engine.start_container(node.pod(), node.container())
        assert node.nic.netns == node.netns.ino


@on_loop
async def test_injection_oci_does_not_help(node: Node) -> None:
    """The start is refused with what to do, and the interface is where it was."""
    node.settings = replace(node.settings, injection="oci")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        await engine.create_container(node.pod(), node.container())
        with pytest.raises(RemoteError, match=r"ens1 did not arrive: .* ignored linux.netDevices; use NRI 0.11"):
            await engine.start_container(node.pod(), node.container())
        await engine.stop_container(node.pod(), node.container())
        assert node.nic.netns == HOME
        assert not tuple(node.ledger.rows.values())


@on_loop
async def test_injection_netlink_never_asks(node: Node) -> None:
    """The interface is inside before the answer; what cannot be moved is refused then, and stays at home."""
    node.settings = replace(node.settings, injection="netlink")
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        node.kernel.refused = {"send"}
        with pytest.raises(RemoteError, match="ens1 did not arrive"):
            await engine.create_container(node.pod(), node.container())
        assert not tuple(node.ledger.rows.values())
        node.kernel.refused = set()
        assert not (await engine.create_container(node.pod(), node.container(2))).ByteSize()
        assert node.nic.netns == node.netns.ino


@on_loop
async def test_created_while_no_daemon_looked_and_not_yet_started(node: Node) -> None:
    """It is equipped at its start."""
    async with node.engine() as engine:
        await engine.run_pod_sandbox(node.pod())
        await engine.create_container(node.pod(), node.container())
        async with node.daemon():
            await engine.wait_plugin(timeout_s=20)
            assert node.nic.netns == HOME
            await engine.start_container(node.pod(), node.container())
            assert node.nic.netns == node.netns.ino
            assert [claim.state for claim in tuple(node.ledger.rows.values())] == [State.HELD]


@pytest.mark.parametrize("on_missed", ["report", "attach"])
def test_running_without_its_interface(node: Node, caplog: pytest.LogCaptureFixture, on_missed: str) -> None:
    """What started while no daemon looked is told, or given its interface, as the operator has decided."""

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


@on_loop
async def test_an_engine_that_does_not_tell_names(node: Node) -> None:
    """A request by container name is refused rather than ignored; one for the pod is served."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        nameless = nri_pb2.Container(id="c1", pod_sandbox_id="p1")
        with pytest.raises(RemoteError, match="the engine does not tell what this one is called; ask for the pod"):
            await engine.create_container(node.pod(), nameless)
        labelled = nri_pb2.Container(id="c1", pod_sandbox_id="p1", labels={"io.kubernetes.container.name": "app"})
        assert (await engine.create_container(node.pod(), labelled)).linux.net_devices


# -- bugs of ours ------------------------------------------------------------------------------------------------------


@on_loop
async def test_a_bug_in_a_hook_costs_no_more_than_its_event(node: Node) -> None:
    """The container that met it is refused with a reason, teardown goes on, and so does the connection."""

    def fail(*_: object) -> Any:
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        for name in ("entries_of", "entries_by_container"):
            patch.setattr(hooks, name, fail)
        async with node.engine() as engine, node.daemon():
            await engine.wait_plugin()
            await engine.run_pod_sandbox(node.pod())
            with pytest.raises(RemoteError, match=r"internal error \(ZeroDivisionError\)"):
                await engine.create_container(node.pod(), node.container())
            await engine.stop_pod_sandbox(node.pod())
            assert engine.plugins == ("10-nri-netdev",)
