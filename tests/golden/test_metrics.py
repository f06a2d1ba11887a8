"""The metrics that Prometheus scrapes: names, kinds, labels, help and buckets."""

from __future__ import annotations

from typing import Any

# Everything internal that this file knows.
from nri_netdev.errors import Reason
from nri_netdev.shells.observe.metrics import METRICS
from tests.golden.store import as_json, stored


def metrics() -> dict[str, Any]:
    """Each metric by its name, in order, and every value of the label `reason`."""
    table = {
        metric.name: {
            "kind": str(metric.kind),
            "labels": metric.labels,
            "help": metric.text,
            "buckets": metric.buckets,
        }
        for metric in METRICS
    }
    return {"metrics": table, "reasons": sorted(Reason)}


def test_metrics() -> None:
    """The table of metrics is the stored one, in the same order."""
    computed = as_json(metrics())

    assert computed == stored("metrics")
    assert list(computed["metrics"]) == list(stored("metrics")["metrics"])
