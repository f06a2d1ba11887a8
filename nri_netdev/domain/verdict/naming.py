"""Gives each chosen interface its name inside the pod."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.links import Link
from nri_netdev.domain.problem import Obstacle
from nri_netdev.domain.text.names import NUMBER, fill, quote, why_invalid
from nri_netdev.domain.verdict.availability import PodAvailability, own_altnames
from nri_netdev.domain.verdict.outcome import Case, Grant
from nri_netdev.domain.verdict.setting import objections
from nri_netdev.errors import Reason


class Naming:
    """The names inside, given in the order of the entries.

    Args:
        cases: entries with the links chosen for them.
        available: what the pod could get.
    """

    def __init__(self, cases: Sequence[Case], available: PodAvailability) -> None:
        self._cases = cases
        self._available = available
        self._wanted = {case.entry.fixed_inside: _wanted(case.entry) for case in cases if case.entry.fixed_inside}
        """What gets each name, for messages, and the reason of a refusal that has it in its text."""
        self._wanted |= {name: _wanted(case.entry) for case in cases for name in case.entry.devices}
        self._wanted |= {vrf.name: _wanted(case.entry) for case in cases if (vrf := case.entry.setup.vrf)}
        self._grants: list[Grant] = []
        pairs = [(case.entry, link) for case in cases for link in case.links]
        self._altnames = {name: link for entry, link in pairs for name in self._altnames_of(entry, link)}

    def _altnames_of(self, entry: Entry, link: Link) -> frozenset[str]:
        """The alternative names that come along: none of an interface that is shared."""
        return frozenset() if entry.is_shared else own_altnames(link)

    def grant(self) -> None:
        """Add a grant for each link of each case, and a problem for each name that cannot be given."""
        for case in self._cases:
            for link in case.links:
                inside = _inside(case.entry, link, self._wanted.keys() | self._available.names)
                for obstacle in self._obstacles(inside, case.entry, link):
                    case.refuse(obstacle.text, obstacle.reason)
                for objection in objections(case.entry, link, self._available, self._grants):
                    case.refuse(objection.text, objection.reason, field=objection.field)
                self._wanted[inside] = link.ifname, Reason.ANNOTATION
                entry = replace(case.entry, interface=link.ifname, name=None if inside == link.ifname else inside)
                case.grants.append(Grant(entry=entry, link=link, rule=self._available.rule_for(link)))
                self._grants.append(case.grants[-1])

    def _obstacles(self, inside: str, entry: Entry, link: Link) -> Iterator[Obstacle]:
        """Why an interface cannot get a name, in whole sentences."""
        name = quote(inside)
        if (why := why_invalid(inside)) is not None:
            yield Obstacle(f"the name {name} {why}", Reason.ANNOTATION)
        if inside in self._available.names:
            text = f"the name {name} is already taken in the pod; set another with the field name"
            yield self._available.leaving(inside) or Obstacle(text, Reason.POD)
        if inside in self._altnames_of(entry, link):
            text = f"{name} is an alternative name of {link.ifname} itself; set another with the field name"
            yield Obstacle(text, Reason.ANNOTATION)
        if not entry.is_shared and (clash := self._available.clash(link)):
            yield clash
        if inside != entry.fixed_inside and inside in self._wanted:
            other, reason = self._wanted[inside]
            yield Obstacle(f"the name {name} is wanted twice, also for {quote(other)}", reason)
        owner = self._altnames.get(inside)
        if owner is not None and owner is not link:
            text = f"the name {name} is an alternative name of {owner.ifname}, which comes as well"
            yield Obstacle(text, Reason.ANNOTATION)
        for device in entry.devices:
            if owner := self._altnames.get(device):
                text = f"the name {quote(device)} is an alternative name of {owner.ifname}, which comes as well"
                yield Obstacle(text, Reason.ANNOTATION)
        rule = self._available.rule_for(link)
        if rule is not None and (why := rule.why_not_as(inside)):
            yield Obstacle(f"{rule} {why}", Reason.POLICY)


def _wanted(entry: Entry) -> tuple[str, Reason]:
    return entry.wanted, Reason.POOL if entry.pool else Reason.ANNOTATION


def _inside(entry: Entry, link: Link, taken: Collection[str]) -> str:
    """The name of an interface inside; a pattern takes the lowest number that makes it free."""
    if entry.name is None:
        return link.ifname
    if not entry.is_pattern:
        return entry.name
    if NUMBER not in entry.name:
        return fill(entry.name, pool=entry.pool or "", n=0)
    numbered = (fill(entry.name, pool=entry.pool or "", n=n) for n in range(len(taken) + 1))
    return next(name for name in numbered if name not in taken)
