"""Serves meters and gauges at `/metrics`, in the text format of OpenMetrics, rendered by prometheus-client.

Rendered on a thread, one scrape at a time, so that the event loop only sends the bytes. Of prometheus-client only the
rendering part is loaded, and only if an address is configured (`nri_netdev.lean`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from nri_netdev import __version__
from nri_netdev.domain.address import ListenAddress
from nri_netdev.errors import ConfigurationError
from nri_netdev.lean import bare
from nri_netdev.shells.observe import http
from nri_netdev.shells.observe.metrics import BUILD, METRICS, Gauges, Histogram, Labels, Meters, MetricKind

PATH = "/metrics"


class _Collector:
    """Collects the values for each scrape, as prometheus-client requires it."""

    def __init__(self, meters: Meters, gauges: Callable[[], Gauges]) -> None:
        with bare("prometheus_client"):
            from prometheus_client import metrics_core as core  # noqa: PLC0415 - only where metrics are configured
        self._families: dict[MetricKind, Any] = {
            MetricKind.COUNTER: core.CounterMetricFamily,
            MetricKind.GAUGE: core.GaugeMetricFamily,
            MetricKind.HISTOGRAM: core.HistogramMetricFamily,
        }
        self._meters = meters
        self._gauges = gauges

    def collect(self) -> Iterable[Any]:
        counters, histograms = self._meters.read()
        values: dict[tuple[str, Labels], float] = {**counters, **self._gauges(), (BUILD.name, (__version__,)): 1}
        for metric in METRICS:
            family = self._families[metric.kind](metric.name, metric.text, labels=metric.labels)
            if metric.kind is MetricKind.HISTOGRAM:
                for (name, labels), histogram in histograms.items():
                    if name == metric.name:
                        family.add_metric(labels, _cumulated(metric.buckets, histogram), histogram.sum_s)
            else:
                if metric.kind is MetricKind.COUNTER and not metric.labels:
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
async def serving(address: ListenAddress, meters: Meters, gauges: Callable[[], Gauges]) -> AsyncIterator[int]:
    """Serve /metrics over HTTP while a block runs.

    Args:
        address: where to listen; not a unix socket.
        meters: counters and histograms.
        gauges: returns the current values, by name and labels; called on another thread.

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
