"""A setup in words: whatever is asked for is told, in the words of an entry and of iproute2."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from nri_netdev.domain.setup.fields import FIELDS, read_setup
from nri_netdev.domain.setup.values import PLAIN, RouteSetup
from nri_netdev.domain.setup.words import route_text, summary_of
from nri_netdev.domain.text import yaml_nodes
from tests.domain.setup.setups import SETUPS, Document

SETUP = """\
addresses: [192.0.2.10/24, {address: '2001:DB8::10/64', dad: wait, scope: link, metric: 5, noprefixroute: true}]
routes: [{to: 198.51.100.0/24, via: 192.0.2.1}, {to: default, via: 'fe80::1', metric: 7, onlink: true}]
rules: [{from: 192.0.2.10, table: 100, priority: 7}, {fwmark: 16, iif: a, family: inet, table: main}]
neighbors: [{dst: 192.0.2.1, lladdr: 02:00:5E:10:00:02}]
mtu: 9000
set_mac: 02:00:5e:10:00:01
promisc: true
arp: false
sysctls: {ipv4.rp_filter: 2, ipv6.neigh.gc_stale_time: 60}
ethtool: {features: {rx-gro: false}, rings: {rx: 4096, tx: 512}}
vrf: {name: red, table: 100}
vlan: [{id: 5, name: v5, addresses: [192.0.3.1/24], up: true}, {id: 6, name: v6}]
macvlan: {name: m0, mode: vepa}
vf: {vlan: 5, spoofchk: true}
rdma: true
"""


def test_everything_is_told() -> None:
    """A text for each field, in the order of the table."""
    assert summary_of(read_setup(json.dumps(yaml_nodes.plain(yaml_nodes.load(SETUP))))) == (  # type: ignore[arg-type]
        "addresses 192.0.2.10/24, 2001:db8::10/64 metric 5 scope link noprefixroute dad wait",
        "routes 198.51.100.0/24 via 192.0.2.1, default via fe80::1 metric 7 onlink",
        "rules from 192.0.2.10/32 priority 7 table 100, iif a fwmark 0x10 family inet table 254",
        "neighbors 192.0.2.1 lladdr 02:00:5e:10:00:02",
        "mtu 9000",
        "set_mac 02:00:5e:10:00:01",
        "promisc true",
        "arp false",
        "sysctls ipv4.rp_filter=2, ipv6.neigh.gc_stale_time=60",
        "ethtool features rx-gro=false rings rx=4096, tx=512",
        "vrf red table 100",
        "vlan v5 id 5 (addresses 192.0.3.1/24; up true), v6 id 6",
        "macvlan m0 mode vepa",
        "vf vlan 5 spoofchk true",
        "rdma true",
    )


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('{"share": "ipvlan", "mtu": "1400"}', ("share ipvlan in mode l2", "mtu 1400")),
        ('{"ipam": "storage"}', ("ipam profile storage",)),
        ('{"ipam": {"type": "dhcp"}, "keep_addresses": "true"}', ("keep_addresses true", "ipam dhcp")),
        ('{"addresses": [], "ethtool": {}, "vf": {}, "sysctls": {}}', (
            "addresses none", "sysctls none", "ethtool nothing", "vf nothing",
        )),
    ],
)  # fmt: skip
def test_what_is_short_is_told_shortly(document: str, told: tuple[str, ...]) -> None:
    """Shares, profiles, and fields that are empty."""
    assert summary_of(read_setup(document)) == told
    assert summary_of(PLAIN) == ()


@given(SETUPS)
def test_each_field_that_was_given_is_told(document: Document) -> None:
    """Once, under its name, on one line."""
    found = summary_of(read_setup(json.dumps(document)))
    assert {text.partition(" ")[0] for text in found} == document.keys()
    assert len(found) == len(document)
    assert all(text.isprintable() and len(text.split()) > 1 for text in found)


def test_every_field_can_be_told() -> None:
    """None is forgotten."""
    for field, member in FIELDS.items():
        more = "addresses: [192.0.2.10/24]\n" if field in {"keep_addresses", "routes"} else ""
        node = yaml_nodes.load(f"{more}{field}: {member.example}")
        assert node is not None
        found = summary_of(read_setup(json.dumps(yaml_nodes.plain(node))))
        assert field in {text.partition(" ")[0] for text in found}


@pytest.mark.parametrize(
    ("route", "text"),
    [
        (RouteSetup(to="::/0", via="fe80::1"), "default via fe80::1"),
        (
            RouteSetup(
                to="198.51.100.0/24", via="192.0.2.1", src="192.0.2.2", metric=0, table=5, mtu=1400, scope="link"
            ),
            "198.51.100.0/24 via 192.0.2.1 src 192.0.2.2 metric 0 table 5 mtu 1400 scope link",
        ),
        (RouteSetup(to="198.51.100.0/24", via="192.0.2.1", onlink=True), "198.51.100.0/24 via 192.0.2.1 onlink"),
    ],
)
def test_routes(route: RouteSetup, text: str) -> None:
    """As iproute2 writes them."""
    assert route_text(route) == text
