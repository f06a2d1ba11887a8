"""The rule that is quoted where none gives what is asked for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.verdict.judge import judge
from nri_netdev.domain.verdict.node import PodNetns
from nri_netdev.domain.verdict.suggestion import suggested
from nri_netdev.errors import Reason
from tests.domain.policy.test_rules import policy_of
from tests.domain.setup.setups import SETUPS, Document
from tests.domain.verdict.nodes import entries, node


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("[ens2, ens1]", "{namespaces: [team], interfaces: [ens1, ens2]}"),
        ("[{interface: ens1, pool: fast}]", "{namespaces: [team], interfaces: [ens1]}"),
        ("[{pool: fast, count: 2}, ens1]", "{namespaces: [team], interfaces: [ens1], pools: [fast], count: 3}"),
        ("['ens*']", "{namespaces: [team], interfaces: ['ens*'], count: 1}"),
        ("[{interface: ens1, mtu: 9000, addresses: [192.0.2.1/24]}]", "{namespaces: [team], interfaces: [ens1]}"),
        (
            "[{interface: ens1, promisc: true, mtu: 9000}, {interface: ens2, vlan: {id: 5, name: v, routes: []}}]",
            "{namespaces: [team], interfaces: [ens1, ens2], may: [addresses, mtu, promisc, routes, vlan]}",
        ),
        (
            "[{interface: ens1, share: macvlan, routes: [{to: default, via: 192.0.2.1}]}, ens2]",
            (
                "{namespaces: [team], interfaces: [ens1, ens2], may: [addresses, mtu, routes], default_route: true, "
                "share: true}"
            ),
        ),
        ("[{pool: fast, share: ipvlan}]", "{namespaces: [team], pools: [fast], count: 1, share: true}"),
        ("[{driver: ice, state: up}]", "{namespaces: [team], interfaces: [{driver: ice, state: up}], count: 1}"),
    ],
)
def test_it_is_the_shortest(value: str, rule: str) -> None:
    """Interfaces by name or selector, pools, and how many where that is not plain from the names."""
    assert suggested(PodSandbox(id="p", namespace="team"), entries(value)) == rule


@given(SETUPS)
def test_it_lets_a_pod_set_what_it_asks_for(document: Document) -> None:
    """What a refusal quotes can be copied, and then the pod gets it, as far as a rule is concerned."""
    asked = entries(json.dumps([{"interface": "ens1f1", **document}]))
    pod = PodSandbox(id="p", namespace="team")
    policy = policy_of(f"rules: [{suggested(pod, asked)}]")
    _, problems = judge(asked, node(policy=policy), netns=PodNetns(), pod=pod)
    assert {problem.field for problem in problems if problem.reason is Reason.POLICY} <= {"ipam"}
