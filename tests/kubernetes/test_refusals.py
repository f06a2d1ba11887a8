"""Every kind of refusal, as `kubectl describe pod` tells it; and what becomes of the pod when its reason is gone."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from nri_netdev.errors import Reason
from tests.e2e.node import UPLINK
from tests.kubernetes.objects import Object, annotations, container, pod
from tests.kubernetes.product import CONFIG, NAMESPACE, Product
from tests.kubernetes.scene import Scene

KEEPS = "nic-keep"
"""What nobody gets who asks wrongly."""
BACK_OFF_S = 30
"""The kubelet tries again every 10 s to 15 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A pod that is refused.

    Attributes:
        reason: the kind of refusal.
        says: what `kubectl describe pod` shows, a regular expression.
        asks: its annotations, beside or in the place of the one of `app`.
        spec: of the pod.
    """

    reason: Reason
    says: str
    asks: Mapping[str, str]
    spec: Mapping[str, Any] = field(default_factory=dict)

    def pod(self, name: str, namespace: str) -> Object:
        """The pod as it is applied."""
        made = pod(name, namespace, **self.spec)
        made["metadata"]["annotations"] = dict(self.asks)
        return made


def _app(text: str) -> Mapping[str, str]:
    return annotations(app=text)


def _wrong(says: str, text: str, reason: Reason = Reason.ANNOTATION) -> Case:
    return Case(reason=reason, says=says, asks=_app(text))


WRONG = {
    "yaml": _wrong("is not YAML|YAML", "- ["),
    "no-list": _wrong("list", f"{KEEPS}: {{}}"),
    "field": _wrong(r'unknown field "nmae" \(did you mean "name"\?\)', f"- {{interface: {KEEPS}, nmae: net1}}"),
    "key": Case(
        reason=Reason.ANNOTATION,
        says=r"nri-netdev\.io/continer\.app",
        asks={"nri-netdev.io/continer.app": f"- {KEEPS}", **_app(f"- {KEEPS}")},
    ),
    "twice": _wrong(f'interface "{KEEPS}" is asked for twice', f"[{KEEPS}, {KEEPS}]"),
    "bounds": _wrong("mtu", f"- {{interface: {KEEPS}, mtu: 65536}}"),
    "long": _wrong("longer than 15 bytes", f"- {{interface: {KEEPS}, name: abcdefghijklmnop}}"),
    "copied": _wrong("write nic-keep", "- nic-keep@if7", Reason.ABSENT),
    "may": _wrong(
        r"does not let a pod set routes; it would with may: \[addresses, mtu, routes\]",
        f"- {{interface: {KEEPS}, routes: [{{to: 192.0.2.0/24}}]}}",
        Reason.POLICY,
    ),
    "uplink": _wrong(
        "carries a default route of the node; no rule of this node names it with allow_protected: true",
        f"- {UPLINK}",
        Reason.POLICY,
    ),
    "bridge": _wrong("is a bridge that the kernel never lets leave", "- nic-br", Reason.LIFELINE),
    "pool": _wrong('the pool "fast" is not defined on this node', "- {pool: fast}", Reason.POOL),
    "eth0": _wrong('the name "eth0" is already taken in the pod', f"- {{interface: {KEEPS}, name: eth0}}", Reason.POD),
    "host": Case(
        reason=Reason.POD,
        says="the pod is on the host network",
        asks=_app(f"- {KEEPS}"),
        spec={"hostNetwork": True},
    ),
}
"""Pods that only somebody else can make right: they are made anew."""

_NET_ADMIN = {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}
_TAKEN = {
    "initContainers": [container("first", ("ip", "link", "add", "net1", "type", "ifb"), **_NET_ADMIN)],
    "containers": [container("app"), container("helper", **_NET_ADMIN)],
}
PASSING = {
    "absent": _wrong(
        r'interface "nic-new" is not on this node .*Present and free: .*nic-keep', "- nic-new", Reason.ABSENT
    ),
    "held": _wrong(r'"nic-held" is held by pod test-\d+/holder, container app for \d+ s', "- nic-held", Reason.HELD),
    "lifeline": _wrong("carries vx0 of the host", "- nic-life", Reason.POLICY),
    "unruled": _wrong(
        r'no rule of this node gives interface "own" .*would: {namespaces: \[test-\d+\], interfaces: \[own\]}',
        "- own",
        Reason.POLICY,
    ),
    "taken": Case(
        reason=Reason.POD,
        says='the name "net1" is already taken in the pod',
        asks=_app("- {interface: nic-name, name: net1}"),
        spec=_TAKEN,
    ),
}
"""Pods whose reason can go away."""
CASES = {**WRONG, **PASSING}
GETS = {"absent": "nic-new", "held": "nic-held", "lifeline": "nic-life", "unruled": "own", "taken": "net1"}
"""What each has inside in the end."""


@pytest.fixture(scope="class")
def refused(shared_scene: Scene) -> Scene:
    """Have a pod of each case, beside one that holds an interface rightfully."""
    scene = shared_scene
    scene.nics.add_named([KEEPS, "new", "nic-held", "nic-life", "nic-name", "own"], is_plain=True)
    scene.nics.node.add_bridge("nic-br")
    scene.nics.node.ip("link", "add", "vx0", "type", "vxlan", "id", "42", "dev", "nic-life", "dstport", "4789")
    scene.run(pod("holder", scene.namespace, asked={"app": "- nic-held"}))
    scene.cluster.apply(*(case.pod(name, scene.namespace) for name, case in CASES.items()))
    return scene


@pytest.fixture(scope="class")
def mended(refused: Scene) -> Scene:
    """Take away the reason of each that can go away."""
    scene, node = refused, refused.nics.node
    for name in CASES:  # before, there is nothing to mend
        scene.wait(lambda name=name: _refusal(scene, name), what=f"{name} is refused")
    scene.nics.rename("new", "nic-new")
    node.ip("link", "delete", "vx0")
    scene.exec("taken", "ip", "link", "delete", "net1", container="helper")
    scene.delete("holder")
    _allow(scene, "own")
    return scene


@pytest.mark.matrix
class TestRefusals:
    """Pods that are refused, beside each other on one node."""

    @pytest.mark.parametrize("name", CASES)
    def test_the_reason_is_told(self, refused: Scene, name: str) -> None:
        """With pod, container and what is wrong; the container is not created, and nothing has moved."""
        scene, case = refused, CASES[name]
        text = scene.wait(lambda: _refusal(scene, name), what=f"{name} is refused")
        scene.wait(lambda: _waits_for(scene, name) == "CreateContainerError", what=f"the status of {name}")

        assert f"nri-netdev: pod {scene.namespace}/{name}, container app: " in text
        assert re.search(case.says, text), text
        assert scene.nics.is_home(KEEPS)

    def test_every_reason_is_here(self, refused: Scene, product: Product) -> None:
        """Those that depend on the pod, by the daemon's own count."""
        elsewhere = {Reason.BUG, Reason.BUSY, Reason.LEDGER, Reason.ARRIVAL, Reason.RUNTIME, Reason.OTHER}
        for name in CASES:
            refused.wait(lambda name=name: _refusal(refused, name), what=f"{name} is refused")
        counted = json.loads(product.exec("status", "--json"))["refusals"]

        assert {case.reason for case in CASES.values()} == set(Reason) - elsewhere
        assert {case.reason for case in CASES.values()} <= set(counted)

    @pytest.mark.parametrize("name", PASSING)
    def test_it_runs_by_itself_when_the_reason_is_gone(self, mended: Scene, name: str) -> None:
        """Within the kubelet's back-off."""
        mended.wait_ready(name, timeout_s=BACK_OFF_S)
        assert set(mended.inside(name)) == {GETS[name]}

    def test_made_anew_it_runs(self, mended: Scene) -> None:
        """A pod whose author has corrected the annotation; the interface was free all the time."""
        mended.delete("field")
        mended.run(pod("field", mended.namespace, asked={"app": f"- {{interface: {KEEPS}, name: net1}}"}))
        assert set(mended.inside("field")) == {"net1"}


def _refusal(scene: Scene, name: str) -> str:
    """The line of `kubectl describe pod` that tells of a refusal, if there is one."""
    events = scene.describe(name).partition("\nEvents:")[2].splitlines()
    return next((line for line in events if " Failed " in line and "nri-netdev: " in line), "")


def _waits_for(scene: Scene, name: str) -> str:
    """What the container waits for, as in `kubectl get pods`."""
    return str(scene.status(name).get("state", {}).get("waiting", {}).get("reason", ""))


def _allow(scene: Scene, nic: str) -> None:
    """Have a rule for the namespace, as an operator would, and the kubelet look at once."""
    config = {"rules": [*CONFIG["rules"], {"namespaces": [scene.namespace], "interfaces": [nic]}]}
    patch = json.dumps({"data": {"config.yaml": json.dumps(config)}})
    scene.cluster.kubectl("-n", NAMESPACE, "patch", "configmap", "nri-netdev", "--patch", patch)
    mark = f"test={scene.namespace}"
    scene.cluster.kubectl("-n", NAMESPACE, "annotate", "pods", "--all", "--overwrite", mark)
