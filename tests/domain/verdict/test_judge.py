"""The verdict on a whole request: all of it, or every reason why not."""

from __future__ import annotations

import pytest

from nri_netdev.domain.problem import Problem, summary
from nri_netdev.domain.verdict.judge import judge
from nri_netdev.domain.verdict.node import PodNetns
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.errors import Reason
from tests.domain.policy.test_rules import POD, POOLS, policy_of
from tests.domain.verdict.nodes import KEY, NODE, entries, node

ON_POD_NETWORK = PodNetns(names=frozenset({"lo", "eth0"}))
ALL = "rules: [{namespaces: ['*'], interfaces: ['*']}]\n"


def test_what_is_there_and_free_is_given() -> None:
    """Each entry with its interface, in the order asked."""
    asked = entries("[ens1f1, {interface: ens1f0, name: net1}]")
    assert judge(asked, node(), netns=ON_POD_NETWORK) == (
        (
            Grant(entry=asked[0], link=NODE.links[3]),
            Grant(entry=asked[1], link=NODE.links[2]),
        ),
        (),
    )


def test_all_or_nothing_and_all_problems_at_once() -> None:
    """What is right is not given while anything is wrong; what the node could give is told once, at the end."""
    asked = entries("[ens1f0, ens8, br0, ens9]")
    grants, problems = judge(asked, node(), netns=PodNetns())
    assert grants == ()
    assert summary(problems) == (
        f'interface "ens8" is not on this node (annotation {KEY}, entry 2); '
        f'interface "br0" is a bridge that the kernel never lets leave its network namespace (annotation {KEY}, entry 3); '
        f'interface "ens9" is not on this node (annotation {KEY}, entry 4). '
        "Present and free: ens1f0, ens1f1, vx0."
    )


def test_a_pod_on_the_host_network_gets_nothing() -> None:
    """Told once for each annotation, not for each entry; runc would take the host's interface down."""
    grants, problems = judge(entries("[ens1f0, ens1f1]"), node(), netns=PodNetns(is_host=True))
    assert grants == ()
    assert problems == (
        Problem(
            key=KEY,
            message="the pod is on the host network, where every interface already is; remove hostNetwork: true or the annotation",
            reason=Reason.POD,
        ),
    )


@pytest.mark.parametrize(
    ("value", "policy", "reason"),
    [
        ("[ens9]", None, Reason.ABSENT),
        ("[enp1s0f0]", None, Reason.ANNOTATION),
        ("[uplink0]", None, Reason.LIFELINE),
        ("[uplink0]", ALL, Reason.POLICY),
        ("[br0]", ALL, Reason.LIFELINE),
        ("[{interface: ens1f0, name: eth0}]", None, Reason.POD),
        ("[{interface: ens1f0, name: enp1s0f0}]", None, Reason.ANNOTATION),
        ("[{interface: ens1f0, driver: ice}]", None, Reason.ANNOTATION),
        ("[{interface: ens1f0, pool: slow}]", ALL + POOLS, Reason.POOL),
        ("[{interface: ens1f0, name: x}]", ALL.replace("['*']}", "['*'], names: [net0]}"), Reason.POLICY),
        ("[ens1f0]", "{}", Reason.POLICY),
        ("[ens1f0]", ALL.replace("['*']}", "['*'], count: 0}"), Reason.POLICY),
        ("[{pool: zzz}]", ALL, Reason.POOL),
        ("[{pool: slow, count: 3}]", ALL + POOLS, Reason.POLICY),
        ("[{driver: nothing}]", ALL, Reason.ANNOTATION),
        ("[{interface: 'br*', driver: nothing}]", ALL, Reason.ANNOTATION),
        ("['br*']", None, Reason.LIFELINE),
    ],
)
def test_reasons(value: str, policy: str | None, reason: Reason) -> None:
    """What metrics count each kind of refusal as."""
    state = node(policy=None if policy is None else policy_of(policy))
    _, [problem] = judge(entries(value), state, netns=ON_POD_NETWORK, pod=POD)
    assert problem.reason is reason
