"""The verdict on a whole request: everything that it asks for, or every reason why not. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.verdict.allocator import Allocator
from nri_netdev.domain.verdict.node import NodeState, PodNetns
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.domain.verdict.whole_pod import refused, why_nothing


def judge(
    entries: Sequence[Entry], node: NodeState, *, netns: PodNetns, pod: PodSandbox | None = None
) -> tuple[tuple[Grant, ...], tuple[Problem, ...]]:
    """Decide on a whole request.

    Args:
        entries: the request, well-formed.
        node: the node.
        netns: the pod's netns.
        pod: the pod; needed if the node has a policy.

    Returns:
        The grants, in the order of the entries, and no problems; or no grants and every problem.
    """
    if obstacle := why_nothing(pod, netns, node.policy):
        return (), refused(entries, obstacle)
    outcomes = Allocator(node, pod, names=netns.names, leaving=netns.leaving).allocate(entries)
    problems = tuple(problem for outcome in outcomes for problem in outcome.problems)
    grants = tuple(grant for outcome in outcomes for grant in outcome.grants)
    return ((), problems) if problems else (grants, ())
