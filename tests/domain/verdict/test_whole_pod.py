"""What keeps every interface from a pod is told once for each annotation, whatever else is wrong."""

from __future__ import annotations

import pytest

from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.problem import summary
from nri_netdev.domain.verdict.judge import judge
from nri_netdev.domain.verdict.node import PodNetns
from nri_netdev.domain.verdict.whole_pod import refused, why_nothing
from nri_netdev.errors import Reason
from tests.domain.policy.test_rules import policy_of
from tests.domain.verdict.nodes import KEY, entries, node

KATA = PodSandbox(id="p", namespace="team", name="web", runtime_handler="kata-clh")


@pytest.mark.parametrize(
    ("pod", "netns", "reason"),
    [
        (KATA, PodNetns(), Reason.RUNTIME),
        (KATA, PodNetns(is_host=True), Reason.POD),
        (PodSandbox(id="p"), PodNetns(processes=frozenset({"pause"})), None),
        (PodSandbox(id="p"), PodNetns(processes=frozenset({"qemu-system-x86_64"})), Reason.RUNTIME),
        (None, PodNetns(), None),
    ],
)
def test_what_keeps_everything_from_a_pod(pod: PodSandbox | None, netns: PodNetns, reason: Reason | None) -> None:
    """The host's network, or a runtime whose containers are guests."""
    obstacle = why_nothing(pod, netns, None)
    assert (obstacle and obstacle.reason) == reason


def test_a_policy_may_know_other_handlers() -> None:
    """One that shares the netns all the same, and no others."""
    policy = policy_of("shared_handlers: [kata-clh]")
    assert why_nothing(KATA, PodNetns(), policy) is None


def test_a_guest_is_given_nothing() -> None:
    """Not even what a rule gives; the refusal has the handler, the cause and what to do."""
    policy = policy_of("rules: [{namespaces: ['*'], interfaces: ['*']}]")
    asked = entries("[ens1f0, ens8]")
    grants, problems = judge(asked, node(policy=policy), netns=PodNetns(), pod=KATA)
    assert grants == ()
    assert summary(problems) == (
        'the runtime handler "kata-clh" of the pod (it matches kata* of unshared_handlers) runs containers as guests, '
        "whose network interfaces are made when the pod starts; they would never see one that comes into the pod's "
        f"netns later (annotation {KEY}). Use a runtime class of runc, crun or youki, or let a CNI plugin bring the "
        "interface when the pod starts; if its containers do see such interfaces, name the handler in shared_handlers "
        "of the configuration."
    )
    obstacle = why_nothing(KATA, PodNetns(), policy)
    assert obstacle is not None
    assert problems == refused(asked, obstacle)
