"""The verdict: may these interfaces be given to this container, now? Pure; told in full, never in part."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.policy.lifelines import Lifelines, why_immovable
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.policy.selectors import FactsOf, no_facts
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.verdict.allocator import Desk, Grant, Outcome, PodNetns, age


def why_not(link: Link, inventory: Inventory) -> str | None:
    """Why the host cannot give this interface to anybody but by a rule that names it; None if it can.

    Returns the rest of a sentence that begins with the interface: "is a bridge, which …".
    """
    return why_immovable(link) or Lifelines(inventory).why(link)


def judge(
    entries: Sequence[Entry],
    *,
    inventory: Inventory,
    netns: PodNetns,
    claims: Collection[Claim] = (),
    now_s: int = 0,
    policy: Policy | None = None,
    pod: PodSandbox | None = None,
    facts_of: FactsOf = no_facts,
) -> tuple[tuple[Grant, ...], tuple[Problem, ...]]:
    """Decide a whole request.

    Args:
        entries: what is asked, already well-formed.
        inventory: the host, now.
        netns: the pod's side.
        claims: every claim that holds an interface and is not the asker's own.
        now_s: wall clock, for the age of a holder.
        policy: what may be given to whom; None to ask only what can be given.
        pod: who asks; needed where there is a policy.
        facts_of: fetches what rtnetlink does not tell of an interface.

    Returns:
        The grants, in the order of the entries, and no problems; or no grants and every problem there is.
    """
    if netns.is_host:
        return (), tuple(
            Problem(
                key=key,
                message="the pod is on the host network, where every interface already is; remove hostNetwork: true "
                "or the annotation",
            )
            for key in dict.fromkeys(entry.key for entry in entries)
        )
    desk = Desk(inventory=inventory, netns=netns, claims=claims, now_s=now_s, policy=policy, pod=pod, facts_of=facts_of)
    outcomes = desk.outcomes(entries)
    problems = tuple(problem for outcome in outcomes for problem in outcome.problems)
    grants = tuple(grant for outcome in outcomes for grant in outcome.grants)
    return ((), problems) if problems else (grants, ())


__all__ = ["Desk", "Grant", "Outcome", "PodNetns", "age", "judge", "why_not"]
