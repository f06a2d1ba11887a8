"""An engine to test plugins against: it listens as containerd or CRI-O would, and relays made-up pods.

It calls plugins as the real one does (containerd/nri, pkg/adaptation): one at a time in the order of their indices; an
error ends an event, silence drops the plugin, and the event goes on to the next. It creates nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from google.protobuf.message import Message

from nri_netdev.errors import PeerError, RemoteError
from nri_netdev.proto import nri_pb2
from nri_netdev.testing.session import (
    Answered,
    EngineEvent,
    EngineSession,
    PluginConfigured,
    PluginRegistered,
    PluginSynchronized,
    Timeouts,
    UpdateRequested,
    merge,
)
from nri_netdev.wire.events import Closed
from nri_netdev.wire.methods import HOOKS, EventKind
from nri_netdev.wire.versions import FIRST_WITH_NET_DEVICES, Release

_T = TypeVar("_T", bound=Message)

REGISTRATION_TIMEOUT_S: Final = 5.0
REQUEST_TIMEOUT_S: Final = 2.0
"""The defaults of containerd and CRI-O."""


class _Gone(Exception):  # noqa: N818 - no error for the engine, which goes on
    """A plugin is not there any more."""


class _Plugin(asyncio.Protocol):
    """One connected plugin; silent until `open`, since the engine accepts one after another."""

    def __init__(self, engine: Engine, session: EngineSession) -> None:
        self._engine = engine
        self._session = session
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        loop = asyncio.get_running_loop()
        self._steps: dict[type[EngineEvent], asyncio.Future[None]] = {
            step: loop.create_future() for step in (PluginRegistered, PluginConfigured, PluginSynchronized)
        }
        self.label = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream socket has no other
        self._transport = transport
        transport.pause_reading()
        self._engine.accept(self)

    def data_received(self, data: bytes) -> None:
        for event in self._session.receive_data(data):
            self._on_event(event)
        self._write(self._session.data_to_send())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        for event in self._session.receive_eof():
            self._on_event(event)

    async def register(self) -> None:
        """Go through registration and configuration.

        Raises:
            _Gone: The plugin hung up or broke the protocol.
            TimeoutError: It took too long.
        """
        if self._transport is None or self._transport.is_closing():
            raise _Gone
        self._transport.resume_reading()
        async with asyncio.timeout(self._engine.registration_timeout_s):
            await self._steps[PluginRegistered]
        async with asyncio.timeout(self._engine.request_timeout_s):
            self._write(self._session.configure())
            await self._steps[PluginConfigured]

    async def synchronize(self, pods: Iterable[nri_pb2.PodSandbox], containers: Iterable[nri_pb2.Container]) -> None:
        """Send what exists.

        Raises:
            _Gone: The plugin hung up or broke the protocol.
            TimeoutError: It took too long.
        """
        async with asyncio.timeout(self._engine.request_timeout_s):
            self._write(self._session.synchronize(pods, containers))
            await self._steps[PluginSynchronized]

    def wants(self, kind: EventKind) -> bool:
        """Whether it has subscribed to an event."""
        return self._session.wants(kind)

    async def call(self, kind: EventKind, message: Message) -> Message:
        """Send an event and wait for the answer.

        Raises:
            PeerError: The plugin refused, or answered what cannot be decoded.
            _Gone: It hung up or did not answer in time.
        """
        if self._transport is None or self._transport.is_closing():
            raise _Gone
        call_id, data = self._session.call(kind, message)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = answer
        self._write(data)
        try:
            async with asyncio.timeout(self._engine.request_timeout_s):
                return await answer
        except TimeoutError:
            raise _Gone from None
        finally:
            self._waiting.pop(call_id, None)
            self._session.expire(call_id)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _on_event(self, event: EngineEvent) -> None:
        if isinstance(event, PluginRegistered):
            self.label = f"{event.idx}-{event.name}"
        step = self._steps.get(type(event))
        if step is not None:
            if not step.done():
                step.set_result(None)
        elif isinstance(event, Answered):
            answer = self._waiting.get(event.call_id)
            if answer is None or answer.done():
                return
            if event.message is not None:
                answer.set_result(event.message)
            elif event.error is not None:
                answer.set_exception(event.error)
        elif isinstance(event, UpdateRequested):
            self._engine.updates.extend(event.update)
        elif isinstance(event, Closed):
            self._on_close()

    def _on_close(self) -> None:
        self.close()
        for step in self._steps.values():
            _fail(step)
        for answer in self._waiting.values():
            _fail(answer)
        self._engine.drop(self)


def _fail(future: asyncio.Future[Any]) -> None:
    """Raise `_Gone` in the task that waits, if one does."""
    if not future.done():
        future.set_exception(_Gone())
        future.exception()  # without a task that waits, asyncio would log an exception never retrieved


class Engine:
    """An engine that listens on a unix socket; an asynchronous context manager.

    Each method named after an event relays it to every plugin that wants it, and returns once all have answered.

    Args:
        path: of the socket; a file there is replaced.
        runtime_name: "containerd" or "cri-o", as plugins see it.
        runtime_version: as plugins see it; "" is the first one with this release of NRI.
        nri_version: the release of NRI to speak. Before 0.11 `net_devices` get lost, as they do in reality.
        registration_timeout_s: seconds that a plugin has to register.
        request_timeout_s: seconds that a plugin has for each answer.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        runtime_name: str = "containerd",
        runtime_version: str = "",
        nri_version: Release = (0, 12),
        registration_timeout_s: float = REGISTRATION_TIMEOUT_S,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self.path = Path(path)
        self.registration_timeout_s = registration_timeout_s
        self.request_timeout_s = request_timeout_s
        self.pods: dict[str, nri_pb2.PodSandbox] = {}
        """Every pod that was run and not removed, by id: those of Synchronize."""
        self.containers: dict[str, nri_pb2.Container] = {}
        """Every container that was created and not stopped, by id."""
        self.updates: list[nri_pb2.ContainerUpdate] = []
        """What plugins asked for by UpdateContainers."""
        self._runtime_name = runtime_name
        self._runtime_version = runtime_version
        self._release = nri_version
        self._plugins: list[_Plugin] = []
        self._connected: set[_Plugin] = set()
        self._registrations: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._accepting = asyncio.Lock()  # held while a plugin registers
        self._events = asyncio.Lock()  # held while an event is relayed
        self._joined = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Listen."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.get_running_loop().create_unix_server(self._new_plugin, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up on everyone, and stop to listen."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._registrations):
            task.cancel()
        await asyncio.gather(*self._registrations, return_exceptions=True)
        self.hang_up()
        if self._server is not None:
            await self._server.wait_closed()
        await asyncio.sleep(0)  # lets transports that were aborted close their sockets
        self.path.unlink(missing_ok=True)

    @property
    def plugins(self) -> tuple[str, ...]:
        """Every plugin that is synchronized, as NN-name, in the order they are called."""
        return tuple(plugin.label for plugin in self._plugins)

    async def wait_plugin(self, timeout_s: float = 5.0, *, label: str = "") -> str:
        """Wait until a plugin is synchronized; returns its label.

        Args:
            timeout_s: seconds to wait.
            label: which plugin, as NN-name; "" is any.

        Raises:
            TimeoutError: It did not come.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                for found in self.plugins:
                    if label in {"", found}:
                        return found
                self._joined.clear()
                await self._joined.wait()

    def hang_up(self) -> None:
        """Close the connections of all plugins, as an engine that restarts does."""
        for plugin in tuple(self._connected):
            plugin.close()

    # -- events --------------------------------------------------------------------------------------------------------

    async def run_pod_sandbox(self, pod: nri_pb2.PodSandbox) -> None:
        """Relay RunPodSandbox.

        Raises:
            PeerError: A plugin refused; the pod was stopped and removed again.
        """
        try:
            await self._relay(EventKind.RUN_POD_SANDBOX, pod)
        except PeerError:
            await self.stop_pod_sandbox(pod)
            await self.remove_pod_sandbox(pod)
            raise
        self.pods[pod.id] = pod

    async def create_container(
        self, pod: nri_pb2.PodSandbox, container: nri_pb2.Container
    ) -> nri_pb2.ContainerAdjustment:
        """Relay CreateContainer; returns what all plugins together adjust.

        Raises:
            PeerError: A plugin refused, two want the same interface, or a validator rejects the result.
        """
        merged = nri_pb2.ContainerAdjustment()
        planned = nri_pb2.Container()
        planned.CopyFrom(container)
        owners: dict[str, str] = {}
        async with self._events:
            for plugin in self._subscribed(EventKind.CREATE_CONTAINER):
                request = nri_pb2.CreateContainerRequest(pod=pod, container=planned)
                response = await self._ask(plugin, EventKind.CREATE_CONTAINER, request, nri_pb2.CreateContainerResponse)
                if response is not None:
                    if self._release < FIRST_WITH_NET_DEVICES:
                        response.adjust.linux.ClearField("net_devices")
                    merge(plugin.label, response.adjust, merged, owners)
                    for ifname, device in response.adjust.linux.net_devices.items():
                        planned.linux.net_devices[ifname].CopyFrom(device)
            await self._validate(pod, container, merged, owners)
        planned.state = nri_pb2.CONTAINER_CREATED
        self.containers[container.id] = planned
        return merged

    async def post_create_container(self, pod: nri_pb2.PodSandbox, container: nri_pb2.Container) -> None:
        """Relay PostCreateContainer, with the devices that the container was given."""
        await self._relay(EventKind.POST_CREATE_CONTAINER, pod, self._current(container))

    async def start_container(self, pod: nri_pb2.PodSandbox, container: nri_pb2.Container) -> None:
        """Relay StartContainer, with the pid of the process that is to run.

        Raises:
            PeerError: A plugin refused.
        """
        current = self._current(container)
        current.pid = container.pid
        await self._relay(EventKind.START_CONTAINER, pod, current)
        current.state = nri_pb2.CONTAINER_RUNNING

    async def post_start_container(self, pod: nri_pb2.PodSandbox, container: nri_pb2.Container) -> None:
        """Relay PostStartContainer."""
        await self._relay(EventKind.POST_START_CONTAINER, pod, self._current(container))

    async def stop_container(self, pod: nri_pb2.PodSandbox, container: nri_pb2.Container) -> None:
        """Relay StopContainer: the container has ended."""
        current = self._current(container)
        current.state = nri_pb2.CONTAINER_STOPPED
        self.containers.pop(container.id, None)
        await self._relay(EventKind.STOP_CONTAINER, pod, current)

    async def remove_container(self, pod: nri_pb2.PodSandbox, container: nri_pb2.Container) -> None:
        """Relay RemoveContainer."""
        current = self._current(container)
        self.containers.pop(container.id, None)
        await self._relay(EventKind.REMOVE_CONTAINER, pod, current)

    async def stop_pod_sandbox(self, pod: nri_pb2.PodSandbox) -> None:
        """Relay StopPodSandbox."""
        await self._relay(EventKind.STOP_POD_SANDBOX, pod)

    async def remove_pod_sandbox(self, pod: nri_pb2.PodSandbox) -> None:
        """Relay RemovePodSandbox."""
        self.pods.pop(pod.id, None)
        await self._relay(EventKind.REMOVE_POD_SANDBOX, pod)

    # -- for the connections -------------------------------------------------------------------------------------------

    def accept(self, plugin: _Plugin) -> None:
        """Register a plugin when its turn comes."""
        self._connected.add(plugin)
        task = asyncio.get_running_loop().create_task(self._register(plugin))
        self._registrations.add(task)
        task.add_done_callback(self._registrations.discard)

    def drop(self, plugin: _Plugin) -> None:
        """Go on without a plugin."""
        self._connected.discard(plugin)
        if plugin in self._plugins:
            self._plugins.remove(plugin)

    # -- within --------------------------------------------------------------------------------------------------------

    def _new_plugin(self) -> _Plugin:
        timeouts = Timeouts(
            registration_ms=round(self.registration_timeout_s * 1000),
            request_ms=round(self.request_timeout_s * 1000),
        )
        session = EngineSession(
            runtime_name=self._runtime_name,
            runtime_version=self._runtime_version,
            nri_version=self._release,
            timeouts=timeouts,
        )
        return _Plugin(self, session)

    async def _register(self, plugin: _Plugin) -> None:
        async with self._accepting:
            try:
                await plugin.register()
                # As in containerd, nothing changes between a plugin's Synchronize and its first event.
                async with self._events:
                    await plugin.synchronize(self.pods.values(), self.containers.values())
                    # Like the engine's own, the sort is by index alone.
                    self._plugins = sorted([*self._plugins, plugin], key=lambda each: each.label[:2])
            except (_Gone, TimeoutError):
                plugin.close()
            else:
                self._joined.set()

    def _subscribed(self, kind: EventKind) -> list[_Plugin]:
        return [plugin for plugin in self._plugins if plugin.wants(kind)]

    def _current(self, container: nri_pb2.Container) -> nri_pb2.Container:
        """The container as it is now; a copy of the caller's if it is not there any more."""
        found = self.containers.get(container.id)
        if found is None:
            found = nri_pb2.Container()
            found.CopyFrom(container)
        return found

    async def _relay(
        self, kind: EventKind, pod: nri_pb2.PodSandbox, container: nri_pb2.Container | None = None
    ) -> None:
        hook = HOOKS[kind]
        request = hook.request(pod=pod) if container is None else hook.request(pod=pod, container=container)
        async with self._events:
            for plugin in self._subscribed(kind):
                await self._ask(plugin, kind, request, hook.response)

    async def _ask(self, plugin: _Plugin, kind: EventKind, request: Message, response: type[_T]) -> _T | None:
        """Call one plugin; None if it is gone, after which the engine goes on as if it had answered nothing to do.

        Raises:
            PeerError: It refused.
        """
        try:
            answer = await plugin.call(kind, request)
        except _Gone:
            plugin.close()
            self.drop(plugin)
            return None
        assert isinstance(answer, response)  # noqa: S101 - the session has decoded it so
        return answer

    async def _validate(
        self,
        pod: nri_pb2.PodSandbox,
        container: nri_pb2.Container,
        merged: nri_pb2.ContainerAdjustment,
        owners: dict[str, str],
    ) -> None:
        """Ask validators about the result; unlike elsewhere, silence is a refusal.

        Raises:
            PeerError: One of them rejects it.
        """
        request = nri_pb2.ValidateContainerAdjustmentRequest(pod=pod, container=container, adjust=merged)
        for plugin in self._plugins:
            idx, _, name = plugin.label.partition("-")
            request.plugins.add(name=name, index=idx)
        compound = request.owners.owners[container.id].compound[nri_pb2.LinuxNetDevices]
        compound.owners.update(owners)
        kind = EventKind.VALIDATE_CONTAINER_ADJUSTMENT
        for plugin in self._subscribed(kind):
            response = await self._ask(plugin, kind, request, nri_pb2.ValidateContainerAdjustmentResponse)
            if response is None or response.reject:
                reason = "no answer" if response is None else response.reason
                text = f'validator "{plugin.label}" rejected container adjustment: {reason}'
                raise RemoteError(code=2, message=text)
