"""Translation between NRI's messages and our values: pods and containers in, the adjustment out."""

from __future__ import annotations

from collections.abc import Iterable

from nri_netdev.domain.metadata import ENV_INTERFACES, MOUNT_POINT, Handout
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.proto import nri_pb2

_NAME_KEYS = ("io.kubernetes.container.name", "io.kubernetes.cri.container-name", "io.kubernetes.cri-o.ContainerName")

_MOUNT_OPTIONS = ("bind", "ro", "rprivate", "nosuid", "nodev", "noexec")
_DEVICE_MODE = 0o666
"""As RDMA's devices have on the host, which check who may do what by themselves. Of this NRI also makes the rule of the
cgroup: to read and write, not to make nodes."""


def pod_of(pod: nri_pb2.PodSandbox, container: nri_pb2.Container | None = None) -> PodSandbox:
    """Translate a pod; its netns path is the entry of type `network`, if there is one.

    Args:
        pod: the pod.
        container: the one that comes; where it is its own pod, as Docker's are, its annotations are the pod's.
    """
    path = next((ns.path for ns in pod.linux.namespaces if ns.type == "network"), "")
    own = container.annotations if container is not None and container.id == pod.id else {}
    return PodSandbox(
        id=pod.id,
        uid=pod.uid,
        namespace=pod.namespace,
        name=pod.name,
        annotations={**pod.annotations, **own},
        labels=dict(pod.labels),
        runtime_handler=pod.runtime_handler,
        pid=pod.pid,
        netns_path=path or None,
    )


def container_of(container: nri_pb2.Container) -> Container:
    """Translate a container; an engine that leaves its name out may have it in a label or an annotation.

    Docker's names begin with a slash, which is left out.
    """
    names = (container.labels.get(key) or container.annotations.get(key) for key in _NAME_KEYS)
    return Container(
        id=container.id,
        name=(container.name or next(filter(None, names), "")).removeprefix("/"),
        pod_id=container.pod_sandbox_id,
        pid=container.pid,
        is_running=container.state in (nri_pb2.CONTAINER_RUNNING, nri_pb2.CONTAINER_PAUSED),
    )


def adjustment(grants: Iterable[Grant], handout: Handout | None = None) -> nri_pb2.CreateContainerResponse:
    """The answer by which the runtime moves the granted interfaces, host name to name inside, and hands out the rest.

    Encoded, the answers for grants alone and for a handout alone may be put one after the other: that decodes as the
    answer for both.

    Args:
        grants: what the runtime is to move; not a share of an interface, which is made when the container starts.
        handout: what the container gets beside.
    """
    response = nri_pb2.CreateContainerResponse()
    for grant in grants:
        if not grant.entry.is_shared:
            response.adjust.linux.net_devices[grant.link.ifname].name = grant.entry.inside
    if handout is not None:
        _hand_out(handout, response.adjust)
    return response


def is_handed_out(container: nri_pb2.Container) -> bool:
    """Whether a container that is being created has a handout of ours already, as the engine shows it."""
    return any(mount.destination == MOUNT_POINT for mount in container.mounts) or any(
        entry.startswith(f"{ENV_INTERFACES}=") for entry in container.env
    )


def _hand_out(handout: Handout, adjust: nri_pb2.ContainerAdjustment) -> None:
    if handout.source is not None:
        adjust.mounts.add(destination=MOUNT_POINT, type="bind", source=handout.source, options=_MOUNT_OPTIONS)
    for key, value in handout.env.items():
        adjust.env.add(key=key, value=value)
    # Two interfaces may have a device in common, and NRI takes a second one of a path for that of another plugin.
    for device in {device.path: device for device in handout.devices}.values():
        adjust.linux.devices.add(
            path=device.path,
            type="c",
            major=device.major,
            minor=device.minor,
            file_mode=nri_pb2.OptionalFileMode(value=_DEVICE_MODE),
        )
