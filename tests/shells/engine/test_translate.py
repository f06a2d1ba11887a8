"""Messages of the engine become our values, and grants an adjustment."""

from __future__ import annotations

from typing import Any

import pytest

from nri_netdev.domain.annotations.grammars import Grammar
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.links import Link
from nri_netdev.domain.metadata import Handout
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.engine.translate import adjustment, container_of, pod_of


def test_a_pod() -> None:
    """Everything that decisions need, and the netns by its type."""
    told = nri_pb2.PodSandbox(
        id="p",
        uid="u",
        namespace="n",
        name="web",
        annotations={"a": "1"},
        labels={"l": "2"},
        runtime_handler="crun",
        pid=7,
    )
    told.linux.namespaces.add(type="ipc", path="/proc/1/ns/ipc")
    told.linux.namespaces.add(type="network", path="/run/netns/x")
    pod = pod_of(told)
    assert (pod.id, pod.uid, pod.namespace, pod.name, pod.runtime_handler) == ("p", "u", "n", "web", "crun")
    assert (dict(pod.annotations), dict(pod.labels), pod.netns_path) == ({"a": "1"}, {"l": "2"}, "/run/netns/x")
    assert pod.pid == 7


def test_a_pod_on_the_host_network() -> None:
    """No namespace, or one without a path."""
    told = nri_pb2.PodSandbox(id="p")
    assert pod_of(told).netns_path is None
    told.linux.namespaces.add(type="network")
    assert pod_of(told).netns_path is None


def test_a_container_that_is_its_own_pod() -> None:
    """What is said of it is said of its pod; what is said of a container in a pod is not."""
    told = nri_pb2.Container(id="p", pod_sandbox_id="p", annotations={"a": "2"})
    assert pod_of(nri_pb2.PodSandbox(id="p", annotations={"b": "1"}), told).annotations == {"a": "2", "b": "1"}
    told.id = "c"
    assert pod_of(nri_pb2.PodSandbox(id="p", annotations={"b": "1"}), told).annotations == {"b": "1"}


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"name": "app"}, "app"),
        ({"name": "/app"}, "app"),
        ({"name": "app", "labels": {"io.kubernetes.container.name": "other"}}, "app"),
        ({"labels": {"io.kubernetes.container.name": "app"}}, "app"),
        ({"annotations": {"io.kubernetes.cri.container-name": "app"}}, "app"),
        ({"annotations": {"io.kubernetes.cri-o.ContainerName": "app"}}, "app"),
        ({"labels": {"name": "app"}}, ""),
    ],
)
def test_a_containers_name(told: dict[str, Any], name: str) -> None:
    """As the engine tells it, wherever it does."""
    assert container_of(nri_pb2.Container(id="c", pod_sandbox_id="p", **told)).name == name


@pytest.mark.parametrize(
    ("state", "is_running"),
    [
        (nri_pb2.CONTAINER_UNKNOWN, False),
        (nri_pb2.CONTAINER_CREATED, False),
        (nri_pb2.CONTAINER_RUNNING, True),
        (nri_pb2.CONTAINER_PAUSED, True),
        (nri_pb2.CONTAINER_STOPPED, False),
    ],
)
def test_whether_a_container_runs(state: nri_pb2.ContainerState, is_running: bool) -> None:
    """Paused is running."""
    container = container_of(nri_pb2.Container(id="c", pod_sandbox_id="p", pid=7, state=state))
    assert (container.pod_id, container.pid, container.is_running) == ("p", 7, is_running)


GRANTS = [
    Grant(
        entry=Entry(interface=host, name=name, key="k", number=1, scope=Scope.CONTAINER, grammar=Grammar.NATIVE),
        link=Link(ifindex=1, ifname=host),
    )
    for host, name in (("ens1", "net1"), ("ens2", None))
]
UVERBS = CharDevice(path="/dev/infiniband/uverbs0", major=231, minor=192)
RDMA_CM = CharDevice(path="/dev/infiniband/rdma_cm", major=10, minor=58)
HANDOUT = Handout(source="/run/nri-netdev/pods/c1", env={"A": "1", "B": ""}, devices=(UVERBS, RDMA_CM, UVERBS))


def test_an_adjustment() -> None:
    """Host name to name inside, for each that is granted, and nothing else."""
    adjust = adjustment(GRANTS).adjust
    devices = adjust.linux.net_devices
    assert {host: device.name for host, device in devices.items()} == {"ens1": "net1", "ens2": "ens2"}
    assert (*adjust.mounts, *adjust.env, *adjust.linux.devices) == ()
    assert not adjustment([]).HasField("adjust")


def test_an_adjustment_with_a_handout() -> None:
    """A directory to read, variables, and each device once, open to whoever the container runs as."""
    response = adjustment(GRANTS, HANDOUT)
    [mount] = response.adjust.mounts
    assert (mount.destination, mount.type, mount.source) == ("/run/nri-netdev.io", "bind", "/run/nri-netdev/pods/c1")
    assert [*mount.options] == ["bind", "ro", "rprivate", "nosuid", "nodev", "noexec"]
    assert [(one.key, one.value) for one in response.adjust.env] == [("A", "1"), ("B", "")]
    assert [
        (one.path, one.type, one.major, one.minor, one.file_mode.value, one.HasField("uid"))
        for one in response.adjust.linux.devices
    ] == [
        ("/dev/infiniband/uverbs0", "c", 231, 192, 0o666, False),
        ("/dev/infiniband/rdma_cm", "c", 10, 58, 0o666, False),
    ]
    assert response.adjust.linux.net_devices == adjustment(GRANTS).adjust.linux.net_devices


def test_a_handout_alone() -> None:
    """For a container whose interfaces are inside already, or are shares."""
    response = adjustment([], Handout(source="/run/x"))
    assert len(response.adjust.mounts) == 1
    assert not response.adjust.HasField("linux")


def test_answers_can_be_put_together_encoded() -> None:
    """One that was prepared before the container's id was known, and the handout."""
    both = adjustment(GRANTS).SerializeToString() + adjustment([], HANDOUT).SerializeToString()
    assert nri_pb2.CreateContainerResponse.FromString(both) == adjustment(GRANTS, HANDOUT)
