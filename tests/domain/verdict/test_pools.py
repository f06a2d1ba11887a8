"""How many interfaces a pool has, and how many could be given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.links import Inventory
from nri_netdev.domain.setup.fields import read_setup
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.domain.verdict.node import Held, NodeState
from nri_netdev.domain.verdict.pools import PoolCount, count_pools
from tests.domain.policy.test_rules import LINKS, NODE, POOLS, SOURCE_ROUTED, claim_on, policy_of


def counted(text: str, claims: Iterable[Claim] = (), inventory: Inventory = NODE) -> Mapping[str, PoolCount]:
    """The pools of a configuration."""
    return count_pools(NodeState(inventory=inventory, policy=policy_of(text), held=tuple(map(Held.of, claims))))


@pytest.mark.parametrize(
    ("more", "claims", "fast", "slow"),
    [
        # uplink0 carries the default route, port0 is a port of br0.
        ("", (), (4, 3), (2, 1)),
        ("", ("ens2",), (4, 2), (2, 1)),
        ("protected: [ens1]\n", (), (4, 2), (2, 1)),
        ("rules: [{namespaces: [a], interfaces: [uplink0], allow_protected: true}]\n", (), (4, 4), (2, 1)),
        # What is given away and not to be seen on the host belongs to its pool still.
        ("", ("ens1", "ens77"), (5, 2), (2, 1)),
        ("", ("slow0",), (4, 3), (2, 0)),
    ],
)
def test_counts(more: str, claims: tuple[str, ...], fast: tuple[int, int], slow: tuple[int, int]) -> None:
    """Size is what the selectors describe, free what nothing but a rule for the asking pod stands in the way of."""
    held: tuple[Claim, ...] = tuple(claim_on(ifname) for ifname in claims)
    assert counted(POOLS + more, held) == {
        "fast": PoolCount(size=fast[0], free=fast[1]),
        "slow": PoolCount(size=slow[0], free=slow[1]),
    }


@pytest.mark.parametrize(("interface", "free"), [("ens2", 3), ("ens1", 2)])
def test_a_source_route_counts_as_free_where_a_rule_gives_it(interface: str, free: int) -> None:
    """Not by a rule that speaks of others."""
    rule = f"rules: [{{namespaces: [a], interfaces: [{interface}], allow_source_routed: true}}]\n"
    assert counted(POOLS + rule, inventory=SOURCE_ROUTED)["fast"] == PoolCount(size=4, free=free)


def test_away_or_planned_counts_once() -> None:
    """Whether a given interface is still on the host or gone already, its pool has the same size."""
    away = Inventory(links=tuple(link for link in LINKS if link.ifname != "ens1"), default_routes=frozenset({2}))
    claims = (claim_on("ens1"),)
    assert counted(POOLS, claims) == counted(POOLS, claims, away)


def test_what_the_kernel_holds_is_not_free() -> None:
    """A device that cannot leave its netns is in the pool, and never free."""
    stuck = Inventory(links=(replace(LINKS[1], netns_immutable=True),))
    assert counted(POOLS, (), stuck)["fast"] == PoolCount(size=1, free=0)


def test_what_is_at_home_under_another_name_is_not_free() -> None:
    """An interface whose name was taken when it came home is still held."""
    claim = replace(claim_on("ens77"), state=State.PARTIAL, home_ifname="ens2")
    assert counted(POOLS, [claim])["fast"].free == 2


def test_what_is_shared_is_at_home() -> None:
    """It counts once, whatever it is called now, and is not free."""
    claim = replace(claim_on("ens2"), setup=read_setup('{"share": "macvlan"}'))
    renamed = replace(claim, snapshot=Snapshot(link=replace(claim.snapshot.link, ifname="ens77")))
    for one in (claim, renamed):
        assert counted(POOLS, [one])["fast"] == PoolCount(size=4, free=2)


def test_without_a_policy_there_are_no_pools() -> None:
    """Nothing is counted."""
    assert count_pools(NodeState(inventory=NODE)) == {}
