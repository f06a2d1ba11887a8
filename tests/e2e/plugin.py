"""A plugin of our own wire library on a real engine's socket: it notes what it hears and answers as told."""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from google.protobuf.message import Message

from nri_netdev.wire import methods
from nri_netdev.wire.session import Closed, Configured, EventKind, PluginSession, Refused, Request, Synchronized
from tests.e2e.wait import wait_until

Answer = Callable[[Request], Message | None]
"""What to answer to an event; raises `Refusal` to refuse."""


class Refusal(Exception):  # noqa: N818 - not a fault
    """An event is to be answered with an error of this text."""


class Plugin:
    """A plugin that is registered for as long as a block lasts.

    Args:
        path: the engine's NRI socket, as this process reaches it.
        answers: what to answer, by event; nothing to all others.
        name: of the plugin.
        index: of the plugin, two digits.

    Attributes:
        events: each event, in order.
        configured: what the engine told of itself.
        synchronized: what the engine told of its pods and containers.
    """

    def __init__(
        self, path: Path, *, answers: Mapping[EventKind, Answer] | None = None, name: str = "noter", index: str = "50"
    ) -> None:
        self.events: list[Request] = []
        self.configured: Configured | None = None
        self.synchronized: Synchronized | None = None
        self.closed: Closed | Refused | None = None
        self._answers = dict(answers or {})
        self._session = PluginSession(name, index, events=methods.EVENTS_BEFORE_0_10)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._thread = threading.Thread(target=self._run, name=name)

    def __enter__(self) -> Self:
        self._socket.sendall(self._session.start())
        self._thread.start()
        wait_until(lambda: self.synchronized or self.closed, timeout_s=10, what="Synchronize")
        assert self.closed is None, self.closed
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # the engine may have gone
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def kinds(self, *, container: str = "") -> list[EventKind]:
        """Return the events so far, or those of one container."""
        return [event.kind for event in self.events if container in {"", event.container.id}]

    def _run(self) -> None:
        while data := self._receive():
            for event in self._session.receive_data(data):
                match event:
                    case Request():
                        self.events.append(event)
                        self._send(self._answer(event))
                    case Configured():
                        self.configured = event
                    case Synchronized():
                        self._send(self._session.reply(event.request, None))
                        self.synchronized = event
                    case Closed() | Refused():
                        self.closed = event
            self._send(self._session.data_to_send())

    def _answer(self, event: Request) -> bytes:
        answer = self._answers.get(event.kind)
        try:
            return self._session.reply(event, answer(event) if answer else None)
        except Refusal as refusal:
            return self._session.refuse(event, str(refusal))

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:
            return b""

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendall(data)
