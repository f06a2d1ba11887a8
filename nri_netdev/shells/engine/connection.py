"""The connection to the engine: moves bytes between a socket and a `PluginSession`, and connects again when it is lost.

A thread of its own reads and calls back with events, so that an answer that needs no waiting is sent from that thread,
and the engine never waits for an event loop to come round (docs/adr/0011).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from google.protobuf.message import Message

from nri_netdev.backoff import backoff
from nri_netdev.errors import ConfigurationError
from nri_netdev.log import event
from nri_netdev.wire.peek import Peek
from nri_netdev.wire.session import Closed, Event, Pending, PluginSession

_log = logging.getLogger(__name__)

BACKOFF_FIRST_S = 0.1
BACKOFF_LAST_S = 5.0
"""Pauses between tries to connect."""

_BUFFER_BYTES = 1 << 16
"""The most that is read from the socket at once."""
_SEND_S = 5
"""How long the engine may leave what we send unread, in seconds."""


class Handler(Protocol):
    """Whoever acts on what the engine sends; called in order, on the thread that reads."""

    def answer_now(self, connection: EngineConnection, peek: Peek) -> bool:
        """Answer an event recognised by `PluginSession.peek`, by `connection.answer`, if that takes no time.

        The engine waits, so it must return within some milliseconds.

        Returns:
            Whether it is answered. If not, it is decoded and passed to `handle`.
        """

    def handle(self, connection: EngineConnection, what: Event) -> None:
        """Take an event of the session."""


class EngineConnection:
    """One connection of the plugin to the engine; may be used on any thread.

    Args:
        connected: the socket, which is closed at the end.
        session: the plugin's side of NRI, new.
        handler: acts on what the engine sends.
        ended: called at the end, on the thread that reads.
    """

    def __init__(
        self,
        connected: socket.socket,
        session: PluginSession,
        handler: Handler,
        ended: Callable[[], None],
    ) -> None:
        self._socket = connected
        self._session = session
        self._handler = handler
        self._ended = ended
        self._lock = threading.Lock()
        """Of the session, and of what is sent."""
        self._is_answered = False
        """Whether the event that is being handled without decoding has its answer."""
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        connected.setblocking(True)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _SEND_S, 0))

    def start(self) -> None:
        """Register with the engine, and read what it sends from now on."""
        with self._lock:
            self._send(self._session.start())
        threading.Thread(target=self._read, name="engine", daemon=True).start()

    def reply(self, request: Pending, message: Message | None) -> None:
        """Answer (`PluginSession.reply`); without effect once the connection is over."""
        with self._lock:
            self._send(self._session.reply(request, message))

    def refuse(self, request: Pending, text: str) -> None:
        """Refuse, with the reason (`PluginSession.refuse`); without effect once the connection is over."""
        with self._lock:
            self._send(self._session.refuse(request, text))

    def answer(self, peek: Peek, payload: bytes = b"") -> None:
        """Answer a recognised event, within `Handler.answer_now` alone.

        Args:
            peek: the event.
            payload: the encoded response; empty for nothing to adjust.
        """
        self._is_answered = True
        with self._lock:
            self._send(self._session.answer(peek, payload))

    def peer_pid(self) -> int:
        """The process that listens on the engine's socket; 0 if that is in a pid namespace that cannot be seen."""
        try:
            pid, _, _ = struct.unpack("=iII", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError:  # the connection is over
            return 0
        return int(pid)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _send(self, data: bytes) -> None:
        try:
            if data:
                self._socket.sendall(data)
        except OSError:
            self.close()  # the reading thread ends the connection

    def _read(self) -> None:
        """Read and call back, until the end."""
        how: Closed | None = None
        while how is None:
            try:
                for what in self._read_events():
                    self._handler.handle(self, what)
                    how = what if isinstance(what, Closed) else None
            except Exception:  # noqa: BLE001 - the root of a thread
                event(_log, logging.ERROR, "engine.bug", exc_info=True)
                how = Closed(error=None)
                self._handler.handle(self, how)
        if how.error is not None:
            event(_log, logging.ERROR, "engine.broke_protocol", error=str(how.error))
        self._socket.close()
        self._ended()

    def _read_events(self) -> list[Event]:
        """Wait for bytes, and answer an event that needs no decoding; returns all other events."""
        size = self._receive(0)
        peeked = self._peek(size)
        while peeked is None and 0 < size < self._session.expected_bytes(self._buffer[:size]) <= len(self._buffer):
            more = self._receive(size)
            if not more:
                break
            size += more
            peeked = self._peek(size)
        if peeked is not None and self._answer(peeked):
            return []
        with self._lock:
            events = self._session.receive_data(self._buffer[:size]) if size else self._session.receive_eof()
            self._send(self._session.data_to_send())
        return events

    def _receive(self, begin: int) -> int:
        """Wait for bytes, and put them into the buffer from this place on; returns how many, 0 at the end."""
        try:
            return self._socket.recv_into(self._buffer[begin:])
        except OSError as error:
            event(_log, logging.WARNING, "engine.lost", error=str(error))
            return 0

    def _peek(self, size: int) -> Peek | None:
        with self._lock:
            return self._session.peek(self._buffer[:size])

    def _answer(self, peeked: Peek) -> bool:
        """Have a recognised event answered; returns whether it is."""
        self._is_answered = False
        try:
            return self._handler.answer_now(self, peeked)
        except Exception:
            if self._is_answered:
                raise
            event(_log, logging.ERROR, "engine.bug", exc_info=True)
            return False  # decoding it is another chance


async def connect(
    where: Path | socket.socket,
    new_session: Callable[[], PluginSession],
    handler: Handler,
) -> tuple[EngineConnection, asyncio.Future[None]]:
    """Connect to the engine's socket, or take over one that is connected already.

    Args:
        where: the engine's socket.
        new_session: makes the session.
        handler: acts on what the engine sends.

    Returns:
        The connection, and a future that is done at its end.

    Raises:
        OSError: No engine listens there.
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

    connection = EngineConnection(connected, new_session(), handler, end)
    connection.start()
    return connection, closed


def _finish(closed: asyncio.Future[None]) -> None:
    if not closed.done():
        closed.set_result(None)


async def stay_connected(
    path: Path,
    new_session: Callable[[], PluginSession],
    handler: Handler,
    *,
    rng: random.Random,
    healthy: Callable[[], bool],
) -> None:
    """Connect to the engine, and again whenever it goes away; never returns.

    Cancelled, it leaves the connection open, since answers may still be due.

    Args:
        path: the engine's NRI socket, which need not exist yet.
        new_session: makes the session of each connection.
        handler: acts on what the engine sends.
        rng: where the jitter comes from.
        healthy: called when a connection has ended; returns whether it got so far that the next try may follow at once.
    """
    pauses = backoff(BACKOFF_FIRST_S, BACKOFF_LAST_S, rng)
    logged = ""
    while True:
        try:
            _, closed = await connect(path, new_session, handler)
        except OSError as error:
            trouble = f"{error.strerror or error}"
        else:
            await asyncio.shield(closed)
            trouble = "the engine closed the connection"
            if healthy():
                pauses = backoff(BACKOFF_FIRST_S, BACKOFF_LAST_S, rng)
                logged = ""
        if trouble != logged:
            event(_log, logging.WARNING, "engine.away", socket=path, reason=trouble, action="trying again")
            logged = trouble
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
