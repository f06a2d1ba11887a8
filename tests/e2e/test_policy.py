"""Who may take what, on real engines: allowed, refused, exhausted, and changed while the daemon runs."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from nri_netdev.domain.annotations.manifest import pods_in
from tests.e2e.cri import Crictl, CriError
from tests.e2e.machine import CommandError
from tests.e2e.node import UPLINK, Node
from tests.e2e.wait import wait_until

pytestmark = pytest.mark.matrix

KEY = "nri-netdev.io/container.app"
CONFIG = """
pools:
  fast: [nic0, nic1]
rules:
  - name: tenants
    namespaces: [tenant-*]
    pods: {matchLabels: {net: fast}}
    pools: [fast]
    names: [net*]
  - namespaces: [infra]
    interfaces: [UPLINK]
    allow_protected: true
""".replace("UPLINK", UPLINK)


def inside(crictl: Crictl, container: str) -> set[str]:
    return {link["ifname"] for link in crictl.ip_json(container, "link")} - {"lo", "eth0"}


def refusal(crictl: Crictl, pod: str) -> str:
    """The text with which a container is refused."""
    with pytest.raises(CriError) as refused:
        crictl.create(pod, "app")
    return str(refused.value)


def test_nothing_is_given_without_a_rule(node: Node, crictl: Crictl) -> None:
    """Secure by default; the refusal quotes the rule that would allow just this, and with that rule it is given."""
    node.add_veth("nic0")
    with node.daemon(config="rules: []") as daemon:
        pod = crictl.run_pod("web", namespace="shop", annotations={KEY: "- nic0"})
        text = refusal(crictl, pod)

        assert "{namespaces: [shop], interfaces: [nic0]}" in text.replace("\\n", "\n"), text
        rule = "{namespaces: [shop], interfaces: [nic0]}"
        daemon.config_path.write_text(f"rules: [{rule}]")
        daemon.wait_logged("config.in_force")

        assert inside(crictl, crictl.run(pod, "app")) == {"nic0"}


def test_rules_and_pools(node: Node, crictl: Crictl) -> None:
    """By namespace, label, name inside and what is left in the pool; whoever the rules do not speak of gets nothing."""
    for name in ("nic0", "nic1", "nic2"):
        node.add_veth(name)
    labels = {"net": "fast"}
    pool = {KEY: "- {pool: fast, name: 'net{n}'}"}
    with node.daemon(config=CONFIG):
        first = crictl.run_pod("one", namespace="tenant-a", labels=labels, annotations=pool)
        second = crictl.run_pod("two", namespace="tenant-b", labels=labels, annotations=pool)
        third = crictl.run_pod("three", namespace="tenant-b", labels=labels, annotations=pool)

        assert inside(crictl, crictl.run(first, "app")) == {"net0"}
        assert inside(crictl, crictl.run(second, "app")) == {"net0"}
        assert "fast" in refusal(crictl, third)
        for namespace, given, request in (
            ("tenant-a", {}, "- {interface: nic2, name: net1}"),
            ("tenant-a", labels, "- {interface: nic2, name: net1}"),
            ("shop", labels, "- {pool: fast, name: net1}"),
            ("tenant-a", labels, f"- {{interface: {UPLINK}, name: net1}}"),
        ):
            pod = crictl.run_pod("no", namespace=namespace, labels=given, annotations={KEY: request})
            refusal(crictl, pod)
            crictl.delete_pod(pod)
        crictl.delete_pod(first)
        wait_until(lambda: len(json.loads(node.cli("claims", "--json"))) == 1, timeout_s=10, what="one is back")

        assert inside(crictl, crictl.run(third, "app")) == {"net0"}


def test_several_of_a_pool(node: Node, crictl: Crictl) -> None:
    """A pod-level request for two of a pool is answered once, through restarts of its containers."""
    for name in ("nic0", "nic1"):
        node.add_veth(name)
    with node.daemon(config=CONFIG):
        pod = crictl.run_pod(
            "one",
            namespace="tenant-a",
            labels={"net": "fast"},
            annotations={"nri-netdev.io/pod": "- {pool: fast, count: 2, name: 'net{n}'}"},
        )
        container = crictl.run(pod, "app")

        assert inside(crictl, container) == {"net0", "net1"}
        crictl.stop(container)
        assert inside(crictl, crictl.run(pod, "app")) == {"net0", "net1"}
        crictl.delete_pod(pod)
        wait_until(lambda: json.loads(node.cli("claims", "--json")) == [], timeout_s=10, what="all is back")


def test_a_bad_configuration_does_not_come_into_force(node: Node, crictl: Crictl) -> None:
    """Every problem is told with its line, and what was in force stays so; SIGHUP is understood."""
    node.add_veth("nic0")
    with node.daemon(config="rules: [{namespaces: ['*'], interfaces: [nic0]}]") as daemon:
        daemon.config_path.write_text("rules:\n- namespaces: []\n  interface: [nic0]\ninjektion: auto\n")
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("config.refused")

        for told in (":2:", ":3:", ":4:"):
            assert told in daemon.log_text()
        assert inside(crictl, crictl.run(crictl.run_pod("web", annotations={KEY: "- nic0"}), "app")) == {"nic0"}


def test_the_example_of_two_tenants(node: Node, crictl: Crictl) -> None:
    """manifests/examples/multi-tenant.yaml with its configuration: each gets its own and the shared, and no more."""
    examples = Path(__file__).parents[2] / "manifests" / "examples"
    for name in ("ens1f0v0", "ens1f0v1", "ens1f1v0", "ens2f0"):
        node.add_veth(name)
    with node.daemon(config=(examples / "multi-tenant" / "config.yaml").read_text()):
        pods = {
            found.pod.name: crictl.run_pod(
                found.pod.name, namespace=found.pod.namespace, annotations=found.pod.annotations
            )
            for found in pods_in((examples / "multi-tenant.yaml").read_text())
        }

        assert inside(crictl, crictl.run(pods["router"], "app")) == {"red0", "red1", "net1"}
        assert inside(crictl, crictl.run(pods["probe"], "app")) == {"net1"}
        text = refusal(crictl, pods["intruder"])
        assert 'no rule of this node gives pool "red" to namespace "blue"' in text.replace('\\"', '"')
        assert "tenant red" not in text
        assert "router" not in text


def test_a_running_pod_is_explained(node: Node, crictl: Crictl, tmp_path: Path) -> None:
    """What the engine tells of a pod is enough to say what its annotations would come to, and by which rule."""
    node.add_veth("nic0")
    config = tmp_path / "config.yaml"
    config.write_text("rules: [{name: web only, namespaces: [default], interfaces: [nic0]}]")
    crictl.create(crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"}), "app")
    told = node.cli("explain", "--config", str(config), "--pod", "default/web")

    assert told.splitlines()[0].startswith("pod default/web, container app, ")
    assert 'rule "web only"' in told
    assert "nic0 as net1" in told.splitlines()[-1]
    with pytest.raises(CommandError) as unknown:
        node.cli("explain", "--config", str(config), "--pod", "default/nobody")
    assert "the engine knows no pod default/nobody" in unknown.value.stderr
