"""Neighbours, forwarding entries and static multicast addresses."""

from __future__ import annotations

import pytest

from nri_netdev.shells.kernel.facets.neighbours import FDB, MULTICAST, NEIGHBOURS, listed_multicast
from tests.shells.kernel.facets.conftest import Bench

pytestmark = pytest.mark.root

VXLAN = "type vxlan id 7 dstport 4789 local 192.0.2.1 nolearning"


@pytest.mark.parametrize(
    "entry", ["192.0.2.9 lladdr 02:00:00:00:00:99 nud permanent", "2001:db8::9 lladdr 02:00:00:00:00:99 nud permanent"]
)
def test_permanent_neighbours_are_back(bench: Bench, entry: str) -> None:
    """The host's other ones, which came since, stay."""
    bench.make("type veth peer name peer0", "ip link set dev0 up", f"ip neigh add {entry} dev dev0")
    spoil = [f"ip neigh del {entry.partition(' ')[0]} dev dev0"]
    bench.holds(NEIGHBOURS, spoil, "ip neigh show dev dev0 nud permanent")
    was = bench.record(NEIGHBOURS)
    bench.run("ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 nud permanent dev dev0")

    assert bench.restore(NEIGHBOURS, was) == []
    assert "192.0.2.77" in bench.net.ip("neigh show dev dev0 nud permanent")


def test_a_proxy_entry_is_back(bench: Bench) -> None:
    """As those that somebody answers for."""
    bench.make("type veth peer name peer0", "ip link set dev0 up", "ip neigh add proxy 192.0.2.7 dev dev0")
    bench.holds(NEIGHBOURS, ["ip neigh del proxy 192.0.2.7 dev dev0"], "ip neigh show proxy dev dev0")


@pytest.mark.parametrize(
    "spoil",
    [
        ("bridge fdb del 02:00:00:00:00:31 dev dev0 dst 203.0.113.1 self",),
        ("bridge fdb append 00:00:00:00:00:00 dev dev0 dst 203.0.113.66 self",),
        ("bridge fdb replace 02:00:00:00:00:31 dev dev0 dst 203.0.113.66 self",),
    ],
    ids=["removed", "added", "led elsewhere"],
)
def test_the_table_of_an_overlay_is_the_hosts(bench: Bench, spoil: tuple[str, ...]) -> None:
    """Where its traffic goes; it survives the move, so a pod could have changed it."""
    bench.make(
        VXLAN,
        "ip link set dev0 up",
        "bridge fdb append 00:00:00:00:00:00 dev dev0 dst 203.0.113.1 self permanent",
        "bridge fdb add 02:00:00:00:00:31 dev dev0 dst 203.0.113.1 self permanent",
    )
    bench.holds(FDB, spoil, "bridge fdb show dev dev0")


def test_a_further_mac_address(bench: Bench) -> None:
    """Of the device itself."""
    bench.make("type veth peer name peer0", "bridge fdb add 02:00:00:00:00:31 dev dev0 self")
    bench.holds(FDB, ["bridge fdb del 02:00:00:00:00:31 dev dev0 self"], "bridge fdb show dev dev0")


def test_a_static_multicast_address(bench: Bench) -> None:
    """Not those that the kernel has joined itself."""
    bench.make("type veth peer name peer0", "ip link set dev0 up", "ip maddr add 01:00:5e:7f:00:01 dev dev0")
    was = bench.record(MULTICAST)

    assert was.messages == (bytes.fromhex("01005e7f0001"),)
    bench.holds(MULTICAST, ["ip maddr del 01:00:5e:7f:00:01 dev dev0"], "ip -f link maddr show dev dev0")


def test_the_group_of_vlans_is_kept_with_what_somebody_has_added() -> None:
    """The kernel joins it with the first VLAN on an interface, not again after a move; groups of sockets are theirs."""
    lines = [
        "2    dev0            2     0     0180c2000021",
        "2    dev0            1     1     01005e000063",
        "2    dev0            1     0     333300000001",
        "3    dev1            2     1     01005e000064",
    ]

    assert [*listed_multicast(lines, 2)] == [bytes.fromhex("0180c2000021"), bytes.fromhex("01005e000063")]


def test_a_multicast_address_of_a_device_without_a_filter(bench: Bench) -> None:
    """Added as it was: as an entry of the device's own table."""
    bench.make("type ifb", "ip link set dev0 up", "bridge fdb add 01:00:5e:00:00:70 dev dev0 self permanent")
    spoil = ["bridge fdb del 01:00:5e:00:00:70 dev dev0 self"]
    bench.holds(MULTICAST, spoil, "ip -f link maddr show dev dev0")
