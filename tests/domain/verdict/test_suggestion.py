"""The rule that is quoted where none gives what is asked for."""

from __future__ import annotations

import pytest

from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.verdict.suggestion import suggested
from tests.domain.verdict.nodes import entries


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("[ens2, ens1]", "{namespaces: [team], interfaces: [ens1, ens2]}"),
        ("[{interface: ens1, pool: fast}]", "{namespaces: [team], interfaces: [ens1]}"),
        ("[{pool: fast, count: 2}, ens1]", "{namespaces: [team], interfaces: [ens1], pools: [fast], count: 3}"),
        ("['ens*']", "{namespaces: [team], interfaces: ['ens*'], count: 1}"),
        ("[{driver: ice, state: up}]", "{namespaces: [team], interfaces: [{driver: ice, state: up}], count: 1}"),
    ],
)
def test_it_is_the_shortest(value: str, rule: str) -> None:
    """Interfaces by name or selector, pools, and how many where that is not plain from the names."""
    assert suggested(PodSandbox(id="p", namespace="team"), entries(value)) == rule
