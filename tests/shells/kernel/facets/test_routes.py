"""Routes, nexthops and rules: those of the interface, and those of others that hang on it."""

from __future__ import annotations

import struct

import pytest

from nri_netdev.shells.kernel import changes
from nri_netdev.shells.kernel.attributes import pack
from nri_netdev.shells.kernel.facets.routes import NEXTHOPS, OTHERS_ROUTES, ROUTES, RULES_OF_IT, is_expendable, with_hop
from nri_netdev.shells.kernel.messages import RTA_EXPIRES, RTMSG
from tests.shells.conftest import Net
from tests.shells.kernel.facets.conftest import Bench

UP = (
    "ip link set dev0 up",
    "ip addr add 192.0.2.5/24 dev dev0",
    "ip -6 addr add 2001:db8:1::5/64 dev dev0 nodad",
)
OTHER = ("ip link add other0 type ifb", "ip link set other0 up", "ip addr add 172.31.0.1/24 dev other0")
ALL = "ip -d route show table all"
ALL_6 = "ip -d -6 route show table all"


@pytest.mark.root
@pytest.mark.parametrize(
    "route",
    [
        "198.51.100.0/24 via 192.0.2.1 metric 77",
        "198.51.100.0/24 dev dev0 table 100 scope link src 192.0.2.5 mtu 1300",
        "default via 192.0.2.1 table 4000000000",
        "198.51.100.0/24 nexthop via 192.0.2.1 weight 2 nexthop via 172.31.0.9",
        "2001:db8:9::/48 via 2001:db8:1::1 metric 33",
        "2001:db8:9::/48 nexthop via 2001:db8:1::1 nexthop via 2001:db8:1::2",
        "2001:db8:9::/48 from 2001:db8:1::/64 dev dev0",
    ],
)
def test_a_route_that_went_with_the_interface(bench: Bench, pod: Net, route: str) -> None:
    """Of whatever kind: it is there again, as iproute2 shows it."""
    bench.make("type veth peer name peer0", *UP, "ip link set peer0 up", *OTHER)
    family = "-6" if ":" in route else "-4"
    bench.run(f"ip {family} route add {route}")
    bench.wait_carrier()
    before, was = routes(bench), bench.record(ROUTES)
    bench.net.call(changes.move, bench.net.link("dev0").ifindex, pod.fd)
    pod.call(changes.move, pod.link("dev0").ifindex, bench.net.fd)
    bench.run(*UP)
    bench.wait_carrier()

    assert routes(bench) != before
    assert bench.restore(ROUTES, was) == []
    assert routes(bench) == before


def routes(bench: Bench) -> list[str]:
    lines = [*bench.net.run(*ALL.split()).splitlines(), *bench.net.run(*ALL_6.split()).splitlines()]
    return sorted(line for line in lines if "fe80" not in line and "ff00" not in line and "local" not in line)


@pytest.mark.root
def test_many_routes_of_which_one_needs_another(bench: Bench) -> None:
    """A gateway that is reached by another route."""
    bench.make("type ifb", *UP)
    bench.run(
        "ip route add 198.51.100.0/24 via 192.0.2.1", "ip route add 203.0.113.0/24 via 198.51.100.9 onlink dev dev0"
    )
    bench.run("ip route add 203.0.113.128/25 via 192.0.2.77")
    bench.holds(ROUTES, ["ip link set dev0 down", "ip link set dev0 up"], "ip -4 -d route show table all")


@pytest.mark.root
def test_a_route_by_a_nexthop_object(bench: Bench) -> None:
    """The nexthop is made first, and the group that it was in."""
    bench.make("type ifb", *UP, *OTHER)
    bench.run(
        "ip nexthop add id 5 via 192.0.2.9 dev dev0",
        "ip nexthop add id 6 via 172.31.0.9 dev other0",
        "ip nexthop add id 7 group 5/6",
        "ip route add 198.51.100.0/24 nhid 5",
        "ip route add 198.51.101.0/24 nhid 7",
    )
    before = bench.net.run("ip", "nexthop"), bench.net.ip("-4 route show table all")
    nexthops, every = bench.record(NEXTHOPS), bench.record(ROUTES)
    bench.run("ip link set dev0 down", "ip link set dev0 up")

    assert bench.net.run("ip", "nexthop") != before[0]
    assert bench.restore(NEXTHOPS, nexthops) == []
    assert bench.restore(ROUTES, every) == []
    assert (bench.net.run("ip", "nexthop"), bench.net.ip("-4 route show table all")) == before


@pytest.mark.root
def test_routes_of_others_with_a_source_on_it(bench: Bench) -> None:
    """The kernel deletes them with the address (IPv4), or makes them forget it (IPv6)."""
    bench.make("type ifb", *UP, *OTHER, "ip -6 addr add 2001:db8:31::1/64 dev other0 nodad")
    bench.run(
        "ip route add 198.51.100.0/24 via 172.31.0.9 src 192.0.2.5 metric 7 table 100",
        "ip -6 route add 2001:db8:9::/48 via 2001:db8:31::9 src 2001:db8:1::5 metric 7",
        "ip route add 198.51.101.0/24 via 172.31.0.9",
    )
    before, was = routes(bench), bench.record(OTHERS_ROUTES)
    assert len(was.messages) >= 2
    bench.run("ip addr flush dev dev0 scope global")
    assert routes(bench) != before
    bench.run(*UP)

    assert bench.restore(OTHERS_ROUTES, was) == []
    assert routes(bench) == before
    bench.run("ip route del 198.51.100.0/24 table 100", "ip link set other0 down")
    told = {str(each).partition(":")[0] for each in bench.restore(OTHERS_ROUTES, was)}
    assert (
        "route 198.51.100.0/24 via 172.31.0.9 metric 7 table 100 of other0 from 192.0.2.5 could not be restored" in told
    )


@pytest.mark.root
def test_a_rule_that_names_it(bench: Bench) -> None:
    """It stays when the interface goes; if it went all the same, it is there again."""
    bench.make("type ifb", *UP, "ip rule add iif dev0 table 100 priority 77", "ip -6 rule add oif dev0 table 100")
    bench.holds(RULES_OF_IT, ["ip rule del iif dev0 table 100 priority 77"], "ip rule")


def test_a_next_hop_loses_its_state() -> None:
    """The interface's own index is replaced, another's stays."""
    hop = struct.pack("=HBBi", 8, 0x4 | 0x11, 2, 7)

    assert with_hop(hop, 7, 0) == struct.pack("=HBBi", 8, 0x4, 2, 0)
    assert with_hop(hop, 8, 0) == struct.pack("=HBBi", 8, 0x4, 2, 7)


@pytest.mark.parametrize(
    ("protocol", "attrs", "is_so"), [(9, b"", True), (4, pack(RTA_EXPIRES, bytes(4)), True), (4, b"", False)]
)
def test_what_a_router_advertises_comes_back_by_itself(protocol: int, attrs: bytes, *, is_so: bool) -> None:
    """And whatever expires."""
    assert is_expendable(RTMSG.pack(10, 0, 0, 0, 254, protocol, 0, 1, 0) + attrs) is is_so
