"""Translation between NRI's messages and our values: pods and containers in, the adjustment out."""

from __future__ import annotations

from collections.abc import Iterable

from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.proto import nri_pb2

_NAME_KEYS = ("io.kubernetes.container.name", "io.kubernetes.cri.container-name", "io.kubernetes.cri-o.ContainerName")


def pod_of(pod: nri_pb2.PodSandbox) -> PodSandbox:
    """Translate a pod; its netns path is the entry of type `network`, if there is one."""
    path = next((ns.path for ns in pod.linux.namespaces if ns.type == "network"), "")
    return PodSandbox(
        id=pod.id,
        uid=pod.uid,
        namespace=pod.namespace,
        name=pod.name,
        annotations=dict(pod.annotations),
        labels=dict(pod.labels),
        runtime_handler=pod.runtime_handler,
        pid=pod.pid,
        netns_path=path or None,
    )


def container_of(container: nri_pb2.Container) -> Container:
    """Translate a container; an engine that leaves its name out may have it in a label or an annotation."""
    names = (container.labels.get(key) or container.annotations.get(key) for key in _NAME_KEYS)
    return Container(
        id=container.id,
        name=container.name or next(filter(None, names), ""),
        pod_id=container.pod_sandbox_id,
        pid=container.pid,
        is_running=container.state in (nri_pb2.CONTAINER_RUNNING, nri_pb2.CONTAINER_PAUSED),
    )


def adjustment(grants: Iterable[Grant]) -> nri_pb2.CreateContainerResponse:
    """The answer by which the runtime moves the granted interfaces: host name to name inside."""
    response = nri_pb2.CreateContainerResponse()
    for grant in grants:
        response.adjust.linux.net_devices[grant.link.ifname].name = grant.entry.inside
    return response
