"""The sentences of a verdict."""

from __future__ import annotations

from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.policy.rules import Rule
from nri_netdev.domain.verdict import words
from nri_netdev.domain.verdict.judge import judge
from nri_netdev.domain.verdict.node import PodNetns
from nri_netdev.errors import Reason
from tests.domain.verdict.nodes import NODE, entries, held, node


def test_what_is_free_is_named_in_short() -> None:
    """Twelve names and the number of the others; nothing that is held; and it is said when there is nothing."""
    many = Inventory(links=tuple(Link(ifindex=i, ifname=f"ens{i}") for i in range(1, 16)))
    _, [problem] = judge(entries("[x]"), node(held("ens1"), inventory=many), netns=PodNetns())
    assert problem.hint == (
        "Present and free: ens2, ens3, ens4, ens5, ens6, ens7, ens8, ens9, ens10, ens11, ens12, ens13 and 2 more."
    )
    little = Inventory(links=NODE.links[:2], default_routes=frozenset({2}))
    _, [problem] = judge(entries("[x]"), node(inventory=little), netns=PodNetns())
    assert problem.hint == "No interface of this node is present and free."


def test_an_alternative_name_is_no_name() -> None:
    """The refusal says which name to write; it counts as the annotation's fault."""
    obstacle = words.absent("enp1s0f0", NODE)
    assert obstacle.text == '"enp1s0f0" is an alternative name of ens1f0; write ens1f0'
    assert obstacle.reason is Reason.ANNOTATION
    assert words.absent("ens9", NODE).reason is Reason.ABSENT


def test_a_limit_says_how_many_there_would_be() -> None:
    """Where that is known; a count of 0 is a refusal."""
    assert words.limit(Rule(number=3, count=0)) == "rule 3 refuses it"
    assert words.limit(Rule(number=3, count=2)) == "rule 3 gives a pod 2 at most"
    assert words.limit(Rule(number=3, count=2), 4) == "rule 3 gives a pod 2 at most, and this would be 4 of them"


def test_a_name_that_was_copied() -> None:
    """Names with @ are valid, so only one that is absent is taken for a line of `ip link`."""
    assert words.absent("ens9@if7", NODE).text == (
        'interface "ens9@if7" is not on this node; write ens9: what follows @ is its lower device or its peer, as '
        "`ip link` shows it"
    )
