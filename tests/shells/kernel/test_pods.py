"""Netns of pods on a real kernel: their revisions, their pins, and moves to them and home."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

import pytest

from nri_netdev.domain.setup.values import RuleSetup, Setup
from nri_netdev.domain.snapshot import Away
from nri_netdev.shells.kernel.host import Host
from nri_netdev.shells.kernel.netns import call_in_netns, is_netns
from nri_netdev.shells.kernel.pods import Pods
from tests.shells.conftest import Net
from tests.shells.kernel.furniture import MARK, captured, give

pytestmark = pytest.mark.root

T = TypeVar("T")


class Node:
    """A host with a throwaway netns, and one pod."""

    def __init__(self, home: Net, pod: Net, run_dir: Path) -> None:
        self.home = home
        self.moves: list[tuple[str, str]] = []
        self.host = Host()
        self.pods = Pods(self.host, run_dir, self._timed)
        self.netns = self.call(lambda pods: pods.netns(pod.path))
        self.pin = run_dir / "netns" / self.netns.pin
        call_in_netns(home.fd, self.host.revision)

    def _timed(self, direction: str, driver: str) -> AbstractContextManager[None]:
        self.moves.append((direction, driver))
        return nullcontext()

    def call(self, function: Callable[[Pods], T]) -> T:
        """Call a function with the pods, from home."""
        return call_in_netns(self.home.fd, function, self.pods)

    def pin_pod(self) -> None:
        self.call(lambda pods: pods.pin(self.netns))

    def unpin_pod(self) -> None:
        self.call(lambda pods: pods.unpin(self.netns.pin))

    def revision(self) -> int:
        return self.call(lambda pods: pods.revision(self.netns))

    def cached(self) -> int | None:
        return self.call(lambda pods: pods.cached_revision(self.netns))

    def close(self) -> None:
        self.unpin_pod()
        self.host._mirror().close()
        if self.host._rtnl is not None:
            self.host._rtnl.close()


@pytest.fixture
def node(home: Net, pod: Net, tmp_path: Path) -> Iterator[Node]:
    made = Node(home, pod, tmp_path)
    yield made
    made.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_revision_of_a_pod_grows_with_a_change(node: Node, pod: Net) -> None:
    """Of links that come, go, or change, from the first call on; what was before does not count."""
    assert node.cached() is None

    node.pin_pod()
    pod.ip("link add dev0 type ifb")
    revisions = [node.revision()]

    assert node.cached() == revisions[0]

    for change in ("link add dev1 type ifb", "link set dev1 name other", "link set other up", "link del other"):
        pod.ip(change)

        assert node.cached() is None

        revisions.append(node.revision())

        assert node.cached() == revisions[-1]
        assert node.revision() == revisions[-1]

    assert len(set(revisions)) == len(revisions)


def test_ipv6_turned_off_is_a_change(node: Node, pod: Net) -> None:
    """And the view of the pod shows it."""
    node.pin_pod()
    before = node.revision()

    assert node.call(lambda pods: pods.view(pod.path)).has_ipv6

    pod.sysctl("ipv6/conf/default/disable_ipv6", "1")

    assert node.cached() is None
    assert node.revision() != before
    assert not node.call(lambda pods: pods.view(pod.path)).has_ipv6


def test_dropped_events_are_a_change(node: Node, pod: Net) -> None:
    """More changes than the kernel keeps for us."""
    node.pin_pod()
    pod.ip("link add dev0 type ifb")
    before = node.revision()
    pod.run("sh", "-c", "for i in $(seq 1500); do ip link set dev0 mtu $((1000 + i)); done")

    assert node.cached() is None
    assert node.revision() != before


def test_home_and_pods_have_their_own_revisions(node: Node, pod: Net) -> None:
    """A change in one is none in the other."""
    node.pin_pod()
    at_home, inside = call_in_netns(node.home.fd, node.host.revision), node.revision()
    pod.ip("link add dev0 type ifb")

    assert call_in_netns(node.home.fd, node.host.revision) == at_home

    inside = node.revision()
    node.home.ip("link add dev0 type ifb")

    assert node.revision() == inside


def test_unpinning_ends_the_subscription(node: Node) -> None:
    """No file stays open, however often a pod comes and goes."""
    node.pin_pod()
    node.unpin_pod()
    before = open_files()
    for _ in range(5):
        node.pin_pod()
        node.revision()

        assert open_files() > before

        node.unpin_pod()

        assert open_files() == before
        assert node.cached() is None


def test_a_pod_that_nobody_pins_dies(home: Net, nets: Callable[[], Net], tmp_path: Path) -> None:
    """The subscription keeps it alive until it is unpinned, and not longer: then virtual devices in it are gone."""
    pod = nets()
    node = Node(home, pod, tmp_path)
    home.ip(f"link add dev0 type veth peer name eth0 netns {pod.path}")
    node.pin_pod()
    node.revision()
    ours, pod.fd = pod.fd, os.open("/dev/null", os.O_RDONLY)
    os.close(ours)

    assert is_netns(node.pin)
    assert "dev0" in home.names()

    with socket.socket(socket.AF_UNIX):  # a file that is opened meanwhile is not the subscription's
        node.unpin_pod()
    while "dev0" in home.names():  # the kernel takes a netns down in its own time
        pass

    assert not node.pin.exists()
    node.close()


def test_pins_are_found_and_home_is_none_of_them(node: Node, pod: Net) -> None:
    """By the identity of the netns."""
    assert node.call(lambda pods: pods.pinned(node.netns)) is None

    node.pin_pod()

    assert node.call(lambda pods: pods.pinned(node.netns)) == str(node.pin)
    assert node.call(lambda pods: pods.pins()) == {node.netns.pin}
    assert not node.call(lambda pods: pods.is_home(node.netns))
    assert node.call(lambda pods: pods.is_home(pods.netns(node.home.path)))


def test_moves_to_a_pod_and_home_are_timed(node: Node, pod: Net) -> None:
    """By direction and driver; the interface is complete in the pod, and whole at home."""
    node.home.ip("link add dev0 type ifb")
    node.home.ip("address add 192.0.2.5/24 dev dev0")
    index = node.home.link("dev0").ifindex
    snapshot = node.home.call(captured, index)
    call_in_netns(node.home.fd, node.host.mark, index, MARK)
    node.call(lambda pods: pods.send(index, pod.path, "net1"))
    inside = pod.link("net1").ifindex
    node.call(lambda pods: pods.complete(pod.path, inside, "net1", snapshot.addresses, is_up=True))

    assert [link.ifname for link in node.call(lambda pods: pods.links(pod.path)) if link.is_up] == ["lo", "net1"]
    assert "192.0.2.5/24" in pod.ip("address show dev net1")

    report = node.call(lambda pods: pods.bring_home(pod.path, inside, Away(snapshot=snapshot, mark=MARK)))

    assert report.troubles() == ()
    assert node.moves == [("in", "ifb"), ("home", "ifb")]


def test_what_a_container_made_on_it_does_not_stay_behind(node: Node, pod: Net, nets: Callable[[], Net]) -> None:
    """In the pod, when the interface has been moved on; what stands on another of that index is left alone."""
    node.home.ip("link add dev0 type veth peer name peer0")
    index = node.home.link("dev0").ifindex
    snapshot = node.home.call(captured, index)
    call_in_netns(node.home.fd, node.host.mark, index, MARK)
    node.call(lambda pods: pods.send(index, pod.path, "net1"))
    away, third = nets(), nets()
    pod.ip("link add own0 link net1 type macvlan")
    pod.ip(f"link set net1 netns {away.path}")
    inside = away.link("net1").ifindex
    third.ip(f"link add under0 index {inside} type ifb")
    third.ip("link add other0 link under0 type macvlan")
    third.ip(f"link set other0 netns {pod.path}")
    report = node.call(
        lambda pods: pods.bring_home(away.path, inside, Away(snapshot=snapshot, mark=MARK, pod_path=pod.path))
    )

    assert report.troubles() == ()
    assert pod.names() == {"lo", "other0"}


def test_what_was_set_in_the_pod_for_one_that_is_elsewhere(node: Node, pod: Net, nets: Callable[[], Net]) -> None:
    """Its rules are removed there, those of others stay; where it is, nothing is touched but what is on it."""
    own, both = RuleSetup(source="192.0.2.5/32", table=7), RuleSetup(source="192.0.2.0/24", table=7)
    setup = Setup(rules=(own, both), asked=frozenset({"rules"}))
    node.home.ip("link add dev0 type veth peer name peer0")
    snapshot = give(node.home, pod)
    away = nets()
    pod.ip(f"link set net1 netns {away.path}")
    for net in (pod, away):
        for source in ("192.0.2.5", "192.0.2.0/24"):
            net.ip(f"rule add from {source} table 7 proto static")
    others = (Setup(rules=(both,)),)
    told = Away(snapshot=snapshot, mark=MARK, setup=setup, others=others, pod_path=pod.path)
    inside = away.link("net1").ifindex
    node.call(lambda pods: pods.bring_home(away.path, inside, told))

    assert (pod.ip("rule").count("lookup 7"), away.ip("rule").count("lookup 7")) == (1, 2)
