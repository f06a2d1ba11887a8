"""What is counted, and under which names."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

import nri_netdev
from nri_netdev import log
from nri_netdev.errors import Reason, RequestError, StateError, refusal_for
from nri_netdev.shells.observe import metrics
from nri_netdev.shells.observe.metrics import COUNTED, METRICS, RECENT, Meters, MetricKind

ROOT = Path(nri_netdev.__file__).parent
DOC = ROOT.parent / "docs" / "metrics.md"
_log = logging.getLogger("nri_netdev.test")


def test_a_return_is_incomplete_once() -> None:
    """However many troubles are told of a claim, and however often; a claim that came home may fail again."""
    meters = Meters()
    with log.observed(meters.count_event):
        for state, claim in [("held", "a"), ("lost", "a"), ("partial", "a"), ("partial", "a"), ("partial", "b")]:
            log.event(_log, logging.DEBUG, "claim.trouble", claim=claim, state=state, trouble="x")
        log.event(_log, logging.DEBUG, "claim.home", claim="a")
        log.event(_log, logging.DEBUG, "claim.trouble", claim="a", state="partial", trouble="x")
    assert meters.counters[metrics.INCOMPLETE.name, ("partial",)] == 3
    assert meters.counters[metrics.INCOMPLETE.name, ("lost",)] == 1
    assert meters.counters[metrics.TROUBLES.name, ("held",)] == 1


def refused(meters: Meters, error: RequestError, *, moment: str = "create") -> None:
    """Count a refusal."""
    with log.observed(meters.count_event):
        log.event(_log, logging.DEBUG, f"{moment}.refused", pod="a/b", reason=error)


@pytest.mark.parametrize("moment", ["create", "start"])
@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_is_counted_by_its_reason(moment: str, reason: Reason) -> None:
    """Whatever its words."""
    meters = Meters()
    refused(meters, RequestError("is not on this node; retry", reason=reason), moment=moment)
    assert dict(meters.counters) == {(metrics.REFUSALS.name, (moment, reason.value)): 1}


def test_a_refusal_because_of_the_ledger_is_a_failure_of_it() -> None:
    """Not so the refusals that follow from there being none: that is counted once."""
    meters = Meters()
    failed = refusal_for(StateError("cannot write the ledger /x: full"))
    failed.__cause__ = StateError("cannot write the ledger /x: full")
    refused(meters, failed)
    refused(meters, RequestError("nothing can be given on this node: cannot open the ledger", reason=Reason.LEDGER))
    assert meters.counters[metrics.LEDGER_ERRORS.name, ()] == 1
    assert meters.counters[metrics.REFUSALS.name, ("create", "ledger")] == 2


@pytest.mark.parametrize(
    ("doing", "failures"), [("write the ledger", 1), ("read the ledger", 1), ("unpin", 0), (None, 0)]
)
def test_work_on_the_ledger_that_fails_is_counted_for_it(doing: str | None, failures: int) -> None:
    """And under what was being done."""
    meters = Meters()
    with log.observed(meters.count_event):
        log.event(_log, logging.DEBUG, "custody.refused", doing=doing, error="x")
    assert meters.counters[metrics.LEDGER_ERRORS.name, ()] == failures
    assert meters.counters[metrics.CUSTODY_ERRORS.name, (doing or "work",)] == 1


def test_recent_events_are_texts() -> None:
    """As the log has them; only those that are worth showing, and the last twenty of them."""
    meters = Meters()
    for number in range(25):
        refused(meters, RequestError(f"no {number}"))
    with log.observed(meters.count_event):
        log.event(_log, logging.DEBUG, "claim.home", claim="a")
    assert [one.fields for one in meters.recent] == [{"pod": "a/b", "reason": f"no {n}"} for n in range(5, 25)]
    assert {one.name for one in meters.recent} == {"create.refused"}


def test_what_is_counted_is_logged_somewhere() -> None:
    """No counter waits for an event that the code does not log."""
    source = "\n".join(path.read_text() for path in ROOT.rglob("*.py"))
    for name in {name for name, *_ in COUNTED} | set(RECENT):
        moment, _, refused = name.partition(".")
        is_refusal = f'doing="{moment}"' in source and f".{refused}" == ".refused" and 'f"{doing}.refused"' in source
        assert is_refusal or re.search(rf'(ERROR|WARNING|INFO|DEBUG),\s*"{re.escape(name)}"', source), name


def test_names_follow_the_conventions() -> None:
    """Our prefix, base units, `_total` on counters alone."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("nri_netdev_")
        assert metric.name.endswith("_total") == (metric.kind is MetricKind.COUNTER)
        assert metric.name.endswith("_seconds") == bool(metric.buckets) == (metric.kind is MetricKind.HISTOGRAM)


def test_the_page_tells_every_metric() -> None:
    """docs/metrics.md has the definitions, each row as the code has it, and no other."""
    rows = re.findall(r"^\| `nri_netdev_\w+` \|.*$", DOC.read_text(), re.MULTILINE)
    wanted = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.text} |"
        for metric in METRICS
    ]
    assert rows == wanted


def test_the_page_tells_every_reason() -> None:
    """And the closed set of reasons."""
    told = re.search(r"^`reason` is one of (.*?)\.$", DOC.read_text(), re.MULTILINE | re.DOTALL)
    assert told
    assert re.findall(r"`(\w+)`", told[1]) == [*Reason]
