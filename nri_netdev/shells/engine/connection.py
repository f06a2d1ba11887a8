"""The connection to the engine: moves bytes between a socket and a `PluginSession`, and comes back when it is lost.

A thread of its own reads and hands events on, so that whoever can answer at once does so where the event arrives, and
an engine never waits for an event loop to come round (docs/adr/0011).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from google.protobuf.message import Message

from nri_netdev.errors import ConfigurationError
from nri_netdev.log import event
from nri_netdev.wire.peek import Glimpse
from nri_netdev.wire.session import Closed, Event, Pending, PluginSession

_log = logging.getLogger(__name__)

BACKOFF_FIRST_S = 0.1
BACKOFF_LAST_S = 5.0
"""Pauses between tries to connect: doubled from the first to the last, each shortened at random by up to a half, so
that the plugins of a node do not come all at once when its engine is back."""

_BUFFER_BYTES = 1 << 16
"""What is read from the socket at once."""
_SEND_S = 5
"""How long an engine may leave what we send unread."""


def backoff(rng: random.Random) -> Iterator[float]:
    """Yield pauses in seconds, without end."""
    pause = BACKOFF_FIRST_S
    while True:
        yield pause * rng.uniform(0.5, 1.0)
        pause = min(2 * pause, BACKOFF_LAST_S)


class Answer(NamedTuple):
    """What is said to an event that was seen at a glance."""

    payload: bytes = b""
    """The encoded response."""
    then: Callable[[], None] | None = None
    """Called when it is said."""


NOTHING = Answer()
"""There is nothing to adjust."""


def look(seen: Glimpse) -> Answer | None:
    """Have every event read."""
    del seen
    return None


class EngineConnection:
    """One connection of the plugin to the engine; may be used on any thread.

    Args:
        connected: the socket, which is closed at the end.
        session: the plugin's side of NRI, new.
        handle: called with every event of the session, in order, on the thread that reads.
        at_a_glance: called, on that thread, with an event that can be told at a glance: what to say to it, None to have
            it read and handed to `handle`. The engine waits, so it must not take longer than some milliseconds.
        ended: called at the end, on that thread.
    """

    def __init__(
        self,
        connected: socket.socket,
        session: PluginSession,
        handle: Callable[[EngineConnection, Event], None],
        at_a_glance: Callable[[Glimpse], Answer | None],
        ended: Callable[[], None],
    ) -> None:
        self._socket = connected
        self._session = session
        self._handle = handle
        self._at_a_glance = at_a_glance
        self._ended = ended
        self._lock = threading.Lock()
        """Of the session, and of what is sent."""
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        connected.setblocking(True)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _SEND_S, 0))

    def start(self) -> None:
        """Register with the engine, and read what it says from now on."""
        with self._lock:
            self._send(self._session.start())
        threading.Thread(target=self._read, name="engine", daemon=True).start()

    def reply(self, request: Pending, message: Message | None) -> None:
        """Answer (`PluginSession.reply`); without effect once the connection is over."""
        with self._lock:
            self._send(self._session.reply(request, message))

    def refuse(self, request: Pending, text: str) -> None:
        """Say no, and why (`PluginSession.refuse`); without effect once the connection is over."""
        with self._lock:
            self._send(self._session.refuse(request, text))

    def close(self) -> None:
        """Say nothing more and hang up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _send(self, data: bytes) -> None:
        try:
            if data:
                self._socket.sendall(data)
        except OSError:
            self.close()  # the end of what can be read tells the rest

    def _read(self) -> None:
        """Read and hand on, until the end."""
        how: Closed | None = None
        while how is None:
            try:
                for what in self._hear():
                    self._handle(self, what)
                    how = what if isinstance(what, Closed) else None
            except Exception:  # noqa: BLE001 - the root of a thread
                event(_log, logging.ERROR, "engine.bug", exc_info=True)
                how = Closed(error=None)
                self._handle(self, how)
        if how.error is not None:
            event(_log, logging.ERROR, "engine.broke_protocol", error=str(how.error))
        self._socket.close()
        self._ended()

    def _hear(self) -> list[Event]:
        """Wait for what comes, and answer what can be answered at once; the rest is returned."""
        size = self._receive(0)
        seen = self._glance(size)
        while seen is None and 0 < size < self._session.expected(self._buffer[:size]) <= len(self._buffer):
            more = self._receive(size)
            if not more:
                break
            size += more
            seen = self._glance(size)
        if seen is not None and self._answer(seen):
            return []
        with self._lock:
            told = self._session.receive_data(self._buffer[:size]) if size else self._session.receive_eof()
            self._send(self._session.data_to_send())
        return told

    def _receive(self, begin: int) -> int:
        """Wait for bytes, and put them into the buffer from this place on; how many, 0 at the end."""
        try:
            return self._socket.recv_into(self._buffer[begin:])
        except OSError as error:
            event(_log, logging.WARNING, "engine.lost", error=str(error))
            return 0

    def _glance(self, size: int) -> Glimpse | None:
        with self._lock:
            return self._session.glance(self._buffer[:size])

    def _answer(self, seen: Glimpse) -> bool:
        """Answer an event that was seen at a glance; whether that could be done."""
        try:
            answer = self._at_a_glance(seen)
        except Exception:  # noqa: BLE001 - it has another chance
            event(_log, logging.ERROR, "engine.bug", exc_info=True)
            return False
        if answer is None:
            return False
        try:
            with self._lock:
                self._send(self._session.answer(seen, answer.payload))
        finally:
            if answer.then is not None:
                answer.then()
        return True


async def connect(
    where: Path | socket.socket,
    new_session: Callable[[], PluginSession],
    handle: Callable[[EngineConnection, Event], None],
    at_a_glance: Callable[[Glimpse], Answer | None] = look,
) -> tuple[EngineConnection, asyncio.Future[None]]:
    """Connect to the engine's socket, or take over one that is connected already.

    Args:
        where: the engine's socket.
        new_session: makes the session.
        handle: called with every event, on a thread that is not the loop's.
        at_a_glance: called with what can be told at a glance, on that thread; see `EngineConnection`.

    Returns:
        The connection, and what is done at its end.

    Raises:
        OSError: Nobody listens there.
    """
    loop = asyncio.get_running_loop()
    if isinstance(where, Path):
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        connected.setblocking(False)
        try:
            await loop.sock_connect(connected, str(where))
        except BaseException:
            connected.close()
            raise
    else:
        connected = where
    closed: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is over, too
            loop.call_soon_threadsafe(_finish, closed)

    connection = EngineConnection(connected, new_session(), handle, at_a_glance, end)
    connection.start()
    return connection, closed


def _finish(closed: asyncio.Future[None]) -> None:
    if not closed.done():
        closed.set_result(None)


async def stay_connected(
    path: Path,
    new_session: Callable[[], PluginSession],
    handle: Callable[[EngineConnection, Event], None],
    at_a_glance: Callable[[Glimpse], Answer | None] = look,
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
        at_a_glance: called with what can be told at a glance.
        rng: where the jitter comes from.
        healthy: asked when a connection has ended: whether it had got so far that the next try may be at once.
    """
    pauses = backoff(rng)
    told = ""
    while True:
        try:
            _, closed = await connect(path, new_session, handle, at_a_glance)
        except OSError as error:
            trouble = f"{error.strerror or error}"
        else:
            await asyncio.shield(closed)
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
    return inherited
