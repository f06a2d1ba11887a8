"""The link message: every attribute is put back or told."""

from __future__ import annotations

import struct

import pytest

from nri_netdev.shells.kernel.attributes import pack_all
from nri_netdev.shells.kernel.facets.facet import Recorded
from nri_netdev.shells.kernel.facets.link import EXPECTED, LINK, SETTABLE
from tests.shells.kernel.facets.conftest import Bench

HEADER = struct.Struct("=BxHiII")


@pytest.mark.root
@pytest.mark.parametrize(
    "spoil",
    [
        "ip link set dev0 mtu 1300",
        "ip link set dev0 txqueuelen 7",
        "ip link set dev0 group 9",
        "ip link set dev0 alias mine",
        "ip link set dev0 alias",
        "ip link set dev0 promisc on",
        "ip link set dev0 allmulticast on",
        "ip link set dev0 multicast off",
        "ip link set dev0 arp off",
        "ip link set dev0 address 02:00:00:00:00:99",
        "ip link set dev0 broadcast 02:ff:ff:ff:ff:ff",
        "ip link set dev0 gso_max_size 20000 gso_max_segs 12",
        "ip link set dev0 gro_max_size 20000",
        "ip link set dev0 mode dormant",
    ],
)
def test_what_an_administrator_sets_is_put_back(bench: Bench, spoil: str) -> None:
    """By `ip link`, compared as `ip link` shows it."""
    bench.make("type veth peer name peer0", "ip link set dev0 alias of-the-host")
    spoil = spoil if spoil != "ip link set dev0 alias" else ""
    if not spoil:
        bench.holds(
            LINK, lambda: bench.net.run("ip", "link", "set", "dev0", "alias", ""), "ip -d -o link show dev dev0"
        )
        return
    bench.holds(LINK, [spoil], "ip -d -o link show dev dev0")


def recorded(flags: int = 0, **attrs: bytes) -> Recorded:
    packed = pack_all({int(name.removeprefix("ifla_")): value for name, value in attrs.items()})
    return Recorded(messages=(HEADER.pack(0, 0, 7, flags, 0) + packed,), ifindex=7)


def test_an_attribute_that_nobody_knows_is_compared() -> None:
    """As bytes; counters, and what the driver has fixed, are not."""
    now = LINK.items(recorded(ifla_200=b"\1\2", ifla_23=b"9", ifla_4=b"\xdc\5\0\0"))

    assert now[200] == b"\1\2"
    assert 23 not in now
    assert LINK.what(None, 200) == "its attribute IFLA_200"  # type: ignore[arg-type]


def test_each_attribute_is_set_or_expected_or_compared() -> None:
    """No number is in both tables."""
    assert SETTABLE.keys() & EXPECTED.keys() == {16}  # the state, which is set in mode dormant alone
    assert all(reason for _, reason in EXPECTED.values())


def test_what_a_master_gives_its_ports_is_not_compared() -> None:
    """As the MAC address that a bond gives them."""
    was = recorded(ifla_1=b"\2\0\0\0\0\1", ifla_4=b"\xdc\5\0\0")
    of_bond = Recorded(messages=was.messages, ifindex=7, of_master=frozenset({1}))

    assert {1, 4} <= LINK.items(was).keys()
    assert LINK.items(of_bond).keys() & {1, 4} == {4}


@pytest.mark.root
def test_a_mac_address_that_is_refused_leaves_the_interface_up(bench: Bench) -> None:
    """As a virtual function's that its physical function administers; without it everything else is to work."""
    bench.make("type veth peer name peer0", "ip link set dev0 up", "ip addr add 2001:db8::1/64 dev dev0 nodad")
    was = bench.record(LINK)
    refused = Recorded(messages=(was.messages[0].replace(*_macs(bench)),), ifindex=was.ifindex)

    assert [shortfall.what for shortfall in bench.restore(LINK, refused)] == ["its MAC address"]
    assert "2001:db8::1" in bench.net.ip("-6 addr show dev dev0 up")


def _macs(bench: Bench) -> tuple[bytes, bytes]:
    """The MAC address of the interface, and one that every driver refuses, as it is a group's."""
    mac = bytes.fromhex((bench.net.link("dev0").mac or "").replace(":", ""))
    return mac, b"\1" + mac[1:]
