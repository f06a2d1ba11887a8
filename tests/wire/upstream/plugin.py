"""A plugin for tests: a `PluginSession` on a blocking socket, played step by step."""

import contextlib
import socket
from pathlib import Path
from typing import Self, TypeVar

from google.protobuf.message import Message

from nri_netdev.wire.session import Event, Pending, PluginSession
from tests.wire.recording import ENGINE, PLUGIN, Recording, describe
from tests.wire.upstream.engine import PATIENCE_S

AnEvent = TypeVar("AnEvent", bound=Event)


class PluginOnSocket:
    """Connects, sends the session's first bytes, and then does what a test says.

    Args:
        socket_path: the engine's socket.
        session: not yet started.
        recording: where to write everything down.
    """

    def __init__(self, socket_path: Path, session: PluginSession, recording: Recording | None = None) -> None:
        self.session = session
        self._recording = recording
        self._events: list[Event] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(str(socket_path))
        self.send(session.start())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; if the engine has hung up, `wait` will tell."""
        if self._recording and data:
            self._recording.chunks.append((PLUGIN, data))
        with contextlib.suppress(BrokenPipeError):
            self._socket.sendall(data)

    def reply(self, request: Pending, message: Message | None = None) -> None:
        """Answer a request."""
        if self._recording:
            self._recording.note_reply(request, message)
        self.send(self.session.reply(request, message))

    def refuse(self, request: Pending, text: str) -> None:
        """Answer a request with an error."""
        if self._recording:
            self._recording.note_refusal(request, text)
        self.send(self.session.refuse(request, text))

    def wait(self, kind: type[AnEvent]) -> AnEvent:
        """Return the next event of a kind; those of other kinds stay for later."""
        while True:
            for at, event in enumerate(self._events):
                if isinstance(event, kind):
                    del self._events[at]
                    return event
            assert not self.session.is_dead, f"no {kind.__name__} before the end, but {self._events}"
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        events = self.session.receive_data(data) if data else self.session.receive_eof()
        if self._recording:
            self._recording.chunks.append((ENGINE, data))
            self._recording.events += map(describe, events)
        self._events += events
        self.send(self.session.data_to_send())
