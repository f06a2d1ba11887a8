"""The Helm chart: object for object what kustomize makes, with values of its own, packed and pushed as a release is."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nri_netdev import __version__
from nri_netdev.config.watched import Watched
from tests.e2e.tools import BIN, wait_for
from tests.test_manifests import COMPONENTS, MANIFESTS, Object, build, check, container, kustomize, the

pytestmark = pytest.mark.last

CHART = MANIFESTS / "chart"
OVERLAYS = tuple(path.parent.name for path in sorted(MANIFESTS.glob("overlays/*/kustomization.yaml")))
SIZES = sorted({0, 1, 2, len(COMPONENTS)})
CHOICES = [chosen for size in SIZES for chosen in itertools.combinations(COMPONENTS, size)]
"""No component, each, every two, all."""
AS_KUSTOMIZE = ("--set", "namespace.create=true")
"""The chart makes the namespace only if told to."""
DIGEST = f"sha256:{'0' * 64}"


def program(name: str) -> Path:
    """One of the tools; without it nothing here can be said, which in CI is a failure."""
    wait_for([name])
    for found in (BIN / name, shutil.which(name)):
        if found and Path(found).exists():
            return Path(found)
    if os.environ.get("CI") == "true":
        pytest.fail(f"there is no {name}; run: make e2e-tools")
    pytest.skip(f"NOT TESTED: there is no {name}; run: make e2e-tools")


def helm(home: Path, *arguments: str | Path, before: tuple[str, ...] = ()) -> str:
    """What helm prints, which keeps what it keeps in `home`.

    Raises:
        ValueError: it fails; carries what it says.
    """
    homes = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    command: list[str | Path] = [*before, program("helm"), *arguments]
    done = subprocess.run(command, env=os.environ | homes, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout


def render(home: Path, *arguments: str | Path, chart: Path = CHART, before: tuple[str, ...] = ()) -> list[Object]:
    """Every object of the chart."""
    text = helm(home, "template", "nri-netdev", chart, "--namespace=nri-netdev", *arguments, before=before)
    return [document for document in yaml.safe_load_all(text) if document]


def with_values(home: Path, values: dict[str, Any]) -> list[Object]:
    """Every object of the chart with values of a file."""
    path = home / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    return render(home, f"--values={path}")


def enabled(*components: str) -> list[str]:
    return [f"--set=components.{name}.enabled=true" for name in components]


def in_order(objects: list[Object]) -> list[Object]:
    return sorted(objects, key=lambda one: (one["kind"], one["metadata"]["name"]))


def without_policy(objects: list[Object]) -> list[Object]:
    """Without the one annotation that is Helm's: it keeps the namespace when the release goes."""
    assert the("Namespace", objects)["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    return in_order(objects)


def generate(manifests: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What chart.py of a copy of the manifests does."""
    kustomize()
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    command: list[str | Path] = [sys.executable, manifests / "chart.py", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(name="copy")
def fixture_copy(tmp_path: Path) -> Path:
    """A copy of the manifests, and of the schema that the chart takes from the docs."""
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    (tmp_path / "docs").mkdir()
    shutil.copy(MANIFESTS.parent / "docs" / "config.schema.json", tmp_path / "docs")
    return tmp_path / "manifests"


def test_the_chart_is_what_the_manifests_give() -> None:
    """Nobody has edited it, or the manifests without `make chart`."""
    done = generate(MANIFESTS, "--check")
    assert not done.returncode, done.stderr


def test_a_change_of_the_manifests_is_found(copy: Path) -> None:
    """And so is a file that nothing gives any more; writing mends both."""
    path = copy / "base" / "daemonset.yaml"
    path.write_text(path.read_text().replace("hostPID: true", "hostPID: false"))
    (copy / "chart" / "templates" / "secret.yaml").write_text("kind: Secret\n")
    done = generate(copy, "--check")
    assert done.returncode == 1
    assert [line.partition(" ")[0] for line in done.stderr.splitlines()] == [
        "manifests/chart/templates/daemonset.yaml",
        "manifests/chart/templates/secret.yaml",
    ]
    assert not generate(copy).returncode
    assert not generate(copy, "--check").returncode


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_gives_what_kustomize_gives(overlay: str, copy: Path) -> None:
    """Object for object, with components too."""
    mine = copy / "mine"
    mine.mkdir()
    for components in CHOICES:
        kustomization = {
            "namespace": "nri-netdev",
            "resources": [f"../overlays/{overlay}"],
            "components": [f"../components/{name}" for name in components],
        }
        (mine / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        objects = render(copy, *AS_KUSTOMIZE, f"--set=overlay={overlay}", *enabled(*components))
        assert without_policy(objects) == in_order(build(mine)), components


def test_without_values_it_gives_the_base(tmp_path: Path) -> None:
    """All but the namespace."""
    base = build(MANIFESTS / "base")
    assert in_order(render(tmp_path)) == in_order([one for one in base if one["kind"] != "Namespace"])
    assert without_policy(render(tmp_path, *AS_KUSTOMIZE)) == in_order(base)


def test_a_component_is_no_more_than_a_directory(copy: Path) -> None:
    """One that brings rights, and changes, adds and removes fields, needs no line of chart.py."""
    component = copy / "components" / "made-up"
    component.mkdir()
    (component / "role.yaml").write_text(
        """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: nri-netdev-made-up, annotations: {"a": "{{ .Values }}"}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: nri-netdev, namespace: nri-netdev}]
"""
    )
    (component / "kustomization.yaml").write_text(
        """# Made up.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources: [role.yaml]
patches:
  - patch: |-
      apiVersion: v1
      kind: ServiceAccount
      metadata: {name: nri-netdev}
      automountServiceAccountToken: true
  - target: {kind: DaemonSet}
    patch: |-
      - {op: add, path: /spec/template/spec/containers/0/args/1, value: --first}
      - {op: replace, path: /spec/template/spec/containers/0/livenessProbe/grpc/port, value: 1}
      - {op: remove, path: /spec/template/spec/volumes/0}
      - {op: remove, path: /spec/template/spec/hostPID}
      - {op: add, path: /spec/template/spec/shareProcessNamespace, value: true}
"""
    )
    done = generate(copy)
    assert not done.returncode, done.stderr
    mine = copy / "mine"
    mine.mkdir()
    for components in (["made-up"], [*COMPONENTS, "made-up"], []):
        kustomization = {
            "namespace": "nri-netdev",
            "resources": ["../base"],
            "components": [f"../components/{name}" for name in sorted(components)],
        }
        (mine / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        objects = render(copy, *AS_KUSTOMIZE, *enabled(*components), chart=copy / "chart")
        assert without_policy(objects) == in_order(build(mine)), components


def test_what_a_value_sets_no_component_may_set(copy: Path) -> None:
    """One of the two would be lost; it is told which."""
    path = copy / "components" / "ipam" / "kustomization.yaml"
    path.write_text(
        f"{path.read_text()}      - {{op: replace, path: /spec/template/spec/priorityClassName, value: x}}\n"
    )
    done = generate(copy)
    assert done.returncode == 1
    assert done.stderr == (
        "DaemonSet/nri-netdev.spec.template.spec.priorityClassName is set by a value, and by "
        '(index .Values.components "ipam").enabled\n'
    )


def test_lint(tmp_path: Path) -> None:
    """No warning either."""
    helm(tmp_path, "lint", "--strict", CHART)


@pytest.mark.root
def test_it_needs_no_network(tmp_path: Path) -> None:
    """Not even to read its schema."""
    assert render(tmp_path, before=("unshare", "--net")) == render(tmp_path)


def test_the_values(tmp_path: Path) -> None:
    """Each sets its field, and Kubernetes takes what comes of it."""
    pod: dict[str, Any] = {
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "nodeSelector": {"example.org/nics": "true"},
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "system-node-critical",
    }
    values: dict[str, Any] = {
        **pod,
        "image": {"repository": "registry.example/nri-netdev", "tag": "1.2", "pullPolicy": "Always"},
        "resources": {"limits": {"memory": "1Gi"}},
        "podAnnotations": {"a/b": "1"},
        "podLabels": {"c": "true"},
    }
    objects = with_values(tmp_path, values)
    check(objects)
    template = the("DaemonSet", objects)["spec"]["template"]
    before = the("DaemonSet", build(MANIFESTS / "base"))["spec"]["template"]["metadata"]
    pod["nodeSelector"] |= {"kubernetes.io/os": "linux"}  # Helm adds to a mapping, and replaces a list
    assert {key: template["spec"][key] for key in pod} == pod
    assert template["metadata"] == {
        "annotations": before["annotations"] | values["podAnnotations"],
        "labels": before["labels"] | values["podLabels"],
    }
    found = container(objects)
    assert found["image"] == "registry.example/nri-netdev:1.2"
    assert found["imagePullPolicy"] == "Always"
    assert found["resources"] == {"limits": {"memory": "1Gi"}, "requests": {"cpu": "10m", "memory": "64Mi"}}
    assert "PriorityClass" not in {one["kind"] for one in objects}


def test_one_image(tmp_path: Path) -> None:
    """Every container has it, also those that components bring; a digest goes over a tag."""
    switches = {name: {"enabled": True} for name in COMPONENTS}
    image = {"repository": "a/b", "tag": "1", "digest": DIGEST, "pullPolicy": "Never"}
    objects = with_values(tmp_path, {"components": switches, "image": image})
    containers = the("DaemonSet", objects)["spec"]["template"]["spec"]["containers"]
    assert {(one["image"], one["imagePullPolicy"]) for one in containers} == {(f"a/b@{DIGEST}", "Never")}


def test_what_is_null_is_left_out(tmp_path: Path) -> None:
    """Also a default of the base."""
    keys = ("tolerations", "nodeSelector", "priorityClassName")
    objects = with_values(tmp_path, dict.fromkeys((*keys, "resources")))
    check(objects)
    assert not set(keys) & set(the("DaemonSet", objects)["spec"]["template"]["spec"])
    assert "resources" not in container(objects)


def test_the_configuration(tmp_path: Path) -> None:
    """The daemon reads it as it was meant: what has a place in the base's text, and what has none."""
    values = {
        "log_level": "debug",
        "metadata": "off",
        "cni_path": "/usr/lib/cni",
        "pools": {"fast": [{"driver": "mlx5_core", "mac": "02:00:10:10:00:01"}, "ens2f*"]},
        "rules": [{"namespaces": ["telco"], "pools": ["fast"], "count": 2, "may": ["all"]}],
    }
    objects = with_values(tmp_path, {"config": values})
    text = the("ConfigMap", objects)["data"]["config.yaml"]
    assert yaml.safe_load(text) == {"injection": "auto", "on_missed": "report", "log_format": "text"} | values
    (tmp_path / "helm.yaml").write_text(text)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    assert the("DaemonSet", objects) == the("DaemonSet", render(tmp_path)), "pods would be replaced"
    assert Watched(tmp_path / "helm.yaml").load() == Watched(tmp_path / "mine.yaml").load()


WRONG: dict[str, dict[str, Any]] = {
    "at '/config': additional properties 'ruls' not allowed": {"config": {"ruls": []}},
    "at '/config/rules/0': missing property 'namespaces'": {"config": {"rules": [{"interfaces": ["ens1"]}]}},
    "at '/overlay': value must be one of 'containerd', 'crio', 'drop-in'": {"overlay": "docker"},
    "at '': missing property 'overlay'": {"overlay": None},
    "at '/components': additional properties 'metrics' not allowed": {"components": {"metrics": {"enabled": True}}},
    "at '/image/digest'": {"image": {"digest": "0123"}},
    "invalid propertyName 'app.kubernetes.io/name'": {"podLabels": {"app.kubernetes.io/name": "other"}},
    "additional properties 'hostNetwork' not allowed": {"hostNetwork": False},
}


@pytest.mark.parametrize("reason", WRONG)
def test_wrong_values_are_refused(reason: str, tmp_path: Path) -> None:
    """Before anything reaches the cluster, and by their place."""
    with pytest.raises(ValueError, match="specifications of the schema") as caught:
        with_values(tmp_path, WRONG[reason])
    assert reason in str(caught.value)


def test_notes(tmp_path: Path) -> None:
    """They say what is still to be done: without a cluster to ask, that the namespace wants a label."""
    command = ("install", "nri-netdev", CHART, "--namespace=node-nics", "--dry-run=client")
    _, _, notes = helm(tmp_path, *command).partition("NOTES:\n")
    assert "kubectl label namespace node-nics pod-security.kubernetes.io/enforce=privileged\n" in notes
    assert "There is no rule yet" in notes
    assert "kubectl label" not in helm(tmp_path, *command, *AS_KUSTOMIZE)
    rule = '--set-json=config.rules=[{"namespaces": ["a"], "interfaces": ["ens1"]}]'
    assert "There is no rule yet" not in helm(tmp_path, *command, rule)


def test_the_values_of_the_page(tmp_path: Path) -> None:
    """What people copy from docs/helm.md is taken, and the page knows every value."""
    page = (MANIFESTS.parent / "docs" / "helm.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    objects = with_values(tmp_path, yaml.safe_load(text.replace("sha256:…", DIGEST)))
    check(objects)
    assert container(objects)["image"] == f"registry.example/nri-netdev@{DIGEST}"
    assert "PodMonitor" in {one["kind"] for one in objects}
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    told = {name.partition(".")[0] for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    assert set(values) <= told


def test_another_namespace(tmp_path: Path) -> None:
    """Whatever has one is in that of the release."""
    objects = render(tmp_path, *AS_KUSTOMIZE, "--namespace=node-nics", *enabled(*COMPONENTS))
    assert the("Namespace", objects)["metadata"]["name"] == "node-nics"
    assert {one["metadata"].get("namespace", "node-nics") for one in objects} == {"node-nics"}


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """A registry on the loopback; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    configuration = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": address},
    }
    (folder / "registry.yaml").write_text(yaml.safe_dump(configuration))
    with subprocess.Popen(
        [program("registry"), "serve", folder / "registry.yaml"],
        env=os.environ | {"OTEL_TRACES_EXPORTER": "none"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            deadline_s = time.monotonic() + 10
            while not _answers(address):
                assert process.poll() is None, "the registry ended"
                assert time.monotonic() < deadline_s, "the registry does not answer"
            yield address
        finally:
            process.terminate()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{address}/v2/", timeout=1).close()
    except urllib.error.URLError:
        time.sleep(0.02)
        return False
    return True


def test_a_release_is_pushed_and_pulled(tmp_path: Path) -> None:
    """By a real registry: the layout is Helm's, what is pulled is what was packed, and it gives the same objects."""
    helm(tmp_path, "package", CHART, "--destination", tmp_path)
    packed = tmp_path / f"nri-netdev-{__version__}.tgz"
    with tarfile.open(packed) as archive:
        names = {Path(name).relative_to("nri-netdev").as_posix() for name in archive.getnames()}
    assert names == {path.relative_to(CHART).as_posix() for path in CHART.rglob("*") if path.is_file()}
    with registry(tmp_path) as address:
        charts = f"oci://{address}/charts"
        helm(tmp_path, "push", packed, charts, "--plain-http")
        pulled = tmp_path / "pulled"
        pulled.mkdir()
        chart = (f"{charts}/nri-netdev", f"--version={__version__}", "--plain-http")
        helm(tmp_path, "pull", *chart, f"--destination={pulled}")
        assert (pulled / packed.name).read_bytes() == packed.read_bytes()
        text = helm(tmp_path, "template", "nri-netdev", *chart, "--namespace=nri-netdev")
        assert [one for one in yaml.safe_load_all(text) if one] == render(tmp_path)
        manifest = _manifest(address)
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"
    assert [(layer["mediaType"], layer["digest"]) for layer in manifest["layers"]] == [
        (
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            f"sha256:{hashlib.sha256(packed.read_bytes()).hexdigest()}",
        )
    ]


def _manifest(address: str) -> dict[str, Any]:
    kind = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    request = urllib.request.Request(f"http://{address}/v2/charts/nri-netdev/manifests/{__version__}", headers=kind)
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        assert answer.headers["Content-Type"] == kind["Accept"]
        return dict(json.load(answer))
