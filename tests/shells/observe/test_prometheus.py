"""That a scraper can read what is counted."""

from __future__ import annotations

import asyncio
import logging
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from nri_netdev import __version__, log
from nri_netdev.domain.address import ListenAddress
from nri_netdev.errors import ConfigurationError, Reason, RequestError
from nri_netdev.shells.observe import metrics, prometheus
from nri_netdev.shells.observe.metrics import BUILD, METRICS, Meters

_log = logging.getLogger("nri_netdev.test")
LOCAL = ListenAddress(host="127.0.0.1", port=0)


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
    with log.observed(meters.count_event):
        log.event(_log, logging.DEBUG, "create.refused", pod="a/b", reason=RequestError("x", reason=Reason.ABSENT))
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


def test_an_address_in_use_is_told() -> None:
    """Where it cannot listen, the operator reads why."""

    async def two() -> None:
        async with prometheus.serving(LOCAL, Meters(), dict) as port:
            told = f"metrics: cannot listen on 127.0.0.1:{port}: Address already in use"
            with pytest.raises(ConfigurationError, match=told):
                async with prometheus.serving(ListenAddress(host="127.0.0.1", port=port), Meters(), dict):
                    pass

    asyncio.run(two())
