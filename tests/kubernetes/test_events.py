"""What pods are told by Events, as `kubectl describe pod` and `kubectl get events` show it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.crio import Crio
from tests.e2e.wait import wait_until
from tests.kubernetes.away import away
from tests.kubernetes.cluster import NODE, Cluster
from tests.kubernetes.nics import Nics
from tests.kubernetes.objects import container, pod
from tests.kubernetes.product import DAEMON_SET, NAMESPACE, Product

COMPONENTS = ("events",)
PATIENCE_S = 20
MEMORY_MIB = 32
"""Of the process after it has written an event: 26 measured on Python 3.13."""
RULE = {"namespaces": ["*"], "interfaces": [{"interface": "nic*"}], "may": ["ipam"], "prefixes": ["192.0.2.0/24"]}
NO_PLUGIN = "- {interface: nic0, ipam: {type: host-local, subnet: 192.0.2.0/24}}"
"""Asks for an address of a plugin that is not on the node, which shows when the container is to start."""


@pytest.fixture
def told(uninstalled: Product) -> Product:
    """Give nri-netdev as installed with the component."""
    uninstalled.install(components=COMPONENTS)
    return uninstalled


def events(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    """Events of ours in a namespace, oldest first."""
    found = cluster.get("events", "-n", namespace)["items"]
    ours = [event for event in found if event["source"].get("component") == "nri-netdev"]
    return sorted(ours, key=lambda event: str(event["firstTimestamp"]))


def said(cluster: Cluster, namespace: str, reason: str) -> Callable[[], list[dict[str, Any]]]:
    """Ask for events of a reason."""
    return lambda: [event for event in events(cluster, namespace) if event["reason"] == reason]


def story(cluster: Cluster, namespace: str) -> Callable[[], str]:
    return lambda: json.dumps(events(cluster, namespace), indent=1) + cluster.story()


def describe(cluster: Cluster, namespace: str, name: str = "web") -> str:
    """Return the events that `kubectl describe pod` shows."""
    return cluster.kubectl("describe", "pod", name, "-n", namespace).partition("\nEvents:")[2]


def wait_said(cluster: Cluster, namespace: str, reason: str, *, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
    """Wait for the one event of a reason."""
    found = wait_until(said(cluster, namespace, reason), timeout_s=timeout_s, what=story(cluster, namespace))
    assert len(found) == 1, found
    event: dict[str, Any] = found[0]
    return event


def wait_listed(cluster: Cluster, namespace: str, reason: str, text: str) -> list[dict[str, Any]]:
    """Wait until the events of a reason list what a text does after its colon; return them.

    How many they are depends on how long it all takes: tests/events/test_groups.py.
    """
    head, colon, names = text.partition(": ")
    ask = said(cluster, namespace, reason)

    def listed() -> set[str]:
        return {name for event in ask() for name in str(event["message"]).removeprefix(head + colon).split(", ")}

    wait_until(lambda: listed() == {*names.split(", ")}, timeout_s=PATIENCE_S, what=story(cluster, namespace))
    return ask()


@pytest.mark.matrix
def test_arrived_and_home(told: Product, cluster: Cluster, nics: Nics, namespace: str) -> None:
    """All interfaces of a container are told, with their names in the pod; and all again when they are home."""
    nics.add_many(2)
    asked = {"app": "[{interface: nic0, name: net1}, nic1]"}
    cluster.apply(pod("web", namespace, asked=asked))
    arrived = wait_listed(cluster, namespace, "InterfaceArrived", "in the pod: nic0 as net1, nic1")
    uid = cluster.get("pod", "web", "-n", namespace)["metadata"]["uid"]
    described = describe(cluster, namespace)

    for event in arrived:
        assert (event["type"], event["count"], event["involvedObject"]["uid"]) == ("Normal", 1, uid)
        line = rf"\n *Normal +InterfaceArrived +\S+ +nri-netdev(, node)? +{re.escape(event['message'])}\n"
        assert re.search(line, described)
    cluster.kubectl("delete", "pod", "web", "-n", namespace)
    home = wait_listed(cluster, namespace, "InterfaceHome", "back on the node, as before: nic0, nic1")
    assert {event["source"]["host"] for event in home} == {NODE}


def test_restarts_are_counted(told: Product, cluster: Cluster, nics: Nics, namespace: str) -> None:
    """Restarts that say nothing new make no new events."""
    nics.add("nic0", is_plain=True)
    cluster.apply(pod("web", namespace, asked={"app": "- nic0"}, containers=[container(command=["sleep", "1"])]))

    def is_counted() -> bool:
        found = events(cluster, namespace)
        return len(found) == 2 and all(event["count"] >= 3 for event in found)

    wait_until(is_counted, timeout_s=120, what=story(cluster, namespace))
    arrived, home = events(cluster, namespace)
    assert (arrived["reason"], home["reason"]) == ("InterfaceArrived", "InterfaceHome")
    assert re.search(r"InterfaceArrived +\d+s \(x\d+ over \d+", describe(cluster, namespace))


def test_not_home_as_it_was(told: Product, cluster: Cluster, nics: Nics, namespace: str) -> None:
    """What cannot be put back is told, of a pod that is gone too; and that it is whole after all."""
    nics.add("nic0", is_plain=True)
    cluster.apply(pod("web", namespace, asked={"app": "- nic0"}))
    wait_said(cluster, namespace, "InterfaceArrived")
    cluster.machine.run("ip", "link", "add", "nic0", "type", "veth", "peer", "name", "rival0")
    cluster.kubectl("delete", "pod", "web", "-n", namespace)
    partial = wait_said(cluster, namespace, "InterfaceNotWhole")
    assert partial["type"] == "Warning"
    assert "because its name is taken by veth nic0" in partial["message"]
    cluster.machine.run("ip", "link", "delete", "nic0")
    wait_said(cluster, namespace, "InterfaceHome")


def test_a_slip_in_a_key(told: Product, cluster: Cluster, nics: Nics, namespace: str) -> None:
    """The pod runs without its interface, and says why."""
    nics.add("nic0", is_plain=True)
    cluster.apply(pod("web", namespace, asked={"ap": "- nic0"}))
    unread = wait_said(cluster, namespace, "AnnotationUnread", timeout_s=60)

    assert unread["type"] == "Warning"
    assert 'no container called "ap" has come yet; the pod has "app" (did you mean "app"?)' in unread["message"]
    assert "AnnotationUnread" in describe(cluster, namespace)


@pytest.mark.matrix
def test_what_started_while_nobody_was_there(told: Product, cluster: Cluster, nics: Nics, namespace: str) -> None:
    """It is told as soon as a daemon is back; once, however often daemons come."""
    nics.add("nic0", is_plain=True)
    with away(told):
        cluster.apply(pod("web", namespace, asked={"app": "- nic0"}))
        cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "-n", namespace)
    missed = wait_said(cluster, namespace, "InterfaceMissed")
    assert missed["message"].startswith("container app: it runs without nic0: ")
    told.kubectl("rollout", "restart", DAEMON_SET)
    told.wait_rolled_out()

    def is_told_again() -> bool:
        (found,) = said(cluster, namespace, "InterfaceMissed")()
        return bool(found["lastTimestamp"] > missed["lastTimestamp"])

    wait_until(is_told_again, timeout_s=PATIENCE_S, what=story(cluster, namespace))


@pytest.mark.matrix
def test_a_start_that_is_prevented(uninstalled: Product, cluster: Cluster, nics: Nics, namespace: str) -> None:
    """The reason is shown, on CRI-O too, which only logs what it is told at the start of a container."""
    uninstalled.install(components=COMPONENTS, config={"rules": [RULE]})
    uninstalled.kubectl("rollout", "restart", DAEMON_SET)
    uninstalled.wait_rolled_out()
    nics.add("nic0", is_plain=True)
    cluster.apply(pod("web", namespace, asked={"app": NO_PLUGIN}, restartPolicy="Never"))
    text = "the IPAM plugin host-local did not give an address"
    wait_until(lambda: text in describe(cluster, namespace), timeout_s=60, what=story(cluster, namespace))
    wait_until(nics.is_home, timeout_s=30, what=nics.differences)
    ours = said(cluster, namespace, "StartPrevented")()
    assert bool(ours) == isinstance(cluster.engine, Crio)
    for event in ours:
        assert event["message"].startswith("container app was killed before it ran: no address for nic0 of pod")


def test_rights(told: Product, cluster: Cluster) -> None:
    """The container may write events and nothing else, is not root, and the daemon beside it has no token."""

    def rights(account: str, namespace: str) -> set[str]:
        whose = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
        said = cluster.kubectl("auth", "can-i", "--list", whose, "-n", namespace)
        return {" ".join(line.split()) for line in said.splitlines()[1:]}

    for namespace in ("default", NAMESPACE):
        nothing = rights("default", namespace)
        assert nothing
        assert rights("nri-netdev", namespace) == nothing | {"events [] [] [create patch]"}
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
    look = f"import os; print(os.path.exists('{token}'), os.getuid(), open('/proc/self/status').read())"

    def seen(name: str) -> str:
        return told.kubectl("exec", DAEMON_SET, "-c", name, "--", "python3", "-c", look)

    assert seen("nri-netdev").startswith("False 0 ")
    ours = seen("events")
    assert ours.startswith("True 65532 ")
    assert re.search(r"CapEff:\s+0+\n", ours)


def test_memory(told: Product, cluster: Cluster, nics: Nics, namespace: str) -> None:
    """It stays small, in the image too; its memory is limited to 96 MiB."""
    nics.add("nic0", is_plain=True)
    cluster.apply(pod("web", namespace, asked={"app": "- nic0"}))
    wait_said(cluster, namespace, "InterfaceArrived")
    (pid,) = (pid for pid, line in cluster.machine.processes().items() if " events --events=" in line)
    (peak_kib,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert int(peak_kib) / 1024 <= MEMORY_MIB


def test_the_api_server_is_away(told: Product, cluster: Cluster, nics: Nics, namespace: str) -> None:
    """What happens meanwhile is written when it is back; the daemon does not notice."""
    nics.add("nic0", is_plain=True)
    cluster.apply(pod("web", namespace, asked={"app": "- nic0"}, containers=[container(command=["sleep", "10"])]))
    wait_said(cluster, namespace, "InterfaceArrived")
    (name,) = (one["metadata"]["name"] for one in told.pods())
    cluster.stop("kube-apiserver")
    wait_until(lambda: nics.node.link("nic0"), timeout_s=30, what="the container has ended")
    cluster.start_part("kube-apiserver")
    cluster.wait(cluster.is_node_ready)
    wait_said(cluster, namespace, "InterfaceHome", timeout_s=90)

    assert [one["metadata"]["name"] for one in told.pods()] == [name]
    assert "notice.refused" in told.kubectl("logs", name, "-c", "events")
