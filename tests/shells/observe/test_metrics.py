"""What is counted, under which names, and that a scraper can read it."""

from __future__ import annotations

import asyncio
import logging
import re
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import nri_netdev
from nri_netdev import __version__, log
from nri_netdev.domain.address import Address
from nri_netdev.errors import ConfigurationError
from nri_netdev.shells.observe import metrics, prometheus
from nri_netdev.shells.observe.metrics import BUILD, COUNTED, METRICS, REASONS, TOLD, Kind, Meters, reason_of

ROOT = Path(nri_netdev.__file__).parent
DOC = ROOT.parent / "docs" / "metrics.md"
_log = logging.getLogger("nri_netdev.test")
LOCAL = Address(host="127.0.0.1", port=0)


def scraped(meters: Meters, gauges: metrics.Gauges | None = None) -> str:
    """What Prometheus would get."""

    async def asked() -> str:
        async with prometheus.serving(LOCAL, meters, lambda: gauges or {}) as port:
            return await asyncio.to_thread(get, port)

    return asyncio.run(asked())


def get(port: int) -> str:
    """One scrape by an HTTP client."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        return str(answer.read().decode())


def test_a_scrape() -> None:
    """Counters from events, histograms cumulated, gauges as they are; counters without labels begin at 0."""
    meters = Meters()
    with log.observed(meters.heard):
        log.event(_log, logging.DEBUG, "create.refused", pod="a/b", reason='interface "ens9" is not on this node')
        log.event(_log, logging.DEBUG, "claim.home", ifname="ens1")
        log.event(_log, logging.DEBUG, "claim.home", ifname="ens1", by="reboot")
    log.event(_log, logging.DEBUG, "claim.home", ifname="ens1")
    meters.observe(metrics.CREATE_SECONDS, 0.003)
    meters.observe(metrics.CREATE_SECONDS, 99.0)
    text = scraped(meters, {(metrics.CLAIMS.name, ("held",)): 2.0})

    assert 'nri_netdev_refusals_total{moment="create",reason="absent"} 1.0' in text
    assert 'nri_netdev_returns_total{how="whole"} 1.0' in text
    assert 'nri_netdev_returns_total{how="reboot"} 1.0' in text
    assert 'nri_netdev_create_seconds_bucket{le="0.0025"} 0.0' in text
    assert 'nri_netdev_create_seconds_bucket{le="0.005"} 1.0' in text
    assert 'nri_netdev_create_seconds_bucket{le="+Inf"} 2.0' in text
    assert "nri_netdev_create_seconds_count 2.0" in text
    assert 'nri_netdev_claims{state="held"} 2.0' in text
    assert "nri_netdev_bugs_total 0.0" in text
    assert f'{BUILD.name}{{version="{__version__}"}} 1.0' in text
    assert "process_resident_memory_bytes" in text
    assert {family.name for family in text_string_to_metric_families(text)} >= {
        metric.name.removesuffix("_total") for metric in METRICS
    }


def test_a_return_is_incomplete_once() -> None:
    """However many troubles are told of a claim, and however often; a claim that came home may fail again."""
    meters = Meters()
    with log.observed(meters.heard):
        for state, claim in [("held", "a"), ("lost", "a"), ("partial", "a"), ("partial", "a"), ("partial", "b")]:
            log.event(_log, logging.DEBUG, "claim.trouble", claim=claim, state=state, trouble="x")
        log.event(_log, logging.DEBUG, "claim.home", claim="a")
        log.event(_log, logging.DEBUG, "claim.trouble", claim="a", state="partial", trouble="x")
    text = scraped(meters)
    assert 'nri_netdev_returns_incomplete_total{how="partial"} 3.0' in text
    assert 'nri_netdev_returns_incomplete_total{how="lost"} 1.0' in text
    assert 'nri_netdev_claim_troubles_total{state="held"} 1.0' in text


def test_a_refusal_because_of_the_ledger_is_a_failure_of_it() -> None:
    """Not so the refusals that follow from there being none: that is counted once."""
    meters = Meters()
    with log.observed(meters.heard):
        for reason in ("cannot write the ledger /x: full", "nothing can be given on this node: cannot open the ledger"):
            log.event(_log, logging.DEBUG, "create.refused", reason=reason)
    text = scraped(meters)
    assert "nri_netdev_ledger_errors_total 1.0" in text
    assert 'nri_netdev_refusals_total{moment="create",reason="ledger"} 2.0' in text


def test_an_address_in_use_is_told() -> None:
    """Where it cannot listen, the operator reads why."""

    async def two() -> None:
        async with prometheus.serving(LOCAL, Meters(), dict) as port:
            told = f"metrics: cannot listen on 127.0.0.1:{port}: Address already in use"
            with pytest.raises(ConfigurationError, match=told):
                async with prometheus.serving(Address(host="127.0.0.1", port=port), Meters(), dict):
                    pass

    asyncio.run(two())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('interface "ens9" is not on this node (annotation x, entry 2). Present and free: ens2f0.', "absent"),
        ('interface "ens1" is held by pod default/web, container app for 3 min', "held"),
        ('interface "ens1" is being returned from pod default/web (returning); retry, or see …', "busy"),
        ('interface "ens1" carries a default route of the node', "lifeline"),
        ('interface "ens1" is enslaved to bridge br0; release it first', "lifeline"),
        ("the kernel is still busy, perhaps with an interface that is being returned; retry", "busy"),
        ("interface ens1 did not arrive: it is still on the host", "arrival"),
        ("nothing can be given on this node: cannot open the ledger /x: it is damaged", "ledger"),
        ("internal error (ZeroDivisionError); see the log of nri-netdev on this node", "bug"),
        ("the pod is on the host network, where every interface already is; remove hostNetwork: true", "pod"),
        ('the name "net1" is already taken in the pod; set another with the field name', "pod"),
        ('unknown field "nmae" (did you mean "name"?) (annotation nri-netdev.io/container.app)', "annotation"),
        ('no rule of this node gives "ens1" to namespace "default"', "policy"),
        ('the pool "fast" is not defined on this node', "pool"),
        ("cannot frobnicate", "other"),
    ],
)
def test_reasons_are_few(text: str, reason: str) -> None:
    """Whatever a refusal says, its label is one of a closed set."""
    assert reason_of(text) == reason
    assert reason in {*REASONS, "other"}


def test_what_is_counted_is_logged_somewhere() -> None:
    """No counter waits for an event that the code does not log."""
    source = "\n".join(path.read_text() for path in ROOT.rglob("*.py"))
    for name in {name for name, *_ in COUNTED} | set(TOLD):
        moment, _, refused = name.partition(".")
        is_refusal = f'doing="{moment}"' in source and f".{refused}" == ".refused" and 'f"{doing}.refused"' in source
        assert is_refusal or re.search(rf'(ERROR|WARNING|INFO|DEBUG),\s*"{re.escape(name)}"', source), name


def test_names_follow_the_conventions() -> None:
    """Our prefix, base units, `_total` on counters alone."""
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("nri_netdev_")
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert metric.name.endswith("_seconds") == bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)


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
    assert re.findall(r"`(\w+)`", told[1]) == [*REASONS, "other"]
