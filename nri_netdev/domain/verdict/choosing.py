"""Chooses interfaces for the entries of a request.

Entries that name their interface come first, then the others, those with the fewest candidates first, so that the
order of the entries changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.links import Link
from nri_netdev.domain.pci import why_no_interface
from nri_netdev.domain.policy.selectors import Selector, is_pci, ordered
from nri_netdev.domain.problem import Obstacle
from nri_netdev.domain.text.names import quote
from nri_netdev.domain.verdict import words
from nri_netdev.domain.verdict.availability import PodAvailability
from nri_netdev.domain.verdict.counts import RuleCounts
from nri_netdev.domain.verdict.outcome import Case
from nri_netdev.errors import Reason

_OBSTACLES_SHOWN = 4
"""Of the reasons why members of a pool cannot be given."""


def choose(cases: Sequence[Case], available: PodAvailability, counts: RuleCounts) -> None:
    """Set the links of each case, or its problems; count what is chosen."""
    for case in cases:
        if case.entry.interface:
            _take_named(case, available)
    for case in cases:
        counts.add(case.links)
    taken = {
        is_shared: {c.entry.interface for c in cases if c.entry.is_shared is is_shared} for is_shared in (True, False)
    }
    candidates = [(_candidates(case.entry, available), case) for case in cases if not case.entry.interface]
    for links, case in sorted(candidates, key=lambda pair: _choosiness(*pair)):
        is_shared = case.entry.is_shared
        barred = taken[False] if is_shared else taken[False] | taken[True]
        left = [link for link in links if link.ifname not in barred]
        found = _first(left, case.entry, available, counts.copy())
        if len(found) < case.entry.count:
            _refuse_short(case, available, found, links)
            continue
        taken[is_shared].update(link.ifname for link in found)
        counts.add(found)
        case.links = found


def _take_named(case: Case, available: PodAvailability) -> None:
    """Take the interface that an entry names, or note what stands in the way."""
    entry, name = case.entry, quote(case.entry.interface)
    link = available.node.inventory.by_name(entry.interface)
    holding = available.held(entry.interface, is_to_share=entry.is_shared)
    known = link or (holding.link if holding else None)
    if known is None:
        obstacle = words.absent(entry.interface, available.node.inventory)
        links = available.node.inventory.links
        free = [other.ifname for other in links if available.may_get(other, is_to_share=entry.is_shared)]
        case.refuse(obstacle.text, obstacle.reason, hint=words.free(free))
    elif holding is None and (reason := available.why_not(known, is_to_share=entry.is_shared)):
        case.refuse(f"interface {name} {reason.text}", reason.reason)
    elif available.is_unruled(known):
        case.unruled = f"interface {name}"
    elif holding is not None:
        obstacle = words.held(holding, available.node.at_s)
        case.refuse(obstacle.text, obstacle.reason)
    else:
        if entry.selector is not None and not available.describes(entry.selector, known):
            hint = "mac is what it is found by; to give it another one, write set_mac" if entry.selector.mac else ""
            case.refuse(f"interface {name} is not {entry.selector}", Reason.ANNOTATION, hint=hint)
        if entry.pool is not None and not available.is_member(known, entry.pool):
            case.refuse(f"interface {name} is not in the pool {quote(entry.pool)}", Reason.POOL)
        case.links = () if case.problems else (known,)


def _candidates(entry: Entry, available: PodAvailability) -> tuple[Link, ...]:
    """What an entry that names no interface could be given, in the order in which interfaces are given."""
    links, shared = available.node.inventory.links, entry.is_shared
    return ordered(
        link for link in links if available.is_meant(entry, link) and available.may_get(link, is_to_share=shared)
    )


def _choosiness(candidates: Sequence[Link], case: Case) -> tuple[object, ...]:
    entry = case.entry
    return len(candidates), [link.ifname for link in candidates], -entry.count, entry.key, entry.number


def _first(links: Sequence[Link], entry: Entry, available: PodAvailability, counts: RuleCounts) -> tuple[Link, ...]:
    """The first of some links that the counts of rules and the pod's names allow."""
    found: list[Link] = []
    for link in links:
        is_clashing = not entry.is_shared and available.clash(link) is not None
        if len(found) < entry.count and not counts.is_used_up(link) and not is_clashing:
            found.append(link)
            counts.add([link])
    return tuple(found)


def _refuse_short(case: Case, available: PodAvailability, found: Sequence[Link], candidates: Collection[Link]) -> None:
    """Too few interfaces could be found for an entry: say why."""
    entry, policy = case.entry, available.node.policy
    if entry.pool is not None and (policy is None or entry.pool not in policy.pools):
        defined = ", ".join(sorted(policy.pools)) if policy else ""
        hint = f"Defined: {defined}." if defined else ""
        case.refuse(f"the pool {quote(entry.pool)} is not defined on this node", Reason.POOL, field="pool", hint=hint)
        return
    what = f"pool {quote(entry.pool)}" if entry.pool else f"what is asked for, {entry.selector},"
    meant = [link for link in available.everything() if available.is_meant(entry, link)]
    if meant and all(map(available.is_unruled, meant)):
        case.unruled = what
        return
    if not meant and (nothing := _nothing_there(entry, available)):
        case.refuse(nothing.text, nothing.reason, field="pci" if entry.selector and entry.selector.pci else "vf_of")
        return
    obstacles = [
        _obstacle(link, available, is_candidate=link in candidates, is_to_share=entry.is_shared)
        for link in meant
        if link not in found and not available.is_unruled(link)
    ]
    shown = obstacles[:_OBSTACLES_SHOWN]
    texts = "; ".join(obstacle.text for obstacle in shown)
    more = f"; and {len(obstacles) - _OBSTACLES_SHOWN} more" if len(obstacles) > _OBSTACLES_SHOWN else ""
    few = f"{len(found)} of the {entry.count} interfaces" if entry.count > 1 else "no interface"
    reasons = [Reason.POOL if entry.pool else Reason.ANNOTATION, *(obstacle.reason for obstacle in shown)]
    case.refuse(f"{what} has {few} for this pod" + (f": {texts}{more}" if texts else ""), Reason.first(reasons))


def _nothing_there(entry: Entry, available: PodAvailability) -> Obstacle | None:
    """Why there is no interface of the PCI address that an entry names; None if it names none."""
    selector, pci_of = entry.selector, available.node.pci_of
    if selector is None:
        return None
    if selector.pci is None:
        pf = selector.vf_of or ""
        is_missing = is_pci(pf) and pci_of(pf) is None
        return Obstacle(why_no_interface(pf, None), Reason.ABSENT) if is_missing else None
    there = [link.ifname for link in available.everything() if available.describes(Selector(pci=selector.pci), link)]
    if there:
        text = f"the PCI function {selector.pci} has the interface {', '.join(there)}, which is not {entry.wanted}"
        return Obstacle(text, Reason.ANNOTATION)
    return Obstacle(why_no_interface(selector.pci, pci_of(selector.pci)), Reason.ABSENT)


def _obstacle(link: Link, available: PodAvailability, *, is_candidate: bool, is_to_share: bool) -> Obstacle:
    """Why an interface that an entry means was not chosen for it, in a whole sentence."""
    if holding := available.held(link.ifname, is_to_share=is_to_share):
        return words.held(holding, available.node.at_s)
    if reason := available.why_not(link, is_to_share=is_to_share):
        return Obstacle(f"{link.ifname} {reason.text}", reason.reason)
    if not is_to_share and (clash := available.clash(link)):
        return clash
    rule = available.rule_for(link)
    if rule is not None and rule.count is not None and is_candidate:
        return Obstacle(f"{link.ifname}: {words.limit(rule)}", Reason.POLICY)
    return Obstacle(f"{link.ifname} goes to another entry", Reason.ANNOTATION)
