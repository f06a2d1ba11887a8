"""A pod with two interfaces, `eth0` of the cluster's network and `net1`, and the other end of the second."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from nri_netdev.domain.links import Address
from nri_netdev.domain.setup.values import PLAIN, Setup
from nri_netdev.shells.kernel import changes
from nri_netdev.shells.kernel.rtnetlink import awaited
from nri_netdev.shells.kernel.setup.apply import apply, undo
from nri_netdev.shells.kernel.setup.target import Target
from tests.shells.conftest import Net

SYSCTLS = ("ipv4/conf/rp_filter", "ipv4/conf/forwarding", "ipv6/conf/accept_ra", "ipv6/conf/optimistic_dad")
_TOLD_BY_TIME = (
    "tentative",
    "optimistic",
    "valid_life_time",
    "preferred_life_time",
    "ifindex",
    "stats64",
    "link_index",
)
_OF_KERNEL = re.compile("table local|^(local|anycast|multicast|fe80::/64) ")


class SetupPod:
    """A netns with `eth0`, by which the default route leads, and `net1`, whose other end `far0` is elsewhere."""

    def __init__(self, net: Net, far: Net) -> None:
        self.net = net
        self.far = far
        for command in (
            "link add eth0 type ifb",
            "link set eth0 up",
            "addr add 10.0.0.2/24 dev eth0",
            "route add default via 10.0.0.1",
            "-6 addr add 2001:db8:e::2/64 dev eth0 nodad",
            "-6 route add default via 2001:db8:e::1 metric 1024",
            "link add net1 type veth peer name far0",
            "link set net1 up",
        ):
            net.ip(command)
        net.call(changes.move, net.link("far0").ifindex, far.fd)
        far.ip("link set far0 up")
        self.ifindex = net.link("net1").ifindex

    def apply(self, setup: Setup, kept: Sequence[Address] = ()) -> None:
        """Apply a setup to `net1`."""
        awaited(self.net.fd, apply, self.ifindex, setup, kept)

    def undo(self, setup: Setup) -> None:
        """Undo it."""
        self.net.call(undo, self.ifindex, setup)

    def act(self, step: Callable[[Target], None], setup: Setup = PLAIN, kept: Sequence[Address] = ()) -> None:
        """Take one step of a setup."""
        awaited(self.net.fd, lambda rtnl: step(Target(rtnl=rtnl, ifindex=self.ifindex, setup=setup, kept=tuple(kept))))

    def addresses(self, ifname: str = "net1") -> list[str]:
        """What addresses an interface has, but for those that the kernel makes: `192.0.2.5/24`, sorted."""
        [shown] = self.net.ip_json(f"addr show dev {ifname}")
        return sorted(
            f"{one['local']}/{one['prefixlen']}"
            for one in shown["addr_info"]
            if not (one["family"] == "inet6" and one["scope"] == "link")
        )

    def routes(self, words: str = "") -> list[str]:
        """Routes by `net1` that somebody has set: what `ip route` shows, sorted."""
        lines = [line for family in "46" for line in self.net.ip(f"-{family} route show {words}").splitlines()]
        return sorted(" ".join(line.split()) for line in lines if "net1" in line and "proto kernel" not in line)

    def facts(self) -> dict[str, Any]:
        """What iproute2 shows of the whole netns, but for what the kernel makes in its own time."""
        found: dict[str, Any] = {}
        for what in ("-d link show", "-d addr show", "rule", "-6 rule"):
            found[what] = _told(self.net.ip_json(what))
        found["neigh"] = sorted(self.net.ip("neigh show nud permanent").splitlines())
        for family in ("-4", "-6"):
            lines = self.net.ip(f"{family} route show table all").splitlines()
            found[f"routes {family}"] = sorted(line for line in lines if not _OF_KERNEL.search(line))
        for key in SYSCTLS:
            group, _, name = key.rpartition("/")
            found[key] = self.net.sysctl(f"{group}/net1/{name}")
        return found

    def lacks(self, kind: str) -> bool:
        """Whether the kernel lacks a kind of device."""
        tries = {
            "vlan": "link add try0 link eth0 type vlan id 7",
            "macvlan": "link add try0 link net1 type macvlan mode bridge",
            "ipvlan": "link add try0 link net1 type ipvlan mode l2",
            "vrf": "link add try0 type vrf table 77",
        }
        try:
            self.net.ip(tries[kind])
        except AssertionError as error:
            assert "Unknown device type" in str(error)  # noqa: PT017 - any other reason is a bug of the test
            return True
        self.net.ip("link del try0")
        return False

    def needs(self, kind: str) -> None:
        """Skip a test for which the kernel lacks a kind of device."""
        if self.lacks(kind):
            pytest.skip(f"NOT TESTED: {kind}, this kernel lacks it")


def _told(value: Any) -> Any:
    """What iproute2 tells, without what only time changes."""
    if isinstance(value, list):
        return [_told(one) for one in value if not (isinstance(one, dict) and _is_link_local(one))]
    if isinstance(value, dict):
        return {key: _told(one) for key, one in value.items() if key not in _TOLD_BY_TIME}
    return value


def _is_link_local(shown: dict[str, Any]) -> bool:
    return (shown.get("family"), shown.get("scope")) == ("inet6", "link")


@pytest.fixture
def setup_pod(nets: Callable[[], Net]) -> SetupPod:
    """A pod with `eth0` and `net1`."""
    return SetupPod(nets(), nets())
