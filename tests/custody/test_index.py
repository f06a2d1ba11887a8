"""A claim is found by its mark, its pod and its container, as it is now."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace

from nri_netdev.custody.index import ClaimIndex
from nri_netdev.domain.claim import Claim, Owner, State
from nri_netdev.domain.scope import Scope
from tests.custody.test_claims import claim_of


def owner(container_id: str) -> Owner:
    return Owner(
        scope=Scope.CONTAINER,
        pod_id="p1",
        pod_uid="u",
        namespace="n",
        pod="web",
        container_id=container_id,
        container="app",
    )


def planned(number: int, container_id: str) -> Claim:
    return replace(claim_of(number, owner(container_id)), state=State.PLANNED)


def test_a_claim_is_found_by_its_pod_and_its_container() -> None:
    """Oldest first, and only those that bind."""
    index = ClaimIndex()
    first, second = planned(1, "c1"), planned(2, "c2")
    prepared = claim_of(3, owner(""))
    for claim in (first, second, prepared):
        index.note(claim)

    assert index.of("p1") == (first, second)
    assert index.of("c2") == (second,)
    assert (index.binding(), index.prepared()) == ((first, second), (prepared,))
    assert set(index.holders()) == {"p1", "c1", "c2"}


def test_a_claim_that_changes_hands_is_found_by_the_new_one_only() -> None:
    """And the view of the holders that somebody has kept follows."""
    index = ClaimIndex()
    holders = index.holders()
    index.note(planned(1, "c1"))
    index.note(planned(1, "c2"))

    assert index.of("c1") == ()
    assert index.of("c2") == (planned(1, "c2"),)
    assert set(holders) == {"p1", "c2"}


def test_a_claim_that_is_struck_leaves_nothing() -> None:
    """Neither itself, nor its holders, nor the need of its netns; striking it twice changes nothing."""
    index = ClaimIndex()
    claim = planned(1, "c1")
    index.note(claim)
    assert index.needs(claim.netns)
    for _ in range(2):
        index.strike(claim)
        assert index.get(claim.mark) is None
        assert not index.holders()
        assert not index.needs(claim.netns)


def test_claims_may_be_read_while_another_thread_changes_them() -> None:
    """As the status page and the metrics do."""
    index = ClaimIndex()
    for number in range(100):
        index.note(planned(number, f"c{number}"))
    is_over = threading.Event()

    def change() -> None:
        for number in range(100, 3000):
            index.note(planned(number, f"c{number}"))
            index.strike(planned(number, f"c{number}"))
        is_over.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        changing = threading.Thread(target=change)
        changing.start()
        while not is_over.is_set():
            assert len(index.binding()) in {100, 101}
        changing.join()
    finally:
        sys.setswitchinterval(interval)
