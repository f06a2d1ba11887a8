"""What Prometheus scrapes: meters and gauges in OpenMetrics' text format, by prometheus-client, at `/metrics`.

Rendered on a thread, one scrape after another, so that the event loop only carries the bytes. Of prometheus-client what
renders is loaded, and only where an address is configured; not what serves (`nri_netdev.lean`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from nri_netdev import __version__
from nri_netdev.domain.address import Address
from nri_netdev.errors import ConfigurationError
from nri_netdev.lean import bare
from nri_netdev.shells.observe import http
from nri_netdev.shells.observe.metrics import BUILD, METRICS, Gauges, Histogram, Kind, Labels, Meters

PATH = "/metrics"


class _Collector:
    """What prometheus-client asks at each scrape."""

    def __init__(self, meters: Meters, gauges: Callable[[], Gauges]) -> None:
        with bare("prometheus_client"):
            from prometheus_client import metrics_core as core  # noqa: PLC0415 - only where metrics are configured
        self._families: dict[Kind, Any] = {
            Kind.COUNTER: core.CounterMetricFamily,
            Kind.GAUGE: core.GaugeMetricFamily,
            Kind.HISTOGRAM: core.HistogramMetricFamily,
        }
        self._meters = meters
        self._gauges = gauges

    def collect(self) -> Iterable[Any]:
        counters, histograms = self._meters.read()
        values: dict[tuple[str, Labels], float] = {**counters, **self._gauges(), (BUILD.name, (__version__,)): 1}
        for metric in METRICS:
            family = self._families[metric.kind](metric.name, metric.text, labels=metric.labels)
            if metric.kind is Kind.HISTOGRAM:
                for (name, labels), histogram in histograms.items():
                    if name == metric.name:
                        family.add_metric(labels, _cumulated(metric.buckets, histogram), histogram.sum_s)
            else:
                if metric.kind is Kind.COUNTER and not metric.labels:
                    values.setdefault((metric.name, ()), 0)
                for (name, labels), value in values.items():
                    if name == metric.name:
                        family.add_metric(labels, value)
            yield family


def _cumulated(bounds: tuple[float, ...], histogram: Histogram) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets


@contextlib.asynccontextmanager
async def serving(address: Address, meters: Meters, gauges: Callable[[], Gauges]) -> AsyncIterator[int]:
    """Serve /metrics over HTTP for as long as a block lasts.

    Args:
        address: where; not a unix socket.
        meters: what was counted.
        gauges: gives what is so now, by name and labels; called on a thread.

    Yields:
        The port.

    Raises:
        ConfigurationError: It cannot listen there.
    """
    with bare("prometheus_client"):
        from prometheus_client.openmetrics.exposition import (  # noqa: PLC0415 - as above
            CONTENT_TYPE_LATEST,
            generate_latest,
        )
        from prometheus_client.process_collector import ProcessCollector  # noqa: PLC0415
        from prometheus_client.registry import CollectorRegistry  # noqa: PLC0415

    registry = CollectorRegistry()
    registry.register(_Collector(meters, gauges))
    ProcessCollector(registry=registry)
    one_by_one = asyncio.Lock()

    async def page() -> tuple[str, bytes]:
        async with one_by_one:
            return CONTENT_TYPE_LATEST, await asyncio.to_thread(generate_latest, registry)

    async with contextlib.AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(http.serving(address, {PATH: page}))
        except OSError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise ConfigurationError(f"metrics: cannot listen on {address.target}: {why}") from error
        yield port
