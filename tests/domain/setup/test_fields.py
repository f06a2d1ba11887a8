"""The fields of a setup: what is written is read, what the ledger keeps is read as the same, the rest is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.annotations.request import parse
from nri_netdev.domain.setup.fields import (
    FIELDS,
    MAX_ADDRESSES,
    MAX_OTHERS,
    MAX_ROUTES,
    flaws_of,
    of_one,
    read_setup,
    setup_of,
)
from nri_netdev.domain.setup.values import PLAIN, AddressSetup, Dad, Ipam, RouteSetup, Setup, Share, ShareKind
from nri_netdev.domain.text.shape import OneOrList
from tests.domain.setup.setups import SETUPS, Document

KEY = "nri-netdev.io/pod"


def setup(text: str) -> Setup:
    """What an entry with these fields asks to be set."""
    parsed = parse({KEY: f"- {{interface: ens1, {text}}}"}, container="app")
    assert not parsed.problems, parsed.problems
    return parsed.entries[0].setup


def told(text: str) -> list[str]:
    """What is wrong with an entry of these fields, without the annotation."""
    parsed = parse({KEY: f"- {{interface: ens1, {text}}}"}, container="app")
    assert not parsed.entries
    return [str(problem).replace(f"annotation {KEY}, ", "") for problem in parsed.problems]


@given(SETUPS)
def test_what_the_ledger_keeps_is_read_as_the_same(document: Document) -> None:
    """Whatever is asked for, as YAML or as JSON; and again from what was kept of that."""
    for write in (yaml.safe_dump, json.dumps):
        parsed = parse({KEY: write([{"interface": "ens1", **document}])}, container="app")
        assert not parsed.problems, parsed.problems
        found = parsed.entries[0].setup
        assert found.asked == document.keys()
        assert read_setup(found.document) == found
        assert flaws_of(found.document) == ()


@pytest.mark.parametrize(("field", "member"), FIELDS.items())
def test_every_example_is_one(field: str, member: Any) -> None:
    """Of each field; it is read again as it was."""
    more = "addresses: [192.0.2.10/24], " if field in {"keep_addresses", "routes"} else ""
    found = setup(f"{more}{field}: {member.example}")
    assert field in found.asked
    assert read_setup(found.document) == found


def test_each_field_is_put_where_it_belongs() -> None:
    """Under the names of netlink and iproute2."""
    found = setup(
        "addresses: [192.0.2.10/24, {address: '2001:DB8::10/64', dad: 'off'}], mtu: 9000, set_mac: 02:00:5E:10:00:01, "
        "routes: [{to: default, via: 192.0.2.1}, {to: default, via: 'fe80::1', metric: 5}], up: true, "
        "macvlan: {name: m0, mac: 02:00:5e:10:00:02}, vlan: [{id: 5, name: v5, mtu: 1400}]"
    )
    assert found.addresses == (
        AddressSetup(address="192.0.2.10/24"),
        AddressSetup(address="2001:db8::10/64", dad=Dad.OFF),
    )
    assert found.routes == (
        RouteSetup(to="0.0.0.0/0", via="192.0.2.1"),
        RouteSetup(to="::/0", via="fe80::1", metric=5),
    )
    assert (found.mtu, found.mac, found.up) == (9000, "02:00:5e:10:00:01", True)
    assert [(child.kind, child.name, child.id, child.setup.mac, child.setup.mtu) for child in found.children] == [
        ("vlan", "v5", 5, None, 1400),
        ("macvlan", "m0", None, "02:00:5e:10:00:02", None),
    ]
    assert found.asked == {"addresses", "mtu", "set_mac", "routes", "up", "macvlan", "vlan"}


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("macvlan", Share(kind=ShareKind.MACVLAN, mode="bridge")),
        ("ipvlan", Share(kind=ShareKind.IPVLAN, mode="l2")),
        ("{type: ipvlan, mode: l3s}", Share(kind=ShareKind.IPVLAN, mode="l3s")),
        ("{type: macvlan}", Share(kind=ShareKind.MACVLAN, mode="bridge")),
    ],
)
def test_a_share_has_a_mode(text: str, share: Share) -> None:
    """The one that most pods want, where none is given."""
    assert setup(f"share: {text}").share == share


@pytest.mark.parametrize("text", ["", "name: net1", "pci: '3b:00.0'"])
def test_nothing_asked_for_is_nothing_kept(text: str) -> None:
    """Whatever else an entry has."""
    assert setup(text) is PLAIN
    assert setup_of({}) is PLAIN
    assert read_setup("") is PLAIN


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "addresses: [x, {addres: y}], routes: [{to: default}], mtu: 67, arp: yes, sysctls: {ipv6.mtu: 5}",
            [
                'addresses.1 "x" has no prefix length; write it as 192.0.2.10/24 or 2001:db8::10/64 (entry 1, field addresses.1)',
                'unknown field "addres" (did you mean "address"?) (entry 1, field addresses.2.addres)',
                "addresses.2 lacks address: with its prefix length (entry 1, field addresses.2)",
                "routes.1 is to default, whose family no gateway tells; write 0.0.0.0/0 or ::/0 (entry 1, field routes.1)",
                'mtu "67" is not a whole number from 68 to 65535 (entry 1, field mtu)',
                'arp "yes" is neither true nor false (entry 1, field arp)',
                'sysctls "ipv6.mtu" is set by mtu (entry 1, field sysctls)',
            ],
        ),
        (
            "vlan: {name: a, rules: []}, ethtool: {rings: {rx: -1, ry: 1}, features: {gro: 1}}, vf: {vlan: 4096, qos: 8}",
            [
                'unknown field "rules" (did you mean "routes"?) (entry 1, field vlan.rules)',
                "vlan lacks id: VLAN (entry 1, field vlan)",
                'ethtool.rings.rx "-1" is not a whole number from 0 to 1000000 (entry 1, field ethtool.rings.rx)',
                'ethtool.rings "ry" is not one of the rings: rx, rx-mini, rx-jumbo, tx (entry 1, field ethtool.rings)',
                'ethtool.features.gro "1" is neither true nor false (entry 1, field ethtool.features.gro)',
                'vf.vlan "4096" is not a whole number from 0 to 4095 (entry 1, field vf.vlan)',
                'vf.qos "8" is not a whole number from 0 to 7 (entry 1, field vf.qos)',
            ],
        ),
        ("share: {type: ipvlan, mode: bridge}", ["share has mode bridge, which is not one of l2, l3, l3s (entry 1, field share)"]),
        ("share: bridge", ['share "bridge" is not one of macvlan, ipvlan (entry 1, field share)']),
        ("set_mac: x", ['set_mac "x" is not a MAC address as 02:00:5e:10:00:01 (entry 1, field set_mac)']),
        ("hwaddr: x", ['unknown field "hwaddr" (did you mean "set_mac"?) (entry 1, field hwaddr)']),
        ("vrf: red", ["vrf must be a mapping, not a text (entry 1, field vrf)"]),
        ("vlan: []", ["vlan must not be empty; leave it out, or say what you mean (entry 1, field vlan)"]),
        ("ipam: {type: dhcp, x: y}", ['unknown field "x" (entry 1, field ipam.x)']),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, problems: list[str]) -> None:
    """All at once, with entry and field."""
    assert told(text) == problems


@pytest.mark.parametrize(
    ("field", "item", "most"),
    [
        ("addresses", "192.0.2.{n}/24", MAX_ADDRESSES),
        ("routes", "{{to: 198.51.{n}.0/24}}", MAX_ROUTES),
        ("rules", "{{from: 192.0.2.{n}, table: 5}}", MAX_OTHERS),
        ("neighbors", "{{dst: 192.0.2.{n}, lladdr: 02:00:5e:10:00:01}}", MAX_OTHERS),
        ("vlan", "{{name: v{n}, id: {n}}}", MAX_OTHERS),
    ],
)
def test_bounds(field: str, item: str, most: int) -> None:
    """A container's start waits for each of them."""
    items = [item.format(n=n) for n in range(1, most + 2)]
    assert field in setup(f"{field}: [{', '.join(items[:-1])}]").asked
    assert told(f"{field}: [{', '.join(items)}]") == [
        f"{field} has {most + 1} items; it may have {most} (entry 1, field {field})"
    ]


def test_bounds_of_mappings() -> None:
    """Of sysctls and flags as well."""
    names = ", ".join(f"ipv4.name{n}: 1" for n in range(MAX_OTHERS + 1))
    assert told(f"sysctls: {{{names}}}") == ["sysctls has 65 keys; it may have 64 (entry 1, field sysctls)"]


@pytest.mark.parametrize("document", ["x", "[]", "{", '{"mtu": "1"}', '{"x": "1"}', "null"])
def test_what_is_no_document(document: str) -> None:
    """As the ledger of another program might have it."""
    with pytest.raises(ValueError, match="no setup: "):
        read_setup(document)


def test_fields_of_one() -> None:
    """What two interfaces cannot both have."""
    asked = setup("addresses: [192.0.2.1/24], mtu: 9000, vf: {mac: 02:00:5e:10:00:01}, vlan: {id: 5, name: a}")
    assert of_one(asked) == ("addresses", "vf.mac", "vlan")
    assert of_one(setup("mtu: 9000, ipam: {type: dhcp}, vf: {vlan: 5}")) == ()
    assert of_one(setup("ipam: {type: static, addresses: [{address: 192.0.2.1/24}]}")) == ("ipam",)


def test_a_profile_is_kept_by_its_name() -> None:
    """What it is is the node's."""
    assert setup("ipam: storage").ipam == Ipam(profile="storage")
    assert setup("ipam: storage").document == '{"ipam": "storage"}'


@given(st.sampled_from(sorted(FIELDS)), st.text(alphabet="ab0:/.-[]{} ,'\"", max_size=20))
def test_any_text_is_read_or_refused(field: str, text: str) -> None:
    """Never an exception, never a problem without a place."""
    parsed = parse({KEY: f"- {{interface: ens1, {field}: {text}}}"}, container="app")
    assert all(problem.key == KEY and str(problem).isprintable() for problem in parsed.problems)
    assert all(read_setup(entry.setup.document) == entry.setup for entry in parsed.entries)


def test_what_a_device_on_the_interface_has() -> None:
    """What every device has, and its own; no field of the interface itself."""
    for kind, own in (("vlan", {"id", "protocol", "mac"}), ("macvlan", {"mode", "mac"}), ("ipvlan", {"mode"})):
        shape: Any = FIELDS[kind].shape
        assert isinstance(shape, OneOrList)
        assert {"name", "addresses", "routes", "sysctls", "mtu"} | own <= set(shape.item.members)  # type: ignore[attr-defined]
        assert not {"rules", "ipam", "share", "vf", "ethtool", "set_mac"} & set(shape.item.members)  # type: ignore[attr-defined]
