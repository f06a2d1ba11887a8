"""Network namespaces: told apart, pinned, entered; and sysctls of interfaces."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nri_netdev.errors import KernelError
from nri_netdev.shells.netns import (
    OWN,
    SysctlDefaults,
    call_in_netns,
    is_netns,
    netns_id,
    open_netns,
    pin,
    pins,
    read_sysctl,
    sysctls,
    unpin,
    write_sysctl,
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
def test_netns_are_told_apart(home: Net, pod: Net) -> None:
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
def test_sysctls_that_differ_from_the_default(home: Net) -> None:
    """Only those, only in the netns of the thread, and with dots in the interface's name."""
    home.ip("link add eth0.5 type veth peer name peer0")

    def differing() -> dict[str, str]:
        def read() -> dict[str, str]:
            with SysctlDefaults() as defaults:
                return dict(sysctls("eth0.5", defaults))

        return call_in_netns(home.fd, read)

    assert differing() == {}
    call_in_netns(home.fd, write_sysctl, "eth0.5", "ipv4/conf/rp_filter", "2")
    assert differing() == {"ipv4/conf/rp_filter": "2"}
    assert call_in_netns(home.fd, read_sysctl, "eth0.5", "ipv4/conf/rp_filter") == "2"
    assert read_sysctl("eth0.5", "ipv4/conf/rp_filter") is None


@pytest.mark.root
def test_defaults_are_read_when_they_are_asked_for(home: Net) -> None:
    """Their files stay open, and still a default that is changed later is the one that counts."""
    home.ip("link add dev0 type veth peer name peer0")

    def act() -> tuple[object, object]:
        with SysctlDefaults() as defaults:
            before = dict(sysctls("dev0", defaults))
            Path("/proc/sys/net/ipv6/conf/default/hop_limit").write_text("77")
            return before, dict(sysctls("dev0", defaults))

    before, after = call_in_netns(home.fd, act)
    assert before == {}
    assert after == {"ipv6/conf/hop_limit": "64"}


@pytest.mark.parametrize("name", ["..", ".", "all", "default", "a/b", "", "a" * 16, "a b"])
def test_no_name_leads_out_of_its_directory(name: str) -> None:
    """A name that is no interface's is refused before a path is made of it."""
    with pytest.raises(KernelError, match="not an interface's name"):
        write_sysctl(name, "ipv4/conf/rp_filter", "1")
