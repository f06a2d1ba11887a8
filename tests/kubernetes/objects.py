"""Objects of Kubernetes as users write them, as short as tests want them."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.images import BUSYBOX

Object = dict[str, Any]

SLEEP = ("sleep", "100000")


def container(name: str = "app", command: Sequence[str] = SLEEP, **more: Any) -> Object:
    """A container of busybox."""
    return {"name": name, "image": BUSYBOX, "imagePullPolicy": "Never", "command": list(command), **more}


def annotations(**asked: str) -> dict[str, str]:
    """Annotations by container: `annotations(app="- nic0")`; `pod` is for the whole pod."""
    keys = {name: f"nri-netdev.io/{'pod' if name == 'pod' else f'container.{name}'}" for name in asked}
    return {keys[name]: text for name, text in asked.items()}


def template(
    asked: Mapping[str, str], *, containers: Sequence[Object] = (), labels: Mapping[str, str] | None = None, **spec: Any
) -> Object:
    """What a pod is, and what a workload makes pods of.

    Args:
        asked: annotation by container, as for `annotations`.
        containers: unless there is but `container()`.
        labels: of the pod.
        spec: further fields of the pod's spec.
    """
    return {
        "metadata": {"annotations": annotations(**asked), "labels": dict(labels or {})},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers) or [container()], **spec},
    }


def pod(name: str, namespace: str, **how: Any) -> Object:
    """A pod, of a `template`."""
    made = template(how.pop("asked", {}), **how)
    made["metadata"] |= {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", **made}


def workload(kind: str, name: str, namespace: str, *, pods: Object, **spec: Any) -> Object:
    """A Deployment, StatefulSet or DaemonSet of pods of a `template`."""
    labels = {"app": name}
    pods["metadata"]["labels"] |= labels
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": pods, **spec},
    }


def job(name: str, namespace: str, *, pods: Object, **spec: Any) -> Object:
    """A Job of pods of a `template`."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": pods, **spec},
    }
