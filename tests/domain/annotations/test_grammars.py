"""The tables of the three grammars: keys in their order, and fields that are defined once for reader and docs."""

from __future__ import annotations

import pytest

from nri_netdev.domain.annotations.grammars import ALL_PREFIXES, GRAMMARS, Grammar, candidates, sources
from nri_netdev.domain.annotations.relevance import mentions
from nri_netdev.domain.policy.selectors import FIELDS
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.text.shape import FlawKind, Reader
from nri_netdev.domain.text.yaml_nodes import YamlMapping, YamlScalar

ARGUMENTS = {"interface", "name", "pool", "count", *FIELDS}


@pytest.mark.parametrize("grammar", Grammar)
def test_every_field_means_something_native(grammar: Grammar) -> None:
    """It is read under a native field's name, or refused; it has a text for the docs."""
    for key, member in GRAMMARS[grammar].record.members.items():
        reader = Reader()
        member.shape.read(YamlScalar(text="x", line=1), (key,), reader)
        is_refused = [flaw.kind for flaw in reader.flaws] == [FlawKind.UNSUPPORTED]
        assert is_refused or (member.argument or key) in ARGUMENTS
        assert member.text


@pytest.mark.parametrize(("name", "member"), GRAMMARS[Grammar.NATIVE].record.members.items())
def test_every_example_can_be_written(name: str, member: object) -> None:
    """What the docs show is read."""
    example = getattr(member, "example", "")
    if example:
        pair = (YamlScalar(text=name, line=1), YamlScalar(text=example, line=1))
        reader = Reader()
        given = GRAMMARS[Grammar.NATIVE].entry.read(YamlMapping(pairs=(pair,), line=1), (), reader)
        assert not reader.flaws
        assert list(given or {}) == [name]


def test_no_slip_is_a_field() -> None:
    """A word that is proposed for is not itself a word of the grammar."""
    members = GRAMMARS[Grammar.NATIVE].record.members
    slips = [slip for member in members.values() for slip in member.slips]
    assert slips
    assert not set(slips) & set(members)
    assert all(slip == slip.lower() for slip in slips)


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
