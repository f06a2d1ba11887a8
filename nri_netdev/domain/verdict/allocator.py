"""The desk where requests are decided: host, pod and policy before it, one entry after another.

`nri_netdev.domain.verdict.judge` makes all or nothing of it, `nri_netdev.domain.verdict.explain` tells of each entry.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import MARK_PREFIX, Claim
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.policy.lifelines import Lifelines, why_immovable
from nri_netdev.domain.policy.rules import Policy, Rule
from nri_netdev.domain.policy.selectors import FactsOf, matches, no_facts, ordered
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.text.names import NUMBER, fill, quote, why_invalid
from nri_netdev.domain.verdict.suggestion import suggested

_FREE_SHOWN = 12
_REASONS_SHOWN = 4
"""Of why the members of a pool cannot be given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One interface, and the entry that gets it."""

    entry: Entry
    """As it was asked, with the interface and the name inside that it came to."""
    link: Link
    rule: Rule | None = None
    """By which it is given; None where no policy was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodNetns:
    """What the verdict needs to know of the pod's netns."""

    is_host: bool = False
    """The pod is on the host network."""
    names: frozenset[str] = frozenset()
    """Every name and alternative name taken in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of one entry of a request."""

    entry: Entry
    grants: tuple[Grant, ...] = ()
    """What it gets if the others come to no harm either; none when it has problems."""
    problems: tuple[Problem, ...] = ()


class Desk:
    """Where requests are decided, with all that is known of host, pod and policy before it. See `judge`."""

    def __init__(
        self,
        *,
        inventory: Inventory,
        netns: PodNetns,
        claims: Collection[Claim] = (),
        now_s: int = 0,
        policy: Policy | None = None,
        pod: PodSandbox | None = None,
        facts_of: FactsOf = no_facts,
    ) -> None:
        self.inventory = inventory
        self.policy = policy
        self.pod = pod or PodSandbox(id="")
        self._netns = netns
        self._held = {claim.ifname: claim for claim in claims}
        self._held |= {claim.home_ifname: claim for claim in claims if claim.home_ifname is not None}
        self._now_s = now_s
        self.sees = partial(matches, facts_of=facts_of, links=inventory.links)
        self._applicable = tuple(rule for rule in policy.rules if rule.why_not_for(self.pod) is None) if policy else ()
        self._rules: dict[tuple[int, str], Rule | None] = {}
        self._lifelines = Lifelines(
            inventory,
            protected=policy.protected if policy else (),
            sees=self.sees,
            given=[claim.snapshot.link for claim in claims],
            facts_of=facts_of,
        )

    # -- one interface ---------------------------------------------------------------------------------------------

    def rule_for(self, link: Link) -> Rule | None:
        """The rule that decides on an interface for this pod."""
        if self.policy is None:
            return None
        key = (link.ifindex, link.ifname)
        if key not in self._rules:
            covering = (rule for rule in self._applicable if self.policy.covers(rule, link, self.sees))
            self._rules[key] = next(covering, None)
        return self._rules[key]

    def is_ruled_out(self, link: Link) -> bool:
        """Whether the policy has no rule that gives this interface to this pod."""
        return self.policy is not None and self.rule_for(link) is None

    def why_not(self, link: Link) -> str | None:
        """Why an interface of the host cannot be given to this pod; the rest of a sentence that begins with it."""
        if reason := why_immovable(link):
            return reason
        reason = self._lifelines.why(link)
        if reason is None or self.policy is None:
            return reason
        rule = self.rule_for(link)
        if rule is not None and rule.may_give_protected(link, self.sees):
            return None
        return f"{reason}; {_who_would(rule)} it with allow_protected: true"

    def is_free(self, link: Link) -> bool:
        """Whether an interface could be given to this pod."""
        return (
            link.ifname not in self._held
            and not self.is_ruled_out(link)
            and self.why_not(link) is None
            and ((rule := self.rule_for(link)) is None or rule.count != 0)
        )

    def present_and_free(self) -> str:
        """A sentence that names what this pod could be given instead."""
        return told_free([link.ifname for link in self.inventory.links if self.is_free(link)])

    # -- a request -------------------------------------------------------------------------------------------------

    def outcomes(self, entries: Sequence[Entry]) -> tuple[Outcome, ...]:
        """What becomes of each entry, in their order.

        Entries that name their interface come first, then the others, the choosiest first, so that the order in which
        they are written changes nothing.
        """
        chosen: dict[int, tuple[Link, ...]] = {}
        problems: dict[int, list[Problem]] = {place: [] for place in range(len(entries))}
        named = {entry.interface for entry in entries}
        taken: set[str] = set()
        counts = self._counts()
        for place, entry in enumerate(entries):
            if entry.interface:
                link = self._named(entry, problems[place])
                chosen[place] = () if link is None else (link,)
        for links in list(chosen.values()):
            counts.update(self._rule_numbers(links))
        candidates = {
            place: tuple(link for link in self._candidates(entry) if link.ifname not in named)
            for place, entry in enumerate(entries)
            if not entry.interface
        }
        for place in sorted(candidates, key=lambda place: _choosiness(candidates[place], entries[place])):
            links = self._choose(entries[place].count, candidates[place], taken, counts)
            if len(links) < entries[place].count:
                problems[place].append(self._short(entries[place], links, candidates[place]))
                continue
            taken.update(link.ifname for link in links)
            counts.update(self._rule_numbers(links))
            chosen[place] = links
        grants = self._grants(entries, chosen, problems)
        self._check_counts(grants, problems, counts)
        self._suggest(entries, problems)
        return tuple(
            Outcome(
                entry=entry,
                grants=() if problems[place] else tuple(grants.get(place, ())),
                problems=tuple(problems[place]),
            )
            for place, entry in enumerate(entries)
        )

    def _named(self, entry: Entry, problems: list[Problem]) -> Link | None:
        """The interface that an entry names, or what stands in the way."""
        link, holder = self.inventory.by_name(entry.interface), self._held.get(entry.interface)
        known = link or (holder.snapshot.link if holder else None)
        messages: list[str] = []
        hint = ""
        if known is None:
            messages.append(_absent(entry.interface, self.inventory))
            hint = self.present_and_free()
        elif holder is None and (reason := self.why_not(known)):
            messages.append(f"interface {quote(entry.interface)} {reason}")
        elif self.is_ruled_out(known):
            problems.append(self._unruled(entry, f"interface {quote(entry.interface)}"))
            return None
        elif holder is not None:
            messages.append(self._is_held(holder))
        if known is not None and not messages:
            if entry.selector is not None and not self.sees(entry.selector, known):
                messages.append(f"interface {quote(entry.interface)} is not {entry.selector}")
            if entry.pool is not None and not self._is_member(known, entry.pool):
                messages.append(f"interface {quote(entry.interface)} is not in the pool {quote(entry.pool)}")
        problems += [Problem(key=entry.key, entry=entry.number, message=message, hint=hint) for message in messages]
        return None if messages else link

    def _candidates(self, entry: Entry) -> tuple[Link, ...]:
        """What an entry that names none could be given, in the order in which it is given away."""
        return ordered(link for link in self.inventory.links if self._is_meant(entry, link) and self.is_free(link))

    def _is_meant(self, entry: Entry, link: Link) -> bool:
        return (entry.selector is None or self.sees(entry.selector, link)) and (
            entry.pool is None or self._is_member(link, entry.pool)
        )

    def _is_member(self, link: Link, pool: str) -> bool:
        return self.policy is not None and self.policy.is_in_pool(link, pool, self.sees)

    def _choose(
        self, count: int, candidates: Sequence[Link], taken: Collection[str], counts: Mapping[int, int]
    ) -> tuple[Link, ...]:
        """The first of the candidates that are left, as far as the rules' counts go."""
        found: list[Link] = []
        used = Counter(counts)
        for link in candidates:
            rule = self.rule_for(link)
            is_over = rule is not None and rule.count is not None and used[rule.number] >= rule.count
            if len(found) < count and link.ifname not in taken and not is_over and not self._altname_clashes(link):
                found.append(link)
                used.update(self._rule_numbers([link]))
        return tuple(found)

    def _short(self, entry: Entry, found: Sequence[Link], candidates: Sequence[Link]) -> Problem:
        """Too little could be found for an entry."""
        problem = partial(Problem, key=entry.key, entry=entry.number)
        if entry.pool is not None and (self.policy is None or entry.pool not in self.policy.pools):
            known = ", ".join(sorted(self.policy.pools)) if self.policy else ""
            return problem(
                message=f"the pool {quote(entry.pool)} is not defined on this node",
                field="pool",
                hint=f"Defined: {known}." if known else "",
            )
        what = f"pool {quote(entry.pool)}" if entry.pool else f"what is asked for, {entry.selector},"
        meant = [link for link in self._everything() if self._is_meant(entry, link)]
        if meant and all(self.is_ruled_out(link) for link in meant):
            return self._unruled(entry, what)
        reasons = [self._told(link, candidates) for link in meant if link not in found and not self.is_ruled_out(link)]
        told = "; ".join(reasons[:_REASONS_SHOWN])
        more = f"; and {len(reasons) - _REASONS_SHOWN} more" if len(reasons) > _REASONS_SHOWN else ""
        few = f"{len(found)} of the {entry.count} interfaces" if entry.count > 1 else "no interface"
        return problem(message=f"{what} has {few} for this pod" + (f": {told}{more}" if told else ""))

    def _everything(self) -> tuple[Link, ...]:
        """The interfaces of the host, those among them that are away."""
        present = {link.ifname for link in self.inventory.links}
        away = (claim.snapshot.link for name, claim in self._held.items() if name not in present)
        return ordered((*self.inventory.links, *away))

    def _told(self, link: Link, candidates: Collection[Link]) -> str:
        if link.ifname in self._held:
            return self._is_held(self._held[link.ifname])
        if reason := self.why_not(link):
            return f"{link.ifname} {reason}"
        if clash := self._altname_clashes(link):
            return clash
        rule = self.rule_for(link)
        if rule is not None and rule.count is not None and link in candidates:
            return f"{link.ifname}: {_bound(rule)}"
        return f"{link.ifname} goes to another entry"

    # -- names and counts ------------------------------------------------------------------------------------------

    def _grants(
        self, entries: Sequence[Entry], chosen: Mapping[int, Sequence[Link]], problems: Mapping[int, list[Problem]]
    ) -> dict[int, list[Grant]]:
        """Give each interface its name inside, in the order of the entries."""
        names = {entry.fixed_inside: entry.wanted for entry in entries if entry.fixed_inside}
        altnames = {name: link for links in chosen.values() for link in links for name in _own_altnames(link)}
        grants: dict[int, list[Grant]] = {}
        for place, entry in enumerate(entries):
            for link in chosen.get(place, ()):
                inside = self._inside(entry, link, names.keys() | self._netns.names)
                final = replace(entry, interface=link.ifname, name=None if inside == link.ifname else inside)
                messages = list(self._clashes(final, link))
                if inside != entry.fixed_inside and inside in names:
                    messages.append(f"the name {quote(inside)} is wanted twice, also for {quote(names[inside])}")
                if altnames.get(inside, link) is not link:
                    other = altnames[inside].ifname
                    messages.append(f"the name {quote(inside)} is an alternative name of {other}, which comes as well")
                names[inside] = link.ifname
                rule = self.rule_for(link)
                if rule is not None and (reason := rule.why_not_as(inside)):
                    messages.append(f"{rule} {reason}")
                problems[place].extend(Problem(key=entry.key, entry=entry.number, message=text) for text in messages)
                grants.setdefault(place, []).append(Grant(entry=final, link=link, rule=rule))
        return grants

    def _inside(self, entry: Entry, link: Link, taken: Collection[str]) -> str:
        if entry.name is None:
            return link.ifname
        if not entry.is_pattern:
            return entry.name
        if NUMBER not in entry.name:
            return fill(entry.name, pool=entry.pool or "", n=0)
        numbered = (fill(entry.name, pool=entry.pool or "", n=n) for n in range(len(taken) + 1))
        return next(name for name in numbered if name not in taken)

    def _clashes(self, entry: Entry, link: Link) -> Iterator[str]:
        if (why := why_invalid(entry.inside)) is not None:
            yield f"the name {quote(entry.inside)} {why}"
        if entry.inside in self._netns.names:
            yield f"the name {quote(entry.inside)} is already taken in the pod; set another with the field name"
        if entry.inside in _own_altnames(link):
            yield (
                f"{quote(entry.inside)} is an alternative name of {link.ifname} itself; set another with the field name"
            )
        if clash := self._altname_clashes(link):
            yield clash

    def _altname_clashes(self, link: Link) -> str | None:
        """An alternative name travels with its device, and the kernel refuses the move where it is taken."""
        name = min(_own_altnames(link) & self._netns.names, default=None)
        return name and f"the alternative name {quote(name)} of {link.ifname} is already taken in the pod"

    def _counts(self) -> Counter[int]:
        """How many this pod holds already, by the number of the rule."""
        links = [
            claim.snapshot.link
            for claim in self._held.values()
            if claim.owner.pod_id == self.pod.id and not claim.state.is_homeward
        ]
        return self._rule_numbers(links)

    def _rule_numbers(self, links: Collection[Link]) -> Counter[int]:
        rules = (self.rule_for(link) for link in links)
        return Counter(rule.number for rule in rules if rule is not None)

    def _check_counts(
        self, grants: Mapping[int, Sequence[Grant]], problems: Mapping[int, list[Problem]], counts: Mapping[int, int]
    ) -> None:
        """More than a rule gives to one pod; told at each entry that names one of them."""
        for place, given in grants.items():
            for grant in given:
                rule, entry = grant.rule, grant.entry
                if rule is not None and rule.count is not None and counts[rule.number] > rule.count:
                    message = _bound(rule, counts[rule.number])
                    problems[place].append(Problem(key=entry.key, entry=entry.number, message=message))

    def _suggest(self, entries: Sequence[Entry], problems: Mapping[int, list[Problem]]) -> None:
        """Where no rule gives what is asked, quote the shortest that would give it all."""
        unruled = [place for place, those in problems.items() if any(problem.hint == _RULE for problem in those)]
        hint = f"A rule that would: {suggested(self.pod, [entries[place] for place in unruled])}"
        for place in unruled:
            problems[place][:] = [replace(p, hint=hint) if p.hint == _RULE else p for p in problems[place]]

    # -- words -----------------------------------------------------------------------------------------------------

    def _unruled(self, entry: Entry, what: str) -> Problem:
        message = f"no rule of this node gives {what} to namespace {quote(self.pod.namespace)}"
        return Problem(key=entry.key, entry=entry.number, message=message, hint=_RULE)

    def _is_held(self, claim: Claim) -> str:
        since = age(math.floor(max(0, self._now_s - claim.since_s)))
        if claim.state.is_homeward:
            return (
                f"interface {quote(claim.ifname)} is being returned from {claim.owner} ({claim.state}); retry, or see "
                "`nri-netdev claims`"
            )
        return f"interface {quote(claim.ifname)} is held by {claim.owner} for {since}"


_RULE = "a rule"
"""The hint of a problem until it is known which rule would solve all of them."""


def _choosiness(candidates: Sequence[Link], entry: Entry) -> tuple[object, ...]:
    return len(candidates), [link.ifname for link in candidates], -entry.count, entry.key, entry.number


def _who_would(rule: Rule | None) -> str:
    return "no rule of this node names" if rule is None else f"{rule} does not name"


def _bound(rule: Rule, wanted: int | None = None) -> str:
    """What a rule's count says, and, where too many are named, how many that would be."""
    if rule.count == 0:
        return f"{rule} refuses it"
    return f"{rule} gives a pod {rule.count} at most" + (f", and this would be {wanted} of them" if wanted else "")


def _own_altnames(link: Link) -> frozenset[str]:
    return frozenset(name for name in link.altnames if not name.startswith(MARK_PREFIX))


def told_free(free: Sequence[str]) -> str:
    """A sentence that names what could be given, in short."""
    if not free:
        return "No interface of this node is present and free."
    more = f" and {len(free) - _FREE_SHOWN} more" if len(free) > _FREE_SHOWN else ""
    return f"Present and free: {', '.join(free[:_FREE_SHOWN])}{more}."


def age(seconds: int) -> str:
    """A duration for people, in the two largest of days, hours, minutes, seconds."""
    parts = [
        (seconds // 86400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    ]
    told = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(told[:2]) or "0 s"


def _absent(interface: str, inventory: Inventory) -> str:
    link = inventory.by_altname(interface)
    if link is not None:
        return f"{quote(interface)} is an alternative name of {link.ifname}; write {link.ifname}"
    return f"interface {quote(interface)} is not on this node"
