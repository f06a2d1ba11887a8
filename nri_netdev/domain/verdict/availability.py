"""Which interfaces of a node can be given, to some pod and to a certain one.

"Free" is defined here, once: nobody holds the interface, the kernel moves it, and it is no lifeline, or a rule gives it
all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import MARK_PREFIX
from nri_netdev.domain.effects import effects
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.policy.lifelines import Lifelines, why_immovable
from nri_netdev.domain.policy.rules import Rule
from nri_netdev.domain.policy.selectors import matches, ordered
from nri_netdev.domain.problem import Obstacle
from nri_netdev.domain.verdict import words
from nri_netdev.domain.verdict.node import Held, NodeState
from nri_netdev.errors import Reason


class Availability:
    """What a node could give."""

    def __init__(self, node: NodeState) -> None:
        self.node = node
        self.describes = partial(matches, facts_of=node.facts_of, links=node.inventory.links)
        whole = [held for held in node.held if held.share is None]
        self._held = {held.ifname: held for held in whole}
        self._held |= {held.home_ifname: held for held in whole if held.home_ifname is not None}
        shares = [held for held in node.held if held.share is not None]
        present = _present(shares, node.inventory)
        self._shared = {held.ifname: held for held in (*shares, *present)}
        self._lifelines = Lifelines(
            node.inventory,
            protected=node.policy.protected if node.policy else (),
            describes=self.describes,
            given=[held.link for held in whole],
            shared=[held.link for held in present],
            facts_of=node.facts_of,
        )

    def held(self, ifname: str, *, is_to_share: bool = False) -> Held | None:
        """Who holds the interface of this name, or a share of it, unless that may be had besides."""
        return self._held.get(ifname) or (None if is_to_share else self._shared.get(ifname))

    def is_member(self, link: Link, pool: str) -> bool:
        """Whether an interface is in a pool."""
        return self.node.policy is not None and self.node.policy.is_in_pool(link, pool, self.describes)

    def lifeline(self, link: Link, rules: Iterable[Rule]) -> Obstacle | None:
        """Why an interface is a lifeline, unless one of these rules gives it all the same."""
        reason, policy = self._lifelines.why(link), self.node.policy
        if reason is None or policy is None:
            return reason
        is_given = any(policy.gives_lifeline(rule, link, reason, self.describes) for rule in rules)
        return None if is_given else reason

    def protection(self, link: Link, rule: Rule | None) -> Obstacle | None:
        """Why the operator keeps an interface from everybody, unless a rule gives it all the same."""
        reason, policy = self._lifelines.why_protected(link), self.node.policy
        if reason is None or policy is None:
            return None
        is_given = rule is not None and policy.gives_lifeline(rule, link, reason, self.describes)
        return None if is_given else words.protected(reason, rule)

    def is_free(self, link: Link, rules: Iterable[Rule]) -> bool:
        """Whether an interface of the host can be given, by one of these rules if it is a lifeline."""
        return self.held(link.ifname) is None and self._obstacle(link, rules) is None

    def _obstacle(self, link: Link, rules: Iterable[Rule]) -> Obstacle | None:
        """Why an interface cannot be given by one of these rules, whoever holds it."""
        return why_immovable(link) or self.lifeline(link, rules) or self.taint(link, rules)

    def taint(self, link: Link, rules: Iterable[Rule]) -> Obstacle | None:
        """What an earlier holder has left on an interface, unless one of these rules gives it all the same."""
        owner = self.node.tainted.get(link.ifname)
        if owner is None or any(rule.allow_partial for rule in rules):
            return None
        return words.tainted(link, owner)

    def why_not(self, link: Link) -> Obstacle | None:
        """Why an interface cannot be given to anybody, whoever holds it; None if it can."""
        if reason := why_immovable(link):
            return reason
        policy = self.node.policy
        rules = policy.rules if policy else ()
        lifeline = self.lifeline(link, rules)
        if lifeline is None:
            return self.taint(link, rules)
        return lifeline if policy is None else words.protected(lifeline, None)

    def effects(self, link: Link) -> tuple[str, ...]:
        """What giving an interface of the host away does besides; empty for what the kernel does not move."""
        if why_immovable(link):
            return ()
        return effects(
            link,
            addresses=self.node.inventory.addresses.get(link.ifindex, ()),
            children=self._lifelines.children_of(link),
            attached=self.node.attached_of(link),
        )

    def everything(self) -> tuple[Link, ...]:
        """The interfaces of the host, including those that are away, in the order in which they are given."""
        present = {link.ifname for link in self.node.inventory.links}
        away = (held.link for name, held in self._held.items() if name not in present)
        return ordered((*self.node.inventory.links, *away))


class PodAvailability(Availability):
    """What a node could give to one pod.

    Args:
        node: the node.
        pod: the pod.
        names: every name and alternative name taken in its netns.
        leaving: those of them that will soon be free.
    """

    def __init__(
        self, node: NodeState, pod: PodSandbox, names: Collection[str] = (), leaving: Collection[str] = ()
    ) -> None:
        super().__init__(node)
        self.pod = pod
        self.names = frozenset(names)
        self._leaving = frozenset(leaving)
        rules = node.policy.rules if node.policy else ()
        self._applicable = tuple(rule for rule in rules if rule.why_not_for(pod) is None)
        self._rules: dict[tuple[int, str], Rule | None] = {}

    def rule_for(self, link: Link) -> Rule | None:
        """The rule that decides on an interface for this pod; None if there is none."""
        policy = self.node.policy
        if policy is None:
            return None
        key = (link.ifindex, link.ifname)
        if key not in self._rules:
            covering = (rule for rule in self._applicable if policy.covers(rule, link, self.describes))
            self._rules[key] = next(covering, None)
        return self._rules[key]

    def is_unruled(self, link: Link) -> bool:
        """Whether there is a policy, and no rule of it gives this interface to this pod."""
        return self.node.policy is not None and self.rule_for(link) is None

    def why_not(self, link: Link, *, is_to_share: bool = False) -> Obstacle | None:
        """Why an interface, or a share of it, cannot be given to this pod, whoever holds it; None if it can."""
        rule = self.rule_for(link)
        if is_to_share:
            return self._why_unshared(link, rule)
        if reason := why_immovable(link):
            return reason
        lifeline = self.lifeline(link, (rule,) if rule is not None else ())
        if lifeline is None:
            return self._left(link, rule)
        return lifeline if self.node.policy is None else words.protected(lifeline, rule)

    def _left(self, link: Link, rule: Rule | None, *, is_to_share: bool = False) -> Obstacle | None:
        """What an earlier holder has left on an interface; nothing of it for pods that no rule gives that to."""
        if self.is_unruled(link):
            return None
        owner = self.node.restoring.get(link.ifname) if is_to_share else None
        return words.restoring(link, owner) if owner is not None else self.taint(link, (rule,) if rule else ())

    def _why_unshared(self, link: Link, rule: Rule | None) -> Obstacle | None:
        if link.is_loopback:
            return Obstacle("is the loopback device", Reason.LIFELINE)
        master = None if link.master is None else self.node.inventory.by_index(link.master)
        if link.master is not None:
            of = master.ifname if master else f"the device with index {link.master}"
            return Obstacle(f"is enslaved to {of}; share {of} instead", Reason.ANNOTATION)
        if rule is not None and not rule.share:
            return Obstacle(f"is not to be shared: {rule} would let it with share: true", Reason.POLICY)
        return self.protection(link, rule) or self._left(link, rule, is_to_share=True)

    def may_get(self, link: Link, *, is_to_share: bool = False) -> bool:
        """Whether an interface is free, or a share of it, and a rule gives it to this pod."""
        if self.is_unruled(link):
            return False
        rule = self.rule_for(link)
        if is_to_share:
            is_given = self._why_unshared(link, rule) is None and (rule is None or rule.count != 0)
            return is_given and self.held(link.ifname, is_to_share=True) is None
        return self.is_free(link, (rule,) if rule is not None else ()) and (rule is None or rule.count != 0)

    def is_meant(self, entry: Entry, link: Link) -> bool:
        """Whether an interface is in the pool, and described by the selector, that an entry asks for."""
        return (entry.selector is None or self.describes(entry.selector, link)) and (
            entry.pool is None or self.is_member(link, entry.pool)
        )

    def clash(self, link: Link) -> Obstacle | None:
        """An alternative name of an interface that is taken in the pod: the kernel would refuse the move."""
        altname = min(own_altnames(link) & self.names, default=None)
        return None if altname is None else self.leaving(altname) or words.clashing(altname, link)

    def leaving(self, name: str) -> Obstacle | None:
        """That a name is taken by what leaves the pod, in a whole sentence; None if it is not."""
        return words.leaving(name) if name in self._leaving else None


def _present(shares: Collection[Held], inventory: Inventory) -> list[Held]:
    """Shares, with what they are on as that is called now: it stays at home, and so keeps its index."""
    here = {link.ifindex: link for link in inventory.links} if shares else {}
    return [replace(share, link=here.get(share.link.ifindex, share.link)) for share in shares]


def own_altnames(link: Link) -> frozenset[str]:
    """The alternative names of an interface, without marks of claims."""
    return frozenset(name for name in link.altnames if not name.startswith(MARK_PREFIX))
