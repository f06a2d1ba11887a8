"""The manifests: what kustomize makes of them, checked against Kubernetes' own schemas without a cluster."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from nri_netdev import __version__, cli
from nri_netdev.cli.inputs import read_settings
from nri_netdev.config.settings import Settings
from nri_netdev.config.watched import DEFAULT_PATH, Watched
from nri_netdev.domain.address import ListenAddress
from nri_netdev.domain.annotations.manifest import validate_text
from nri_netdev.shells.observe.health import STARTUP
from nri_netdev.shells.observe.metrics import METRICS
from tests.e2e.tools import BIN

MANIFESTS = Path(__file__).parent.parent / "manifests"
OVERLAYS = ("overlays/containerd", "overlays/crio", "overlays/drop-in", "base")
COMPONENTS = tuple(path.parent.name for path in sorted(MANIFESTS.glob("components/*/kustomization.yaml")))
KUBERNETES = ("1.33", "1.37")
"""The oldest and the newest that the schemas are checked for."""
WITHOUT_SCHEMA = {"PodMonitor"}
"""Kinds that are not Kubernetes' own."""

Object = dict[str, Any]


def kustomize() -> Path:
    """The program; without it nothing here can be said, which in CI is a failure."""
    for found in (BIN / "kustomize", shutil.which("kustomize")):
        if found and Path(found).exists():
            return Path(found)
    if os.environ.get("CI") == "true":
        pytest.fail("there is no kustomize; run: make e2e-tools")
    pytest.skip("NOT TESTED: there is no kustomize; run: make e2e-tools")


def build(directory: Path) -> list[Object]:
    """Every object that kustomize makes."""
    done = subprocess.run([kustomize(), "build", directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def with_components(tmp_path: Path, overlay: str, *components: str) -> list[Object]:
    """What an overlay becomes with components, as a user's own kustomization would say it."""
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    mine = tmp_path / "mine"
    mine.mkdir()
    text = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "nri-netdev",
        "resources": [f"../manifests/{overlay}"],
        "components": [f"../manifests/components/{name}" for name in components],
    }
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return build(mine)


def the(kind: str, objects: list[Object], name: str = "") -> Object:
    """The one object of a kind."""
    (found,) = (x for x in objects if x["kind"] == kind and x["metadata"]["name"].startswith(name))
    return found


def container(objects: list[Object]) -> Object:
    """The daemon's container."""
    containers = the("DaemonSet", objects)["spec"]["template"]["spec"]["containers"]
    (found,) = (one for one in containers if one["name"] == "nri-netdev")
    return dict(found)


def check(objects: list[Object]) -> None:
    """Every object is what Kubernetes' schemas say, without unknown fields."""
    for version in KUBERNETES:
        for found in objects:
            if found["kind"] not in WITHOUT_SCHEMA:
                kubernetes_validate.validate(found, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_are_valid(overlay: str) -> None:
    """As they are, in one namespace."""
    objects = build(MANIFESTS / overlay)
    check(objects)
    kinds = {found["kind"] for found in objects}
    assert kinds == {"Namespace", "ServiceAccount", "PriorityClass", "ConfigMap", "DaemonSet"}
    cluster_wide = {"Namespace", "PriorityClass"}
    assert {x["metadata"].get("namespace") for x in objects if x["kind"] not in cluster_wide} == {"nri-netdev"}


def test_a_wrong_field_is_found() -> None:
    """The schemas are really asked."""
    objects = build(MANIFESTS / "base")
    container(objects)["securityContext"]["privileeged"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        check(objects)


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_on_each_overlay(component: str, tmp_path: Path) -> None:
    """They combine freely."""
    for overlay in OVERLAYS:
        check(with_components(tmp_path / overlay.replace("/", "-"), overlay, component))


def test_all_components_together(tmp_path: Path) -> None:
    """And with each other."""
    check(with_components(tmp_path, "overlays/crio", *COMPONENTS))


def test_the_new_daemon_is_there_before_the_old_one_goes(tmp_path: Path) -> None:
    """A surge, with no port of the host in its way; the new pod counts once it says itself that it is there."""
    objects = with_components(tmp_path, "base", *COMPONENTS)
    strategy = the("DaemonSet", objects)["spec"]["updateStrategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    found = container(objects)
    assert "ports" not in found
    program, command, *options = found["startupProbe"]["exec"]["command"]
    probe = cli.parser().parse_args([command, *options])
    (own,) = (address for address in ListenAddress.parse_all(health_of(found)) if address.path is not None)
    volumes = {volume["name"]: volume for volume in the("DaemonSet", objects)["spec"]["template"]["spec"]["volumes"]}
    (mount,) = (mount for mount in found["volumeMounts"] if Path(mount["mountPath"]) == own.path.parent)

    assert (program, probe.service) == ("nri-netdev", STARTUP)
    assert ListenAddress.parse(read_settings(probe).health) == own
    assert "emptyDir" in volumes[mount["name"]]


def health_of(found: Mapping[str, Any]) -> str:
    """The option `--health` of a container."""
    return next(argument.partition("=")[2] for argument in found["args"] if argument.startswith("--health="))


def test_no_rights_in_the_cluster() -> None:
    """No token, no role."""
    objects = build(MANIFESTS / "base")
    assert the("ServiceAccount", objects)["automountServiceAccountToken"] is False
    assert the("DaemonSet", objects)["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert not [x for x in objects if "Role" in x["kind"]]


def test_every_mount_has_its_volume_and_its_reason() -> None:
    """Nothing of the host is mounted that the comments do not explain."""
    spec = the("DaemonSet", build(MANIFESTS / "base"))["spec"]["template"]["spec"]
    mounts = {mount["name"] for mount in container(build(MANIFESTS / "base"))["volumeMounts"]}
    assert mounts == {volume["name"] for volume in spec["volumes"]}
    text = (MANIFESTS / "base" / "daemonset.yaml").read_text()
    for volume in spec["volumes"]:
        if "hostPath" in volume:
            assert re.search(rf"#[^\n]*\n        - name: {volume['name']}\n          hostPath", text), volume["name"]


def test_privilege_is_asked_for_where_propagation_needs_it(tmp_path: Path) -> None:
    """Kubernetes refuses Bidirectional to any other container, and the component asks for neither."""
    for objects in (build(MANIFESTS / "base"), with_components(tmp_path, "base", "unprivileged")):
        found = container(objects)
        is_bidirectional = any(m.get("mountPropagation") == "Bidirectional" for m in found["volumeMounts"])
        assert is_bidirectional == found["securityContext"]["privileged"]
    assert set(found["securityContext"]["capabilities"]["add"]) == {"NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "KILL"}


def test_what_an_overlay_sets_stays_without_privilege(tmp_path: Path) -> None:
    """The SELinux type is needed most by a container that is not privileged."""
    context = container(with_components(tmp_path, "overlays/crio", "unprivileged"))["securityContext"]
    assert (
        context["seLinuxOptions"] == container(build(MANIFESTS / "overlays/crio"))["securityContext"]["seLinuxOptions"]
    )
    assert context["privileged"] is False


def test_plugins_find_in_the_container_what_they_have_on_the_host(tmp_path: Path) -> None:
    """The component of IPAM plugins mounts programs and what they keep where the daemon and they look for them."""
    objects = with_components(tmp_path, "base", "ipam")
    before = {mount["name"] for mount in container(build(MANIFESTS / "base"))["volumeMounts"]}
    mounts = {mount["name"]: mount for mount in container(objects)["volumeMounts"] if mount["name"] not in before}
    volumes = the("DaemonSet", objects)["spec"]["template"]["spec"]["volumes"]
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in volumes if volume["name"] in mounts}
    assert {name: mount["mountPath"] for name, mount in mounts.items()} == paths
    assert paths == {
        "cni-bin": Settings().cni_path.partition(":")[0],
        "cni-state": "/var/lib/cni",
        "cni-run": "/run/cni",
    }
    assert [name for name, mount in mounts.items() if mount.get("readOnly")] == ["cni-bin"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_arguments_are_ours(overlay: str, tmp_path: Path) -> None:
    """The daemon understands each, also what the components add, and each probe asks a port that it listens on."""
    objects = with_components(tmp_path, overlay, "pod-monitor")
    found = container(objects)
    arguments = [argument.replace("$(POD_IP)", "192.0.2.1") for argument in found["args"]]
    options = cli.parser().parse_args(arguments)
    settings = read_settings(options)
    port = found["livenessProbe"]["grpc"]["port"]
    assert ListenAddress(host="192.0.2.1", port=port) in ListenAddress.parse_all(settings.health)
    assert found["readinessProbe"]["grpc"] == {"port": port, "service": "readiness"}
    relabelings = the("PodMonitor", objects)["spec"]["podMetricsEndpoints"][0]["relabelings"]
    ports = {rule["replacement"].rpartition(":")[2] for rule in relabelings if rule.get("targetLabel") == "__address__"}
    assert ports == {settings.metrics.rpartition(":")[2]}
    assert {mount["mountPath"] for mount in found["volumeMounts"]} >= {
        str(settings.socket.parent),
        str(settings.state_dir),
        str(settings.run_dir),
        str(DEFAULT_PATH.parent),
    }


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    """What the ConfigMap holds is read, under the name that the daemon looks for: defaults, and no rule."""
    data = the("ConfigMap", build(MANIFESTS / "base"))["data"]
    assert set(data) == {DEFAULT_PATH.name}
    path = tmp_path / "config.yaml"
    path.write_text(data["config.yaml"])
    assert Watched(path).load() == Settings()
    example = "".join(re.findall(r"^#   (.*\n)", data["config.yaml"], re.MULTILINE))
    path.write_text(example)
    assert len(Watched(path).load().policy.rules) == 1


def test_the_image_is_of_this_version() -> None:
    """The tag that `make image` gives."""
    assert container(build(MANIFESTS / "base"))["image"] == f"localhost/nri-netdev:{__version__}"


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("examples/*.yaml")), ids=lambda path: path.stem)
def test_examples(path: Path) -> None:
    """Valid pods, with annotations that are understood."""
    text = path.read_text()
    check(list(yaml.safe_load_all(text)))
    assert not validate_text(path.name, text)


def test_the_kustomization_of_the_operators_page(tmp_path: Path) -> None:
    """What people copy from docs/operators.md builds, with their image and their configuration in it."""
    page = (MANIFESTS.parent / "docs" / "operators.md").read_text()
    (text,) = (block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "kind: Kustomization" in block)
    file = tmp_path / re.match(r"# (\S+/kustomization.yaml)\n", text)[1]
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    file.parent.mkdir()
    file.write_text(text)
    (file.parent / "config.yaml").write_text("rules: [{namespaces: [a], interfaces: [ens1]}]\n")
    objects = build(file.parent)
    check(objects)
    assert container(objects)["image"] == f"registry.example/nri-netdev:{__version__}"
    assert the("ConfigMap", objects)["data"]["config.yaml"].startswith("rules: [{namespaces: [a]")


def test_the_pod_of_the_users_page() -> None:
    """The first thing that people copy is right."""
    page = (MANIFESTS.parent / "docs" / "users.md").read_text()
    text = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0]
    check([yaml.safe_load(text)])
    assert not validate_text("users.md", text)


def test_the_dashboard_shows_what_is_counted() -> None:
    """Every metric, and none that does not exist."""
    board = json.loads((MANIFESTS / "components" / "dashboard" / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    shown = {name.removesuffix("_bucket") for text in expressions for name in re.findall(r"nri_netdev_\w+", text)}
    assert shown == {metric.name for metric in METRICS}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_systemd_unit() -> None:
    """It runs a command that exists, keeps the pins and takes no namespace of its own."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(MANIFESTS / "systemd" / "nri-netdev.service")
    service = unit["Service"]
    cli.parser().parse_args(service["ExecStart"].split()[1:])
    assert service["RuntimeDirectoryPreserve"] == "yes"
    own_mounts = {"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateMounts", "PrivateDevices", "ReadWritePaths"}
    assert not own_mounts & set(service)
