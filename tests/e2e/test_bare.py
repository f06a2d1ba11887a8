"""What `linux.netDevices` alone does, where README sets nri-netdev against it: a plugin that only asks the OCI runtime.

The plugin answers as the sample plugins of containerd/nri do. How nri-netdev fares with the same is in the other tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nri_netdev.proto import nri_pb2
from nri_netdev.wire.session import EventKind, Request
from tests.e2e.cells import Cell
from tests.e2e.cri import Crictl, CriError
from tests.e2e.engine import Engine
from tests.e2e.node import LAN, Node
from tests.e2e.plugin import Plugin
from tests.e2e.wait import wait_until

ADDRESSES = ("198.51.100.7/24", "2001:db8:7::7/64")


def asked(request: Request) -> nri_pb2.CreateContainerResponse:
    """Give nic0 to every container, under the name that an annotation of its pod says."""
    adjust = nri_pb2.ContainerAdjustment()
    adjust.linux.net_devices["nic0"].name = request.pod.annotations["name"]
    return nri_pb2.CreateContainerResponse(adjust=adjust)


@pytest.fixture(autouse=True)
def _bare(cell: Cell, engine: Engine) -> Iterator[None]:
    if not cell.applies_net_devices:
        pytest.skip("nothing is moved there, see test_harness.py::test_net_devices_without_us")
    with Plugin(engine.machine.path(engine.nri_socket), answers={EventKind.CREATE_CONTAINER: asked}):
        yield


def test_a_restart_fails(node: Node, crictl: Crictl) -> None:
    """The interface stays in the pod when its container has ended, and the next create does not find it on the host."""
    node.add_veth("nic0")
    pod = crictl.run_pod("web", annotations={"name": "net1"})
    first = crictl.run(pod, "app", ["true"])
    wait_until(lambda: crictl.state(first) == "CONTAINER_EXITED", timeout_s=5, what="the end of the container")

    for _ in range(2):
        with pytest.raises(CriError):
            crictl.run(pod, "app")
        assert node.link("nic0") is None


def test_a_second_asker_fails_and_is_not_told_who_has_it(node: Node, crictl: Crictl) -> None:
    """Who has the interface is in no message."""
    node.add_veth("nic0")
    crictl.run(crictl.run_pod("holder", annotations={"name": "net1"}), "app")
    with pytest.raises(CriError) as failure:
        crictl.run(crictl.run_pod("web", annotations={"name": "net1"}), "app")

    assert "holder" not in str(failure.value)


def test_a_name_that_is_taken_strands_the_interface(node: Node, crictl: Crictl) -> None:
    """The container does not start, and the interface has left the host all the same."""
    node.add_veth("nic0")
    with pytest.raises(CriError):
        crictl.run(crictl.run_pod("web", annotations={"name": "eth0"}), "app")

    assert node.link("nic0") is None


def test_a_bridge_port_is_taken_out_of_its_bridge(node: Node, crictl: Crictl) -> None:
    """Nobody asks what the interface is there for."""
    node.add_bridge("br0")
    node.add_bridge_port("nic0", bridge="br0")
    container = crictl.run(crictl.run_pod("web", annotations={"name": "net1"}), "app")

    assert {link["ifname"] for link in crictl.ip_json(container, "link")} >= {"net1"}
    assert node.link("nic0") is None


def test_a_virtual_interface_ends_with_the_pod(node: Node, crictl: Crictl) -> None:
    """It dies with the pod's netns."""
    node.add_veth("nic0")
    pod = crictl.run_pod("web", annotations={"name": "net1"})
    crictl.run(pod, "app")
    crictl.delete_pod(pod)
    wait_until(lambda: node.link("nic0-peer", netns=LAN) is None, timeout_s=10, what="the end of the pair")

    assert node.link("nic0") is None


def test_what_of_its_settings_arrives(cell: Cell, node: Node, crictl: Crictl) -> None:
    """IPv4 does; IPv6 by crun only; routes do not."""
    node.add_veth("nic0", addresses=ADDRESSES)
    node.ip("route", "add", "203.0.113.0/24", "via", "198.51.100.1", "dev", "nic0")
    container = crictl.run(crictl.run_pod("web", annotations={"name": "net1"}), "app")
    [link] = crictl.ip_json(container, "address", "show", "dev", "net1")
    arrived = {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == "global"}
    routes = {route["dst"] for route in crictl.ip_json(container, "route", "show", "dev", "net1")}

    assert arrived == (set(ADDRESSES) if cell.runtime.name == "crun" else {ADDRESSES[0]})
    assert "203.0.113.0/24" not in routes
