"""Receives what a daemon publishes of pods (`nri_netdev.shells.observe.stream`), in a process without an event loop."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nri_netdev.errors import StateError

_CONNECT_S = 5.0
_LINE_BYTES = 1 << 20
"""More than the longest line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """An event of the log."""

    number: int
    """From 1 on in each ring."""
    at_s: float
    """Seconds since the epoch."""
    name: str
    fields: Mapping[str, Any]
    """Its context, as JSON has it."""


def line(document: Mapping[str, Any]) -> bytes:
    """A document as one line of the stream."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


class Listener:
    """Receives what a daemon publishes, and goes on where it was after the connection was lost; plain blocking calls.

    Args:
        path: of the daemon's socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._rest = b""
        self._ring = ""
        self._number = -1
        """Of the latest event; -1 before any, when nobody knows what an earlier process has received."""
        self.lost = 0
        """Events that had left the ring before they could be received, so far."""

    def receive(self, timeout_s: float) -> tuple[LogEvent, ...]:
        """The next events, as soon as there are any; nothing after so many seconds.

        Raises:
            StateError: Nobody answers, or the connection is lost. The next call connects anew.
        """
        connection = self._socket or self._connect()
        connection.settimeout(max(timeout_s, 0.001))
        try:
            data = connection.recv(1 << 16)
        except TimeoutError:
            return ()
        except OSError as error:
            self.close()
            raise self._away(error.strerror or str(error)) from error
        if not data:
            self.close()
            raise self._away("the daemon hung up")
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            if len(self._rest) > _LINE_BYTES:
                raise ValueError("a line has no end")  # noqa: TRY301 - one of the ways in which it is none of ours
            return tuple(self._read(lines))
        except (ValueError, TypeError, KeyError) as error:
            self.close()
            raise StateError(f"what answers at {self._path} is no nri-netdev: {error}") from error

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._rest = None, b""

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_CONNECT_S)
        try:
            connection.connect(str(self._path))
            connection.sendall(line({"ring": self._ring, "number": self._number}))
        except OSError as error:
            connection.close()
            raise self._away(error.strerror or str(error)) from error
        self._socket = connection
        return connection

    def _read(self, lines: Sequence[bytes]) -> Iterator[LogEvent]:
        for line in lines:
            document = json.loads(line)
            if "ring" in document:
                if self._ring and self._ring != document["ring"]:
                    self._number = 0
                self._ring = document["ring"]
            else:
                received = LogEvent(**document)
                self.lost += max(0, received.number - self._number - 1) if self._number >= 0 else 0
                self._number = received.number
                yield received

    def _away(self, why: str) -> StateError:
        return StateError(f"no daemon tells events at {self._path}: {why}", hint="does nri-netdev run, with --events?")
