"""A listener and whatever else may be at the other end; with a daemon it is tested in test_stream.py."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from nri_netdev.errors import StateError
from nri_netdev.shells.observe.listener import Listener


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[None]:
    """Somebody who says these things, a pause between them."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def talk() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(1024)
                for answer in answers:
                    connection.sendall(answer)

        thread = threading.Thread(target=talk)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize("answer", [b"hello\n", b"[]\n", b'{"a": 1}\n', b'{"ring": "r"}\n{"number": 1}\n'])
def test_no_daemon_of_ours(tmp_path: Path, answer: bytes) -> None:
    """Is told from one."""
    listener = Listener(tmp_path / "s")
    with answering(tmp_path / "s", answer), pytest.raises(StateError, match=r"is no nri-netdev"):
        listener.receive(5)


def until_it_fails(listener: Listener) -> None:
    while True:
        listener.receive(5)


def test_a_line_without_end(tmp_path: Path) -> None:
    """Is not read for ever."""
    listener = Listener(tmp_path / "s")
    with answering(tmp_path / "s", bytes(1 << 21)), pytest.raises(StateError, match="a line has no end"):
        until_it_fails(listener)


def test_lines_in_pieces(tmp_path: Path) -> None:
    """However they are cut."""
    line = b'{"number":1,"at_s":1.5,"name":"claim.home","fields":{"pod":"a/b"}}\n'
    whole = b'{"ring":"r"}\n' + line
    events = []
    for cut in range(1, len(whole)):
        path = tmp_path / str(cut)
        listener = Listener(path)
        with answering(path, whole[:cut], whole[cut:]):
            received: tuple[object, ...] = ()
            while not received:
                received = listener.receive(5)
            events += received
        listener.close()
    assert len(events) == len(whole) - 1
    assert {one.fields["pod"] for one in events} == {"a/b"}


def sent(*numbers: int, ring: str = "r") -> bytes:
    document = '{{"number":{},"at_s":1.5,"name":"claim.home","fields":{{}}}}'
    return "\n".join([f'{{"ring":"{ring}"}}', *map(document.format, numbers), ""]).encode()


def test_what_is_lost(tmp_path: Path) -> None:
    """Is counted by the gaps in the numbers, but for what was before this process; another daemon begins at 1."""
    listener, lost = Listener(tmp_path / "s"), []
    for answer in (sent(7, 8, 11), sent(13), sent(4, ring="other")):
        (tmp_path / "s").unlink(missing_ok=True)
        with answering(tmp_path / "s", answer), pytest.raises(StateError, match="hung up"):
            until_it_fails(listener)
        lost.append(listener.lost)
    assert lost == [2, 3, 6]


def test_nobody_takes_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is an error, and not taken for silence on a connection that there is not."""

    def time_out(*_: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr("nri_netdev.shells.observe.listener.socket.socket.connect", time_out, raising=False)
    listener = Listener(tmp_path / "s")
    for _ in range(2):
        with pytest.raises(StateError, match="timed out"):
            listener.receive(0.01)
