"""How many interfaces the pools of a policy have, and how many of them could be given now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from nri_netdev.domain.claim import Claim
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.policy.lifelines import Lifelines, why_immovable
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.policy.selectors import FactsOf, matches, no_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCount:
    """The interfaces of one pool."""

    size: int
    """What its selectors describe: on the host now, or there before it was given away."""
    free: int
    """What could be given: on the host, unclaimed, movable, no lifeline or one that a rule gives all the same."""


def count_pools(
    policy: Policy, inventory: Inventory, claims: Collection[Claim], *, facts_of: FactsOf = no_facts
) -> Mapping[str, PoolCount]:
    """Count every pool of a policy; whom its rules give them to is left aside.

    Args:
        policy: the pools, what is protected, and the rules that give lifelines.
        inventory: the host, now.
        claims: what is given away.
        facts_of: fetches what rtnetlink does not tell.
    """
    sees = partial(matches, facts_of=facts_of, links=inventory.links)
    given = {claim.ifname: claim.snapshot.link for claim in claims}
    lifelines = Lifelines(
        inventory, protected=policy.protected, sees=sees, given=tuple(given.values()), facts_of=facts_of
    )

    def is_free(link: Link) -> bool:
        return (
            link.ifname not in given
            and why_immovable(link) is None
            and (lifelines.why(link) is None or any(rule.may_give_protected(link, sees) for rule in policy.rules))
        )

    here = {link.ifname: link for link in inventory.links}
    counted: dict[str, PoolCount] = {}
    for pool in policy.pools:
        members = [link for link in {**given, **here}.values() if policy.is_in_pool(link, pool, sees)]
        counted[pool] = PoolCount(size=len(members), free=sum(map(is_free, members)))
    return counted
