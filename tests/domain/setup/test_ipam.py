"""What a pod may tell an IPAM plugin: each in its own words, and nothing that would harm the node."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nri_netdev.domain.setup.ipam import IPAM, PLUGINS, ProfileShape, ranges_of, routes_default, tells_routes
from nri_netdev.domain.setup.values import Ipam
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.shape import Reader, Shape


def read(text: str, shape: Shape[Ipam] = IPAM) -> tuple[Ipam | None, list[str]]:
    """What is made of a text, and what is wrong with it, each with its path."""
    node, reader = yaml_nodes.load(text), Reader()
    assert node is not None
    found = shape.read(node, (), reader)
    return found, [f"{'.'.join(flaw.path)}: {flaw.message}" for flaw in reader.flaws]


def ipam(text: str) -> Ipam:
    """A sound one."""
    found, flaws = read(text)
    assert not flaws
    assert found is not None
    return found


SOUND = {
    "{type: host-local, subnet: 192.0.2.0/24, rangeStart: 192.0.2.10, rangeEnd: 192.0.2.20, gateway: 192.0.2.1}": [
        ("192.0.2.10", "192.0.2.20")
    ],
    "{type: host-local, ranges: [[{subnet: 192.0.2.0/30}], [{subnet: '2001:DB8::/126', rangeEnd: '2001:db8::2'}]]}": [
        ("192.0.2.0", "192.0.2.3"),
        ("2001:db8::", "2001:db8::2"),
    ],
    "{type: static, addresses: [{address: 192.0.2.9/24, gateway: 192.0.2.1}], routes: [{dst: 0.0.0.0/0}]}": [
        ("192.0.2.9", "192.0.2.9")
    ],
    "{type: dhcp}": [],
    "{type: whereabouts, range: 192.0.2.0/24, range_start: 192.0.2.9, exclude: [192.0.2.16/28], network_name: 7}": [
        ("192.0.2.9", "192.0.2.255")
    ],
    "{type: whereabouts, range: 198.51.100.0/24, range_start: 192.0.2.1, range_end: 192.0.2.2}": [
        ("198.51.100.0", "198.51.100.255")
    ],
    "{type: whereabouts, range: '2001:db8::/127', enable_overlapping_ranges: 'true'}": [("2001:db8::", "2001:db8::1")],
}
"""With the ranges that addresses come from."""


@pytest.mark.parametrize(("text", "ranges"), SOUND.items())
def test_what_a_plugin_may_be_told(text: str, ranges: list[tuple[str, str]]) -> None:
    """It is kept as the plugin wants it, and is read again as it was."""
    found = ipam(text)
    assert list(ranges_of(found)) == ranges
    assert found.type in PLUGINS
    assert found.profile is None
    assert ipam(found.document) == found


def test_a_plugin_gets_the_types_that_it_decodes() -> None:
    """However a pod writes them: Go refuses a number for a text, and a text for a boolean."""
    told = json.loads(
        ipam("{type: whereabouts, range: 192.0.2.0/24, network_name: 7, enable_overlapping_ranges: 'true'}").document
    )
    assert told == {
        "type": "whereabouts",
        "range": "192.0.2.0/24",
        "network_name": "7",
        "enable_overlapping_ranges": True,
    }


def test_a_profile_is_named() -> None:
    """What it is the node knows."""
    assert ipam("storage") == Ipam(profile="storage")
    assert list(ranges_of(Ipam(profile="storage"))) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a]", [": must be a mapping, or the name of a profile, not a list"]),
        ("null", [": must be a mapping, or the name of a profile, not null"]),
        ("A_b", [': "A_b" is not the name of an IPAM profile']),
        ("{subnet: 192.0.2.0/24}", [": lacks type: the IPAM plugin, as host-local"]),
        (
            "{type: [dhcp]}",
            [
                (
                    "type: this is not known here; a pod can configure host-local, static, dhcp, whereabouts; the node's "
                    "operator any other, as a profile in ipam"
                )
            ],
        ),
        (
            "{type: host-local, dataDir: /etc, resolvConf: /etc/shadow}",
            [
                ': has the unknown key "dataDir"; known: type, subnet, rangeStart, rangeEnd, gateway, ranges, routes',
                ': has the unknown key "resolvConf"; known: type, subnet, rangeStart, rangeEnd, gateway, ranges, routes',
                ": needs subnet or ranges",
            ],
        ),
        ("{type: dhcp, daemonSocketPath: /x}", [': has the unknown key "daemonSocketPath"; known: type']),
        ("{type: static}", [": lacks addresses: the addresses: a list of mappings with `address` and `gateway`"]),
        (
            "{type: static, addresses: [{address: 192.0.2.9}, {gateway: x}]}",
            [
                'addresses.1.address: "192.0.2.9" has no prefix length; write it as 192.0.2.10/24 or 2001:db8::10/64',
                'addresses.2.gateway: "x" is not an IP address',
                "addresses.2: lacks address: with its prefix length",
            ],
        ),
        ("{type: host-local, ranges: [[{}], []]}", [
            "ranges.1.1: lacks subnet: network", "ranges.2: must not be empty; leave it out, or say what you mean",
        ]),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, told: list[str]) -> None:
    """All at once, each with its place."""
    assert read(text) == (None, told)


@pytest.mark.parametrize(
    ("text", "is_default"),
    [
        ("{type: static, addresses: [{address: 192.0.2.9/24}], routes: [{dst: 192.0.2.0/24}, {dst: '::/0'}]}", True),
        ("{type: host-local, subnet: 192.0.2.0/24, routes: [{dst: 198.51.100.0/24}]}", False),
        ("{type: static, addresses: [{address: '2001:db8::1/0'}]}", True),
        ("{type: host-local, subnet: 192.0.2.0/24, routes: [{dst: 128.0.0.0/1}]}", True),
        ("{type: host-local, ranges: [[{subnet: 192.0.2.0/24}, {subnet: 0.0.0.0/7}]]}", True),
        ("{type: host-local, subnet: 10.0.0.0/8}", False),
        ("{type: whereabouts, range: '::/6'}", True),
        ("{type: dhcp}", False),
        ("storage", False),
    ],
)
def test_whether_a_default_route_is_asked_for(text: str, *, is_default: bool) -> None:
    """By the pod; what a profile has is the operator's."""
    found = ipam(text)
    assert routes_default(found) is is_default
    profile = Ipam(type=found.type, document=found.document, profile="storage")
    assert not routes_default(profile)
    assert not tells_routes(profile)
    assert list(ranges_of(profile)) == []


def test_whether_routes_are_told() -> None:
    """Then a rule must let the pod set them."""
    assert tells_routes(ipam("{type: host-local, subnet: 192.0.2.0/24, routes: [{dst: 198.51.100.0/24}]}"))
    assert not tells_routes(ipam("{type: host-local, subnet: 192.0.2.0/24, routes: []}"))
    assert not tells_routes(ipam("{type: dhcp}"))


@pytest.mark.parametrize(
    ("text", "item", "path", "most"),
    [
        ("{{type: static, addresses: [{items}]}}", "{{address: 192.0.2.{n}/24}}", "addresses", 32),
        ("{{type: host-local, subnet: 192.0.2.0/24, routes: [{items}]}}", "{{dst: 198.51.{n}.0/24}}", "routes", 128),
        ("{{type: host-local, ranges: [{items}]}}", "[{{subnet: 198.51.{n}.0/24}}]", "ranges", 16),
        ("{{type: host-local, ranges: [[{items}]]}}", "{{subnet: 198.51.{n}.0/24}}", "ranges.1", 16),
        ("{{type: whereabouts, range: 198.51.0.0/16, exclude: [{items}]}}", "198.51.{n}.0/24", "exclude", 16),
    ],
)
def test_lists_are_bounded(text: str, item: str, path: str, most: int) -> None:
    """A container's start waits for what they give."""
    items = [item.format(n=n) for n in range(1, most + 2)]
    assert ipam(text.format(items=", ".join(items[:most])))
    assert read(text.format(items=", ".join(items)))[1] == [f"{path}: has {most + 1} items; it may have {most}"]


def test_an_operator_tells_a_plugin_whatever_it_takes() -> None:
    """But for the type, which must be there."""
    shape = ProfileShape()
    found, flaws = read("{type: my-ipam, dataDir: /x, n: 5, on: true, off: 'false', none: , list: [{a: b}]}", shape)
    assert not flaws
    assert found is not None
    assert found.type == "my-ipam"
    told: dict[str, Any] = {"dataDir": "/x", "n": 5, "on": True, "off": "false", "none": None, "list": [{"a": "b"}]}
    assert json.loads(found.document) == {"type": "my-ipam", **told}
    assert read("x", shape)[1] == [": must be a mapping, not a text"]
    assert read("{a: b}", shape)[1] == [": lacks type: the IPAM plugin, as host-local"]
    assert read("{type: a/b}", shape)[1] == ['type: "a/b" is not the name of an IPAM plugin']
