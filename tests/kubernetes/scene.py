"""Where a test on Kubernetes takes place: a namespace, the node's interfaces, and kubectl between the two."""

import json
import re
from collections.abc import Callable
from typing import Any

from tests.e2e.machine import CommandError
from tests.kubernetes.cluster import Cluster, Object
from tests.kubernetes.nics import Nics

_OF_EVERY_POD = {"lo", "eth0"}


class Scene:
    """A namespace with what is done in it, seen by kubectl and iproute2 alone.

    Attributes:
        cluster: where.
        nics: the interfaces that are given away.
        namespace: its name.
    """

    def __init__(self, cluster: Cluster, nics: Nics, namespace: str) -> None:
        self.cluster = cluster
        self.nics = nics
        self.namespace = namespace

    def kubectl(self, *arguments: str, **options: Any) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, **options)

    def wait(self, condition: Callable[[], Any], **options: Any) -> Any:
        """Wait for a condition; a failure tells how the pods are; options as for `Cluster.wait`."""
        return self.cluster.wait(condition, **options)

    # --- pods ---------------------------------------------------------------------------------------

    def run(self, *pods: Object) -> None:
        """Apply pods and wait until all are ready."""
        self.cluster.apply(*pods)
        self.wait_ready(*(str(pod["metadata"]["name"]) for pod in pods))

    def wait_ready(self, *names: str, timeout_s: int = 60) -> None:
        """Wait until pods are ready; a failure tells how they are."""
        try:
            pods = [f"pod/{name}" for name in names]
            waiting = ("wait", "--for=condition=Ready", f"--timeout={timeout_s}s", *pods)
            self.kubectl(*waiting, timeout_s=timeout_s + 30)
        except CommandError as error:
            raise AssertionError(f"{error}\n{self.cluster.story()}") from None

    def pod(self, name: str) -> Object:
        """Return a pod."""
        return self.cluster.get("pod", name, "-n", self.namespace)

    def status(self, name: str, container: str = "app") -> Object:
        """Return the status of a container; empty while there is none."""
        pod = self.cluster.find("pod", name, "-n", self.namespace) or {}
        kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
        every = (status for kind in kinds for status in pod.get("status", {}).get(kind, ()))
        return next((status for status in every if status["name"] == container), {})

    def restarts(self, name: str, container: str = "app") -> int:
        """How often a container was restarted."""
        return int(self.status(name, container).get("restartCount", 0))

    def names(self, app: str) -> list[str]:
        """Return the names of a workload's pods that are not being deleted."""
        found = self.cluster.get("pods", "-n", self.namespace, "-l", f"app={app}")["items"]
        alive = [pod["metadata"] for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return sorted(str(metadata["name"]) for metadata in alive)

    def delete(self, *names: str, options: tuple[str, ...] = ()) -> None:
        """Delete pods, and wait until they are gone."""
        self.kubectl("delete", *(f"pod/{name}" for name in names), *options)

    def describe(self, name: str) -> str:
        """Return what `kubectl describe pod` says."""
        return self.kubectl("describe", "pod", name)

    def exec(self, name: str, *command: str, container: str = "") -> str:
        """Run a command in a container."""
        which = ("-c", container) if container else ()
        return self.kubectl("exec", name, *which, "--", *command)

    # --- interfaces ---------------------------------------------------------------------------------

    def inside(self, name: str, container: str = "") -> dict[str, str]:
        """Return the MAC address of each interface in a pod by its name, but for those of every pod."""
        said = self.exec(name, "ip", "-o", "link", container=container)
        found = dict(re.findall(r"^\d+: ([^:@]+)\S* .* link/\w+ (\S+)", said, re.MULTILINE))
        return {ifname: mac for ifname, mac in found.items() if ifname not in _OF_EVERY_POD}

    def mac(self, nic: str) -> str:
        """Return the MAC address of an interface on the node."""
        (found,) = json.loads(self.nics.node.ip("-json", "link", "show", nic))
        return str(found["address"])
