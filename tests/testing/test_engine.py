"""The engine to test against behaves towards plugins as the real one does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from nri_netdev.errors import RemoteError
from nri_netdev.proto import nri_pb2
from nri_netdev.testing.engine import Engine
from nri_netdev.wire.session import (
    Closed,
    Event,
    EventKind,
    PluginSession,
    Request,
    Synchronized,
    event_mask,
)

POD = nri_pb2.PodSandbox(id="pod1", name="p", namespace="n")
CONTAINER = nri_pb2.Container(id="ctr1", pod_sandbox_id="pod1", name="c")
EVERYTHING = event_mask(*EventKind)

Decide = Callable[[PluginSession, Request], bytes]


class Plugin(asyncio.Protocol):
    """A plugin whose answers are told by a function; bytes b"" is silence."""

    def __init__(self, name: str, idx: str, decide: Decide, events: int) -> None:
        self.session = PluginSession(name, idx, events=events)
        self.decide = decide
        self.told: list[Event] = []
        self.synchronized = asyncio.get_running_loop().create_future()
        self.closed = asyncio.get_running_loop().create_future()
        self.heard = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.session.start())

    def data_received(self, data: bytes) -> None:
        """Answer as told."""
        assert self.transport is not None
        for event in self.session.receive_data(data):
            self.told.append(event)
            if isinstance(event, Request):
                self.transport.write(self.decide(self.session, event))
            elif isinstance(event, Synchronized):
                self.transport.write(self.session.reply(event.request, None))
                self.synchronized.set_result(event)
        self.transport.write(self.session.data_to_send())
        self.heard.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Note the end."""
        self.told += self.session.receive_eof()
        self.closed.set_result(None)

    @property
    def kinds(self) -> list[EventKind]:
        """The events that were heard."""
        return [event.kind for event in self.told if isinstance(event, Request)]


def nothing(session: PluginSession, request: Request) -> bytes:
    """Answer that there is nothing to do."""
    return session.reply(request, None)


def gives(**devices: str) -> Decide:
    """Answer CreateContainer with devices."""

    def decide(session: PluginSession, request: Request) -> bytes:
        if request.kind is not EventKind.CREATE_CONTAINER:
            return session.reply(request, None)
        message = nri_pb2.CreateContainerResponse()
        for outside, inside in devices.items():
            message.adjust.linux.net_devices[outside].name = inside
        return session.reply(request, message)

    return decide


def silent_in(*kinds: EventKind) -> Decide:
    """Answer all but these events."""
    return lambda session, request: b"" if request.kind in kinds else session.reply(request, None)


def refuses(kind: EventKind) -> Decide:
    """Answer one event with an error."""
    return lambda session, request: (
        session.refuse(request, "not here") if request.kind is kind else session.reply(request, None)
    )


async def join(
    engine: Engine, decide: Decide = nothing, *, name: str = "a", idx: str = "10", events: int = EVERYTHING
) -> Plugin:
    """Connect a plugin and wait until it can be called."""
    _, plugin = await asyncio.get_running_loop().create_unix_connection(
        lambda: Plugin(name, idx, decide, events), str(engine.path)
    )
    await engine.wait_plugin(label=f"{idx}-{name}")
    plugin.heard.clear()
    return plugin


def run(main: Coroutine[object, object, None]) -> None:
    """Run to the end, within a time that only a deadlock takes."""

    async def limited() -> None:
        async with asyncio.timeout(10):
            await main

    asyncio.run(limited())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the engine listens."""
    return tmp_path / "nri.sock"


# -- the engine on a socket --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(0, 8), (0, 11), (0, 12)])
def test_life_of_a_container(path: Path, version: tuple[int, int]) -> None:
    """Every event arrives, in order, whatever the form; devices come back where the release knows them."""

    async def main() -> None:
        async with Engine(path, nri_version=version) as engine:
            plugin = await join(engine, gives(eth1="net1"))
            assert await engine.wait_plugin() == "10-a"
            await engine.run_pod_sandbox(POD)
            adjust = await engine.create_container(POD, CONTAINER)
            await engine.post_create_container(POD, CONTAINER)
            await engine.start_container(POD, CONTAINER)
            await engine.post_start_container(POD, CONTAINER)
            await engine.stop_container(POD, CONTAINER)
            await engine.remove_container(POD, CONTAINER)
            await engine.stop_pod_sandbox(POD)
            await engine.remove_pod_sandbox(POD)
        devices = {outside: device.name for outside, device in adjust.linux.net_devices.items()}
        assert devices == ({"eth1": "net1"} if version >= (0, 11) else {})
        assert [kind for kind in plugin.kinds if kind is not EventKind.VALIDATE_CONTAINER_ADJUSTMENT] == [
            EventKind.RUN_POD_SANDBOX,
            EventKind.CREATE_CONTAINER,
            EventKind.POST_CREATE_CONTAINER,
            EventKind.START_CONTAINER,
            EventKind.POST_START_CONTAINER,
            EventKind.STOP_CONTAINER,
            EventKind.REMOVE_CONTAINER,
            EventKind.STOP_POD_SANDBOX,
            EventKind.REMOVE_POD_SANDBOX,
        ]
        shown = next(
            event
            for event in plugin.told
            if isinstance(event, Request) and event.kind is EventKind.POST_CREATE_CONTAINER
        )
        assert set(shown.container.linux.net_devices) == set(devices)
        await plugin.closed
        assert isinstance(plugin.told[-1], Closed)

    run(main())


def test_late_plugin_is_told_what_exists(path: Path) -> None:
    """Synchronize names the pods that were not removed and the containers that were not stopped."""

    async def main() -> None:
        async with Engine(path) as engine:
            for n in range(3):
                pod, container = nri_pb2.PodSandbox(id=f"p{n}"), nri_pb2.Container(id=f"c{n}")
                await engine.run_pod_sandbox(pod)
                await engine.create_container(pod, container)
                await engine.start_container(pod, container)
                if n:
                    await engine.stop_container(pod, container)
                if n == 1:
                    await engine.remove_pod_sandbox(pod)
            plugin = await join(engine)
            told = plugin.synchronized.result()
        assert {pod.id for pod in told.pods} == {"p0", "p2"}
        assert [(container.id, container.state) for container in told.containers] == [("c0", nri_pb2.CONTAINER_RUNNING)]

    run(main())


def test_error_answer_is_raised(path: Path) -> None:
    """A plugin's refusal is raised with its words; the plugin stays."""

    async def main() -> None:
        async with Engine(path) as engine:
            await join(engine, refuses(EventKind.CREATE_CONTAINER))
            with pytest.raises(RemoteError, match="not here"):
                await engine.create_container(POD, CONTAINER)
            assert engine.containers == {}
            assert engine.plugins == ("10-a",)

    run(main())


def test_refused_pod_is_undone(path: Path) -> None:
    """A pod that a plugin refuses is stopped and removed again."""

    async def main() -> None:
        async with Engine(path) as engine:
            plugin = await join(engine, refuses(EventKind.RUN_POD_SANDBOX))
            with pytest.raises(RemoteError):
                await engine.run_pod_sandbox(POD)
            assert plugin.kinds == [EventKind.RUN_POD_SANDBOX, EventKind.STOP_POD_SANDBOX, EventKind.REMOVE_POD_SANDBOX]
            assert engine.pods == {}

    run(main())


def test_silence_is_fail_open(path: Path) -> None:
    """A plugin that does not answer in time is dropped, and the container is created without it."""

    async def main() -> None:
        async with Engine(path, request_timeout_s=0.05) as engine:
            plugin = await join(engine, silent_in(EventKind.CREATE_CONTAINER))
            adjust = await engine.create_container(POD, CONTAINER)
            assert adjust == nri_pb2.ContainerAdjustment()
            assert engine.plugins == ()
            await plugin.closed
            again = await join(engine)
            assert again.synchronized.result().containers[0].id == CONTAINER.id

    run(main())


def test_plugin_that_dies_is_fail_open(path: Path) -> None:
    """A plugin that hangs up instead of answering does not hold anything up."""

    async def main() -> None:
        async with Engine(path) as engine:
            plugin = await join(engine, lambda _session, _request: b"")
            creation = asyncio.ensure_future(engine.create_container(POD, CONTAINER))
            await plugin.heard.wait()
            assert plugin.kinds == [EventKind.CREATE_CONTAINER]
            assert plugin.transport is not None
            plugin.transport.abort()
            assert await creation == nri_pb2.ContainerAdjustment()
            assert engine.plugins == ()

    run(main())


def test_plugins_are_called_by_index(path: Path) -> None:
    """The lower index is called first, and a later one sees what earlier ones gave."""

    async def main() -> None:
        async with Engine(path) as engine:
            late = await join(engine, gives(eth2=""), name="b", idx="20")
            await join(engine, gives(eth1="x"), name="a", idx="10")
            assert engine.plugins == ("10-a", "20-b")
            adjust = await engine.create_container(POD, CONTAINER)
            assert set(adjust.linux.net_devices) == {"eth1", "eth2"}
            seen = next(event for event in late.told if isinstance(event, Request))
            assert set(seen.container.linux.net_devices) == {"eth1"}

    run(main())


@pytest.mark.parametrize("second", ["a", "b"])
def test_two_owners_conflict(path: Path, second: str) -> None:
    """Two plugins, or one that is connected twice, cannot give the same interface."""

    async def main() -> None:
        async with Engine(path) as engine:
            await join(engine, gives(eth1=""), name="a", idx="10")
            await join(engine, gives(eth1=""), name=second, idx="11")
            with pytest.raises(RemoteError, match=f'"10-a" and "11-{second}" both tried to set .* eth1'):
                await engine.create_container(POD, CONTAINER)

    run(main())


@pytest.mark.parametrize("is_silent", [False, True])
def test_validator_has_the_last_word(path: Path, is_silent: bool) -> None:
    """A validator sees the result and its owners; its no, and its silence, stop the container."""
    seen: list[nri_pb2.ValidateContainerAdjustmentRequest] = []

    def decide(session: PluginSession, request: Request) -> bytes:
        assert isinstance(request.message, nri_pb2.ValidateContainerAdjustmentRequest)
        seen.append(request.message)
        if is_silent:
            return b""
        return session.reply(request, nri_pb2.ValidateContainerAdjustmentResponse(reject=True, reason="bad day"))

    async def main() -> None:
        async with Engine(path, request_timeout_s=0.05 if is_silent else 2) as engine:
            await join(engine, gives(eth1="net1"), events=event_mask(EventKind.CREATE_CONTAINER))
            only_this = event_mask(EventKind.VALIDATE_CONTAINER_ADJUSTMENT, EventKind.POST_UPDATE_CONTAINER)
            await join(engine, decide, name="judge", idx="90", events=only_this)
            with pytest.raises(RemoteError, match="no answer" if is_silent else "bad day"):
                await engine.create_container(POD, CONTAINER)
        assert seen[0].adjust.linux.net_devices["eth1"].name == "net1"
        assert dict(seen[0].owners.owners["ctr1"].compound[35].owners) == {"eth1": "10-a"}
        assert [(plugin.index, plugin.name) for plugin in seen[0].plugins] == [("10", "a"), ("90", "judge")]

    run(main())


def test_silent_connection_blocks_only_until_its_time_is_up(path: Path) -> None:
    """Plugins are accepted one after another; who does not register is hung up on."""

    async def main() -> None:
        async with Engine(path, registration_timeout_s=0.05) as engine:
            reader, writer = await asyncio.open_unix_connection(str(path))
            await join(engine)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(main())


def test_nobody_comes(path: Path) -> None:
    """Waiting for a plugin has an end, and an engine without plugins does everything alone."""

    async def main() -> None:
        async with Engine(path) as engine:
            with pytest.raises(TimeoutError):
                await engine.wait_plugin(timeout_s=0.01)
            await engine.run_pod_sandbox(POD)
            assert await engine.create_container(POD, CONTAINER) == nri_pb2.ContainerAdjustment()

    run(main())


def test_hang_up_and_come_back(path: Path) -> None:
    """A plugin whose connection the engine closes may register again."""

    async def main() -> None:
        async with Engine(path) as engine:
            plugin = await join(engine)
            engine.hang_up()
            await plugin.closed
            assert plugin.told[-1] == Closed(error=None)
            await join(engine)
            assert engine.plugins == ("10-a",)

    run(main())


def test_socket_is_replaced_and_taken_away(path: Path) -> None:
    """What lies at the path is replaced, and nothing is left there."""

    async def main() -> None:
        async with Engine(str(path)) as engine:
            await join(engine)

    path.write_text("stale")
    run(main())
    assert not path.exists()


def test_update_containers_is_noted(path: Path) -> None:
    """What a plugin asks for by UpdateContainers is kept and granted."""

    async def main() -> None:
        async with Engine(path) as engine:
            plugin = await join(engine)
            assert plugin.transport is not None
            request = nri_pb2.UpdateContainersRequest(update=[nri_pb2.ContainerUpdate(container_id="x")])
            plugin.transport.write(plugin.session.call("UpdateContainers", request)[1])
            await plugin.heard.wait()
            assert engine.updates == list(request.update)

    run(main())
