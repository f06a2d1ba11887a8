"""A short visit to the engine: register as a plugin, read its Configure and Synchronize, and leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.shells.engine.connection import EngineConnection, connect
from nri_netdev.shells.engine.translate import container_of, pod_of
from nri_netdev.wire.methods import EventKind
from nri_netdev.wire.peek import Peek
from nri_netdev.wire.session import Closed, Configured, Event, PluginSession, Refused, Synchronized, event_mask

T = TypeVar("T")

PLUGIN_NAME = "nri-netdev-visitor"
PATIENCE_S = 10.0
"""How long the engine may take for both, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """An engine's description of itself, and all its pods and containers."""

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


class _Visitor:
    """Waits until the engine has listed all that exists.

    Args:
        loop: where `answer` is awaited.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._configured: Configured | None = None
        self.answer: asyncio.Future[tuple[Configured, Synchronized]] = loop.create_future()

    def answer_now(self, _connection: EngineConnection, _peek: Peek) -> bool:
        """False: it subscribes to what hardly ever happens."""
        return False

    def handle(self, connection: EngineConnection, what: Event) -> None:
        """Take an event of the session."""
        match what:
            case Configured():
                self._configured = what
            case Synchronized() if self._configured is not None:
                connection.reply(what.request, None)
                self._settle(self.answer.set_result, (self._configured, what))
            case Refused():
                self._settle(self.answer.set_exception, what.error)
            case Closed():
                self._settle(self.answer.set_exception, what.error or ConnectionResetError("the engine hung up"))
            case _:
                pass

    def _settle(self, how: Callable[[T], None], outcome: T) -> None:
        def settle() -> None:
            if not self.answer.done():
                how(outcome)

        self._loop.call_soon_threadsafe(settle)


async def _visit(path: Path) -> Visit:
    def session() -> PluginSession:
        return PluginSession(PLUGIN_NAME, "99", events=event_mask(EventKind.REMOVE_POD_SANDBOX))

    visitor = _Visitor(asyncio.get_running_loop())
    connection, closed = await connect(path, session, visitor)
    pid = connection.peer_pid()
    try:
        async with asyncio.timeout(PATIENCE_S):
            engine, state = await visitor.answer
    finally:
        connection.close()
        await closed
    pods, containers = map(pod_of, state.pods), map(container_of, state.containers)
    return Visit(engine=engine, pods=tuple(pods), containers=tuple(containers), pid=pid)
