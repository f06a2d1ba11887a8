"""Network namespaces: distinguished, pinned, entered."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.netns import (
    OWN,
    call_in_netns,
    is_netns,
    is_same_namespace,
    netns_id,
    open_netns,
    pin,
    pins,
    unpin,
)
from tests.shells.conftest import Net


@pytest.fixture
def pinned(tmp_path: Path, pod: Net) -> Iterator[Path]:
    """A pin of the pod's netns."""
    path = tmp_path / "netns" / "one"
    pin(pod.path, path)
    yield path
    unpin(path)


def test_what_is_a_netns_and_what_is_not(tmp_path: Path) -> None:
    """A file, a directory, another namespace and nothing at all are none."""
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    assert is_netns(OWN)
    for path in (tmp_path / "file", tmp_path, tmp_path / "fifo", tmp_path / "nothing", "/proc/self/ns/mnt"):
        assert not is_netns(path), path
    with pytest.raises(KernelError, match="it is not one"):
        netns_id(tmp_path / "file")
    with pytest.raises(KernelError, match="No such file"), open_netns(tmp_path / "nothing"):
        pass


@pytest.mark.root
def test_netns_are_distinguished(home: Net, pod: Net) -> None:
    """Two have two numbers, one has one by whatever path; the caller's own never changes."""
    before = netns_id(OWN)
    assert len({netns_id(home.fd), netns_id(pod.fd), before}) == 3
    assert netns_id(pod.path) == netns_id(pod.fd)
    assert call_in_netns(pod.fd, netns_id, OWN) == netns_id(pod.fd)
    assert netns_id(OWN) == before
    with pytest.raises(ZeroDivisionError):
        call_in_netns(pod.fd, lambda: 1 // 0)


@pytest.mark.root
def test_a_pin_keeps_it_alive(pinned: Path, pod: Net) -> None:
    """What is in it survives everybody else's letting go; pinning again changes nothing; another is refused."""
    pod.ip("link add dev0 type ifb")
    identity = netns_id(pod.fd)
    pin(pod.path, pinned)
    os.close(pod.fd)
    with open_netns(pinned) as fd:
        assert netns_id(fd) == identity
        pod.fd = os.dup(fd)
    assert "dev0" in pod.names()
    assert pins(pinned.parent) == {"one"}
    assert pinned.parent.stat().st_mode & 0o777 == 0o700
    with pytest.raises(KernelError) as refusal:
        pin(OWN, pinned)
    assert refusal.value.errno == errno.EEXIST
    unpin(pinned)
    unpin(pinned)
    assert pins(pinned.parent) == frozenset()


@pytest.mark.root
def test_a_file_without_its_mount_is_a_pin_to_remove(tmp_path: Path, pod: Net) -> None:
    """A crash between file and mount leaves a name that can be listed, pinned again, and removed."""
    path = tmp_path / "left"
    path.touch()
    assert pins(tmp_path) == {"left"}
    pin(pod.path, path)
    assert netns_id(path) == netns_id(pod.fd)
    unpin(path)
    assert pins(tmp_path) == frozenset()
    assert pins(tmp_path / "nowhere") == frozenset()


@pytest.mark.root
def test_a_pin_does_not_follow_a_link(tmp_path: Path, pod: Net) -> None:
    """What somebody put in the place of the pin is not mounted over."""
    (tmp_path / "target").touch()
    (tmp_path / "one").symlink_to("target")
    with pytest.raises(KernelError):
        pin(pod.path, tmp_path / "one")
    assert not is_netns(tmp_path / "target")


@pytest.mark.root
def test_whose_namespace_is_ours(pod: Net) -> None:
    """Of each kind by itself; of a process that is not there nothing is known."""
    with subprocess.Popen(["nsenter", f"--net={pod.path}", "sleep", "600"]) as sleeper:
        while netns_id(f"/proc/{sleeper.pid}/ns/net") != netns_id(pod.fd):
            pass
        assert is_same_namespace("pid", sleeper.pid) is True
        assert is_same_namespace("net", sleeper.pid) is False
        sleeper.kill()
    assert is_same_namespace("pid", 2**22 + 1) is None
    assert is_same_namespace("pid", 0) is None
