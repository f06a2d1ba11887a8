"""How many interfaces the pools of a policy have, and how many of them could be given now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nri_netdev.domain.verdict.availability import Availability
from nri_netdev.domain.verdict.node import NodeState


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCount:
    """The interfaces of one pool."""

    size: int
    """Interfaces that its selectors describe: on the host now, or before they were given away."""
    free: int
    """Those that can be given: on the host, held by nobody, movable, and no lifeline unless a rule gives it."""


def count_pools(node: NodeState) -> Mapping[str, PoolCount]:
    """Count every pool of the node's policy, whichever pods its rules are for."""
    if node.policy is None:
        return {}
    available = Availability(node)
    away = {held.ifname: held.link for held in node.held if held.share is None}
    here = {link.ifname: link for link in node.inventory.links}
    counts: dict[str, PoolCount] = {}
    for pool in node.policy.pools:
        members = [link for link in {**away, **here}.values() if available.is_member(link, pool)]
        free = sum(available.is_free(link, node.policy.rules) for link in members)
        counts[pool] = PoolCount(size=len(members), free=free)
    return counts
