"""Messages of rtnetlink: what is packed is parsed again, and malformed parts end a list."""

from __future__ import annotations

import struct

import pytest

from nri_netdev.domain.links import Address, Link
from nri_netdev.shells.kernel.attributes import from_text, pack, pack_all, u32
from nri_netdev.shells.kernel.messages import (
    IFF_UP,
    IFLA_ADDRESS,
    IFLA_ALT_IFNAME,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    IFLA_NETNS_IMMUTABLE,
    IFLA_PARENT_DEV_BUS_NAME,
    IFLA_PARENT_DEV_NAME,
    IFLA_PERM_ADDRESS,
    IFLA_PROP_LIST,
    link_header,
    nexthops,
    pack_address,
    pack_link,
    parse_address,
    parse_link,
)


@pytest.mark.parametrize(
    "address",
    [
        Address(family=2, address="192.0.2.6", prefixlen=24, label="veth0:x", flags=0x281, metric=70, scope=253),
        Address(family=2, address="198.18.0.1", prefixlen=32, peer="198.18.0.2", broadcast="198.18.0.255", flags=0x80),
        Address(family=10, address="2001:db8::5", prefixlen=64, flags=0x2, proto=2, valid_lft_s=9, preferred_lft_s=0),
    ],
)
def test_an_address_is_parsed_as_packed(address: Address) -> None:
    """In every field."""
    assert parse_address(pack_address(7, address)) == (7, address)


def test_a_link_is_parsed_once() -> None:
    """An equal message returns the same link."""
    attrs = {
        IFLA_IFNAME: from_text("ens1f0"),
        IFLA_ADDRESS: bytes.fromhex("02000000000a"),
        IFLA_PERM_ADDRESS: bytes(6),
        IFLA_MTU: u32(1400),
        IFLA_MASTER: u32(3),
        IFLA_LINKINFO: pack(IFLA_INFO_KIND, from_text("veth")),
        IFLA_PROP_LIST: pack_all([(IFLA_ALT_IFNAME, from_text("one")), (IFLA_ALT_IFNAME, from_text("two"))]),
        IFLA_NETNS_IMMUTABLE: b"\1",
    }
    payload = pack_link(7, attrs, flags=IFF_UP)
    link = parse_link(payload)

    assert link_header(payload) == (7, IFF_UP)
    assert link == Link(
        ifindex=7,
        ifname="ens1f0",
        kind="veth",
        is_up=True,
        mac="02:00:00:00:00:0a",
        mtu=1400,
        altnames=("one", "two"),
        master=3,
        netns_immutable=True,
    )
    assert parse_link(bytes(bytearray(payload))) is link


@pytest.mark.parametrize(("bus", "dev"), [("../..", "etc"), ("pci", "../x"), ("pci", "no such device")])
def test_no_parent_leads_out_of_sysfs(bus: str, dev: str) -> None:
    """Such a link has no driver."""
    attrs = {IFLA_PARENT_DEV_BUS_NAME: from_text(bus), IFLA_PARENT_DEV_NAME: from_text(dev)}

    assert parse_link(pack_link(7, attrs)).driver is None


def test_next_hops_end_where_one_is_malformed() -> None:
    """A length below that of its header would never end."""
    hop = struct.pack("=HBBi", 8, 0, 0, 7)

    assert list(nexthops(hop + hop)) == [(7, 0, 8), (7, 8, 8)]
    assert list(nexthops(hop + struct.pack("=HBBi", 4, 0, 0, 9))) == [(7, 0, 8)]
    assert list(nexthops(hop[:-1])) == []
