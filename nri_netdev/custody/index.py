"""The claims of the node in memory, found by mark, pod and container."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from nri_netdev.domain.claim import Claim, Netns, State
from nri_netdev.domain.setup.values import Setup


class ClaimIndex:
    """Every claim, prepared ones included. Whoever owns the index notes and strikes them."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}
        self._marks: dict[str, dict[str, None]] = {}
        """Marks of claims, oldest first, by the ids of the pod and the container that they belong to."""

    def binding(self) -> tuple[Claim, ...]:
        """Every claim that keeps its interface from others, oldest first; on any thread."""
        every = tuple(self._claims.values())  # at once, for who reads while another thread changes
        return tuple([claim for claim in every if claim.state is not State.PREPARED])

    def prepared(self) -> tuple[Claim, ...]:
        """Every claim that binds nobody yet, oldest first."""
        return tuple([claim for claim in self._claims.values() if claim.state is State.PREPARED])

    def get(self, mark: str) -> Claim | None:
        """The claim of a mark as it is now; None if it is over."""
        return self._claims.get(mark)

    def of(self, holder_id: str) -> tuple[Claim, ...]:
        """The binding claims that belong to a container or a pod, oldest first."""
        claims = (self._claims[mark] for mark in self._marks.get(holder_id, ()))
        return tuple([claim for claim in claims if claim.state is not State.PREPARED])

    def holders(self) -> Collection[str]:
        """Live view of the ids of pods and containers that have claims; safe to read from any thread."""
        return self._marks.keys()

    def pods(self) -> frozenset[str]:
        """The ids of the pods that have claims."""
        return frozenset(claim.owner.pod_id for claim in self._claims.values())

    def beside(self, claim: Claim) -> tuple[Setup, ...]:
        """What is set by the other claims of a netns that are not on their way home."""
        return tuple(
            other.setup
            for other in self._claims.values()
            if other.netns == claim.netns and other.mark != claim.mark and not other.state.is_homeward
        )

    def is_away(self, mark: str) -> bool:
        """Whether the interface of a claim is in a pod, or may come there or be there."""
        claim = self._claims.get(mark)
        return claim is not None and claim.state not in {State.PARTIAL, State.LOST}

    def needs(self, netns: Netns) -> bool:
        """Whether a claim needs a netns to be kept alive."""
        return any(claim.netns == netns for claim in self._claims.values())

    def note(self, claim: Claim) -> None:
        """Enter a claim. Names are added before others are taken away, for those who read `holders` meanwhile."""
        before = self._claims.get(claim.mark)
        self._claims[claim.mark] = claim
        for name in _names(claim):
            self._marks.setdefault(name, {})[claim.mark] = None
        if before is not None and before.owner is not claim.owner:
            self._unlist(claim.mark, _names(before) - _names(claim))

    def strike(self, claim: Claim) -> None:
        """Take a claim out."""
        known = self._claims.pop(claim.mark, None)
        if known is not None:
            self._unlist(claim.mark, _names(known))

    def _unlist(self, mark: str, names: Iterable[str]) -> None:
        for name in names:
            self._marks[name].pop(mark, None)
            if not self._marks[name]:
                del self._marks[name]


def _names(claim: Claim) -> frozenset[str]:
    """The ids of the pod and the container that a claim belongs to."""
    return frozenset(filter(None, (claim.owner.pod_id, claim.owner.container_id)))
