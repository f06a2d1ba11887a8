"""Counting what a pod has by each rule."""

from __future__ import annotations

from nri_netdev.domain.links import Link
from nri_netdev.domain.policy.rules import Rule
from nri_netdev.domain.verdict.counts import RuleCounts

TWO = Rule(number=1, count=2)
ANY = Rule(number=2)
RULES = {"a": TWO, "b": TWO, "c": TWO, "x": ANY}


def link(ifname: str) -> Link:
    return Link(ifindex=1, ifname=ifname)


def rule_for(interface: Link) -> Rule | None:
    return RULES.get(interface.ifname)


def test_a_rule_is_used_up_by_what_the_pod_holds_and_gets() -> None:
    """Beyond its count there is an excess; a rule without a count has neither, nor has no rule."""
    counts = RuleCounts(rule_for, [link("a")])
    assert not counts.is_used_up(link("b"))
    counts.add([link("b"), link("x"), link("unruled")])
    assert counts.is_used_up(link("c"))
    assert counts.excess(TWO) is None
    counts.add([link("c")])
    assert counts.excess(TWO) == 3
    assert counts.excess(ANY) is counts.excess(None) is None
    assert not counts.is_used_up(link("x"))
    assert not counts.is_used_up(link("unruled"))


def test_a_copy_is_for_trying_out() -> None:
    """What is added to it does not count."""
    counts = RuleCounts(rule_for, [link("a")])
    counts.copy().add([link("b"), link("c")])
    assert not counts.is_used_up(link("b"))
