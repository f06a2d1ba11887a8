"""The node's kernel as custody asks for it: what it hears of home and of pods, on a real one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from nri_netdev.domain.claim import Netns
from nri_netdev.shells.kernel.host import HostKernel
from nri_netdev.shells.kernel.netns import call_in_netns, is_netns
from tests.shells.conftest import Net

pytestmark = pytest.mark.root

T = TypeVar("T")


class Host:
    """A kernel whose home is a throwaway netns, and a pod's netns."""

    def __init__(self, home: Net, pod: Net, run_dir: Path) -> None:
        self.home = home
        self.kernel = HostKernel(run_dir)
        self.netns: Netns = self.call(lambda kernel: kernel.netns(pod.path))
        self.pin = run_dir / "netns" / self.netns.pin

    def call(self, function: Callable[[HostKernel], T]) -> T:
        """Call a function with the kernel, from home."""
        return call_in_netns(self.home.fd, function, self.kernel)

    def close(self) -> None:
        self.call(lambda kernel: kernel.unpin(self.netns.pin))
        self.kernel._home.mirror().close()
        if self.kernel._home._rtnl is not None:
            self.kernel._home._rtnl.close()


@pytest.fixture
def host(home: Net, pod: Net, tmp_path: Path) -> Iterator[Host]:
    made = Host(home, pod, tmp_path)
    made.call(lambda kernel: kernel.news())
    yield made
    made.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_home_tells_its_news(host: Host) -> None:
    """The same while nothing happens, another once a link has come; and the last of it without reading."""
    before = host.call(lambda kernel: kernel.news())

    assert host.call(lambda kernel: kernel.news()) == before
    assert host.call(lambda kernel: kernel.last_news()) == before

    host.home.ip("link add dev0 type ifb")

    assert host.call(lambda kernel: kernel.last_news()) is None

    after = host.call(lambda kernel: kernel.news())

    assert after != before
    assert host.call(lambda kernel: kernel.last_news()) == after


def test_a_mark_of_ours_is_no_news(host: Host) -> None:
    """Set or taken away."""
    host.home.ip("link add dev0 up type ifb")
    ifindex = host.home.link("dev0").ifindex
    before = host.call(lambda kernel: kernel.news())
    for change in (HostKernel.mark, HostKernel.unmark):
        host.call(lambda kernel, change=change: change(kernel, ifindex, "nri-netdev-0123456789ab"))  # type: ignore[misc]

        assert host.call(lambda kernel: kernel.news()) == before


def test_a_pod_tells_its_news_from_when_it_is_asked(host: Host, pod: Net) -> None:
    """Of links that come, go, or change; what was before counts for nothing."""
    assert host.call(lambda kernel: kernel.last_news(host.netns)) is None

    host.call(lambda kernel: kernel.pin(host.netns))
    pod.ip("link add dev0 type ifb")
    seen = [host.call(lambda kernel: kernel.news(host.netns))]

    assert host.call(lambda kernel: kernel.last_news(host.netns)) == seen[0]

    for change in ("link add dev1 type ifb", "link set dev1 name other", "link set other up", "link del other"):
        pod.ip(change)

        assert host.call(lambda kernel: kernel.last_news(host.netns)) is None

        seen.append(host.call(lambda kernel: kernel.news(host.netns)))

        assert host.call(lambda kernel: kernel.last_news(host.netns)) == seen[-1]
        assert host.call(lambda kernel: kernel.news(host.netns)) == seen[-1]

    assert len(set(seen)) == len(seen)


def test_what_the_pod_could_not_tell_in_time_is_news(host: Host, pod: Net) -> None:
    """More changes than the kernel keeps for us."""
    host.call(lambda kernel: kernel.pin(host.netns))
    pod.ip("link add dev0 type ifb")
    before = host.call(lambda kernel: kernel.news(host.netns))
    pod.run("sh", "-c", "for i in $(seq 1500); do ip link set dev0 mtu $((1000 + i)); done")

    assert host.call(lambda kernel: kernel.last_news(host.netns)) is None
    assert host.call(lambda kernel: kernel.news(host.netns)) != before


def test_home_and_pods_are_told_apart(host: Host, pod: Net) -> None:
    """What happens in one is no news of the other."""
    host.call(lambda kernel: kernel.pin(host.netns))
    ask = (lambda kernel: kernel.news(), lambda kernel: kernel.news(host.netns))
    at_home, inside = (host.call(news) for news in ask)
    pod.ip("link add dev0 type ifb")

    assert host.call(ask[0]) == at_home

    inside = host.call(ask[1])
    host.home.ip("link add dev0 type ifb")

    assert host.call(ask[1]) == inside


def test_who_is_unpinned_is_listened_to_no_more(host: Host) -> None:
    """No file stays open, however often a pod comes and goes."""
    host.call(lambda kernel: kernel.pin(host.netns))
    host.call(lambda kernel: kernel.unpin(host.netns.pin))
    before = open_files()
    for _ in range(5):
        host.call(lambda kernel: kernel.pin(host.netns))
        host.call(lambda kernel: kernel.news(host.netns))

        assert open_files() > before

        host.call(lambda kernel: kernel.unpin(host.netns.pin))

        assert open_files() == before
        assert host.call(lambda kernel: kernel.last_news(host.netns)) is None


def test_a_pod_that_nobody_pins_dies(home: Net, nets: Callable[[], Net], tmp_path: Path) -> None:
    """Listening to it keeps it alive until it is unpinned, and not longer: then what is virtual in it is gone."""
    pod = nets()
    host = Host(home, pod, tmp_path)
    home.ip(f"link add dev0 type veth peer name eth0 netns {pod.path}")
    host.call(lambda kernel: kernel.pin(host.netns))
    host.call(lambda kernel: kernel.news(host.netns))
    ours, pod.fd = pod.fd, os.open("/dev/null", os.O_RDONLY)
    os.close(ours)

    assert is_netns(host.pin)
    assert "dev0" in home.names()

    with socket.socket(socket.AF_UNIX):  # a file that is opened meanwhile is not the listener's
        host.call(lambda kernel: kernel.unpin(host.netns.pin))
    while "dev0" in home.names():  # the kernel takes a netns down in its own time
        pass

    assert not host.pin.exists()
    host.close()


def test_what_an_interface_is_called(host: Host) -> None:
    """By its primary name and by its index, and only at home."""
    host.home.ip("link add dev0 type ifb")
    host.home.ip("link add dev1 type ifb")
    ifindex = host.home.link("dev0").ifindex

    assert host.call(lambda kernel: kernel.is_called(ifindex, "dev0"))
    assert not host.call(lambda kernel: kernel.is_called(ifindex, "dev1"))
    assert not host.call(lambda kernel: kernel.is_called(ifindex, "dev9"))

    host.home.ip("link set dev0 name other")

    assert not host.call(lambda kernel: kernel.is_called(ifindex, "dev0"))
