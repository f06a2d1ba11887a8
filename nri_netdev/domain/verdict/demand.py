"""What is still to be given for an entry of which some is held already: after a restart, or for the next container.

Which claims those are is known by the place in the annotations that they were given for: a pod's annotations do not
change while it lives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import Claim


def held_for(entry: Entry, claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """The claims that answer an entry, of those that are its holder's own."""
    place = (entry.scope, entry.key, entry.number)
    return tuple(
        claim
        for claim in claims
        if not claim.state.is_homeward and (claim.owner.scope, claim.key, claim.number) == place
    )


def outstanding(entry: Entry, held: Iterable[Claim]) -> Entry | None:
    """What is to be asked for an entry, some claims of which are held; None if nothing is."""
    left = entry.count - len(tuple(held))
    return None if left <= 0 else replace(entry, count=left)
