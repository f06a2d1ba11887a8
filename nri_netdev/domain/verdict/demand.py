"""The part of a request that its holder does not have yet: after a restart, or for the next container of a pod.

Claims belong to entries by their place in the annotations, which do not change while a pod lives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import Claim


def held_for(entry: Entry, claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """The claims of an entry, among the claims of its holder."""
    place = (entry.scope, entry.key, entry.number)
    return tuple(
        claim
        for claim in claims
        if not claim.state.is_homeward and (claim.owner.scope, claim.key, claim.number) == place
    )


def outstanding(entry: Entry, held: Iterable[Claim]) -> Entry | None:
    """An entry less the claims that are held for it; None if nothing is left."""
    left = entry.count - len(tuple(held))
    return None if left <= 0 else replace(entry, count=left)
