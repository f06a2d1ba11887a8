"""The tables of the three grammars: keys in their order, and fields that are defined once for reader and docs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given

from nri_netdev.domain.annotations.grammars import ALL_PREFIXES, GRAMMARS, Grammar, candidates, schema, sources
from nri_netdev.domain.annotations.relevance import mentions
from nri_netdev.domain.annotations.request import parse
from nri_netdev.domain.policy.selectors import FIELDS
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.fields import FIELDS as SETUP_FIELDS
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.shape import Member, Reader
from tests.domain.setup.setups import SETUPS, Document

jsonschema: Any = pytest.importorskip("jsonschema")  # comes with kubernetes-validate
VALIDATOR = jsonschema.Draft202012Validator(schema())

ARGUMENTS = {"interface", "name", "pool", "count", *FIELDS, *SETUP_FIELDS}
PEERS = {"address", "prefix"}
"""What becomes one native field, `addresses`."""


@pytest.mark.parametrize("grammar", Grammar)
def test_every_field_means_something_native(grammar: Grammar) -> None:
    """It is read under a native field's name, or made one; it has a text for the docs."""
    for key, member in GRAMMARS[grammar].record.members.items():
        assert (member.argument or key) in ARGUMENTS | PEERS
        assert member.text


@pytest.mark.parametrize(("name", "member"), GRAMMARS[Grammar.NATIVE].record.members.items())
def test_every_example_can_be_written(name: str, member: Member) -> None:
    """What the docs show is read."""
    more = "addresses: [192.0.2.10/24], " if name in {"keep_addresses", "routes"} else ""
    example = f"'{member.example}'" if name in {"name", "interface", "pci", "mac", "device"} else member.example
    node = yaml_nodes.load(f"{{{more}{name}: {example}}}")
    assert node is not None
    reader = Reader()
    given = GRAMMARS[Grammar.NATIVE].entry.read(node, (), reader)
    assert not reader.flaws
    assert list(given or {})[-1] == name
    assert member.example


def test_no_slip_is_a_field() -> None:
    """A word that is proposed for is not itself a word of the grammar."""
    members = GRAMMARS[Grammar.NATIVE].record.members
    slips = [slip for member in members.values() for slip in member.slips]
    assert len(slips) == len(set(slips)) > 0
    assert not set(slips) & set(members)
    assert all(slip == slip.lower() for slip in slips)


@given(SETUPS)
def test_what_is_right_is_right_by_the_schema(document: Document) -> None:
    """Whatever an entry asks to be set."""
    assert list(VALIDATOR.iter_errors(["ens1", {"interface": "ens2", "count": 2, **document}])) == []


def test_the_schema_is_one() -> None:
    """By the draft that it names."""
    VALIDATOR.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize(("name", "member"), GRAMMARS[Grammar.NATIVE].record.members.items())
def test_every_example_is_right_by_the_schema(name: str, member: Member) -> None:
    """As YAML is read by editors."""
    text = f"'{member.example}'" if name in {"name", "interface", "pci", "mac", "device"} else member.example
    assert list(VALIDATOR.iter_errors([yaml.safe_load(f"{{{name}: {text}}}")])) == []


@pytest.mark.parametrize(
    "value",
    [
        "ens1",
        [{"nmae": "x"}],
        [{"interface": "a", "mtu": 67}],
        [{"interface": "a", "addresses": [{"peer": "192.0.2.1"}]}],
        [{"interface": "a", "addresses": ["192.0.2.1/24"] * 33}],
        [{"interface": "a", "vlan": {"id": 5}}],
        [{"interface": "a", "vlan": []}],
        [{"interface": "a", "sysctls": {"net.ipv4.ip_forward": 1}}],
        [{"interface": "a", "ethtool": {"rings": {"ry": 1}}}],
        [{"interface": "a", "ipam": {"type": "host-local", "dataDir": "/etc", "subnet": "192.0.2.0/24"}}],
        [{"interface": "a", "ipam": {"type": "bridge"}}],
        [{"interface": "a", "share": "bridge"}],
        ["a"] * 65,
    ],
)
def test_what_is_wrong_is_wrong_by_the_schema(value: object) -> None:
    """As far as a schema can say it."""
    assert list(VALIDATOR.iter_errors(value))
    assert parse({"nri-netdev.io": json.dumps(value)}, container="app").problems


def test_of_a_peers_keys_the_first_counts_and_of_the_native_ones_all() -> None:
    """In the order of search."""
    every = candidates(container="app")
    assert len({source.key for source in every}) == len(every)
    found = sources(dict.fromkeys(source.key for source in every), container="app")
    assert [source.grammar for source in found] == [
        *[Grammar.NATIVE] * 3,
        Grammar.DEVICE_INJECTOR,
        Grammar.NETWORK_DEVICE_INJECTOR,
    ]
    assert [source.scope for source in found[:3]] == [Scope.CONTAINER, Scope.POD, Scope.POD]


def test_every_key_has_a_known_prefix_and_is_relevant() -> None:
    """What is looked for is what is not passed over."""
    for source in candidates(container="app"):
        assert source.key.partition("/")[0] in ALL_PREFIXES
        assert mentions({source.key: ""})
