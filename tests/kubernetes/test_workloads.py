"""Every kind of workload with an interface, as `kubectl apply` makes it and `kubectl` shows it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.kubernetes.cluster import NODE, STATIC_PODS
from tests.kubernetes.nics import ADDRESSES
from tests.kubernetes.objects import container, job, pod, template, workload
from tests.kubernetes.scene import Scene

IP = ("ip", "address", "show", "net1")
LONG = ("sleep", "123456")
LIMITS = {"cpu": "100m", "memory": "64Mi"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a pod can be like.

    Attributes:
        asks: which container asks; `pod` is the whole pod.
        late_s: how long after the pod's end, as kubectl tells it, the interface may come home.
        spec: of the pod.
    """

    asks: str = "app"
    late_s: float = 0
    spec: Mapping[str, Any] = field(default_factory=dict)


SHAPES = {
    "plain": Shape(),
    "whole": Shape(asks="pod", spec={"containers": [container("app"), container("other")]}),
    "init": Shape(asks="first", spec={"initContainers": [container("first", IP)]}),
    "side": Shape(asks="side", spec={"initContainers": [container("side", restartPolicy="Always")]}),
    "userns": Shape(spec={"hostUsers": False}),
    "procs": Shape(spec={"shareProcessNamespace": True, "containers": [container("app", LONG), container("other")]}),
    "grace0": Shape(spec={"terminationGracePeriodSeconds": 0}, late_s=10),
    "resize": Shape(spec={"containers": [container(resources={"requests": LIMITS, "limits": LIMITS})]}),
    "debug": Shape(),
}
STAYS = tuple(name for name in SHAPES if name != "init")
"""Those that keep the interface as long as they run."""


@pytest.fixture(scope="class")
def pods(patient: None, shared_scene: Scene) -> Scene:
    """Have a pod of each shape, each with the interface that is called like it."""
    del patient
    scene = shared_scene
    scene.nics.add_named([f"nic-{name}" for name in SHAPES])
    made = [
        pod(name, scene.namespace, asked={shape.asks: f"- {{interface: nic-{name}, name: net1}}"}, **shape.spec)
        for name, shape in SHAPES.items()
    ]
    scene.run(*made)
    return scene


@pytest.mark.matrix
class TestPods:
    """Pods of every shape, beside each other on one node."""

    @pytest.mark.parametrize("name", STAYS)
    def test_it_is_inside(self, pods: Scene, name: str) -> None:
        """Under its name, up, with its addresses; every container sees it; the node does not."""
        for found in pods.pod(name)["spec"]["containers"]:
            said = pods.exec(name, *IP, container=found["name"])
            assert all(address in said for address in ADDRESSES)
            assert ",UP," in said
        assert pods.nics.node.link(f"nic-{name}") is None

    def test_an_init_container_has_it_for_its_time(self, pods: Scene) -> None:
        """Then it is home, whatever the pod does further."""
        assert all(address in pods.kubectl("logs", "init", "-c", "first") for address in ADDRESSES)
        assert pods.inside("init") == {}
        pods.nics.wait_home("nic-init")

    def test_resized_in_place(self, pods: Scene) -> None:
        """The container goes on with its interface."""
        more = {"cpu": "150m", "memory": "96Mi"}
        patch = {"spec": {"containers": [{"name": "app", "resources": {"requests": more, "limits": more}}]}}
        before = pods.inside("resize")
        pods.kubectl("patch", "pod", "resize", "--subresource", "resize", "--patch", json.dumps(patch))
        pods.wait(lambda: pods.status("resize").get("resources", {}).get("limits") == more, what="resized")

        assert pods.inside("resize") == before
        assert pods.restarts("resize") == 0

    def test_debugged(self, pods: Scene) -> None:
        """An ephemeral container sees the interface and leaves it."""
        image = container()["image"]
        how = ("--image", image, "--container=debug", "--target=app", "--attach=false")
        pods.kubectl("debug", "debug", *how, "--", *IP)
        pods.wait(lambda: "terminated" in pods.status("debug", "debug").get("state", {}), what="debug has ended")

        assert all(address in pods.kubectl("logs", "debug", "-c", "debug") for address in ADDRESSES)
        assert set(pods.inside("debug")) == {"net1"}

    def test_killed_by_its_neighbour(self, pods: Scene) -> None:
        """In a process namespace of all containers the first process of one is not the first of the namespace."""
        before = pods.inside("procs")
        (line,) = (line for line in pods.exec("procs", "ps", container="other").splitlines() if LONG[1] in line)
        pods.exec("procs", "kill", "-9", line.split()[0], container="other")
        pods.wait(lambda: pods.restarts("procs") == 1, what="app is restarted")
        pods.wait_ready("procs")

        assert pods.inside("procs") == before

    @pytest.mark.parametrize("name", SHAPES)
    def test_home_when_the_pod_is_deleted(self, pods: Scene, name: str) -> None:
        """As soon as kubectl says that the pod is gone; without a period of grace it says so before it is.

        That holds of a way home that ends within the engine's patience, which is longer here.
        """
        pods.delete(name)
        pods.nics.wait_home(f"nic-{name}", timeout_s=SHAPES[name].late_s)


def test_a_static_pod(scene: Scene) -> None:
    """One that the kubelet runs by itself, of a file on the node."""
    scene.nics.add("nic0")
    made = pod("static", scene.namespace, asked={"app": "- {interface: nic0, name: net1}"})
    path = scene.cluster.machine.path(STATIC_PODS / "static.json")
    path.write_text(json.dumps(made))
    mirror = f"static-{NODE}"
    scene.wait(lambda: scene.cluster.find("pod", mirror, "-n", scene.namespace), what=f"pod {mirror}")
    scene.wait_ready(mirror)

    assert set(scene.inside(mirror)) == {"net1"}
    path.unlink()
    scene.wait(lambda: not scene.cluster.find("pod", mirror, "-n", scene.namespace), what=f"no pod {mirror}")
    scene.nics.wait_home()


def _rolling(surge: int, unavailable: int) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


REPLICAS = 2
ROLLS = {
    "surge": (_rolling(1, 0), 1),
    "turn": (_rolling(0, 1), 0),
    "wait": (_rolling(1, 1), 0),
    "anew": ({"type": "Recreate"}, 0),
}
"""Strategy, and interfaces that are free beside those of the old pods."""


@pytest.fixture(scope="class")
def rolled(shared_scene: Scene) -> Mapping[str, Sequence[str]]:
    """Roll each of them; give the names of its old pods."""
    scene = shared_scene
    scene.nics.add_named(
        [f"nic-{name}{n}" for name, (_, spare) in ROLLS.items() for n in range(REPLICAS + spare)], is_plain=True
    )
    made = {
        name: workload(
            *("Deployment", name, scene.namespace),
            pods=template({"app": f"- {{interface: nic-{name}*, name: net1}}"}),
            replicas=REPLICAS,
            strategy=strategy,
        )
        for name, (strategy, _) in ROLLS.items()
    }
    scene.cluster.apply(*made.values())
    for name in ROLLS:
        _finish(scene, f"deployment/{name}")
    before = {name: scene.names(name) for name in ROLLS}
    scene.kubectl("rollout", "restart", *(f"deployment/{name}" for name in ROLLS))
    return before


class TestRollouts:
    """Deployments whose pods take any of some interfaces."""

    @pytest.mark.parametrize("name", ROLLS)
    def test_rolled(self, shared_scene: Scene, rolled: Mapping[str, Sequence[str]], name: str) -> None:
        """The new pods have an interface each; where none is free they wait for the old ones, by themselves."""
        scene = shared_scene
        _finish(scene, f"deployment/{name}")
        scene.wait(lambda: len(scene.names(name)) == REPLICAS, what=f"{REPLICAS} pods of {name}")
        names = scene.names(name)
        macs = {scene.inside(found)["net1"] for found in names}

        assert not {*names} & {*rolled[name]}
        assert len(macs) == REPLICAS


@pytest.mark.kubernetes_all
def test_a_rollout_without_room(scene: Scene) -> None:
    """With a surge, nothing unavailable and no interface free it stands still, says why, and goes on when one is."""
    scene.nics.add_many(2)
    scene.run(pod("other", scene.namespace, asked={"app": "- nic1"}))
    pods = template({"app": "- {interface: nic*, name: net1}"})
    scene.cluster.apply(workload("Deployment", "web", scene.namespace, pods=pods, strategy=_rolling(1, 0)))
    _finish(scene, "deployment/web")
    (old,) = scene.names("web")
    scene.kubectl("rollout", "restart", "deployment/web")
    scene.wait(lambda: len(scene.names("web")) == 2, what="a second pod")
    (new,) = {*scene.names("web")} - {old}
    scene.wait(lambda: f"held by pod {scene.namespace}/{old}" in scene.describe(new), what="the reason")

    assert set(scene.inside(old)) == {"net1"}
    scene.delete("other")
    _finish(scene, "deployment/web")
    assert set(scene.inside(new)) == {"net1"}


def test_a_stateful_set(scene: Scene) -> None:
    """By rules for its ordinals each identity has an interface of its own, and has it again after a restart."""
    names = scene.nics.add_many(REPLICAS, stem="ordinal")
    macs = {f"db-{number}": scene.mac(name) for number, name in enumerate(names)}
    pods = template({"app": "- {interface: ordinal*, name: net1}"})
    made = workload("StatefulSet", "db", scene.namespace, pods=pods, replicas=REPLICAS, serviceName="db")
    scene.cluster.apply(made)
    _finish(scene, "statefulset/db")

    assert {name: scene.inside(name)["net1"] for name in macs} == macs
    uid = scene.pod("db-0")["metadata"]["uid"]
    scene.delete("db-0")
    scene.wait(
        lambda: (
            (scene.cluster.find("pod", "db-0", "-n", scene.namespace) or {}).get("metadata", {}).get("uid", uid) != uid
        )
    )
    scene.wait_ready("db-0")
    assert scene.inside("db-0")["net1"] == macs["db-0"]
    scene.kubectl("rollout", "restart", "statefulset/db")
    _finish(scene, "statefulset/db")
    assert {name: scene.inside(name)["net1"] for name in macs} == macs


def test_a_daemon_set(scene: Scene) -> None:
    """Its pod has the interface, and the next one after a rollout."""
    scene.nics.add("nic0")
    pods = template({"app": "- {interface: nic0, name: net1}"})
    scene.cluster.apply(workload("DaemonSet", "net", scene.namespace, pods=pods))
    _finish(scene, "daemonset/net")
    (old,) = scene.names("net")

    assert set(scene.inside(old)) == {"net1"}
    scene.kubectl("rollout", "restart", "daemonset/net")
    _finish(scene, "daemonset/net")
    (new,) = scene.names("net")
    assert new != old
    assert set(scene.inside(new)) == {"net1"}


THIRD = "ip address show net1 >> /seen/runs; [ $(grep -c ': net1' /seen/runs) = 3 ]"
"""Fails twice, and at the third time if it had its interface each time."""


@pytest.mark.parametrize(
    "policy", ["OnFailure", pytest.param("Never", marks=pytest.mark.kubernetes_all)], ids=lambda found: f"{found}"
)
def test_a_job_with_retries(scene: Scene, policy: str) -> None:
    """Each attempt has the interface, in the same pod or in one of its own; it is home when the job is complete."""
    scene.nics.add("nic0")
    seen = {"name": "seen", "mountPath": "/seen"}
    where = {"hostPath": {"path": f"/run/{scene.namespace}", "type": "DirectoryOrCreate"}}
    pods = template(
        {"app": "- {interface: nic0, name: net1}"},
        containers=[container(command=("sh", "-c", THIRD), volumeMounts=[seen])],
        restartPolicy=policy,
        volumes=[{"name": "seen", **where}],
    )
    scene.cluster.apply(job("work", scene.namespace, pods=pods, backoffLimit=3))
    scene.wait(lambda: scene.cluster.get("job", "work", "-n", scene.namespace)["status"].get("succeeded"), timeout_s=90)

    scene.nics.wait_home()
    said = scene.cluster.machine.path(f"/run/{scene.namespace}/runs").read_text()
    assert all(said.count(address) == 3 for address in ADDRESSES)


def _finish(scene: Scene, what: str) -> None:
    """Wait until a workload is as it is wanted."""
    try:
        scene.kubectl("rollout", "status", what, "--timeout=60s", timeout_s=90)
    except Exception as error:
        raise AssertionError(f"{error}\n{scene.cluster.story()}") from error
