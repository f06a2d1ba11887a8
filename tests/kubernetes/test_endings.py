"""Every way in which a container or a pod ends: the interface is home in between, and comes again with the next one."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.cluster import NODE
from tests.kubernetes.nics import ADDRESSES
from tests.kubernetes.objects import container, pod, template, workload
from tests.kubernetes.product import CONFIG, Product
from tests.kubernetes.reboot import boot_id_of_its_own, reboot
from tests.kubernetes.scene import Scene

pytestmark = pytest.mark.matrix

ASKS = {"app": "- {interface: nic0, name: net1}"}
LONG = ("sleep", "123456")
NOTES = {
    "volumes": [{"name": "notes", "emptyDir": {}}],
    "initContainers": [
        container("eye", restartPolicy="Always", volumeMounts=[{"name": "notes", "mountPath": "/notes"}])
    ],
}
"""A volume, and a neighbour that sees it while the container under test does not run."""


def _noting(script: str, **more: Any) -> dict[str, Any]:
    """A pod's spec: a container that first notes what its interface is like."""
    command = ("sh", "-c", f"ip address show net1 >> /notes/seen; {script}")
    app = container(command=command, volumeMounts=[{"name": "notes", "mountPath": "/notes"}], **more)
    return {**NOTES, "containers": [app]}


def _seen(scene: Scene) -> int:
    """In how many runs the container had its interface with all of its addresses."""
    said = scene.exec("web", "cat", "/notes/seen", container="eye")
    return min(said.count(address) for address in ADDRESSES)


def test_crash_loop(scene: Scene) -> None:
    """It has the interface in each run, and the node has it during each back-off."""
    scene.nics.add("nic0")
    scene.cluster.apply(pod("web", scene.namespace, asked=ASKS, **_noting("exit 3")))
    scene.wait(lambda: scene.restarts("web") >= 2, what="restarted")

    def is_back() -> bool:
        return "running" not in scene.status("web")["state"] and scene.nics.is_back()

    scene.wait(is_back, timeout_s=20, what="the interface on the node between two runs")
    scene.wait(lambda: "Back-off restarting failed container" in scene.describe("web"), what="the back-off")

    runs = 1 + scene.restarts("web")
    assert _seen(scene) >= runs
    assert scene.status("web")["lastState"]["terminated"]["exitCode"] == 3


PROBE = {
    "exec": {"command": ["test", "!", "-e", "/notes/dead"]},
    "periodSeconds": 1,
    "failureThreshold": 1,
}
EATS = "while [ ! -e /notes/dead ]; do sleep 0.1; done; rm /notes/dead; exec tail /dev/zero"
SICK = {
    "liveness": (_noting("rm -f /notes/dead; exec sleep 100000", livenessProbe=PROBE), 137, "Error"),
    "memory": (_noting(EATS, resources={"limits": {"memory": "24Mi"}}), 137, "OOMKilled"),
}
"""Spec, exit code, and reason of the end, of a container that falls ill when /notes/dead is there."""


@pytest.mark.parametrize("name", SICK)
def test_killed_because_it_is_sick(scene: Scene, name: str) -> None:
    """By the kubelet or by the kernel: the next run has the interface."""
    spec, code, reason = SICK[name]
    scene.nics.add("nic0")
    scene.run(pod("web", scene.namespace, asked=ASKS, **spec))
    scene.exec("web", "touch", "/notes/dead", container="eye")
    scene.wait(lambda: scene.restarts("web") == 1, what="restarted")
    scene.wait_ready("web")

    ended = scene.status("web")["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (code, reason)
    assert _seen(scene) == 2
    assert set(scene.inside("web", container="app")) == {"net1"}


def _evict(scene: Scene) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web", "namespace": scene.namespace}}
    path = f"/api/v1/namespaces/{scene.namespace}/pods/web/eviction"
    scene.kubectl("create", "--raw", path, "-f", "-", text_in=json.dumps(body))
    scene.kubectl("wait", "--for=delete", "pod/web", "--timeout=30s")


REMOVALS: dict[str, Callable[[Scene], object]] = {
    "evicted": _evict,
    "forced": lambda scene: scene.delete("web", options=("--grace-period=0", "--force")),
}
"""How a pod is removed."""


@pytest.mark.parametrize("name", REMOVALS)
def test_removed(scene: Scene, name: str) -> None:
    """It comes home, and is there for the next pod."""
    scene.nics.add("nic0")
    scene.run(pod("web", scene.namespace, asked=ASKS))
    REMOVALS[name](scene)
    scene.nics.wait_home()
    scene.run(pod("web", scene.namespace, asked=ASKS))
    assert set(scene.inside("web")) == {"net1"}


def test_drained(scene: Scene) -> None:
    """The node is drained for work on it, with the interface at home; uncordoned, the next pod has it."""
    scene.nics.add("nic0")
    scene.cluster.apply(workload("Deployment", "web", scene.namespace, pods=template(ASKS)))
    scene.kubectl("rollout", "status", "deployment/web", "--timeout=60s", timeout_s=90)
    (old,) = scene.names("web")
    try:
        scene.kubectl("drain", NODE, "--ignore-daemonsets", "--timeout=60s", timeout_s=90)
        scene.nics.wait_home()
        (new,) = scene.names("web")
        assert scene.pod(new)["status"]["phase"] == "Pending"
    finally:
        scene.kubectl("uncordon", NODE)
    scene.wait_ready(new)
    assert new != old
    assert set(scene.inside(new)) == {"net1"}


def test_the_sandbox_is_killed(scene: Scene) -> None:
    """With it all containers of the pod; the kubelet makes the pod a new sandbox, to which the interface comes."""
    scene.nics.add("nic0")
    # CRI-O runs a process for a sandbox only where containers share its process namespace.
    spec = {"shareProcessNamespace": True, "containers": [container(command=LONG)]}
    scene.run(pod("web", scene.namespace, asked=ASKS, **spec))
    before = scene.pod("web")["status"]["podIP"]
    _kill_sandbox(scene)
    scene.wait(lambda: scene.pod("web")["status"].get("podIP") not in {None, "", before}, what="another address")
    scene.wait_ready("web")

    assert set(scene.inside("web")) == {"net1"}
    assert scene.pod("web")["metadata"].get("deletionTimestamp") is None


def _kill_sandbox(scene: Scene) -> None:
    """Kill the sandbox's process, which is in the process namespace of the one that runs `LONG`."""
    app = _app(scene)
    namespace = Path(f"/proc/{app}/ns/pid").stat().st_ino
    (pid,) = (
        pid
        for pid in scene.cluster.contained()
        if pid != app and Path(f"/proc/{pid}/ns/pid").stat().st_ino == namespace
    )
    os.kill(pid, signal.SIGKILL)


def _app(scene: Scene) -> int:
    """The process that runs `LONG`, as seen from outside."""
    (pid,) = (pid for pid, line in scene.cluster.contained().items() if line == " ".join(LONG))
    return pid


def _kill_app(scene: Scene) -> None:
    os.kill(_app(scene), signal.SIGKILL)


def _wait_back(scene: Scene) -> None:
    """Wait until the interface is on the node, perhaps promised again to the pod that lives on."""
    scene.wait(scene.nics.is_back, timeout_s=15, what=scene.nics.differences)


def _kubelet_killed(scene: Scene, _: Product) -> None:
    with scene.cluster.without_kubelet():
        _kill_app(scene)
        _wait_back(scene)


def _engine_restarted(scene: Scene, product: Product) -> None:
    scene.cluster.engine.restart()
    product.wait_registered()
    assert set(scene.inside("web")) == {"net1"}
    _kill_app(scene)


def _engine_killed(scene: Scene, product: Product) -> None:
    engine = scene.cluster.engine
    engine.kill9()
    try:
        _kill_app(scene)
        _wait_back(scene)
    finally:
        engine.start()
    product.wait_registered()


def _daemon_killed(scene: Scene, product: Product) -> None:
    before = product.pods()[0]["status"]["containerStatuses"][0]["restartCount"]
    (pid,) = (pid for pid, line in scene.cluster.contained().items() if "nri-netdev run" in line)
    os.kill(pid, signal.SIGKILL)
    scene.wait(lambda: product.pods()[0]["status"]["containerStatuses"][0]["restartCount"] > before, what="restarted")
    product.wait_rolled_out()
    assert set(scene.inside("web")) == {"net1"}
    _kill_app(scene)


def _daemon_pod_deleted(scene: Scene, product: Product) -> None:
    (old,) = product.pods()
    product.kubectl("delete", "pod", old["metadata"]["name"])
    product.wait_rolled_out()
    assert set(scene.inside("web")) == {"net1"}
    _kill_app(scene)


DISTURBANCES = {
    "kubelet-killed": _kubelet_killed,
    "engine-restarted": _engine_restarted,
    "engine-killed": _engine_killed,
    "daemon-killed": _daemon_killed,
    "daemons-pod-deleted": _daemon_pod_deleted,
}
"""What happens to the node's own parts, and the container's end in between or after."""


_OF_ALL = "daemons-pod-deleted"
"""What test_upgrade.py has under load, and so is left to those runs that take their time."""


@pytest.mark.parametrize(
    "name", [*sorted(DISTURBANCES.keys() - {_OF_ALL}), pytest.param(_OF_ALL, marks=pytest.mark.kubernetes_all)]
)
def test_the_nodes_parts_are_disturbed(scene: Scene, product: Product, name: str) -> None:
    """A container that runs keeps its interface; one that ends meanwhile or afterwards comes again with it."""
    scene.nics.add("nic0")
    scene.run(pod("web", scene.namespace, asked=ASKS, containers=[container(command=LONG)]))
    before = scene.inside("web")
    DISTURBANCES[name](scene, product)
    scene.wait(lambda: scene.restarts("web") == 1, what="restarted once")
    scene.wait_ready("web")

    assert scene.inside("web") == before
    scene.delete("web")
    scene.nics.wait_home()


@pytest.mark.kubernetes_all
@pytest.mark.usefixtures("validating")
def test_the_node_reboots(scene: Scene, product: Product) -> None:
    """Pods come again with the interfaces that the node has now, though the kubelet starts them with the daemon's pod.

    One that requires nri-netdev waits for it; another is given its interface when there is a daemon.
    """
    nics = {"nic0": "waits", "nic1": "catches-up"}
    scene.nics.add_named([*nics])
    pods = {
        name: pod(name, scene.namespace, asked={"app": f"- {{interface: {nic}, name: net1}}"})
        for nic, name in nics.items()
    }
    pods["waits"]["metadata"]["annotations"]["required-plugins.noderesource.dev"] = '["nri-netdev"]'

    def make_anew() -> None:
        scene.nics.remove()
        scene.nics.add_named([*nics])

    product.install(config={**CONFIG, "on_missed": "attach"})
    with boot_id_of_its_own(product):
        scene.run(*pods.values())
        before = {name: scene.inside(name)["net1"] for name in pods}
        reboot(scene.cluster, meanwhile=make_anew)
        for name in pods:
            scene.wait(lambda name=name: scene.restarts(name) == 1, what=f"{name} is restarted")
            scene.wait_ready(name)
            scene.wait(lambda name=name: "net1" in scene.inside(name), timeout_s=20, what=f"the interface in {name}")
            assert scene.inside(name)["net1"] != before[name]
        assert " Rebooted " in scene.kubectl("describe", "node", NODE)
        product.wait_rolled_out()
        assert "by=reboot" in product.log_text()
        scene.delete(*pods)
        scene.nics.wait_home()
