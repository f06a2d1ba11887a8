"""What runs containers beside CRI: `ctr run`, of which no plugin hears, and Docker, which is refused.

Docker's dockerd takes minutes to build, so its tests run only where `make e2e-docker` has made it.
"""

from collections.abc import Iterator

import pytest

from nri_netdev.proto import nri_pb2
from nri_netdev.wire.session import EventKind, Request
from tests.e2e import docker, images, tools
from tests.e2e.docker import Docker, DockerError
from tests.e2e.engine import Containerd, Engine
from tests.e2e.machine import CommandError, Machine
from tests.e2e.node import Node
from tests.e2e.plugin import Plugin
from tests.e2e.seen import claims
from tests.e2e.wait import wait_until

KEY = "nri-netdev.io/pod"
ASKING = {KEY: "- nic0"}


@pytest.fixture(scope="module", name="dockerd")
def module_docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """Run one dockerd on one stand-in machine, on a containerd with NRI of its own."""
    missing = tools.missing(docker.NEEDS)
    if missing:
        pytest.skip(f"NOT TESTED WITH DOCKER, missing: {', '.join(missing)}; as root run: make e2e-docker")
    with (
        Machine(tmp_path_factory.mktemp("docker")) as machine,
        Containerd(machine) as engine,
        Docker(engine) as dockerd,
    ):
        yield dockerd


@pytest.fixture
def host(dockerd: Docker) -> Iterator[Node]:
    """Give Docker's node, with an interface to ask for."""
    host = Node(dockerd.machine)
    host.add_veth("nic0", addresses=["198.51.100.7/24"])
    yield host
    for container in dockerd.containers():
        dockerd.remove(container)
    host.clean()


@pytest.mark.parametrize("namespace", ["default", "k8s.io"])
def test_no_plugin_hears_of_ctr_run(engine: Engine, node: Node, namespace: str) -> None:
    """A container of `ctr run` that asks runs without its interface, in whatever namespace of containerd."""
    if not isinstance(engine, Containerd):
        pytest.skip("ctr speaks to containerd")
    node.add_veth("nic0")
    ctr = ("ctr", "--namespace", namespace)
    node.machine.run(*ctr, "images", "import", "--local", tools.IMAGES / "busybox.tar", timeout_s=120)
    asks = [f"--annotation={KEY}=- nic0", f"--cgroup={node.machine.cgroup}/ctr"]

    with Plugin(node.machine.path(engine.nri_socket)) as plugin, node.daemon():
        shown = node.machine.run(*ctr, "run", "--rm", *asks, images.BUSYBOX, "asking", "ip", "-o", "link")
        assert plugin.events == []

    assert [line.split(": ")[1] for line in shown.splitlines()] == ["lo"]
    assert node.link("nic0") is not None


def test_docker_refuses_who_asks(dockerd: Docker, host: Node) -> None:
    """On Docker's own socket: who asks does not run, and is told why; who asks for nothing runs."""
    with host.daemon(options=[f"--socket={docker.NRI_SOCKET}"]) as daemon:
        assert daemon.logged(r"engine\.configured.* engine=docker")
        before = host.link("nic0")
        for key in (KEY, "nri-netdev.io/container.other"):
            with pytest.raises(DockerError, match=r"nri-netdev: pod web, container web: .* as Docker runs them"):
                dockerd.run(name="web", annotations={key: "- nic0"})
        with pytest.raises(DockerError, match="is not YAML"):
            dockerd.run(annotations={KEY: "- ["})
        assert dockerd.containers() == []
        assert host.link("nic0") == before
        assert claims(host) == []

        with pytest.raises(CommandError) as failure:
            host.cli("doctor", f"--socket={docker.NRI_SOCKET}", "--json")
        assert failure.value.status == 1

        plain = dockerd.run(labels=ASKING)
        assert dockerd.interfaces(plain) == ["lo"]
        assert len(daemon.logged(r"create\.refused pod=web .*without a pod sandbox")) == 2


def test_docker_runs_who_asks_when_its_plugins_are_not_asked(dockerd: Docker, host: Node) -> None:
    """A daemon on containerd's socket does not hear of Docker's containers, though containerd runs them."""
    with host.daemon():
        container = dockerd.run(annotations=ASKING)
        assert dockerd.interfaces(container) == ["lo"]
        assert host.link("nic0") is not None
        assert claims(host) == []


def test_docker_moves_no_interface(dockerd: Docker, host: Node) -> None:
    """Why it is refused: Docker applies the variables of an answer, drops its interfaces, and tells of nothing else."""

    def asked(request: Request) -> nri_pb2.CreateContainerResponse:
        adjust = nri_pb2.ContainerAdjustment()
        adjust.linux.net_devices["nic0"].name = "net1"
        adjust.env.add(key="ASKED", value="yes")
        return nri_pb2.CreateContainerResponse(adjust=adjust)

    with Plugin(host.machine.path(docker.NRI_SOCKET), answers={EventKind.CREATE_CONTAINER: asked}) as plugin:
        container = dockerd.run(annotations=ASKING, labels={"a": "b"})
        assert dockerd.environment(container)["ASKED"] == "yes"
        assert dockerd.interfaces(container) == ["lo"]
        dockerd.remove(container)
        wait_until(lambda: dockerd.containers() == [], timeout_s=10, what="the end of the container")

    assert plugin.kinds() == [EventKind.CREATE_CONTAINER]
    (event,) = plugin.events
    assert (event.pod.id, event.container.id) == (container, container)
    assert (dict(event.pod.annotations), list(event.pod.linux.namespaces)) == ({}, [])
    assert (dict(event.container.annotations), dict(event.container.labels)) == (ASKING, {"a": "b"})
