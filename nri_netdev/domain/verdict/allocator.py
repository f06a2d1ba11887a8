"""Decides which interfaces the entries of a request get, and which problems stand in the way. Pure.

`nri_netdev.domain.verdict.judge` makes one verdict of the outcomes; `nri_netdev.domain.verdict.explain` shows each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.links import Link
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.verdict import words
from nri_netdev.domain.verdict.availability import PodAvailability
from nri_netdev.domain.verdict.choosing import choose
from nri_netdev.domain.verdict.counts import RuleCounts
from nri_netdev.domain.verdict.naming import Naming
from nri_netdev.domain.verdict.node import NodeState
from nri_netdev.domain.verdict.outcome import Case, Outcome
from nri_netdev.domain.verdict.setting import settled
from nri_netdev.domain.verdict.suggestion import suggested
from nri_netdev.errors import Reason


class Allocator:
    """Allocates interfaces of a node to one pod.

    Args:
        node: the node.
        pod: the pod; without one only a policy of None makes sense.
        names: every name and alternative name taken in the pod's netns.
        leaving: those of them that will soon be free.
    """

    def __init__(
        self,
        node: NodeState,
        pod: PodSandbox | None = None,
        *,
        names: Collection[str] = (),
        leaving: Collection[str] = (),
    ) -> None:
        self.available = PodAvailability(node, pod or PodSandbox(id=""), names, leaving)

    def allocate(self, entries: Sequence[Entry]) -> tuple[Outcome, ...]:
        """Decide on each entry; the outcomes are in the order of the entries."""
        cases = [Case(settled(entry, self.available.node.policy)) for entry in entries]
        counts = RuleCounts(self.available.rule_for, self._holdings())
        choose(cases, self.available, counts)
        Naming(cases, self.available).grant()
        for case in cases:
            _refuse_excess(case, counts)
        self._refuse_unruled(cases)
        return tuple(case.outcome for case in cases)

    def _holdings(self) -> list[Link]:
        """What the pod holds already."""
        pod_id = self.available.pod.id
        return [
            held.link for held in self.available.node.held if held.owner.pod_id == pod_id and not held.state.is_homeward
        ]

    def _refuse_unruled(self, cases: Sequence[Case]) -> None:
        """Refuse entries that no rule gives, and quote the shortest rule that would give them all."""
        unruled = [case for case in cases if case.unruled]
        pod = self.available.pod
        hint = f"A rule that would: {suggested(pod, [case.entry for case in unruled])}"
        for case in unruled:
            case.refuse(words.unruled(case.unruled, pod.namespace), Reason.POLICY, hint=hint)


def _refuse_excess(case: Case, counts: RuleCounts) -> None:
    """Add a problem for each grant of a rule that gives the pod fewer."""
    for grant in case.grants:
        wanted = counts.excess(grant.rule)
        if grant.rule is not None and wanted is not None:
            case.refuse(words.limit(grant.rule, wanted), Reason.POLICY)
