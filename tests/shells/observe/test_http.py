"""The page that a scraper gets, and that nobody who connects can do harm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from nri_netdev.domain.address import ListenAddress
from nri_netdev.shells.observe import http

LOCAL = ListenAddress(host="127.0.0.1", port=0)
BIG = 4 << 20
REQUEST = b"GET /page HTTP/1.1\r\n\r\n"


async def page() -> tuple[str, bytes]:
    return "text/x", b"all of it"


async def big() -> tuple[str, bytes]:
    return "text/x", bytes(BIG)


async def broken() -> tuple[str, bytes]:
    raise ZeroDivisionError


def served(test: Callable[[int], Awaitable[None]]) -> None:
    """Run a test against a server, at most 30 s."""

    async def run() -> None:
        async with (
            asyncio.timeout(30),
            http.serving(LOCAL, {"/page": page, "/big": big, "/broken": broken}) as port,
        ):
            await test(port)

    asyncio.run(run())


class Caller:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.say = writer.write
        self.drain = writer.drain
        self._reader = reader

    async def heard(self, *, slowly: bool = False) -> bytes:
        """What is said until the end, however it ends."""
        parts: list[bytes] = []
        with contextlib.suppress(ConnectionResetError):
            while part := await self._reader.read(4096):
                parts.append(part)
                if slowly:
                    await asyncio.sleep(0.01)
        return b"".join(parts)


@contextlib.asynccontextmanager
async def calling(port: int) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(port: int, text: bytes) -> bytes:
    """All that is answered to these bytes."""
    async with calling(port) as caller:
        caller.say(text)
        return await caller.heard()


@pytest.mark.parametrize(
    ("text", "status", "body"),
    [
        (b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK", b"all of it"),
        (b"GET /page?name[]=x HTTP/1.0\r\n\r\n", b"200 OK", b"all of it"),
        (b"HEAD /page HTTP/1.1\r\n\r\n", b"200 OK", b""),
        (b"POST /page HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"405 Method Not Allowed", None),
        (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found", None),
        (b"GET /broken HTTP/1.1\r\n\r\n", b"500 Internal Server Error", b"see the log\n"),
        (b"GET /page\r\n\r\n", b"400 Bad Request", None),
        (b"PRI * HTTP/2.0\r\n\r\n", b"400 Bad Request", None),
        (b"\x16\x03\x01\r\n\r\n", b"400 Bad Request", None),
        (b"GET /page HTTP/1.1\r\nX: " + b"x" * 20000, b"431 Request Header Fields Too Large", None),
    ],
)
def test_answers(text: bytes, status: bytes, body: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    """One request, one answer whose length is told, and the connection ends."""

    async def test(port: int) -> None:
        head, _, content = (await ask(port, text)).partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"HTTP/1.1 " + status
        assert b"Connection: close" in lines
        if body is not None:
            assert content == body
        if not text.startswith(b"HEAD"):
            assert b"Content-Length: %d" % len(content) in lines

    with caplog.at_level(logging.CRITICAL, logger="nri_netdev"):
        served(test)


def test_in_pieces_and_large() -> None:
    """Every byte of a request may come alone; an answer larger than any buffer comes whole."""

    async def test(port: int) -> None:
        async with calling(port) as caller:
            for byte in b"GET /big HTTP/1.1\r\n\r\n":
                caller.say(bytes([byte]))
                await caller.drain()
            assert (await caller.heard()).endswith(bytes(BIG))

    served(test)


def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """And who says half of it, and who does not take the answer; others are served meanwhile."""
    monkeypatch.setattr(http, "_HEAD_S", 0.2)
    monkeypatch.setattr(http, "_ANSWER_S", 0.2)

    async def test(port: int) -> None:
        async with calling(port) as silent, calling(port) as half, calling(port) as deaf:
            half.say(b"GET /page HT")
            deaf.say(b"GET /big HTTP/1.1\r\n\r\n")
            assert (await ask(port, REQUEST)).endswith(b"all of it")
            assert await silent.heard() == b""
            assert await half.heard() == b""
            assert len(await deaf.heard(slowly=True)) < BIG

    served(test)


def test_no_more_than_so_many_at_once() -> None:
    """Those beyond are closed unheard; once a place is free it is given."""

    async def test(port: int) -> None:
        async with contextlib.AsyncExitStack() as stack:
            silent = [await stack.enter_async_context(calling(port)) for _ in range(http._AT_ONCE)]
            while await ask(port, REQUEST):
                pass
            silent[0].say(REQUEST)
            assert (await silent[0].heard()).endswith(b"all of it")
            while not (answer := await ask(port, REQUEST)):
                pass
            assert answer.endswith(b"all of it")

    served(test)


def test_its_end_ends_every_connection() -> None:
    """Who has connected and said nothing keeps nobody from stopping."""

    async def run() -> bytes:
        async with contextlib.AsyncExitStack() as callers:
            async with http.serving(LOCAL, {"/page": page}) as port:
                silent = await callers.enter_async_context(calling(port))
                await ask(port, REQUEST)
            return await silent.heard()

    assert asyncio.run(run()) == b""
