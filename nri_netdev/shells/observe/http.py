"""A minimal HTTP/1.1 server for scrapers, on the event loop: GET of whole pages, one request per connection.

Clients are not trusted: the head of a request is bounded in size and time, the answer in time, and connections in
number. A body is not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus

from nri_netdev.domain.address import ListenAddress
from nri_netdev.log import event

_log = logging.getLogger(__name__)

_HEAD_BYTES = 16384
"""Of request line and headers; Prometheus sends some 300."""
_HEAD_S = 5.0
_ANSWER_S = 10.0
"""As long as Prometheus waits by default."""
_AT_ONCE = 16
"""Connections at one time; further ones are closed at once."""

Page = Callable[[], Awaitable[tuple[str, bytes]]]
"""Returns the content type and the content of a page."""


@contextlib.asynccontextmanager
async def serving(address: ListenAddress, pages: Mapping[str, Page]) -> AsyncIterator[int]:
    """Serve pages while a block runs.

    Args:
        address: where to listen; not a unix socket.
        pages: by path.

    Yields:
        The port.

    Raises:
        OSError: It cannot listen there.
    """
    talking: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_HEAD_S):
                status, method, path = await _head(reader)
            async with asyncio.timeout(_ANSWER_S):
                writer.write(await _answer(pages, status, method, path))
                await writer.drain()
                writer.close()
                await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(talking) >= _AT_ONCE:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(talk(reader, writer))
        talking.add(task)

        def ended(_: object) -> None:
            talking.discard(task)
            writer.transport.abort()  # nothing, where it has been closed

        task.add_done_callback(ended)

    server = await asyncio.start_server(connected, address.host, address.port, limit=_HEAD_BYTES)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def _head(reader: asyncio.StreamReader) -> tuple[HTTPStatus, str, str]:
    """Read the head of a request: the status to answer with, if not OK; method and path."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "", ""
    parts = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        return HTTPStatus.BAD_REQUEST, "", ""
    method, target, _ = parts
    return HTTPStatus.OK, method, target.partition("?")[0]


async def _answer(pages: Mapping[str, Page], status: HTTPStatus, method: str, path: str) -> bytes:
    page = pages.get(path)
    if status is HTTPStatus.OK and page is None:
        status = HTTPStatus.NOT_FOUND
    elif status is HTTPStatus.OK and method not in {"GET", "HEAD"}:
        status = HTTPStatus.METHOD_NOT_ALLOWED
    kind, content = "text/plain", f"{status.phrase}; there is {', '.join(pages)}\n".encode()
    if status is HTTPStatus.OK and page is not None:
        try:
            kind, content = await page()
        except Exception:  # noqa: BLE001 - the root of a task
            event(_log, logging.ERROR, "page.bug", path=path, exc_info=True)
            status, content = HTTPStatus.INTERNAL_SERVER_ERROR, b"see the log\n"
    allow = "Allow: GET, HEAD\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(content)}\r\n{allow}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if method == "HEAD" else content)
