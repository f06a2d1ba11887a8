"""The allocator, on a node: this request, these outcomes."""

from __future__ import annotations

import pytest

from nri_netdev.domain.claim import State
from nri_netdev.domain.problem import summary
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.verdict.allocator import Allocator
from nri_netdev.domain.verdict.node import Held
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.errors import Reason
from tests.domain.policy.test_rules import POD, policy_of
from tests.domain.verdict.nodes import NODE, entries, held, node, problems, refused


@pytest.mark.parametrize(
    ("value", "reasons"),
    [
        ("[ens9]", ['interface "ens9" is not on this node']),
        ("[enp1s0f0]", ['"enp1s0f0" is an alternative name of ens1f0; write ens1f0']),
        ("[{interface: lo, name: lo9}]", ['interface "lo" is the loopback device']),
        ("[br0]", ['interface "br0" is a bridge that the kernel never lets leave its network namespace']),
        ("[bond0]", ['interface "bond0" is a bond that the kernel never lets leave its network namespace']),
        ("[phy0]", ['interface "phy0" is a device that the kernel never lets leave its network namespace']),
        ("[port0]", ['interface "port0" is enslaved to bridge br0; release it first']),
        ("[stray0]", ['interface "stray0" is enslaved to the device with index 99; release it first']),
        ("[uplink0]", ['interface "uplink0" carries a default route of the node']),
        ("[mgmt0]", ['interface "mgmt0" has the address 203.0.113.9 that a default route of the node uses']),
        (
            "[mgmtphy0]",
            [
                'interface "mgmtphy0" is beneath mgmt0, which has the address 203.0.113.9 that a default route of the node uses'
            ],
        ),
        ("[under0]", ['interface "under0" carries vx0 of the host (the kernel would delete vx0)']),
        (
            "[{interface: ens1f0, name: eth0}]",
            ['the name "eth0" is already taken in the pod; set another with the field name'],
        ),
        (
            "[{interface: ens1f0, name: enp1s0f0}]",
            ['"enp1s0f0" is an alternative name of ens1f0 itself; set another with the field name'],
        ),
    ],
)
def test_a_refusal_says_what_stands_in_the_way(value: str, reasons: list[str]) -> None:
    """One line for each thing that the host or the pod cannot do."""
    assert refused(value) == reasons


@pytest.mark.parametrize(
    ("holding", "text", "reason"),
    [
        (held("ens1f0"), 'interface "ens1f0" is held by pod default/web, container app for 1 h 1 min', Reason.HELD),
        (
            held("ens1f0", scope=Scope.POD),
            'interface "ens1f0" is held by pod default/web for 1 h 1 min',
            Reason.HELD,
        ),
        (
            held("ens1f0", since_s=9999),
            'interface "ens1f0" is held by pod default/web, container app for 0 s',
            Reason.HELD,
        ),
        (
            held("ens1f0", state=State.RETURNING),
            (
                'interface "ens1f0" is being returned from pod default/web, container app (returning); retry, or see '
                "`nri-netdev claims`"
            ),
            Reason.BUSY,
        ),
        (
            held("ens9"),  # which is away, and so not among the host's own
            'interface "ens9" is held by pod default/web, container app for 1 h 1 min',
            Reason.HELD,
        ),
    ],
)
def test_one_holder_at_a_time(holding: Held, text: str, reason: Reason) -> None:
    """The refusal names the holder and since when, or that it is on its way home."""
    [problem] = problems(f"[{holding.ifname}]", holding)
    assert (problem.message, problem.reason) == (text, reason)


def test_outcomes_are_in_the_order_of_the_entries() -> None:
    """Each entry with its grants, or with its own problems; one entry's problems take nothing from another."""
    asked = entries("[ens9, {interface: ens1f0, name: net1}]")
    first, second = Allocator(node()).allocate(asked)
    assert (first.entry, first.grants) == (asked[0], ())
    assert [problem.reason for problem in first.problems] == [Reason.ABSENT]
    assert (second.grants, second.problems) == ((Grant(entry=asked[1], link=NODE.links[2]),), ())


def test_one_rule_is_quoted_for_all_that_no_rule_gives() -> None:
    """With the reason that metrics count; entries with other problems are left out of it."""
    outcomes = Allocator(node(policy=policy_of("{}")), POD).allocate(entries("[ens1f0, ens9, ens1f1]"))
    found = [problem for outcome in outcomes for problem in outcome.problems]
    assert [problem.reason for problem in found] == [Reason.POLICY, Reason.ABSENT, Reason.POLICY]
    assert {problem.hint for problem in found if problem.reason is Reason.POLICY} == {
        "A rule that would: {namespaces: [tenant-a], interfaces: [ens1f0, ens1f1]}"
    }


def test_what_a_pod_has_by_a_rule_counts() -> None:
    """Each grant beyond the rule's count is refused."""
    policy = policy_of("rules: [{namespaces: ['*'], interfaces: ['ens*'], count: 1}]")
    outcomes = Allocator(node(policy=policy), POD).allocate(entries("[ens1f0, ens1f1]"))
    assert [summary(outcome.problems).partition(" (")[0] for outcome in outcomes] == [
        "rule 1 gives a pod 1 at most, and this would be 2 of them"
    ] * 2
    assert {problem.reason for outcome in outcomes for problem in outcome.problems} == {Reason.POLICY}
