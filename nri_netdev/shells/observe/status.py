"""What `nri-netdev status` shows: the running daemon writes one JSON document to whoever connects to its socket.

A socket rather than a file, so that what is read is true now, or nobody is there. It is in the run directory, which is
root's alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from nri_netdev.errors import StateError
from nri_netdev.log import event

_log = logging.getLogger(__name__)

SOCKET = "status.sock"
"""Name of the socket in the run directory."""
_ANSWER_BYTES = 1 << 20
"""More than the longest document: a thousand claims."""

Document = Mapping[str, Any]


@contextlib.asynccontextmanager
async def serving(run_dir: Path, document: Callable[[], Document]) -> AsyncIterator[None]:
    """Tell whoever asks, for as long as a block lasts. Where the socket cannot be made, that is told in the log.

    Args:
        run_dir: where the socket is.
        document: what to tell; called on the loop.
    """

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(json.dumps(document()).encode())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    path = run_dir / SOCKET
    try:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: ASYNC240 - once, on a tmpfs
        server = await asyncio.start_unix_server(answer, path)
    except OSError as error:
        event(_log, logging.WARNING, "status.unavailable", socket=path, error=error.strerror or str(error))
        yield
        return
    try:
        path.chmod(0o600)
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


def read(run_dir: Path, *, timeout_s: float = 3.0) -> Document:
    """Ask the running daemon.

    Raises:
        StateError: None runs with this run directory, or it does not answer.
    """
    path = run_dir / SOCKET
    parts: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(timeout_s)
        try:
            asking.connect(str(path))
            while (part := asking.recv(65536)) and sum(map(len, parts)) < _ANSWER_BYTES:
                parts.append(part)
        except OSError as error:
            raise StateError(
                f"no daemon answers at {path}: {error.strerror or error}; does nri-netdev run, with this --run-dir?"
            ) from error
    try:
        document: Document = json.loads(b"".join(parts))
    except ValueError as error:
        raise StateError(f"what answers at {path} is no nri-netdev: {error}") from error
    return document
