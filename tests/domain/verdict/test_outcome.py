"""From a case to its outcome."""

from __future__ import annotations

from nri_netdev.domain.problem import Problem
from nri_netdev.domain.verdict.outcome import Case, Grant, Outcome
from nri_netdev.errors import Reason
from tests.domain.verdict.nodes import KEY, by_name, entries


def test_a_case_with_problems_grants_nothing() -> None:
    """Its problems have the place of its entry."""
    [entry] = entries("[ens1f0]")
    case = Case(entry)
    grant = Grant(entry=entry, link=by_name("ens1f0"))
    case.grants.append(grant)
    assert case.outcome == Outcome(entry=entry, grants=(grant,))
    case.refuse("m", Reason.POOL, field="pool", hint="h")
    problem = Problem(key=KEY, entry=1, message="m", field="pool", hint="h", reason=Reason.POOL)
    assert case.outcome == Outcome(entry=entry, problems=(problem,))
