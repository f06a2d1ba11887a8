"""The status of the running daemon: one JSON document for each connection to a unix socket.

A socket rather than a file, so that the document is never out of date: without a daemon nobody answers. It is in the
run directory, which only root can enter.
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
    """Serve the document while a block runs. If the socket cannot be made, that is logged and the block runs without.

    Args:
        run_dir: the directory of the socket.
        document: returns the document; called on the loop.
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
        server = await asyncio.start_unix_server(answer, path, start_serving=False)
    except OSError as error:
        event(_log, logging.WARNING, "status.unavailable", socket=path, error=error.strerror or str(error))
        yield
        return
    try:
        path.chmod(0o600)
        await server.start_serving()
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


def read(run_dir: Path, *, timeout_s: float = 3.0) -> Document:
    """Read the document of the running daemon.

    Raises:
        StateError: No daemon runs with this run directory, or it does not answer.
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
                f"no daemon answers at {path}: {error.strerror or error}",
                hint="does nri-netdev run, with this --run-dir?",
            ) from error
    try:
        document: Document = json.loads(b"".join(parts))
    except ValueError as error:
        raise StateError(f"what answers at {path} is no nri-netdev: {error}") from error
    return document
