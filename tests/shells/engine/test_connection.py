"""The connection to the engine, over real sockets: it waits, comes back, and survives whoever is at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from nri_netdev.errors import ConfigurationError
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.engine import connection
from nri_netdev.shells.engine.connection import (
    EngineConnection,
    connect,
    launched_socket,
    stay_connected,
)
from nri_netdev.testing.engine import Engine
from nri_netdev.wire.methods import HOOKS, EventKind
from nri_netdev.wire.peek import Peek
from nri_netdev.wire.session import Closed, Event, PluginSession, Request, SessionState, Synchronized, event_mask
from tests.loop import within
from tests.wire.helpers import POD, serving

ONE, OTHER = random.Random(1), random.Random(2)  # noqa: S311 - repeatable


class Plugin:
    """Answers everything with nothing, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.connections: list[EngineConnection] = []

    def session(self) -> PluginSession:
        return PluginSession("test", "10", events=event_mask(EventKind.CREATE_CONTAINER))

    def answer_now(self, connection: EngineConnection, peek: Peek) -> bool:
        del connection, peek
        return False

    def handle(self, connection: EngineConnection, what: Event) -> None:
        if connection not in self.connections:
            self.connections.append(connection)
        self.told.append(what)
        if isinstance(what, Request):
            connection.reply(what, None)
        elif isinstance(what, Synchronized):
            connection.reply(what.request, None)

    @contextlib.contextmanager
    def staying(self, path: Path, *, healthy: Callable[[], bool] = lambda: False) -> Iterator[asyncio.Task[None]]:
        task = asyncio.ensure_future(stay_connected(path, self.session, self, rng=ONE, healthy=healthy))
        try:
            yield task
        finally:
            task.cancel()
            for connection in self.connections:
                connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nri.sock"


on_loop = within(30)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for knows no event loop
        await asyncio.sleep(0)


# -- one connection ----------------------------------------------------------------------------------------------------


@on_loop
async def test_from_registration_to_the_end(path: Path) -> None:
    """Every event of the session is handed on, in order, and the end is waited for."""
    plugin = Plugin()
    async with Engine(path) as there:
        _, closed = await connect(path, plugin.session, plugin)
        assert await there.wait_plugin() == "10-test"
        await there.create_container(nri_pb2.PodSandbox(id="p"), nri_pb2.Container(id="c", pod_sandbox_id="p"))
        there.hang_up()
        await closed
    kinds = [type(what).__name__ for what in plugin.told]
    assert sorted(kinds[:2]) == ["Configured", "Registered"]
    assert kinds[2:] == ["Synchronized", "Request", "Closed"]


@on_loop
async def test_who_is_at_the_other_end(path: Path) -> None:
    """The engine's process; nobody any more once the connection is over."""
    plugin = Plugin()
    async with Engine(path) as there:
        connection, closed = await connect(path, plugin.session, plugin)
        await there.wait_plugin()
        assert connection.peer_pid() == os.getpid()
        connection.close()
        await closed
    assert connection.peer_pid() == 0


@on_loop
async def test_nobody_listens(path: Path) -> None:
    """It is an error that says why."""
    with pytest.raises(FileNotFoundError):
        await connect(path, Plugin().session, Plugin())


@on_loop
async def test_closed_by_us(path: Path) -> None:
    """Whatever is sent afterwards goes nowhere, silently."""
    plugin = Plugin()
    async with Engine(path) as there:
        connection, closed = await connect(path, plugin.session, plugin)
        await there.wait_plugin()
        connection.close()
        await closed
        *_, synchronized, last = plugin.told
        assert isinstance(last, Closed)
        assert isinstance(synchronized, Synchronized)
        connection.reply(synchronized.request, None)


@pytest.mark.parametrize(
    ("rubbish", "then_eof"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b"\xff" * 64, False),
        (b"\0\0\0\x01\0\0", True),
    ],
)
def test_a_peer_that_is_no_engine(
    path: Path, caplog: pytest.LogCaptureFixture, rubbish: bytes, *, then_eof: bool
) -> None:
    """Is hung up on, and told of in the log; nothing is raised."""

    @on_loop
    async def check(path: Path) -> None:
        plugin = Plugin()
        ended = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(rubbish)
            if then_eof:
                writer.write_eof()
            while await reader.read(1000):
                pass
            writer.close()
            ended.set()

        async with await asyncio.start_unix_server(answer, path):
            _, closed = await connect(path, plugin.session, plugin)
            await closed
            await ended.wait()
        [closed] = plugin.told
        assert isinstance(closed, Closed)
        assert closed.error is not None

    check(path)
    assert [record.message for record in caplog.records] == ["engine.broke_protocol"]


class Stub:
    """A session that serves from the beginning, and an engine's end of its socket."""

    def __init__(self) -> None:
        self.theirs, ours = socket.socketpair()
        self.ended = threading.Event()
        self.told: list[Event] = []
        self.peeked: list[Peek] = []
        self.fault = ""
        """When the next answer to a peek fails: before or after it is sent."""
        session, self.engine = serving()
        self.connection = EngineConnection(ours, session, self, self.ended.set)
        session._state = SessionState.NEW
        self.connection.start()
        self.theirs.recv(1000)
        session._state = SessionState.SERVING

    def handle(self, connection: EngineConnection, what: Event) -> None:
        self.told.append(what)
        if isinstance(what, Request):
            connection.reply(what, None)

    def answer_now(self, connection: EngineConnection, peek: Peek) -> bool:
        self.peeked.append(peek)
        if peek.method == "StopContainer":
            return False
        if self.fault == "before":
            raise ZeroDivisionError
        connection.answer(peek)
        if self.fault == "after":
            raise ZeroDivisionError
        return True

    def answered(self) -> int:
        """The stream id of the next answer."""
        return int.from_bytes(self.theirs.recv(18, socket.MSG_WAITALL)[12:16], "big")

    def hang_up(self) -> None:
        """End the connection, and see that it ends."""
        self.theirs.close()
        assert self.ended.wait(20)


@pytest.fixture
def stub() -> Iterator[Stub]:
    one = Stub()
    yield one
    one.hang_up()


@pytest.mark.parametrize("cut", [1, 8, 18, 60, 4104, 4112])
def test_in_pieces_as_at_once(stub: Stub, cut: int) -> None:
    """An event whose bytes come in two pieces is recognised all the same, and answered once."""
    container = nri_pb2.Container(id="c", env=["x" * 5000])
    data = stub.engine.request("CreateContainer", nri_pb2.CreateContainerRequest(pod=POD, container=container))
    stub.theirs.sendall(data[:cut])
    stub.theirs.sendall(data[cut:])
    assert stub.answered() == stub.peeked[0].stream_id
    stub.hang_up()
    assert [type(what) for what in stub.told] == [Closed]


def test_peeked_or_decoded(stub: Stub) -> None:
    """Each is answered once, by who took it."""
    kinds = (EventKind.CREATE_CONTAINER, EventKind.STOP_CONTAINER, EventKind.REMOVE_CONTAINER, EventKind.STOP_CONTAINER)
    for kind in kinds:
        stub.theirs.sendall(stub.engine.hook(kind))
        stub.answered()
    stub.hang_up()
    assert [peeked.method for peeked in stub.peeked] == [HOOKS[kind].method for kind in kinds]
    assert [type(what) for what in stub.told] == [Request, Request, Closed]


def test_a_bug_in_the_answer_to_a_peek(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    """Is logged, and the event is decoded instead."""
    stub.fault = "before"
    stub.theirs.sendall(stub.engine.hook(EventKind.CREATE_CONTAINER))
    stub.answered()
    assert [type(what) for what in stub.told] == [Request]
    assert [record.message for record in caplog.records] == ["engine.bug"]


def test_a_bug_after_the_answer_to_a_peek(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    """Ends the connection: the engine has its answer, and what should have followed is not known to be done."""
    stub.fault = "after"
    stub.theirs.sendall(stub.engine.hook(EventKind.CREATE_CONTAINER))
    stub.answered()
    assert stub.ended.wait(20)
    assert [type(what) for what in stub.told] == [Closed]
    assert [record.message for record in caplog.records] == ["engine.bug"]


def test_a_bug_in_a_handler(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    """Ends the connection, so that the engine does not wait for nothing; a new one will be made."""
    stub.handle = lambda _, what: 1 / (not isinstance(what, Request))  # type: ignore[assignment,return-value,method-assign]
    stub.theirs.sendall(stub.engine.hook(EventKind.STOP_CONTAINER))
    assert stub.ended.wait(20)
    assert [record.message for record in caplog.records] == ["engine.bug"]


def test_the_end_in_the_middle_of_a_message(stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    """Is an error, though nothing of it was looked at."""
    stub.theirs.sendall(stub.engine.hook(EventKind.STOP_CONTAINER)[:40])
    stub.hang_up()
    assert [record.message for record in caplog.records] == ["engine.broke_protocol"]


# -- staying connected -------------------------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No pauses; every time that they begin anew is counted."""
    begun: list[int] = []

    def no_pauses(*_: object) -> Iterator[float]:
        begun.append(0)
        while True:
            begun[-1] += 1
            yield 0.0

    monkeypatch.setattr(connection, "backoff", no_pauses)
    return begun


def test_waits_for_the_engine_and_comes_back(path: Path, at_once: list[int], caplog: pytest.LogCaptureFixture) -> None:
    """Not there yet, there, gone, there again; each change of that is told once, however often it was tried."""

    @on_loop
    async def check(path: Path) -> None:
        plugin = Plugin()
        with plugin.staying(path, healthy=lambda: True):
            await until(lambda: sum(at_once) >= 5)
            for _ in range(2):
                async with Engine(path) as there:
                    await there.wait_plugin()
        assert len(plugin.connections) == 2

    caplog.set_level(logging.INFO)
    check(path)
    reasons = [record.fields["reason"] for record in caplog.records if record.message == "engine.away"]  # type: ignore[attr-defined]
    assert reasons[0] == "No such file or directory"
    assert all(one != other for one, other in pairwise(reasons))
    assert len(reasons) <= 5


@pytest.mark.parametrize("is_healthy", [True, False])
def test_only_success_shortens_the_pauses(path: Path, at_once: list[int], is_healthy: bool) -> None:
    """An engine that hangs up at once is tried ever more rarely; one that had served us is tried again soon."""

    @on_loop
    async def check(path: Path) -> None:
        plugin = Plugin()

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_unix_server(hang_up, path):
            with plugin.staying(path, healthy=lambda: is_healthy):
                await until(lambda: len(plugin.connections) >= 4)

    check(path)
    assert (len(at_once) > 1) == is_healthy


@on_loop
async def test_cancelled_it_leaves_the_connection(path: Path) -> None:
    """There may be answers to give yet."""
    plugin = Plugin()
    async with Engine(path) as there:
        with plugin.staying(path) as task:
            await there.wait_plugin()
            task.cancel()
            await asyncio.wait([task])
            await there.create_container(nri_pb2.PodSandbox(id="p"), nri_pb2.Container(id="c", pod_sandbox_id="p"))
            assert there.plugins == ("10-test",)
            assert isinstance(plugin.told[-1], Request)


@on_loop
async def test_launched(path: Path) -> None:
    """It speaks over the socket that it was born with."""
    plugin = Plugin()
    ours, theirs = socket.socketpair()
    _, closed = await connect(launched_socket(theirs.detach()), plugin.session, plugin)
    reader, writer = await asyncio.open_connection(sock=ours)
    assert b"RegisterPlugin" in await reader.readuntil(b"test\x12\x0210")
    writer.close()
    await closed


def test_launched_with_something_else(tmp_path: Path) -> None:
    """A file, a pipe, a socket of another kind or without a peer: refused, and left open for whoever owns it."""
    with (
        (tmp_path / "file").open("wb") as file,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram,
        socket.socket(socket.AF_INET) as inet,
        socket.socket(socket.AF_UNIX) as alone,
    ):
        for fd, reason in (
            (file.fileno(), "is not a socket: Socket operation on non-socket"),
            (datagram.fileno(), "is not a unix stream socket"),
            (inet.fileno(), "is not a unix stream socket"),
            (alone.fileno(), "is not connected: Transport endpoint is not connected"),
        ):
            with pytest.raises(ConfigurationError, match=f"NRI_PLUGIN_SOCKET={fd} {reason}"):
                launched_socket(fd)
            os.fstat(fd)
        with pytest.raises(ConfigurationError, match="is not a socket: Bad file descriptor"):
            launched_socket(file.fileno() + 1000)
