"""A restart asks for what is missing, and never again for what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nri_netdev.domain.annotations.request import Entry, parse
from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.verdict.demand import held_for, outstanding
from tests.domain.policy.test_rules import KEY, claim_on


def entry(text: str) -> Entry:
    """The second entry of an annotation of the container `app`."""
    return parse({KEY: f"[zzz, {text}]"}, container="app").entries[1]


def held(ifname: str, *, inside: str | None = None, number: int = 2, state: State = State.HELD) -> Claim:
    """A claim for the second entry."""
    return replace(claim_on(ifname, state=state), inside=inside or ifname, number=number)


@pytest.mark.parametrize(
    ("asked", "claims", "left"),
    [
        ("ens1", [], 1),
        ("ens1", [held("ens1")], 0),
        ("ens1", [held("ens1", number=1)], 1),
        ("{interface: ens1, name: net1}", [held("ens1", inside="net1")], 0),
        ("{interface: ens1, name: net1}", [held("ens1", inside="net1", state=State.RETURNING)], 1),
        ("{pool: fast}", [held("ens1")], 0),
        ("{pool: fast}", [held("ens1", number=1)], 1),
        ("{pool: fast, count: 3}", [held("ens1"), held("ens2")], 1),
        ("{pool: fast, count: 3}", [held("ens1"), held("ens2"), held("ens10")], 0),
        ("{driver: ice, count: 2, name: 'net{n}'}", [held("ens1", inside="net0")], 1),
    ],
)
def test_what_is_left_to_give(asked: str, claims: list[Claim], left: int) -> None:
    """As many as are asked for, less what is held for the same place of the same annotation."""
    one = entry(asked)
    rest = outstanding(one, held_for(one, claims))
    assert (rest.count if rest else 0) == left
    assert rest is None or rest == replace(one, count=left)


def test_another_annotation_and_another_scope_are_not_ones_own() -> None:
    """The same place in another list is something else."""
    one = entry("{pool: fast}")
    claim = held("ens1")
    assert held_for(one, [claim])
    assert not held_for(one, [replace(claim, key="nri-netdev.io/container.other")])
    assert not held_for(one, [replace(claim, owner=replace(claim.owner, scope=Scope.POD))])
