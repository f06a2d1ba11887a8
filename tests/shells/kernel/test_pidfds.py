"""The end of a process is noticed at once, whoever gets its pid next, and no fd is left."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nri_netdev.domain.claim import Netns
from nri_netdev.shells.kernel import pidfds
from nri_netdev.shells.kernel.netns import OWN, netns_id
from nri_netdev.shells.kernel.pidfds import Pidfds, is_alive
from tests.shells.conftest import Net

FREE_PID = 2**22 + 1
"""Above every pid."""


def own_netns() -> Netns:
    dev, ino = netns_id(OWN)
    return Netns(path=OWN, dev=dev, ino=ino)


@pytest.fixture
def watched() -> Iterator[Pidfds]:
    watched = Pidfds()
    yield watched
    watched.close()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def is_readable(watched: Pidfds, timeout_s: float = 0) -> bool:
    return bool(select.select([watched], [], [], timeout_s)[0])


def test_the_end_of_a_process(watched: Pidfds, process: subprocess.Popen[bytes]) -> None:
    """The fd is readable from then on, before anybody has waited for the process, until it is watched no more."""
    assert watched.watch("c", process.pid, own_netns())
    assert not is_readable(watched)
    assert watched.ended() == frozenset()

    process.kill()

    assert is_readable(watched, 5)
    assert watched.ended() == {"c"}
    assert not is_alive(process.pid)

    process.wait()

    assert watched.ended() == {"c"}

    watched.keep(())

    assert not is_readable(watched)
    assert watched.ended() == frozenset()


def test_a_name_stands_for_one_process(watched: Pidfds, process: subprocess.Popen[bytes]) -> None:
    """The first that was watched under it, until that is given up."""
    assert watched.watch("c", process.pid, own_netns())
    assert watched.watch("c", os.getpid(), own_netns())

    process.kill()

    assert is_readable(watched, 5)
    assert watched.ended() == {"c"}


def test_nobody_is_watched_who_has_ended(watched: Pidfds, process: subprocess.Popen[bytes]) -> None:
    """Be it a zombie, or a pid that is free or never was one."""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    for pid in (process.pid, FREE_PID, 0, -1):
        assert not watched.watch("c", pid, own_netns())
        assert not is_alive(pid)
    assert not is_readable(watched)


@pytest.mark.root
def test_nobody_is_watched_who_is_elsewhere(watched: Pidfds, process: subprocess.Popen[bytes], pod: Net) -> None:
    """Another netns, another process: or a pid of another pid namespace."""
    dev, ino = netns_id(pod.fd)

    assert not watched.watch("c", process.pid, Netns(path=pod.path, dev=dev, ino=ino))
    assert is_alive(process.pid)


HEADLESS = """
import ctypes, sys, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_lives_as_long_as_any_thread_of_it(watched: Pidfds) -> None:
    """Its first thread has ended, which makes it look like a zombie, and another one works on."""
    with subprocess.Popen([sys.executable, "-c", HEADLESS]) as process:
        assert watched.watch("c", process.pid, own_netns())
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0] != "Z":
            pass

        assert is_alive(process.pid)
        assert watched.ended() == frozenset()

        (thread,) = {int(one.name) for one in Path(f"/proc/{process.pid}/task").iterdir()} - {process.pid}

        assert not is_alive(thread)  # no process has this pid

        process.kill()

        assert is_readable(watched, 5)


def test_no_fd_is_left(process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """However watching ends, and where it does not begin; and there is a limit."""
    monkeypatch.setattr(pidfds, "MAX_WATCHED", 3)
    before = open_fds()
    watched = Pidfds()
    for name in "abcd":
        assert watched.watch(name, process.pid, own_netns()) == (name != "d")
    watched.watch("e", FREE_PID, own_netns())

    assert len(open_fds() - before) == 1 + 3

    watched.keep({"b"})

    assert len(open_fds() - before) == 1 + 1

    watched.close()

    assert open_fds() == before


def open_fds() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()}


def test_what_cannot_be_watched(watched: Pidfds, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no file left to open nobody is watched, and whoever is there counts as alive."""

    def refuse(_: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)

    assert not watched.watch("c", os.getpid(), own_netns())
    assert is_alive(os.getpid())
    assert not is_alive(FREE_PID)
