"""A short visit to the engine: register as a plugin, hear what it says of itself and what exists, and go."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.shells.engine.connection import EngineConnection, connect
from nri_netdev.shells.engine.translate import container_of, pod_of
from nri_netdev.wire.methods import Kind
from nri_netdev.wire.session import Closed, Configured, Event, PluginSession, Refused, Synchronized, event_mask

PLUGIN_NAME = "nri-netdev-visitor"
PATIENCE_S = 10.0
"""How long the engine may take to tell all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What an engine tells."""

    engine: Configured
    pods: tuple[PodSandbox, ...]
    containers: tuple[Container, ...]
    pid: int
    """The engine's process; 0 if that is in a pid namespace that cannot be seen from here."""


def visit(path: Path) -> Visit:
    """Ask the engine that listens at a path; from a thread that runs no event loop.

    Raises:
        OSError, TimeoutError: Nobody listens there, or nobody answers.
        PeerError: It refuses, or breaks the protocol.
    """
    return asyncio.run(_visit(path))


async def _visit(path: Path) -> Visit:
    loop = asyncio.get_running_loop()
    told: asyncio.Future[tuple[Configured, Synchronized]] = loop.create_future()
    seen: list[Configured] = []

    def handle(connection: EngineConnection, what: Event) -> None:
        loop.call_soon_threadsafe(hear, connection, what)

    def hear(connection: EngineConnection, what: Event) -> None:
        match what:
            case Configured():
                seen.append(what)
            case Synchronized():
                connection.reply(what.request, None)
                told.set_result((seen[0], what))
            case Refused():
                told.set_exception(what.error)
            case Closed() if not told.done():
                told.set_exception(what.error or ConnectionResetError("the engine hung up"))
            case _:
                pass

    def session() -> PluginSession:
        return PluginSession(PLUGIN_NAME, "99", events=event_mask(Kind.REMOVE_POD_SANDBOX))

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.connect(str(path))
        pid, _, _ = struct.unpack("=iII", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    connection, closed = await connect(path, session, handle)
    try:
        async with asyncio.timeout(PATIENCE_S):
            engine, state = await told
    finally:
        connection.close()
        await closed
    pods, containers = map(pod_of, state.pods), map(container_of, state.containers)
    return Visit(engine=engine, pods=tuple(pods), containers=tuple(containers), pid=pid)
