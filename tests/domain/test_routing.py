"""Default routes, told apart by who reaches their tables."""

from __future__ import annotations

import pytest

from nri_netdev.domain.routing import DefaultRoute, Defaults, RoutingRule, SourceRoute, told_apart

AF_INET, AF_INET6 = 2, 10
OWN = RoutingRule(family=AF_INET, table=102, sources="192.0.2.5/32")
ANY = RoutingRule(family=AF_INET, table=102)
MAIN = RoutingRule(family=AF_INET, table=254)


def route(table: int = 102, *, family: int = AF_INET) -> DefaultRoute:
    return DefaultRoute(family=family, table=table, leaves_by=frozenset({7}), source="192.0.2.5")


@pytest.mark.parametrize(
    ("rules", "sources"),
    [
        ([], ()),
        ([MAIN], ()),
        ([OWN], ("192.0.2.5/32",)),
        ([OWN, RoutingRule(family=AF_INET, table=102, sources="10.0.0.0/8")], ("10.0.0.0/8", "192.0.2.5/32")),
        ([OWN, RoutingRule(family=AF_INET, table=103)], ("192.0.2.5/32",)),
        ([OWN, RoutingRule(family=AF_INET6, table=102)], ("192.0.2.5/32",)),
        ([OWN, RoutingRule(family=AF_INET, table=0, is_l3mdev=True)], ("192.0.2.5/32",)),
        ([RoutingRule(family=AF_INET6, table=0, is_l3mdev=True)], ()),
    ],
    ids=["none", "main only", "own", "two", "another table", "another family", "VRFs have others", "VRFs of IPv6"],
)
def test_packets_from_some_addresses_take_it(rules: list[RoutingRule], sources: tuple[str, ...]) -> None:
    """Where each rule that reaches its table says from where, or there is no such rule."""
    by_source = SourceRoute(table=102, leaves_by=frozenset({7}), source="192.0.2.5", sources=sources)

    assert told_apart([route()], rules) == Defaults(by_source=(by_source,))


@pytest.mark.parametrize(
    ("table", "rules"),
    [
        (102, [ANY]),
        (102, [OWN, ANY]),
        (102, [RoutingRule(family=AF_INET, table=0, is_l3mdev=True)]),
        (254, []),
        (254, [RoutingRule(family=AF_INET, table=254, sources="192.0.2.5/32")]),
        (255, []),
        (0, []),
    ],
    ids=["any", "any too", "VRF", "main", "main by source", "local", "unspecified"],
)
def test_the_node_takes_it(table: int, rules: list[RoutingRule]) -> None:
    """Where a rule may have other packets looked up in its table, and always the main table's."""
    assert told_apart([route(table)], rules) == Defaults(leaving=frozenset({7}), sources=frozenset({"192.0.2.5"}))


def test_what_any_default_route_leaves_by_is_known() -> None:
    """Whoever takes it, by each of its next hops."""
    other = DefaultRoute(family=AF_INET6, table=103, leaves_by=frozenset({8, 9}))

    assert told_apart([route(254), other], []).ifindexes == {7, 8, 9}
