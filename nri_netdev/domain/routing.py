"""Default routes of a host, told apart by who reaches their tables (`ip rule`). Pure.

Most default routes carry whatever the node sends. Nodes of clouds have a further one for each further interface, in a
table of its own, which only packets from that interface's addresses are looked up in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

_ALWAYS_REACHED = frozenset({0, 254, 255})
"""Tables unspecified, main and local (`RT_TABLE_*`): without them a host has no network at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRoute:
    """A default route (`RTM_NEWROUTE`)."""

    family: int
    table: int
    leaves_by: frozenset[int]
    """ifindexes; several for a route with several next hops."""
    source: str | None = None
    """The address that it names as its source (`RTA_PREFSRC`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRule:
    """A rule that has packets looked up in a table (`RTM_NEWRULE`, action `FR_ACT_TO_TBL`)."""

    family: int
    table: int
    """0 for a rule of `l3mdev`, which reaches the table of whichever VRF."""
    sources: str | None = None
    """The addresses that packets must come from, `192.0.2.5/32`; None if packets from any may be meant."""
    is_l3mdev: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRoute:
    """A default route in a table that only packets from certain addresses are looked up in, or none at all."""

    table: int
    leaves_by: frozenset[int]
    source: str | None = None
    """As `DefaultRoute.source`."""
    sources: tuple[str, ...] = ()
    """What the rules that reach the table have for `from`; empty if no rule reaches it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The default routes of a host."""

    leaving: frozenset[int] = frozenset()
    """ifindexes that default routes of the node leave by, of any family, those of `by_source` left out."""
    sources: frozenset[str] = frozenset()
    """Addresses that they name as their source."""
    by_source: tuple[SourceRoute, ...] = ()
    preferred: frozenset[str] = frozenset()
    """Addresses that routes of any kind name as their source, those left out that the kernel has made."""

    @property
    def ifindexes(self) -> frozenset[int]:
        """What any default route leaves by."""
        return self.leaving.union(*(route.leaves_by for route in self.by_source))


def told_apart(routes: Iterable[DefaultRoute], rules: Collection[RoutingRule]) -> Defaults:
    """Tell default routes apart by the rules that reach their tables.

    A rule with `from` reaches packets from there, whatever else it asks of them; any other rule, also one with `not`,
    may reach every packet. A rule of `l3mdev` may reach each table that no other rule names.
    """
    named = {(rule.family, rule.table) for rule in rules}
    by_l3mdev = {rule.family for rule in rules if rule.is_l3mdev}
    leaving: set[int] = set()
    sources: set[str] = set()
    by_source: list[SourceRoute] = []
    for route in routes:
        own = [rule.sources for rule in rules if (rule.family, rule.table) == (route.family, route.table)]
        only = tuple(sorted({text for text in own if text is not None}))
        is_vrfs = route.family in by_l3mdev and (route.family, route.table) not in named
        if route.table in _ALWAYS_REACHED or None in own or is_vrfs:
            leaving |= route.leaves_by
            sources.update(filter(None, (route.source,)))
        else:
            by_source.append(
                SourceRoute(table=route.table, leaves_by=route.leaves_by, source=route.source, sources=only)
            )
    return Defaults(leaving=frozenset(leaving), sources=frozenset(sources), by_source=tuple(by_source))
