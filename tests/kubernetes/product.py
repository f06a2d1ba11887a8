"""nri-netdev on a cluster as an operator has it: installed by the manifests, seen by kubectl."""

import contextlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from nri_netdev import __version__
from tests.e2e.container_image import ROOT
from tests.e2e.machine import CommandError
from tests.kubernetes.cluster import Cluster

NAMESPACE = "nri-netdev"
DAEMON_SET = "daemonset/nri-netdev"
IMAGE = f"localhost/nri-netdev:{__version__}"
_ORDINALS = [
    {
        "namespaces": ["*"],
        "pods": {"matchLabels": {"apps.kubernetes.io/pod-index": str(number)}},
        "interfaces": [f"ordinal{number}"],
    }
    for number in range(2)
]
CONFIG = {"rules": [{"namespaces": ["*"], "interfaces": [{"interface": "nic*"}]}, *_ORDINALS]}
"""Gives the interfaces of the tests to everybody, and to each pod of a StatefulSet one of its own."""


class Product:
    """nri-netdev on a cluster.

    Args:
        cluster: where.
        directory: for kustomizations.
        overlay: which of manifests/overlays.

    Attributes:
        cluster: where.
        overlay: which of manifests/overlays.
    """

    def __init__(self, cluster: Cluster, directory: Path, *, overlay: str) -> None:
        self.cluster = cluster
        self._directory = directory
        self.overlay = overlay

    def kustomization(
        self, *, config: Any = CONFIG, components: Sequence[str] = (), image: str = IMAGE, base: Path = ROOT
    ) -> Path:
        """Write a kustomization as docs/operators.md has it, and return its directory.

        Args:
            config: what stands in config.yaml.
            components: of manifests/components.
            image: name and tag of the image.
            base: where `manifests` is.
        """
        shutil.rmtree(self._directory, ignore_errors=True)
        shutil.copytree(base / "manifests", self._directory / "manifests")
        name, _, tag = image.rpartition(":")
        self._directory.joinpath("config.yaml").write_text(yaml.safe_dump(config))
        made = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": NAMESPACE,
            "resources": [f"manifests/overlays/{self.overlay}"],
            "components": [f"manifests/components/{found}" for found in components],
            "images": [{"name": "localhost/nri-netdev", "newName": name, "newTag": tag}],
            "configMapGenerator": [
                {
                    "name": "nri-netdev",
                    "behavior": "merge",
                    "files": ["config.yaml"],
                    "options": {"disableNameSuffixHash": True},
                }
            ],
        }
        self._directory.joinpath("kustomization.yaml").write_text(yaml.safe_dump(made))
        return self._directory

    def install(self, **how: Any) -> None:
        """Apply the manifests and wait until the daemon is ready; `how` as for `kustomization`."""
        self.cluster.kubectl("apply", "-k", self.kustomization(**how))
        self.wait_rolled_out()

    def reinstall(self, **how: Any) -> None:
        """Install it, and have its configuration in force at once, where the kubelet takes its time to tell of it."""
        place = ("get", "configmap", "nri-netdev", "--ignore-not-found", "-o", "jsonpath={.data}")
        before = self.kubectl(*place)
        self.install(**how)
        if before not in {"", self.kubectl(*place)}:
            self.kubectl("rollout", "restart", DAEMON_SET)
            self.wait_rolled_out()

    def is_installed(self) -> bool:
        """Whether it is on the cluster."""
        return self.cluster.find(*DAEMON_SET.split("/"), "-n", NAMESPACE) is not None

    def remove(self) -> None:
        """Remove it as docs/operators.md has it."""
        self.exec("release", "--all", "--yes")
        self.cluster.kubectl("delete", "-k", self._directory, timeout_s=120)

    def wait_rolled_out(self) -> None:
        """Wait until the daemon of the latest manifests is ready on the node."""
        self.kubectl("rollout", "status", DAEMON_SET, "--timeout=60s", timeout_s=90)

    def wait_registered(self) -> None:
        """Wait until the daemon is ready after its engine was away; the kubelet may not have seen that it was not."""

        def is_registered() -> bool:
            with contextlib.suppress(CommandError):
                return bool(json.loads(self.exec("status", "--json"))["ready"])
            return False

        self.cluster.wait(self.cluster.is_node_ready, what="the node is ready")
        self.cluster.wait(is_registered, what="the daemon is registered")

    def kubectl(self, *arguments: str | Path, **options: Any) -> str:
        """Run kubectl in its namespace."""
        return self.cluster.kubectl("-n", NAMESPACE, *arguments, **options)

    def pods(self) -> list[dict[str, Any]]:
        """Return its daemons' pods that are not being deleted, oldest first."""
        selector = "app.kubernetes.io/name=nri-netdev,app.kubernetes.io/component=daemon"
        found = self.cluster.get("pods", "-n", NAMESPACE, "-l", selector)["items"]
        alive = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return sorted(alive, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def exec(self, *arguments: str, timeout_s: float = 60) -> str:
        """Run a command of nri-netdev in the daemon's pod."""
        return self.kubectl("exec", DAEMON_SET, "--", "nri-netdev", *arguments, timeout_s=timeout_s)

    def claims(self) -> list[dict[str, Any]]:
        """Return what the daemon holds."""
        found: list[dict[str, Any]] = json.loads(self.exec("claims", "--json"))
        return found

    def log_text(self) -> str:
        """Return the log of its daemons that are there."""
        return self.kubectl("logs", "-l", "app.kubernetes.io/name=nri-netdev", "--tail=-1", "--prefix=false")


def pod_monitor_definition() -> dict[str, Any]:
    """What the Prometheus operator brings, as far as an API server needs it to take a PodMonitor."""
    group, plural = "monitoring.coreos.com", "podmonitors"
    anything = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": "PodMonitor", "plural": plural, "singular": "podmonitor"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": anything}],
        },
    }
