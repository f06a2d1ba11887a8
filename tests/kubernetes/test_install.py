"""Installed, configured and removed as docs/operators.md and docs/helm.md have it; what is removed leaves nothing."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from nri_netdev import __version__
from tests.e2e import tools
from tests.e2e.container_image import ROOT
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.nics import Nics
from tests.kubernetes.objects import pod
from tests.kubernetes.product import CONFIG, NAMESPACE, Product, pod_monitor_definition

COMPONENTS = sorted(found.name for found in (ROOT / "manifests" / "components").iterdir())
KINDS = "namespace,priorityclass,clusterrole,clusterrolebinding,serviceaccount,configmap,daemonset,secret"
OBJECTS = {
    "configmap/nri-netdev",
    "daemonset.apps/nri-netdev",
    "namespace/nri-netdev",
    "priorityclass.scheduling.k8s.io/nri-netdev",
    "serviceaccount/nri-netdev",
}
MORE = {
    "dashboard": {"configmap/nri-netdev-dashboard"},
    "events": {
        "clusterrole.rbac.authorization.k8s.io/nri-netdev-events",
        "clusterrolebinding.rbac.authorization.k8s.io/nri-netdev-events",
    },
    "pod-monitor": {"podmonitor.monitoring.coreos.com/nri-netdev"},
}
"""What a component adds."""
STAYS = {"answering", "ledger.db", "lock", "standby"}
"""What is left below /var/lib/nri-netdev; an empty ledger and locks, to be deleted by hand."""


@pytest.fixture
def bare(uninstalled: Product) -> Product:
    """Give what can be installed on a cluster that has nothing of it."""
    cluster = uninstalled.cluster
    cluster.kubectl("delete", "-k", uninstalled.kustomization(components=["events"]), "--ignore-not-found")
    wait_removed(uninstalled)
    return uninstalled


def objects(cluster: Cluster, kinds: str = KINDS) -> set[str]:
    """Names of what is on the cluster of ours."""
    found = cluster.kubectl("get", kinds, "--all-namespaces", "-o", "name").split()
    return {name for name in found if "nri-netdev" in name}


def wait_removed(product: Product) -> None:
    """Wait until the API server has none of its objects, and the node none of its daemons."""
    cluster = product.cluster

    def left() -> set[str]:
        return objects(cluster) | {line for line in cluster.machine.processes().values() if "nri-netdev run" in line}

    cluster.wait(lambda: not left(), what="everything of it is gone")


def left_on(nics: Nics) -> Sequence[str]:
    """Say what is left on a node: pins, marks, claims, files."""
    machine = nics.node.machine
    pins = [line for line in machine.run("cat", "/proc/self/mountinfo").splitlines() if "nri-netdev" in line]
    marks = [link["ifname"] for link in nics.node.ip_json("link") if link.get("altnames")]
    claims = json.loads(nics.node.cli("claims", "--json"))
    files = {path.name for path in machine.path("/var/lib/nri-netdev").iterdir()}
    return [*pins, *marks, *map(str, claims), *(files - STAYS)]


def wait_ready(cluster: Cluster, namespace: str, *names: str) -> None:
    """Wait until pods are ready."""
    cluster.kubectl("wait", "--for=condition=Ready", "-n", namespace, *(f"pod/{name}" for name in names))


def web(namespace: str, name: str = "web", interface: str = "nic0") -> dict[str, Any]:
    """A pod that asks for an interface."""
    return pod(name, namespace, asked={"app": f"- {{interface: {interface}, name: net1}}"})


def with_rule(interface: str) -> dict[str, Any]:
    """The configuration of the tests, and a rule more."""
    return {"rules": [*CONFIG["rules"], {"namespaces": ["*"], "interfaces": [{"interface": interface}]}]}


def wait_in_force(product: Product, config: dict[str, Any]) -> None:
    """Wait until the daemon says that a configuration is in force."""
    said = f"config.in_force rules={len(config['rules'])}\n"
    product.cluster.wait(lambda: said in product.log_text(), timeout_s=90, what=said)


def hasten(product: Product) -> None:
    """Have the kubelet look at the daemon's volumes now: it does when a pod changes, else from time to time."""
    (daemon,) = product.pods()
    product.kubectl("annotate", "pod", daemon["metadata"]["name"], "example.com/look=now", "--overwrite")


@pytest.mark.matrix
def test_by_kubectl(bare: Product, cluster: Cluster, nics: Nics, namespace: str) -> None:
    """Installed, it is ready and gives; a changed configuration gets in force; removed, it leaves an empty ledger."""
    nics.add("nic0")
    nics.add("late0")
    bare.install()
    (daemon,) = bare.pods()
    assert objects(cluster) == OBJECTS
    cluster.apply(web(namespace))
    wait_ready(cluster, namespace, "web")

    cluster.kubectl("apply", "-k", bare.kustomization(config=with_rule("late0")))
    wait_in_force(bare, with_rule("late0"))
    cluster.apply(web(namespace, "late", "late0"))
    wait_ready(cluster, namespace, "late")

    cluster.kubectl("apply", "-k", bare.kustomization(config={"rulez": []}))
    hasten(bare)
    cluster.wait(lambda: "config.refused" in bare.log_text(), timeout_s=90, what="the mistake is told")
    cluster.kubectl("delete", "pod", "late", "-n", namespace)
    cluster.apply(web(namespace, "later", "late0"))
    wait_ready(cluster, namespace, "later")
    (same,) = bare.pods()
    assert same["metadata"]["uid"] == daemon["metadata"]["uid"]
    assert same["status"]["containerStatuses"][0]["restartCount"] == 0

    cluster.kubectl("apply", "-k", bare.kustomization())
    hasten(bare)
    wait_in_force(bare, CONFIG)
    bare.remove()
    wait_removed(bare)
    nics.wait_home()
    assert left_on(nics) == []


def test_with_components(bare: Product, nics: Nics, namespace: str) -> None:
    """With every component it is ready and gives; all they need is one definition of the Prometheus operator."""
    cluster = bare.cluster
    nics.add("nic0")
    cluster.apply(pod_monitor_definition())
    bare.install(components=COMPONENTS)
    assert objects(cluster, f"{KINDS},podmonitor") == OBJECTS.union(*MORE.values())
    cluster.apply(web(namespace))
    wait_ready(cluster, namespace, "web")

    bare.remove()
    wait_removed(bare)
    nics.wait_home()
    assert left_on(nics) == []
    assert cluster.get("podmonitors", "--all-namespaces")["items"] == []


@pytest.fixture
def helm(cluster: Cluster, tmp_path: Path) -> Callable[..., str]:
    """Give Helm, which does as told in the namespace of nri-netdev."""
    homes = {f"HELM_{kind}_HOME": str(tmp_path / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}

    def run(command: str, *arguments: str | Path) -> str:
        line = [tools.BIN / "helm", command, "nri-netdev", *arguments, f"--namespace={NAMESPACE}"]
        return cluster.machine.run(*line, timeout_s=120, env={**cluster.environment, **homes})

    return run


def test_by_helm(bare: Product, nics: Nics, namespace: str, helm: Callable[..., str], tmp_path: Path) -> None:
    """Installed, it is ready and gives; upgraded, another configuration is in force; uninstalled, nothing is left."""
    cluster = bare.cluster
    nics.add("nic0")
    nics.add("late0")
    values = tmp_path / "mine.yaml"

    def write(config: object) -> Path:
        image = {"repository": "localhost/nri-netdev", "tag": __version__}
        values.write_text(yaml.safe_dump({"overlay": bare.overlay, "image": image, "config": config}))
        return values

    chart = (ROOT / "manifests" / "chart", "--set=namespace.create=true", f"--values={write(CONFIG)}")
    helm("install", *chart, "--create-namespace")
    bare.wait_rolled_out()
    (daemon,) = bare.pods()
    cluster.apply(web(namespace))
    wait_ready(cluster, namespace, "web")

    write(with_rule("late0"))
    helm("upgrade", *chart)
    hasten(bare)
    wait_in_force(bare, with_rule("late0"))
    cluster.apply(web(namespace, "late", "late0"))
    wait_ready(cluster, namespace, "late")
    (same,) = bare.pods()
    assert same["metadata"]["uid"] == daemon["metadata"]["uid"]

    bare.exec("release", "--all", "--yes")
    helm("uninstall")
    assert objects(cluster) <= {f"namespace/{NAMESPACE}"}
    cluster.kubectl("delete", "namespace", NAMESPACE)
    wait_removed(bare)
    nics.wait_home()
    assert left_on(nics) == []
