"""What the engine says of pods and containers, and which of them may have what a daemon died over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nri_netdev.custody.holders import GRACE_S, Holders
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.life import LIVENESS, Candidate, Liveness, Report
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from tests.domain.test_claim import VETH, claim

POD = PodSandbox(id="p")
CREATED = Container(id="c", name="app", pod_id="p")
RUNNING = replace(CREATED, is_running=True)


def claim_of(scope: Scope = Scope.CONTAINER, container: str = "app") -> Claim:
    """A claim of container c of pod p."""
    of_c = claim(VETH)
    return replace(of_c, owner=replace(of_c.owner, scope=scope, container=container))


def synchronized(*containers: Container, pods: tuple[PodSandbox, ...] = (POD,)) -> Holders:
    """The holders after the engine has listed these; pod p and container c have claims. The clock shows 0."""
    holders = Holders()
    holders.synchronize(pods, containers, concern=("p", "c"), now_s=0.0)
    return holders


# -- liveness ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", Report)
def test_a_report_decides_the_liveness_of_a_container(report: Report) -> None:
    """Each report means what the table says, whatever was reported before."""
    for before in Report:
        holders = Holders()
        holders.report(before, "c", "p")
        holders.report(report, "c")
        assert holders.of(claim_of()) is LIVENESS[report]
        assert holders.has_ended(claim_of()) == (LIVENESS[report] is Liveness.ENDED)


def test_a_pod_has_no_process_of_its_own() -> None:
    """It counts as running while the container runs that is to bring the interface in; it ends with the pod."""
    holders, of_pod = Holders(), claim_of(Scope.POD)
    holders.report(Report.STARTED, "p", "other")

    assert holders.of(of_pod) is Liveness.PENDING

    holders.report(Report.STARTED, "c")

    assert holders.of(of_pod) is Liveness.RUNNING

    holders.report(Report.STOPPED, "c")

    assert holders.of(of_pod) is Liveness.PENDING

    holders.report(Report.STOPPED, "p")

    assert holders.has_ended(of_pod)


def test_nothing_is_known_before_the_engine_has_listed_what_exists() -> None:
    """A holder without a report has not ended then; afterwards it has."""
    holders = Holders()

    assert not holders.is_synchronized
    assert holders.of(claim_of()) is Liveness.UNKNOWN

    holders.synchronize((), (), concern=(), now_s=0.0)

    assert holders.is_synchronized
    assert holders.of(claim_of()) is Liveness.ENDED


@pytest.mark.parametrize(
    ("containers", "liveness"),
    [((), Liveness.ENDED), ((CREATED,), Liveness.PENDING), ((RUNNING,), Liveness.RUNNING)],
)
def test_the_engines_list_decides_for_all_at_once(containers: tuple[Container, ...], liveness: Liveness) -> None:
    """Whatever is not in it has ended, and earlier reports count no more."""
    holders = Holders()
    holders.report(Report.STARTED, "c")
    holders.synchronize((POD,), containers, concern=("p", "c"), now_s=0.0)

    assert holders.of(claim_of()) is liveness
    assert holders.of(claim_of(Scope.POD)) is (Liveness.PENDING if liveness is Liveness.ENDED else liveness)


def test_what_has_no_claims_any_more_is_forgotten() -> None:
    """The liveness of the others is kept."""
    holders = Holders()
    holders.report(Report.STARTED, "c", "p")
    holders.forget_all_but({"p"})

    assert holders.of(claim_of()) is Liveness.UNKNOWN
    assert holders.of(claim_of(Scope.POD)) is Liveness.PENDING


# -- candidates --------------------------------------------------------------------------------------------------------

IN_TIME, LATE = GRACE_S - 1, GRACE_S
OTHER_NAME = Container(id="x", name="other", pod_id="p")
OTHER_POD = Container(id="y", name="app", pod_id="q")
SECOND = Container(id="d", name="app", pod_id="p")


@pytest.mark.parametrize(
    ("containers", "scope", "now_s", "expected"),
    [
        ((CREATED,), Scope.CONTAINER, IN_TIME, (Candidate.PENDING, CREATED)),
        ((CREATED,), Scope.POD, LATE, (Candidate.PENDING, CREATED)),
        ((RUNNING, SECOND), Scope.CONTAINER, LATE, (Candidate.PENDING, SECOND)),
        ((RUNNING,), Scope.CONTAINER, IN_TIME, (Candidate.RUNNING, RUNNING)),
        ((RUNNING,), Scope.CONTAINER, LATE, (Candidate.RUNNING, RUNNING)),
        ((RUNNING,), Scope.POD, LATE, (Candidate.RUNNING, RUNNING)),
        ((RUNNING,), Scope.POD, IN_TIME, (Candidate.RUNNING_OR_COMING, RUNNING)),
        ((), Scope.CONTAINER, IN_TIME, (Candidate.COMING, None)),
        ((), Scope.POD, IN_TIME, (Candidate.COMING, None)),
        ((OTHER_NAME, OTHER_POD), Scope.CONTAINER, IN_TIME, (Candidate.COMING, None)),
        ((), Scope.CONTAINER, LATE, (Candidate.NONE, None)),
        ((OTHER_NAME, OTHER_POD), Scope.CONTAINER, LATE, (Candidate.NONE, None)),
    ],
)
def test_who_may_have_been_given_an_uncertain_claim(
    containers: tuple[Container, ...], scope: Scope, now_s: float, expected: tuple[Candidate, Container | None]
) -> None:
    """A container of its name in its pod may have it; for a while one that the engine has not listed yet may, too."""
    assert synchronized(*containers).candidate(claim_of(scope), is_over=False, now_s=now_s) == expected


def test_an_uncertain_claim_without_a_name_may_be_any_containers_of_its_pod() -> None:
    """It was prepared for whichever container would come first."""
    holders = synchronized(OTHER_POD, OTHER_NAME)
    nameless = claim_of(Scope.POD, container="")

    assert holders.candidate(nameless, is_over=False, now_s=LATE) == (Candidate.PENDING, OTHER_NAME)


@pytest.mark.parametrize("containers", [(), (CREATED,), (RUNNING,)])
def test_nobody_has_a_claim_that_is_over(containers: tuple[Container, ...]) -> None:
    """Its pod has ended, or another container takes its place: then nobody is waited for either."""
    holders = synchronized(*containers)

    assert holders.candidate(claim_of(), is_over=True, now_s=IN_TIME) == (Candidate.NONE, None)


def test_nobody_comes_into_a_pod_that_does_not_exist() -> None:
    """The engine creates no container in a pod that it has not listed."""
    assert synchronized(pods=()).candidate(claim_of(), is_over=False, now_s=IN_TIME) == (Candidate.NONE, None)
