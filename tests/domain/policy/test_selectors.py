"""Selectors mean what they say, are written in one way, and choose in one order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.links import Link
from nri_netdev.domain.policy.file import SELECTOR
from nri_netdev.domain.policy.selectors import (
    FIELDS,
    Facts,
    Selector,
    matches,
    matches_glob,
    no_facts,
    ordered,
    yaml_text,
)
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.shape import Reader
from nri_netdev.domain.text.yaml_nodes import YamlMapping, YamlScalar

PF = "0000:3b:00.0"
NIC = Link(
    ifindex=2,
    ifname="ens2f0",
    altnames=("enp59s0f0",),
    driver="ice",
    mac="02:00:00:00:00:99",
    permanent_mac="02:00:5e:10:00:01",
    parent_bus="pci",
    parent_dev=PF,
    is_up=True,
    has_carrier=True,
)
VF = replace(NIC, ifindex=3, ifname="ens2f0v1", driver="iavf", parent_dev="0000:3b:02.1", altnames=(), is_up=False)
VETH = Link(ifindex=9, ifname="veth0", kind="veth", mac="02:00:00:00:00:09")
FACTS: Mapping[str, Facts] = {
    "ens2f0": Facts(pci=PF, pci_id="8086:1592", numa_node=1, speed_mbps=25000),
    "ens2f0v1": Facts(pci="0000:3b:02.1", pci_id="8086:1889", numa_node=1, pf=PF),
}


def facts_of(link: Link) -> Facts:
    """The facts of the made-up node."""
    return FACTS.get(link.ifname, Facts())


def selector(given: Mapping[str, str]) -> Selector:
    """A selector of texts by field."""
    pairs = tuple((YamlScalar(text=name, line=1), YamlScalar(text=text, line=1)) for name, text in given.items())
    found = SELECTOR.read(YamlMapping(pairs=pairs, line=1), (), Reader())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({"interface": "ens2f0"}, ["ens2f0"]),
        ({"interface": "ens*"}, ["ens2f0", "ens2f0v1"]),
        ({"interface": "ens?f?"}, ["ens2f0"]),
        ({"interface": "*"}, ["ens2f0", "ens2f0v1", "veth0"]),
        ({"altname": "enp59s0f0"}, ["ens2f0"]),
        ({"mac": "02:00:5E:10:00:01"}, ["ens2f0", "ens2f0v1"]),
        ({"mac": "02:00:00:00:00:99"}, []),
        ({"mac": "02:00:00:00:00:09"}, ["veth0"]),
        ({"pci": "3B:00.0"}, ["ens2f0"]),
        ({"device": "8086:1592"}, ["ens2f0"]),
        ({"device": "8086:*"}, ["ens2f0", "ens2f0v1"]),
        ({"driver": "iavf"}, ["ens2f0v1"]),
        ({"kind": "veth"}, ["veth0"]),
        ({"kind": "hardware"}, ["ens2f0", "ens2f0v1"]),
        ({"numa_node": "1"}, ["ens2f0", "ens2f0v1"]),
        ({"numa_node": "0"}, []),
        ({"min_speed_mbps": "10000"}, ["ens2f0"]),
        ({"min_speed_mbps": "40000"}, []),
        ({"state": "up"}, ["ens2f0"]),
        ({"state": "down"}, ["ens2f0v1", "veth0"]),
        ({"vf_of": "ens2f0"}, ["ens2f0v1"]),
        ({"vf_of": "enp59s0f0"}, ["ens2f0v1"]),
        ({"vf_of": "0000:3b:00.0"}, ["ens2f0v1"]),
        ({"vf_of": "veth0"}, []),
        ({"vf_of": "absent"}, []),
        ({"driver": "ice", "state": "down"}, []),
        ({"driver": "ice", "numa_node": "1", "state": "up"}, ["ens2f0"]),
    ],
)
def test_all_that_is_said_must_hold(given: dict[str, str], chosen: list[str]) -> None:
    """Every field, alone and together."""
    links = (NIC, VF, VETH)
    one = selector(given)
    assert [link.ifname for link in links if matches(one, link, facts_of, links)] == chosen


def test_facts_are_fetched_only_where_they_matter() -> None:
    """A selector of what rtnetlink tells costs no look into sysfs, and none is had where the rest is wrong."""

    def never(_: Link) -> Facts:
        raise AssertionError("facts were fetched")

    assert matches(selector({"interface": "ens*", "driver": "ice"}), NIC, never)
    assert not matches(selector({"driver": "e1000", "numa_node": "1"}), NIC, never)


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("interface", "a/b", 'interface "a/b" contains "/", which the kernel refuses'),
        ("interface", "abcdefghijklmnop*", 'interface "abcdefghijklmnop*" is longer than 15 bytes (it has 17)'),
        ("altname", "", 'altname "" is empty'),
        ("mac", "02:00", 'mac "02:00" is not a MAC address as 02:00:5e:10:00:01'),
        ("pci", "0000:3b:00.8", 'pci "0000:3b:00.8" is not a PCI address as 0000:3b:00.0'),
        ("device", "*:1592", 'device "*:1592" is not a PCI vendor and device as 15b3:1019'),
        ("driver", "a b", 'driver "a b" is not the name of a driver'),
        ("kind", "", 'kind "" is not a kind as macvlan'),
        ("numa_node", "-1", 'numa_node "-1" is not a whole number from 0 to 1023'),
        ("min_speed_mbps", "0", 'min_speed_mbps "0" is not a whole number from 1 to 10000000'),
        ("state", "Up", 'state "Up" is neither up nor down'),
        ("vf_of", "3b:00", 'vf_of "3b:00" is not a PCI address as 0000:3b:00.0'),
        ("vf_of", "ens*", 'vf_of "ens*" is not a PCI address as 0000:3b:00.0'),
    ],
)
def test_what_is_no_value_is_told(field: str, text: str, told: str) -> None:
    """In words that show how it is written."""
    reader = Reader()
    assert FIELDS[field].shape.read(YamlScalar(text=text, line=1, is_plain=False), (field,), reader) is None
    assert [f"{field} {flaw.message}" for flaw in reader.flaws] == [told]


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_defined_once_for_all(name: str) -> None:
    """Value, reader, JSON schema and example agree."""
    field = FIELDS[name]
    assert name in {one.name for one in fields(Selector)}
    assert selector({name: field.example}) != Selector()
    schema = field.shape.schema()
    assert schema["type"] in {"string", "integer"}
    if schema["type"] == "string":
        assert re.search(schema["pattern"], field.example)


@given(st.text(alphabet="ab*?.[]", max_size=8), st.text(alphabet="ab.[]\n", max_size=8))
def test_a_glob_is_what_a_simple_one_says(pattern: str, text: str) -> None:
    """`*` and `?` stand for others, every other character for itself."""

    def slow(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(slow(pattern[1:], text[skip:]) for skip in range(len(text) + 1))
        return bool(text) and pattern[0] in {"?", text[0]} and slow(pattern[1:], text[1:])

    assert matches_glob(text, pattern) == slow(pattern, text)


def test_there_is_one_order() -> None:
    """Up before down, hardware before virtual, then by name with numbers as numbers."""
    up = replace(NIC, parent_dev=None)
    links = [
        replace(up, ifname="ens10"),
        replace(up, ifname="ens9"),
        replace(up, ifname="ens1", has_carrier=False),
        replace(up, ifname="ens2", is_up=False),
        replace(up, ifname="a0", kind="macvlan"),
    ]
    names = [link.ifname for link in ordered(links)]
    assert names == ["ens9", "ens10", "a0", "ens1", "ens2"]
    assert [link.ifname for link in ordered(reversed(links))] == names


SELECTORS = st.fixed_dictionaries({}, optional={name: st.just(field.example) for name, field in FIELDS.items()})


@given(SELECTORS.filter(bool))
def test_a_selector_is_told_as_it_can_be_written(given: dict[str, str]) -> None:
    """What a message quotes can be copied into the configuration."""
    one = selector(given)
    node = yaml_nodes.load(str(one))
    if isinstance(node, yaml_nodes.YamlMapping):
        written = {key.text: value.text for key, value in node.pairs if isinstance(value, yaml_nodes.YamlScalar)}
    else:
        assert isinstance(node, yaml_nodes.YamlScalar)
        written = {"interface": node.text}
    assert selector(written) == one


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=15))
def test_a_quoted_scalar_is_read_back(text: str) -> None:
    """Whatever a name looks like, in a list in flow style it stays that name."""
    node = yaml_nodes.load(f"[{yaml_text(text)}]")
    assert isinstance(node, yaml_nodes.YamlList)
    assert [item.text for item in node.items if isinstance(item, yaml_nodes.YamlScalar)] == [text]


@pytest.mark.parametrize(
    ("given", "explicit"),
    [
        ({"interface": "ens2f0"}, True),
        ({"interface": "ens2f*"}, False),
        ({"interface": "ens2f*", "mac": "02:00:5e:10:00:01"}, True),
        ({"pci": PF}, True),
        ({"altname": "x"}, True),
        ({"driver": "ice", "numa_node": "1"}, False),
        ({"vf_of": "ens2f0"}, False),
    ],
)
def test_naming_one_thing_is_not_describing_many(given: dict[str, str], *, explicit: bool) -> None:
    """Only what is named may be a lifeline."""
    assert selector(given).is_explicit is explicit


def test_without_sysfs_nothing_is_known() -> None:
    """And so nothing is matched that asks for it."""
    assert not matches(selector({"numa_node": "0"}), NIC, no_facts)
