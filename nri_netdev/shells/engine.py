"""The connection to the engine: moves bytes between a socket and a `PluginSession`, and comes back when it is lost.

Requests are handed on inside `buffer_updated`, so that whoever can answer at once does so without a task switch.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.verdict import Grant
from nri_netdev.errors import ConfigurationError
from nri_netdev.logs import event
from nri_netdev.proto import nri_pb2
from nri_netdev.wire.session import Closed, Event, PluginSession

_log = logging.getLogger(__name__)

BACKOFF_FIRST_S = 0.1
BACKOFF_LAST_S = 5.0
"""Pauses between tries to connect: doubled from the first to the last, each shortened at random by up to a half, so
that the plugins of a node do not come all at once when its engine is back."""

_BUFFER_BYTES = 1 << 16
"""What is read from the socket at once. A plain `Protocol` is given 256 KiB anew each time, which costs as much as all
that is then done with it."""


def backoff(rng: random.Random) -> Iterator[float]:
    """Yield pauses in seconds, without end."""
    pause = BACKOFF_FIRST_S
    while True:
        yield pause * rng.uniform(0.5, 1.0)
        pause = min(2 * pause, BACKOFF_LAST_S)


class EngineConnection(asyncio.BufferedProtocol):
    """One connection of the plugin to the engine.

    Args:
        session: the plugin's side of NRI, new.
        handle: called with every event of the session, in order; it may answer with `send`.
    """

    def __init__(self, session: PluginSession, handle: Callable[[EngineConnection, Event], None]) -> None:
        self.session = session
        self._handle = handle
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, data: bytes) -> None:
        """Send what the session gave; without effect once the connection is over."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Say nothing more and hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the engine."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream socket has no other
        self._transport = transport
        self.send(self.session.start())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the loop is to put what comes: always the same place, for the session keeps no view of it."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what came, then send what the session answers of its own accord."""
        self._hand_on(self.session.receive_data(self._buffer[:nbytes]))

    def eof_received(self) -> None:
        """Tell the session; the transport then closes by itself."""
        self._hand_on(self.session.receive_eof())

    def connection_lost(self, error: Exception | None) -> None:
        """End the wait of whoever waits for the end."""
        self._hand_on(self.session.receive_eof())
        if not self.closed.done():
            self.closed.set_result(None)
        if error is not None:
            event(_log, logging.WARNING, "engine.lost", error=str(error))

    def _hand_on(self, events: list[Event]) -> None:
        for what in events:
            self._handle(self, what)
            if isinstance(what, Closed):
                if what.error is not None:
                    event(_log, logging.ERROR, "engine.broke_protocol", error=str(what.error))
                self.close()
        answer = self.session.data_to_send()
        if answer:
            self.send(answer)


async def connect(
    where: Path | socket.socket,
    new_session: Callable[[], PluginSession],
    handle: Callable[[EngineConnection, Event], None],
) -> EngineConnection:
    """Connect to the engine's socket, or take over one that is connected already.

    Raises:
        OSError: Nobody listens there.
    """
    loop = asyncio.get_running_loop()

    def factory() -> EngineConnection:
        return EngineConnection(new_session(), handle)

    if isinstance(where, Path):
        _, connection = await loop.create_unix_connection(factory, str(where))
    else:
        _, connection = await loop.create_unix_connection(factory, sock=where)
    return connection


async def stay_connected(
    path: Path,
    new_session: Callable[[], PluginSession],
    handle: Callable[[EngineConnection, Event], None],
    *,
    rng: random.Random,
    healthy: Callable[[], bool],
) -> None:
    """Connect to the engine, and again whenever it goes away; never returns.

    Cancelled, it leaves the connection open: there may be answers to give yet.

    Args:
        path: the engine's NRI socket; waited for if it is not there yet.
        new_session: makes the session of each connection.
        handle: called with every event.
        rng: where the jitter comes from.
        healthy: asked when a connection has ended: whether it had got so far that the next try may be at once.
    """
    pauses = backoff(rng)
    told = ""
    while True:
        try:
            connection = await connect(path, new_session, handle)
        except OSError as error:
            trouble = f"{error.strerror or error}"
        else:
            await asyncio.shield(connection.closed)
            connection.close()
            trouble = "the engine closed the connection"
            if healthy():
                pauses = backoff(rng)
                told = ""
        if trouble != told:
            event(_log, logging.WARNING, "engine.away", socket=path, reason=trouble, action="trying again")
            told = trouble
        await asyncio.sleep(next(pauses))


def launched_socket(fd: int) -> socket.socket:
    """The socket that an engine which launched us has connected.

    Raises:
        ConfigurationError: The number is not that of a connected unix stream socket.
    """
    try:
        inherited = socket.socket(fileno=fd)
    except OSError as error:
        raise ConfigurationError(f"NRI_PLUGIN_SOCKET={fd} is not a socket: {error.strerror}") from error
    wrong = ""
    if (inherited.family, inherited.type) != (socket.AF_UNIX, socket.SOCK_STREAM):
        wrong = "not a unix stream socket"
    else:
        try:
            inherited.getpeername()
        except OSError as error:
            wrong = f"not connected: {error.strerror}"
    if wrong:
        inherited.detach()
        raise ConfigurationError(f"NRI_PLUGIN_SOCKET={fd} is {wrong}")
    inherited.setblocking(False)
    return inherited


_NAME_KEYS = ("io.kubernetes.container.name", "io.kubernetes.cri.container-name", "io.kubernetes.cri-o.ContainerName")


def pod_of(pod: nri_pb2.PodSandbox) -> PodSandbox:
    """Translate a pod; its netns path is the entry of type `network`, if there is one."""
    path = next((ns.path for ns in pod.linux.namespaces if ns.type == "network"), "")
    return PodSandbox(
        id=pod.id,
        uid=pod.uid,
        namespace=pod.namespace,
        name=pod.name,
        annotations=dict(pod.annotations),
        labels=dict(pod.labels),
        runtime_handler=pod.runtime_handler,
        netns_path=path or None,
    )


def container_of(container: nri_pb2.Container) -> Container:
    """Translate a container; an engine that leaves its name out may have told it by a label or an annotation."""
    told = (container.labels.get(key) or container.annotations.get(key) for key in _NAME_KEYS)
    return Container(
        id=container.id,
        name=container.name or next(filter(None, told), ""),
        pod_id=container.pod_sandbox_id,
        pid=container.pid,
        is_running=container.state in (nri_pb2.CONTAINER_RUNNING, nri_pb2.CONTAINER_PAUSED),
    )


def adjustment(grants: Iterable[Grant]) -> nri_pb2.CreateContainerResponse:
    """The answer that has the runtime move what is granted: host name to name inside."""
    response = nri_pb2.CreateContainerResponse()
    for grant in grants:
        response.adjust.linux.net_devices[grant.link.ifname].name = grant.entry.inside
    return response
