"""What the engine says of pods and containers: one of the three readings that decide about a claim."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from nri_netdev.domain.claim import Claim
from nri_netdev.domain.life import LIVENESS, Candidate, Liveness, Report
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope

GRACE_S = 10.0
"""How long an engine may take, after Synchronize, to report a container that it was creating at that moment."""


class Holders:
    """The liveness of every pod and container that has claims: from the engine's reports, and from deaths."""

    def __init__(self) -> None:
        self._liveness: dict[str, Liveness] = {}
        self._containers: tuple[Container, ...] = ()
        """The containers that existed at the last Synchronize."""
        self._pods: Collection[str] = ()
        """The ids of the pods that existed then."""
        self._grace_until_s = 0.0
        self.is_synchronized = False
        """Whether the engine has listed what exists since this daemon started."""

    def report(self, report: Report, *ids: str) -> None:
        """Take what is reported of pods and containers, by the engine or because their process has ended."""
        self._liveness.update(dict.fromkeys(ids, LIVENESS[report]))

    def synchronize(
        self, pods: Iterable[PodSandbox], containers: Iterable[Container], *, concern: Iterable[str], now_s: float
    ) -> None:
        """Take the engine's list of all that exists: whatever is missing has ended.

        Args:
            pods: every pod.
            containers: every container.
            concern: the ids that have claims.
            now_s: the monotonic clock, in seconds.
        """
        self._containers = tuple(containers)
        self._pods = frozenset(pod.id for pod in pods)
        self._grace_until_s = now_s + GRACE_S
        listed = dict.fromkeys(self._pods, Report.CREATED)
        listed |= {c.id: Report.STARTED if c.is_running else Report.CREATED for c in self._containers}
        self._liveness = {holder: LIVENESS[listed.get(holder, Report.NOT_LISTED)] for holder in concern}
        self.is_synchronized = True

    def of(self, claim: Claim) -> Liveness:
        """The liveness of a claim's holder."""
        default = Liveness.ENDED if self.is_synchronized else Liveness.UNKNOWN
        owner = claim.owner
        liveness = self._liveness.get(owner.holder_id, default)
        if owner.scope is Scope.CONTAINER or liveness in {Liveness.ENDED, Liveness.UNKNOWN}:
            return liveness
        brings_it = self._liveness.get(owner.container_id)
        return Liveness.RUNNING if brings_it is Liveness.RUNNING else Liveness.PENDING

    def has_ended(self, claim: Claim) -> bool:
        """Whether a claim's holder has ended."""
        return self.of(claim) is Liveness.ENDED

    def candidate(self, claim: Claim, *, is_over: bool, now_s: float) -> tuple[Candidate, Container | None]:
        """Which container an uncertain claim's interface may have been given to.

        Args:
            claim: the claim.
            is_over: whether its pod has ended, or another container takes its place.
            now_s: the monotonic clock, in seconds.

        Returns:
            How things stand, and the container, one that is not started before one that runs.
        """
        owner = claim.owner
        its = [] if is_over else [c for c in self._containers if c.pod_id == owner.pod_id and owner.is_of(c.name)]
        may_come = not is_over and owner.pod_id in self._pods and now_s < self._grace_until_s
        if not its:
            return (Candidate.COMING if may_come else Candidate.NONE), None
        container = min(its, key=lambda container: container.is_running)
        if not container.is_running:
            return Candidate.PENDING, container
        if may_come and owner.scope is Scope.POD:
            return Candidate.RUNNING_OR_COMING, container
        return Candidate.RUNNING, container

    def forget_all_but(self, ids: Collection[str]) -> None:
        """Forget the liveness of what has no claims any more."""
        self._liveness = {holder: liveness for holder, liveness in self._liveness.items() if holder in ids}
