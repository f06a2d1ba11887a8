"""What a running daemon lets others see of it: the document of its status, and the gauges of a scrape."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev import __version__
from nri_netdev.cli.status_page import page
from nri_netdev.config.settings import Settings
from nri_netdev.daemon.unread import UnreadKey
from nri_netdev.daemon.view import UNREAD_SHOWN, View
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.links import Inventory
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.errors import KernelError, RemoteError
from nri_netdev.shells.observe import status
from nri_netdev.shells.observe.metrics import Meters
from tests.daemon.node import Node, on_loop
from tests.domain.policy.test_rules import NODE, POOLS, claim_on, policy_of


@on_loop
async def test_what_it_shows(node: Node) -> None:
    """It shows the engine, claims by state, the number of containers, and the latest refusals with their reasons."""
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        await engine.create_container(node.pod(), node.container())
        await engine.create_container(node.pod(None, "p2"), node.container(2, "p2"))
        with pytest.raises(RemoteError):
            await engine.create_container(node.pod("- ens9", "p3"), node.container(3, "p3"))
        document = await asyncio.to_thread(status.read, node.settings.run_dir)

        assert document["version"] == __version__
        assert document["ready"] is True
        assert document["engine"]["name"] == "containerd"
        assert document["containers"] == {"true": 2, "false": 1}
        assert document["claims"]["planned"] == 1
        assert document["refusals"] == {"absent": 1}
        (latest,) = document["latest"]
        assert latest["pod"] == "default/web"
        assert 'interface "ens9" is not on this node' in latest["reason"]

        lines = page(document, now_s=document["started_s"] + 90).splitlines()
        assert lines[0].endswith("up 1 min 30 s")
        assert "engine      containerd 2.3.4" in lines[1]
        assert document["started_s"] <= document["ready_since_s"] <= time.time()
        assert any(line.startswith("ready       yes, since 2") and line.endswith(" s)") for line in lines)
        assert "claims      1 planned" in lines
        assert "refused     1 absent" in lines
        assert 'create.refused  default/web app: interface "ens9"' in lines[-1]
    assert not (node.settings.run_dir / status.SOCKET).exists()


class Seen:
    """A daemon that gives what it is told."""

    is_ready = True
    trouble = ""
    engine = None
    unread: tuple[UnreadKey, ...] = ()

    def __init__(self, policy: Policy, claims: tuple[Claim, ...]) -> None:
        self.policy = policy
        self.claims = claims


def test_of_many_unread_keys_the_latest_are_shown(tmp_path: Path) -> None:
    """And their number."""
    seen = Seen(Policy(), ())
    seen.unread = tuple(
        UnreadKey(pod="default/web", key=f"key {number}", reason="") for number in range(UNREAD_SHOWN + 1)
    )
    unread = View(settings=Settings(state_dir=tmp_path), meters=Meters(), daemon=seen).document()["unread"]
    assert unread["count"] == UNREAD_SHOWN + 1
    assert [one["key"] for one in unread["keys"]] == [f"key {number}" for number in range(1, UNREAD_SHOWN + 1)]


def test_pools_are_counted_now_and_then(tmp_path: Path) -> None:
    """The host is read for a scrape after a while or when the policy has changed; never where no pools are."""
    seen, reads = Seen(Policy(), (claim_on("ens2"),)), []

    def inventory() -> Inventory:
        reads.append(threading.current_thread())
        return NODE

    outlook = View(settings=Settings(state_dir=tmp_path), meters=Meters(), daemon=seen, inventory=inventory)
    assert not {name for name, _ in outlook.gauges() if "pool" in name}
    assert reads == []
    seen.policy = policy_of(POOLS)
    for _ in range(3):
        gauges = outlook.gauges()
        assert {key: value for key, value in gauges.items() if "pool" in key[0]} == {
            ("nri_netdev_pool_interfaces", ("fast",)): 4.0,
            ("nri_netdev_pool_interfaces", ("slow",)): 2.0,
            ("nri_netdev_pool_free_interfaces", ("fast",)): 2.0,
            ("nri_netdev_pool_free_interfaces", ("slow",)): 1.0,
        }
    assert len(reads) == 1


def test_a_host_that_cannot_be_read_has_no_pools(tmp_path: Path) -> None:
    """The scrape lacks the pools then, and nothing else."""

    def inventory() -> Inventory:
        raise KernelError(action="list interfaces", errno=1)

    seen = Seen(policy_of(POOLS), ())
    gauges = View(settings=Settings(state_dir=tmp_path), meters=Meters(), daemon=seen, inventory=inventory).gauges()
    assert gauges["nri_netdev_ready", ()] == 1.0
    assert not {name for name, _ in gauges if "pool" in name}


@on_loop
async def test_metrics_of_a_daemon(node: Node) -> None:
    """What the daemon counts reaches Prometheus."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    policy = policy_of("pools: {none: [nosuch0], loop: [lo]}")
    node.settings = replace(node.settings, metrics=f"127.0.0.1:{port}", policy=policy)

    def scrape() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        await engine.create_container(node.pod(), node.container())
        text = await asyncio.to_thread(scrape)
    assert "nri_netdev_ready 1.0" in text
    assert 'nri_netdev_containers_total{annotated="true"} 1.0' in text
    assert 'nri_netdev_claims{state="planned"} 1.0' in text
    assert "nri_netdev_create_seconds_count 1.0" in text
    assert "nri_netdev_engine_registrations_total 1.0" in text
    assert 'nri_netdev_pool_interfaces{pool="loop"} 1.0' in text
    assert 'nri_netdev_pool_free_interfaces{pool="loop"} 0.0' in text
    assert 'nri_netdev_pool_interfaces{pool="none"} 0.0' in text
