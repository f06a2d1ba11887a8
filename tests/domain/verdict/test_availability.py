"""What can be given, to some pod and to a certain one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nri_netdev.domain.effects import Attached
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.verdict.availability import Availability, PodAvailability, own_altnames
from nri_netdev.errors import Reason
from tests.domain.policy.test_rules import POD, policy_of
from tests.domain.verdict.nodes import NODE, available, by_name, held, node

PROTECTED = "rules: [{namespaces: [tenant-a], interfaces: [uplink0], allow_protected: true}]"
ALL = "rules: [{namespaces: ['*'], interfaces: ['*']}]"


@pytest.mark.parametrize(
    ("ifname", "is_free"), [("ens1f0", True), ("ens1f1", False), ("uplink0", False), ("br0", False), ("vx0", True)]
)
def test_free_means_the_same_for_a_node_and_a_pod(ifname: str, *, is_free: bool) -> None:
    """Held by nobody, movable, no lifeline."""
    state, link = node(held("ens1f1"), policy=policy_of(ALL)), by_name(ifname)
    assert state.policy is not None
    assert Availability(state).is_free(link, state.policy.rules) is is_free
    assert PodAvailability(state, POD).may_get(link) is is_free


def test_a_lifeline_is_free_to_whom_a_rule_gives_it() -> None:
    """Some rule for the node, the rule that decides for a pod."""
    state, link = node(policy=policy_of(PROTECTED)), by_name("uplink0")
    assert state.policy is not None
    assert Availability(state).is_free(link, state.policy.rules)
    assert not Availability(state).is_free(link, ())
    assert PodAvailability(state, POD).may_get(link)
    assert not PodAvailability(state, replace(POD, namespace="tenant-b")).may_get(link)


@pytest.mark.parametrize("is_allowed", [False, True])
def test_what_an_earlier_pod_has_left_keeps_it_from_the_next(*, is_allowed: bool) -> None:
    """Unless a rule gives it all the same."""
    rule = f"{{namespaces: ['*'], interfaces: ['*'], allow_partial: {str(is_allowed).lower()}}}"
    state, link = node(policy=policy_of(f"rules: [{rule}]")), by_name("ens1f0")
    state = replace(state, tainted={"ens1f0": held("ens1f0").owner})
    assert state.policy is not None
    assert Availability(state).is_free(link, state.policy.rules) is is_allowed
    assert PodAvailability(state, POD).may_get(link) is is_allowed
    reasons = [found.why_not(link) for found in (Availability(state), PodAvailability(state, POD))]
    if is_allowed:
        assert reasons == [None, None]
        return
    for obstacle in reasons:
        assert obstacle is not None
        assert obstacle.reason is Reason.HELD
        assert obstacle.text == (
            "something of pod default/web, container app is left on it that could not be taken off: see `nri-netdev "
            "claims`. Take it off, or give it as it is, by `nri-netdev release ens1f0` or by a rule with allow_partial: true"
        )


@pytest.mark.parametrize("is_to_share", [False, True])
def test_what_an_earlier_pod_has_left_is_told_to_whom_a_rule_gives_it(*, is_to_share: bool) -> None:
    """Who that was is nobody else's business."""
    owner, link = held("ens1f0").owner, by_name("ens1f0")
    state = node(policy=policy_of("rules: [{namespaces: [tenant-a], interfaces: ['*'], share: true}]"))
    for left in (replace(state, tainted={"ens1f0": owner}), replace(state, restoring={"ens1f0": owner})):
        is_told = is_to_share or bool(left.tainted)
        assert (PodAvailability(left, POD).why_not(link, is_to_share=is_to_share) is not None) is is_told
        other = PodAvailability(left, replace(POD, namespace="tenant-b"))
        assert other.why_not(link, is_to_share=is_to_share) is None
        assert not other.may_get(link, is_to_share=is_to_share)


def test_what_is_at_home_under_another_name_is_held_under_both() -> None:
    """Its own, and the one that it got because its own was taken."""
    holding = replace(held("ens1f0"), home_ifname="dev7")
    found = Availability(node(holding))
    assert found.held("ens1f0") is found.held("dev7") is holding
    assert found.held("ens1f1") is None


def test_everything_is_what_is_present_and_what_is_away() -> None:
    """Each interface once."""
    names = [link.ifname for link in Availability(node(held("ens1f0"), held("ens77"))).everything()]
    assert sorted(names) == sorted([*(link.ifname for link in NODE.links), "ens77"])


@pytest.mark.parametrize("kind", ["bridge", "bond", "team", "vrf"])
def test_old_kernels_are_known_by_kind(kind: str) -> None:
    """Before Linux 6.17 the kernel does not say what may not move; the list of kinds does."""
    link = Link(ifindex=1, ifname="x", kind=kind, netns_immutable=None)
    reason = available(node(inventory=Inventory(links=(link,)))).why_not(link)
    assert reason is not None
    assert reason.text == f"is a {kind} that the kernel never lets leave its network namespace"


def test_a_vxlan_of_another_netns_does_not_matter() -> None:
    """An ifindex means nothing across network namespaces."""
    under = Link(ifindex=9, ifname="under0")
    stranger = Link(ifindex=10, ifname="vx0", kind="vxlan", link=9, link_netnsid=3)
    assert available(node(inventory=Inventory(links=(under, stranger)))).why_not(under) is None


def test_a_rule_that_could_give_a_lifeline_is_named() -> None:
    """Then the refusal is the policy's; without a policy it is the lifeline's."""
    link = by_name("uplink0")
    refused = available(node(policy=policy_of(ALL))).why_not(link)
    assert refused is not None
    assert refused.text == "carries a default route of the node; rule 1 does not name it with allow_protected: true"
    assert refused.reason is Reason.POLICY
    plain = available(node()).why_not(link)
    assert plain is not None
    assert (plain.text, plain.reason) == ("carries a default route of the node", Reason.LIFELINE)


def test_what_nobody_can_have_is_told() -> None:
    """A lifeline that a rule gives to some pod is not among it."""
    link = by_name("uplink0")
    assert Availability(node(policy=policy_of(PROTECTED))).why_not(link) is None
    refused = Availability(node(policy=policy_of(ALL))).why_not(link)
    assert refused is not None
    assert (
        refused.text == "carries a default route of the node; no rule of this node names it with allow_protected: true"
    )
    plain = Availability(node()).why_not(link)
    assert plain is not None
    assert plain.text == "carries a default route of the node"
    immovable = Availability(node(policy=policy_of(ALL))).why_not(by_name("lo"))
    assert immovable is not None
    assert immovable.text == "is the loopback device"


def test_effects_are_told_of_what_can_move() -> None:
    """With children, addresses and what is attached; of loopback there is nothing to tell."""
    attached = Attached(virtual_functions=2)
    found = Availability(replace(node(), attached_of=lambda _: attached))
    functions = "it has 2 virtual functions, whose settings its holder can change"
    assert found.effects(by_name("under0")) == ("vx0 of the host would be deleted by the kernel, for good", functions)
    assert found.effects(by_name("uplink0")) == (
        "its address 192.0.2.2/24 does not come along: leased or autoconfigured",
        functions,
    )
    assert found.effects(by_name("lo")) == ()


def test_marks_are_no_names_of_an_interface() -> None:
    """They go when it is given away."""
    assert own_altnames(by_name("ens1f0")) == {"enp1s0f0"}
    assert available(node(), names=("nri-netdev-0",)).clash(by_name("ens1f0")) is None
    assert available(node(), names=("enp1s0f0",)).clash(by_name("ens1f0")) is not None
