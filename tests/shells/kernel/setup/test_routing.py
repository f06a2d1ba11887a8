"""Routes on a real kernel: as asked, once or twice, and never in the place of another."""

from __future__ import annotations

import pytest

from nri_netdev.domain.setup.values import RouteSetup, Setup
from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel.setup.routing import set_routes
from tests.shells.kernel.setup.conftest import SetupPod

pytestmark = pytest.mark.root


@pytest.fixture(name="routed")
def _routed(setup_pod: SetupPod) -> SetupPod:
    """With addresses, for gateways to be reached by."""
    for command in ("addr add 192.0.2.5/24 dev net1", "-6 addr add 2001:db8::5/64 dev net1 nodad"):
        setup_pod.net.ip(command)
    return setup_pod


ASKED = {
    "to a network": (RouteSetup(to="198.51.100.0/24"), "198.51.100.0/24 dev net1 proto static scope link"),
    "by a gateway": (
        RouteSetup(to="198.51.100.0/24", via="192.0.2.1"),
        "198.51.100.0/24 via 192.0.2.1 dev net1 proto static",
    ),
    "with everything": (
        RouteSetup(to="198.51.100.0/24", via="192.0.2.1", src="192.0.2.5", metric=77, mtu=1300),
        "198.51.100.0/24 via 192.0.2.1 dev net1 proto static src 192.0.2.5 metric 77 mtu 1300",
    ),
    "scope": (RouteSetup(to="198.51.100.0/24", scope="global"), "198.51.100.0/24 dev net1 proto static"),
    "onlink": (
        RouteSetup(to="198.51.100.0/24", via="203.0.113.1", onlink=True),
        "198.51.100.0/24 via 203.0.113.1 dev net1 proto static onlink",
    ),
    "IPv4 by IPv6": (
        RouteSetup(to="198.51.100.0/24", via="fe80::1"),
        "198.51.100.0/24 via inet6 fe80::1 dev net1 proto static",
    ),
    "another default": (
        RouteSetup(to="0.0.0.0/0", via="192.0.2.1", metric=200),
        "default via 192.0.2.1 dev net1 proto static metric 200",
    ),
    "IPv6": (
        RouteSetup(to="2001:db8:9::/48", via="2001:db8::1", mtu=1400),
        "2001:db8:9::/48 via 2001:db8::1 dev net1 proto static metric 1024 mtu 1400 pref medium",
    ),
    "IPv6 on the link": (
        RouteSetup(to="2001:db8:9::/48", metric=5, src="2001:db8::5"),
        "2001:db8:9::/48 dev net1 proto static src 2001:db8::5 metric 5 pref medium",
    ),
    "another IPv6 default": (
        RouteSetup(to="::/0", via="fe80::1", metric=7),
        "default via fe80::1 dev net1 proto static metric 7 pref medium",
    ),
}


@pytest.mark.parametrize(("route", "shown"), ASKED.values(), ids=ASKED.keys())
def test_a_route_is_as_asked(routed: SetupPod, route: RouteSetup, shown: str) -> None:
    """And alone, however often it is asked for."""
    for _ in range(2):
        routed.act(set_routes, Setup(routes=(route,)))
        assert routed.routes() == [shown]


def test_gateways_are_reached_by_routes_that_come_before(setup_pod: SetupPod) -> None:
    """Whatever their order is in what was asked for."""
    asked = (RouteSetup(to="198.51.100.0/24", via="203.0.113.1"), RouteSetup(to="203.0.113.0/24"))
    setup_pod.net.ip("addr add 192.0.2.5/32 dev net1")
    setup_pod.act(set_routes, Setup(routes=asked))
    assert len(setup_pod.routes()) == 2


def test_metrics_and_tables_tell_routes_apart(routed: SetupPod) -> None:
    """Each of them stays."""
    asked = (
        RouteSetup(to="198.51.100.0/24", via="192.0.2.1", metric=1),
        RouteSetup(to="198.51.100.0/24", via="192.0.2.2", metric=2),
        RouteSetup(to="0.0.0.0/0", via="192.0.2.1", table=100),
        RouteSetup(to="0.0.0.0/0", via="192.0.2.1", table=70000),
        RouteSetup(to="::/0", via="2001:db8::1", table=70000),
    )
    for _ in range(2):
        routed.act(set_routes, Setup(routes=asked))
        assert len(routed.routes()) == 2
        every = [line for line in routed.routes("table all") if line.startswith("default")]
        assert sorted(every) == [
            "default via 192.0.2.1 dev net1 table 100 proto static",
            "default via 192.0.2.1 dev net1 table 70000 proto static",
            "default via 2001:db8::1 dev net1 table 70000 proto static metric 1024 pref medium",
        ]
    assert "default via 10.0.0.1 dev eth0" in routed.net.ip("route show")


REFUSED = {
    "default": (RouteSetup(to="0.0.0.0/0", via="192.0.2.1"), " via 192.0.2.1", ", by eth0 via 10.0.0.1"),
    "IPv6 default": (RouteSetup(to="::/0", via="2001:db8::1"), " via 2001:db8::1", ", by eth0 via 2001:db8:e::1"),
    "IPv6 default, the metric that it has": (
        RouteSetup(to="::/0", via="2001:db8::1", metric=1024),
        " via 2001:db8::1 metric 1024",
        ", by eth0 via 2001:db8:e::1",
    ),
    "of a network that is there": (RouteSetup(to="10.0.0.0/24", table=254), " table 254", ", by eth0"),
    "nowhere": (RouteSetup(to="203.0.113.0/24"), "", ""),
    "by several": (
        RouteSetup(to="198.18.0.0/15", via="192.0.2.1"),
        " via 192.0.2.1",
        ", by net1 via 192.0.2.2 and eth0 via 10.0.0.9",
    ),
}


@pytest.mark.parametrize(("route", "words", "by"), REFUSED.values(), ids=REFUSED.keys())
def test_no_route_takes_the_place_of_another(routed: SetupPod, route: RouteSetup, words: str, by: str) -> None:
    """It is told which one is there and what to do, and it stays."""
    routed.net.ip("route add blackhole 203.0.113.0/24")
    routed.net.ip("route add 198.18.0.0/15 nexthop via 192.0.2.2 dev net1 nexthop via 10.0.0.9 dev eth0")
    before = routed.facts()
    with pytest.raises(KernelError) as refusal:
        routed.act(set_routes, Setup(routes=(route,)))
    assert str(refusal.value) == (
        f"cannot add route {route.to}{words} on net1: a route to {route.to} with this metric is there already{by} "
        "(EEXIST); give another metric"
    )
    assert refusal.value.refusal is Reason.POD
    assert routed.facts() == before


def test_one_by_the_interface_itself_is_made_as_asked(routed: SetupPod) -> None:
    """If it leads by the same gateway; one by another is not replaced. What the kernel has made serves."""
    for command in (
        "route add 198.51.100.0/24 via 192.0.2.1 dev net1",
        "-6 route add 2001:db8:9::/48 via 2001:db8::1 dev net1",
        "route add 198.51.101.0/24 via 192.0.2.1 dev net1",
    ):
        routed.net.ip(command)
    asked = (
        RouteSetup(to="198.51.100.0/24", via="192.0.2.1", mtu=1300, src="192.0.2.5"),
        RouteSetup(to="2001:db8:9::/48", via="2001:db8::1", mtu=1300),
        RouteSetup(to="192.0.2.0/24"),
    )
    for _ in range(2):
        routed.act(set_routes, Setup(routes=asked))
        assert routed.routes() == [
            "198.51.100.0/24 via 192.0.2.1 dev net1 proto static src 192.0.2.5 mtu 1300",
            "198.51.101.0/24 via 192.0.2.1 dev net1",
            "2001:db8:9::/48 via 2001:db8::1 dev net1 proto static metric 1024 mtu 1300 pref medium",
        ]
    with pytest.raises(KernelError, match=r"is there already, by net1 via 192\.0\.2\.1 "):
        routed.act(set_routes, Setup(routes=(RouteSetup(to="198.51.101.0/24", via="192.0.2.2"),)))


@pytest.mark.parametrize(
    ("route", "text"),
    [
        (
            RouteSetup(to="198.51.100.0/24", via="203.0.113.1", metric=5),
            "add route 198.51.100.0/24 via 203.0.113.1 metric 5 on net1: Nexthop has invalid gateway (ENETUNREACH)",
        ),
        (
            RouteSetup(to="198.51.100.0/24", src="192.0.2.99"),
            "add route 198.51.100.0/24 on net1: Invalid prefsrc address (EINVAL)",
        ),
        (
            RouteSetup(to="2001:db8:9::/48", via="2001:db8:5::1"),
            "add route 2001:db8:9::/48 via 2001:db8:5::1 on net1: No route to host (EHOSTUNREACH)",
        ),
    ],
)
def test_a_refusal_is_the_kernels(routed: SetupPod, route: RouteSetup, text: str) -> None:
    """In its words, and the annotation's."""
    with pytest.raises(KernelError) as refusal:
        routed.act(set_routes, Setup(routes=(route,)))
    assert str(refusal.value) == f"cannot {text}"


def test_a_port_of_a_bridge_has_its_routes_in_the_main_table(routed: SetupPod) -> None:
    """Only a VRF has a table of its own."""
    routed.net.ip("link add br0 type bridge")
    routed.net.ip("link set net1 master br0")
    routed.act(set_routes, Setup(routes=(RouteSetup(to="198.51.100.0/24"),)))
    assert routed.routes() == ["198.51.100.0/24 dev net1 proto static scope link"]


def test_the_table_of_its_vrf(routed: SetupPod) -> None:
    """Where none is given, and not where one is."""
    routed.needs("vrf")
    routed.net.ip("link add red type vrf table 70")
    routed.net.ip("link set red up")
    routed.net.ip("link set net1 master red")
    asked = (RouteSetup(to="198.51.101.0/24"), RouteSetup(to="198.51.102.0/24", table=254))
    for _ in range(2):
        routed.act(set_routes, Setup(routes=asked))
        assert [line for line in routed.routes("table all proto static") if "net1" in line] == [
            "198.51.101.0/24 dev net1 table 70 scope link",
            "198.51.102.0/24 dev net1 scope link",
        ]
