"""What does not go together in a setup is told with its path, all of it at once, and nothing else is."""

from __future__ import annotations

import pytest

from nri_netdev.domain.setup.fields import SETUP
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.shape import Reader

FOUR = "addresses: [192.0.2.10/24]"
VIA = "is in no network of the addresses, nor has it a route of its own; correct it, or give onlink: true"
SHARED = "does not go with share: it is of the interface, which stays on the host"


def told(text: str) -> list[str]:
    """What is wrong with a setup, each with its path."""
    node, reader = yaml_nodes.load(f"{{{text}}}"), Reader()
    assert node is not None
    found = SETUP.read(node, (), reader)
    assert (found is None) == bool(reader.flaws)
    return [f"{'.'.join(flaw.path)} {flaw.message}" for flaw in reader.flaws]


@pytest.mark.parametrize(
    "text",
    [
        "",
        FOUR,
        "addresses: [{address: 192.0.2.1/32, peer: 192.0.2.2}], routes: [{to: default, via: 192.0.2.2}]",
        "addresses: [{address: 192.0.2.9/24, broadcast: 192.0.2.255}, {address: '2001:db8::9/64', dad: wait}]",
        f"{FOUR}, routes: [{{to: default, via: 192.0.2.1, src: 192.0.2.10}}, {{to: default, via: 192.0.2.1, metric: 5}}]",
        f"{FOUR}, routes: [{{to: default, via: 198.51.100.1}}, {{to: 198.51.100.1/32}}]",
        f"{FOUR}, routes: [{{to: default, via: 198.51.100.1, onlink: true}}]",
        f"{FOUR}, routes: [{{to: 198.51.100.0/24, via: 'fe80::1'}}]",
        f"{FOUR}, routes: [{{to: 198.51.100.0/24}}, {{to: 198.51.100.0/24, table: 100}}]",
        f"{FOUR}, keep_addresses: true, routes: [{{to: default, via: 198.51.100.1, src: 198.51.100.2}}]",
        "ipam: {type: dhcp}, routes: [{to: 198.51.100.0/24, via: 203.0.113.1}]",
        "routes: [{to: default, via: 203.0.113.1}]",
        "rules: [{from: 192.0.2.10, table: 100}, {from: 192.0.2.10, table: 100, priority: 7}]",
        "rules: [{iif: net1, family: inet6, table: 5}, {fwmark: 0x1, family: inet, table: 5}, {to: '::/0', oif: a, table: 5}]",
        "mtu: 1280, addresses: ['2001:db8::1/64']",
        "mtu: 576, addresses: [192.0.2.1/24]",
        "sysctls: {ipv6.disable_ipv6: 1}",
        "vlan: [{id: 5, name: a}, {id: 5, name: b, protocol: 802.1ad}, {id: 6, name: c}]",
        "macvlan: [{name: a}, {name: b, mode: vepa}], vlan: {id: 5, name: c}",
        "ipvlan: [{name: a, mode: l2}, {name: b, mode: l2}]",
        "ipvlan: [{name: a, mode: l3}, {name: b}, {name: c}]",
        "macvlan: {name: a, mode: passthru}",
        "mtu: 9000, vlan: {id: 5, name: a, mtu: 9000}",
        "share: {type: macvlan, mode: private}, set_mac: 02:00:5e:10:00:01",
        "vf: {vlan: 5, qos: 3, protocol: 802.1ad, min_tx_rate: 10, max_tx_rate: 0}",
        "vf: {mac: 02:00:5e:10:00:01}, set_mac: 02:00:5E:10:00:01",
    ],
)
def test_what_goes_together(text: str) -> None:
    """Is not objected to."""
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "addresses: [{address: 192.0.2.1/24, peer: 'fe80::1'}, {address: '2001:db8::1/64', broadcast: 192.0.2.255}]",
            ['addresses.1.peer "fe80::1" is of another family than the address', "addresses.2.broadcast is for IPv4 only"],
        ),
        ("addresses: [{address: 192.0.2.1/24, dad: wait}]", ["addresses.1.dad is for IPv6 only"]),
        ("addresses: [192.0.2.1/24, 192.0.2.2/24, 192.0.2.1/25]", ["addresses.3 is the same as number 1"]),
        (
            "routes: [{to: 192.0.2.0/24}, {to: 192.0.2.0/24, table: main, metric: 0}, {to: 192.0.2.0/24, metric: 1}]",
            ["routes.2 is the same as number 1"],
        ),
        (
            "vrf: {name: red, table: 9}, routes: [{to: 192.0.2.0/24}, {to: 192.0.2.0/24, table: 9}]",
            ["routes.2 is the same as number 1"],
        ),
        (
            "rules: [{from: 192.0.2.1, table: 5}, {table: 5, from: 192.0.2.1/32}]",
            ["rules.2 is the same as number 1"],
        ),
        (
            "neighbors: [{dst: 192.0.2.1, lladdr: 02:00:5e:10:00:02}, {dst: 192.0.2.1, lladdr: 02:00:5e:10:00:03}]",
            ["neighbors.2 is the same as number 1"],
        ),
        (
            f"{FOUR}, routes: [{{to: default, via: 192.0.3.1}}, {{to: 198.51.100.0/24, via: 192.0.2.10}}]",
            [f'routes.1.via gateway "192.0.3.1" {VIA}', 'routes.2.via gateway "192.0.2.10" is the interface\'s own address'],
        ),
        (
            "addresses: [{address: 192.0.2.1/24, noprefixroute: true}], routes: [{to: default, via: 192.0.2.2}]",
            [f'routes.1.via gateway "192.0.2.2" {VIA}'],
        ),
        ("addresses: [], routes: [{to: default, via: 192.0.2.2}]", [f'routes.1.via gateway "192.0.2.2" {VIA}']),
        (
            "routes: [{to: '::/0', via: 192.0.2.1}, {to: 198.51.100.0/24, onlink: true, src: '2001:db8::1'}]",
            [
                'routes.1.via "192.0.2.1" is of IPv4, and the route is of IPv6',
                "routes.2.onlink is for a gateway, and there is no via",
                'routes.2.src "2001:db8::1" is of another family than the route',
            ],
        ),
        (f"{FOUR}, routes: [{{to: 198.51.100.0/24, src: 192.0.2.11}}]", ['routes.1.src "192.0.2.11" is none of the addresses']),
        (
            f"{FOUR}, up: false, routes: [{{to: 198.51.100.0/24}}], neighbors: [{{dst: 192.0.2.1, lladdr: 02:00:5e:10:00:02}}]",
            ["routes need the interface up, and up is false", "neighbors need the interface up, and up is false"],
        ),
        ("mtu: 1279, routes: [{to: '2001:db8::/64'}]", ["mtu 1279 is too little for IPv6, which needs 1280"]),
        (
            "sysctls: {ipv6.disable_ipv6: 1}, addresses: ['2001:db8::1/64']",
            ["sysctls.ipv6.disable_ipv6 turns IPv6 off, and IPv6 is asked for"],
        ),
        (
            "rules: [{from: 192.0.2.1, to: '::/0', table: 5}, {from: 192.0.2.1, family: inet6, table: 5}, {oif: a, table: 5}]",
            [
                "rules.1.to is of another family than from",
                'rules.2.family is inet6, and "192.0.2.1/32" is not',
                "rules.3 needs from, to or family: inet or inet6",
            ],
        ),
        (
            "rules: [{family: inet, table: 5}, {from: 0.0.0.0/0, table: 5}]",
            [f"rules.{n} would hold for every packet of the pod; give from, to, iif, oif or fwmark" for n in (1, 2)],
        ),
        (
            "vlan: [{id: 5, name: a}, {id: 5, name: a, protocol: 802.1Q, addresses: [192.0.2.1/24, 192.0.2.1/24]}]",
            ["vlan.2.addresses.2 is the same as number 1", "vlan.2.id 5 is asked for twice", 'vlan.name "a" is wanted twice'],
        ),
        (
            "macvlan: {name: a}, ipvlan: {name: b}",
            ["ipvlan does not go with the other: the kernel has macvlan or ipvlan on an interface, not both"],
        ),
        (
            "macvlan: [{name: a}, {name: b, mode: passthru}], vrf: {name: a, table: 7}",
            [
                "macvlan.2.mode is passthru of one of them, which is then the only macvlan on the interface",
                'vrf.name "a" is wanted twice',
            ],
        ),
        (
            "ipvlan: [{name: a, mode: l2}, {name: b}]",
            ["ipvlan.2.mode is another one than that of the ipvlan before it: l2"],
        ),
        ("mtu: 1500, vlan: {id: 5, name: a, mtu: 1501}", ["vlan.mtu 1501 is greater than that of the interface, 1500"]),
        ("keep_addresses: true", ["keep_addresses is for addresses, and there are none; they stay without it"]),
        (
            (
                "share: {type: ipvlan, mode: l3}, vf: {vlan: 5}, rdma: true, detach_bpf: true, ethtool: {}, "
                "set_mac: 02:00:5e:10:00:01, addresses: [], keep_addresses: true"
            ),
            [
                "keep_addresses does not go with share: the interface keeps its addresses on the host",
                *(f"{field} {SHARED}" for field in ("vf", "rdma", "detach_bpf", "ethtool")),
                "set_mac does not go with an ipvlan, which has the MAC address of the interface",
            ],
        ),
        (
            "share: {type: macvlan, mode: passthru}, set_mac: 02:00:5e:10:00:01",
            ['share.mode "passthru" is not one of bridge, private, vepa, l2, l3, l3s'],
        ),
        (
            "vf: {qos: 3, mac: 02:00:5e:10:00:01, min_tx_rate: 20, max_tx_rate: 10}, set_mac: 02:00:5e:10:00:02",
            [
                "set_mac is another one than vf.mac",
                "vf.vlan is lacking: qos and protocol are of the tag",
                "vf.min_tx_rate 20 is greater than max_tx_rate, 10",
            ],
        ),
    ],
)  # fmt: skip
def test_what_does_not(text: str, problems: list[str]) -> None:
    """Each with its path, all at once."""
    assert told(text) == problems
