"""`kubectl netdev`, by a real kubectl in a real cluster: what holds, and what each command says of it."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.container_image import ROOT
from tests.e2e.machine import CommandError, Machine
from tests.kubernetes.away import away
from tests.kubernetes.cluster import NODE, Cluster
from tests.kubernetes.nics import Nics
from tests.kubernetes.objects import pod
from tests.kubernetes.product import Product


class Plugin:
    """The plugin as a user has it: one file in PATH."""

    def __init__(self, machine: Machine, cluster: Cluster) -> None:
        self._machine = machine
        directory = machine.new_file("plugins", "")
        directory.mkdir()
        command = [sys.executable, ROOT / "image" / "kubectl_netdev.py", directory / "kubectl-netdev"]
        subprocess.run(command, check=True, capture_output=True)
        self._environment = {**cluster.environment, "PATH": f"{directory}:{cluster.environment['PATH']}"}

    def __call__(self, *arguments: str, text_in: str = "") -> str:
        """Run it, and return what it prints."""
        return self._machine.run("kubectl", "netdev", *arguments, env=self._environment, text_in=text_in, timeout_s=60)

    def fails(self, *arguments: str, text_in: str = "") -> CommandError:
        """Run it, and return how it failed."""
        with pytest.raises(CommandError) as caught:
            self(*arguments, text_in=text_in)
        return caught.value

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self(*arguments, "--json"))
        return found


@pytest.fixture
def plugin(product: Product, cluster: Cluster) -> Plugin:
    """Give the plugin, and nri-netdev in the cluster."""
    return Plugin(cluster.machine, cluster)


@pytest.fixture
def held(plugin: Plugin, cluster: Cluster, nics: Nics, namespace: str) -> Callable[[], list[dict[str, Any]]]:
    """Have a pod hold nic0; gives what the plugin says of claims in its namespace."""
    nics.add("nic0", is_plain=True)
    cluster.apply(pod("web", namespace, asked={"app": "- {interface: nic0, name: net1}"}))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "-n", namespace)
    return lambda: plugin.json("claims", "-n", namespace)


def test_claims(plugin: Plugin, held: Callable[[], list[dict[str, Any]]], namespace: str) -> None:
    """A row for each interface that is held, with its node; of a namespace if one is named."""
    (claim,) = held()
    head, row = plugin("claims", "-n", namespace).splitlines()

    assert (claim["node"], claim["ifname"], claim["ifname_now"]) == (NODE, "nic0", "net1")
    assert head.split()[:3] == ["NODE", "INTERFACE", "STATE"]
    assert row.split()[:3] == [NODE, "nic0", "held"]
    assert f"pod {namespace}/web, container app" in row
    assert plugin.json("claims", "-n", "default") == []


def test_devices(plugin: Plugin, held: Callable[[], list[dict[str, Any]]], namespace: str) -> None:
    """Every interface of the node, and by name."""
    assert held()
    (device,) = plugin.json("devices", "nic0", "--node", NODE)
    assert (device["node"], device["free"]) == (NODE, False)
    assert device["why_not"] == f"is held by pod {namespace}/web, container app"
    error = plugin.fails("devices", "nosuch0")
    assert error.status == 1
    assert f'kubectl-netdev: node {NODE}: interface "nosuch0" is not on this node' in error.stderr


def test_explain(plugin: Plugin, nics: Nics, namespace: str) -> None:
    """What would become of a manifest that is not applied; no is exit status 1."""
    nics.add("nic0", is_plain=True)
    manifest = json.dumps(pod("web", namespace, asked={"app": "- nic0"}))
    said = plugin("explain", "-f", "-", text_in=manifest)
    assert said.splitlines()[0] == f"node {NODE}"
    assert "nic0" in said
    refused = plugin.fails("explain", "-f", "-", text_in=manifest.replace("nic0", "nic9"))
    assert refused.status == 1


def test_status_and_doctor(plugin: Plugin) -> None:
    """A page for each node."""
    status = plugin("status").splitlines()
    assert status[0] == f"node {NODE}"
    assert any(line.startswith("ready       yes, since") for line in status)
    (document,) = plugin.json("status")
    assert (document["node"], document["ready"]) == (NODE, True)
    checks = plugin.json("doctor")
    assert {one["node"] for one in checks} == {NODE}
    assert "change" not in {one["verdict"] for one in checks}


def test_release(plugin: Plugin, held: Callable[[], list[dict[str, Any]]], nics: Nics) -> None:
    """It asks at this terminal, and brings the interface home once that is agreed."""
    assert held()
    assert plugin.fails("release", "nic0", "--node", NODE, text_in="n\n").status == 1
    assert held()
    said = plugin("release", "nic0", "--node", NODE, text_in="y\n")
    assert "nic0: released" in said
    assert held() == []
    assert nics.is_home()


def test_a_daemon_that_is_away(plugin: Plugin, product: Product, cluster: Cluster) -> None:
    """Is told, with its node, and where to look."""
    assert "there is no pod of nri-netdev" in plugin.fails("claims", "--node", "elsewhere").stderr
    with away(product):
        error = plugin.fails("claims")
    assert error.status == 1
    assert "is nri-netdev installed in this cluster?" in error.stderr
