"""It arrives, or the container does not start: whatever engine and OCI runtime do with what they are asked."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.cells import RUNTIMES, Cell
from tests.e2e.cri import Crictl, CriError
from tests.e2e.engine import Engine
from tests.e2e.node import Node
from tests.e2e.wait import wait_until

pytestmark = pytest.mark.matrix

KEY = "nri-netdev.io/container.app"
ADDRESSES = ("198.51.100.7/24", "2001:db8:7::7/64")
IGNORANT = next(name for name, runtime in RUNTIMES.items() if not runtime.moves_net_devices)
"""A handler whose runtime does not know `linux.netDevices`; every engine of these tests has it."""
REQUEST = {KEY: "- {interface: nic0, name: net1}"}


def addresses_inside(crictl: Crictl, container: str, ifname: str = "net1") -> set[str]:
    """The global addresses of an interface as the container sees it, which is up."""
    [link] = crictl.ip_json(container, "address", "show", "dev", ifname)
    assert "UP" in link["flags"]
    return {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == "global"}


def home(node: Node, *names: str) -> bool:
    """Whether interfaces are on the host, and nothing is claimed."""
    at_home = {link["ifname"] for link in node.ip_json("link")}
    return set(names) <= at_home and json.loads(node.cli("claims", "--json")) == []


def has_run(node: Node) -> bool:
    """Whether a container has said `it runs`; CRI-O removes what did not start, but not its log."""
    return "it runs" in node.machine.run("sh", "-c", "cat /var/log/pods/default_web_*/app/* 2>&- || true")


def test_what_has_run_is_seen(node: Node, crictl: Crictl) -> None:
    """The way in which other tests see that nothing ran would see it."""
    crictl.run(crictl.run_pod("web"), "app", ["sh", "-c", "echo it runs; exec sleep 1000000"])
    wait_until(lambda: has_run(node), timeout_s=10, what="its output")
    node.machine.run("sh", "-c", "rm -r /var/log/pods/default_web_*")


@pytest.mark.parametrize("handler", ["the default", "an ignorant one"])
def test_arrives_up_with_both_families(node: Node, crictl: Crictl, handler: str) -> None:
    """Runtimes lose IPv6, or everything: the process sees none of that, from its first instruction on."""
    node.add_veth("nic0", addresses=ADDRESSES)
    with node.daemon():
        pod = crictl.run_pod("web", annotations=REQUEST, handler=IGNORANT if "ignorant" in handler else "")
        container = crictl.create(pod, "app", ["sh", "-c", "ip address show dev net1; exec sleep 1000000"])
        crictl.start(container)
        wait_until(lambda: "net1" in crictl.logs(container), timeout_s=10, what="the first output")
        first = crictl.logs(container)

        assert addresses_inside(crictl, container) == set(ADDRESSES)
        for address in ADDRESSES:
            assert address in first
        crictl.delete_pod(pod)
        wait_until(lambda: home(node, "nic0"), timeout_s=10, what="home")


def test_a_pod_without_ipv6(node: Node, crictl: Crictl) -> None:
    """Where the pod has IPv6 turned off the interface arrives with its IPv4 addresses, whatever the runtime is."""
    node.add_veth("nic0", addresses=ADDRESSES)
    with node.daemon():
        pod = crictl.run_pod("web", annotations=REQUEST)
        enter = ("nsenter", f"--net={crictl.netns_path(pod)}", "sh", "-c")
        node.machine.run(*enter, "echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6")

        assert addresses_inside(crictl, crictl.run(pod, "app")) == {ADDRESSES[0]}
        crictl.delete_pod(pod)
        wait_until(lambda: home(node, "nic0"), timeout_s=10, what="home")


def test_an_ignorant_runtime_is_told_once_and_not_asked_again(node: Node, crictl: Crictl, engine: Engine) -> None:
    """One line in the log for as long as the engine stays; then nri-netdev moves before the runtime is called."""
    node.add_veth("nic0", addresses=ADDRESSES)
    with node.daemon() as daemon:
        for number in range(3):
            pod = crictl.run_pod(f"web{number}", annotations=REQUEST, handler=IGNORANT)
            container = crictl.run(pod, "app")

            assert addresses_inside(crictl, container) == set(ADDRESSES)
            devices = crictl.inspect(container)["info"].get("runtimeSpec", {}).get("linux", {}).get("netDevices")
            assert bool(devices) == (number == 0 and engine.applies_net_devices)
            crictl.delete_pod(pod)
            wait_until(lambda: home(node, "nic0"), timeout_s=10, what="home")
        assert len(re.findall("runtime.ignored", daemon.log_text())) == 1


def test_injection_oci_prevents_the_start(node: Node, crictl: Crictl, engine: Engine) -> None:
    """Where the runtime must do it and does not, not one instruction of the container runs."""
    node.add_veth("nic0", addresses=ADDRESSES)
    with node.daemon(config="injection: oci") as daemon:
        pod = crictl.run_pod("web", annotations=REQUEST, handler=IGNORANT)
        container = crictl.create(pod, "app", ["sh", "-c", "echo it runs; exec sleep 1000000"])
        with pytest.raises(CriError) as refusal:
            crictl.start(container)
        if engine.tells_start_errors:
            assert "interface nic0 did not arrive" in str(refusal.value)
        assert "interface nic0 did not arrive" in daemon.log_text()
        assert not has_run(node)
        crictl.delete_pod(pod)
        wait_until(lambda: home(node, "nic0"), timeout_s=10, what="home")


def test_injection_netlink_never_asks(node: Node, crictl: Crictl) -> None:
    """The runtime's spec knows nothing of it, and the interface is inside."""
    node.add_veth("nic0", addresses=ADDRESSES)
    with node.daemon(config="injection: netlink") as daemon:
        pod = crictl.run_pod("web", annotations=REQUEST)
        container = crictl.run(pod, "app")

        assert addresses_inside(crictl, container) == set(ADDRESSES)
        assert "netDevices" not in json.dumps(crictl.inspect(container))
        assert "runtime.ignored" not in daemon.log_text()
        crictl.delete_pod(pod)
        wait_until(lambda: home(node, "nic0"), timeout_s=10, what="home")


def test_created_without_a_daemon_started_with_one(node: Node, crictl: Crictl) -> None:
    """What the engine let pass while nobody was there is made good before the process runs."""
    node.add_veth("nic0", addresses=ADDRESSES)
    pod = crictl.run_pod("web", annotations=REQUEST)
    container = crictl.create(pod, "app")
    with node.daemon():
        crictl.start(container)

        assert addresses_inside(crictl, container) == set(ADDRESSES)
        crictl.delete_pod(pod)
        wait_until(lambda: home(node, "nic0"), timeout_s=10, what="home")


def test_created_without_a_daemon_and_not_to_be_had(node: Node, crictl: Crictl, engine: Engine) -> None:
    """If it cannot be made good the container does not start."""
    pod = crictl.run_pod("web", annotations=REQUEST)
    container = crictl.create(pod, "app", ["sh", "-c", "echo it runs; exec sleep 1000000"])
    with node.daemon() as daemon:
        with pytest.raises(CriError) as refusal:
            crictl.start(container)
        if engine.tells_start_errors:
            assert 'interface "nic0" is not on this node' in str(refusal.value)
        assert "start.refused" in daemon.log_text()
        assert not has_run(node)


@pytest.mark.parametrize("on_missed", ["report", "attach"])
def test_runs_without_its_interface(node: Node, crictl: Crictl, on_missed: str) -> None:
    """A container that started while nobody was there is told of, or given its interface now."""
    node.add_veth("nic0", addresses=ADDRESSES)
    pod = crictl.run_pod("web", annotations=REQUEST)
    container = crictl.run(pod, "app")
    with node.daemon(config=f"on_missed: {on_missed}") as daemon:
        if on_missed == "attach":
            daemon.wait_logged("container.attached")

            assert addresses_inside(crictl, container) == set(ADDRESSES)
        else:
            daemon.wait_logged("container.missed")

            assert "it runs without nic0" in daemon.log_text()
        crictl.delete_pod(pod)
        wait_until(lambda: home(node, "nic0"), timeout_s=10, what="home")


def test_the_cell_is_what_it_is_said_to_be(cell: Cell, node: Node, crictl: Crictl) -> None:
    """Whether engine and runtime apply `linux.netDevices` by themselves is seen, not read off a version."""
    node.add_veth("nic0", addresses=ADDRESSES)
    with node.daemon() as daemon:
        crictl.run(crictl.run_pod("web", annotations=REQUEST), "app")

        assert ("runtime.ignored" not in daemon.log_text()) == cell.applies_net_devices
