"""How many interfaces a pod gets by each rule, compared with the rule's `count`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Self

from nri_netdev.domain.links import Link
from nri_netdev.domain.policy.rules import Rule


class RuleCounts:
    """The number of interfaces that a pod has by each rule.

    Args:
        rule_for: the rule that decides on an interface.
        links: interfaces that the pod holds already.
    """

    def __init__(self, rule_for: Callable[[Link], Rule | None], links: Iterable[Link] = ()) -> None:
        self._rule_for = rule_for
        self._counts: Counter[int] = Counter()
        self.add(links)

    def add(self, links: Iterable[Link]) -> None:
        """Count further interfaces."""
        rules = map(self._rule_for, links)
        self._counts.update(rule.number for rule in rules if rule is not None)

    def copy(self) -> Self:
        """The same counts, to try something out."""
        copied = type(self)(self._rule_for)
        copied._counts.update(self._counts)
        return copied

    def is_used_up(self, link: Link) -> bool:
        """Whether the rule of an interface gives the pod no further one."""
        rule = self._rule_for(link)
        return rule is not None and rule.count is not None and self._counts[rule.number] >= rule.count

    def excess(self, rule: Rule | None) -> int | None:
        """The number of interfaces by a rule, if that is more than its count."""
        if rule is None or rule.count is None or self._counts[rule.number] <= rule.count:
            return None
        return self._counts[rule.number]
