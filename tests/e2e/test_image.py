"""The image and the manifests together: the daemon as the pod of its DaemonSet, on a real engine, for other pods."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from nri_netdev import __version__
from tests.e2e import test_custody, tools
from tests.e2e.cells import Cell
from tests.e2e.conftest import _require
from tests.e2e.container_image import ARCHIVE, IMAGE, ROOT
from tests.e2e.cri import Crictl, CriError
from tests.e2e.crio import Crio
from tests.e2e.engine import Engine
from tests.e2e.fewer_capabilities import write_wrapper
from tests.e2e.kubelet import DaemonSet, kustomize
from tests.e2e.machine import Machine
from tests.e2e.node import EVERYTHING, Node
from tests.e2e.toolbox import MissingError
from tests.e2e.wait import wait_until

NAME = f"localhost/nri-netdev:{__version__}"
KEY = "nri-netdev.io/container.app"
NODE_IP = "192.0.2.2"
CONFIG = 'rules: [{namespaces: ["*"], interfaces: [{interface: "nic*"}]}]'
"""In the place of the manifest's, which gives nothing."""
LIMIT_BYTES = 120 * 10**6
ADDRESSES = ["198.51.100.7/24", "2001:db8:7::7/64"]


@pytest.fixture(scope="module", name="archive")
def _archive() -> Path:
    """The image, built if anything in it has changed."""
    _require(tools.missing(tools.MANIFESTS))
    try:
        IMAGE.ensure()
    except MissingError as error:
        _require([str(error)])
    return ARCHIVE


@pytest.fixture(name="engine")
def _engine(cell: Cell, archive: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine with the image, on a machine whose mounts are shared, as systemd makes them."""
    directory = tmp_path / "machine"
    directory.mkdir()
    with Machine(directory) as machine:
        handlers = cell.handlers()
        if cell.engine is Crio:
            handlers = {name: write_wrapper(machine, program) for name, program in handlers.items()}
        with cell.engine(machine, handlers=handlers) as engine:
            machine.run("mount", "--make-rshared", "/")
            engine.load_image(archive, NAME)
            yield engine


@pytest.fixture(name="node")
def _node(engine: Engine) -> Node:
    return Node(engine.machine)


Install = Callable[..., DaemonSet]


@pytest.fixture(name="install")
def _install(engine: Engine, node: Node, tmp_path: Path) -> Iterator[Install]:
    """Give a function that runs the DaemonSet of an overlay, with components."""
    running: list[DaemonSet] = []

    def install(overlay: str = "base", *components: str) -> DaemonSet:
        directory = tmp_path / f"kustomization-{len(running)}"
        shutil.copytree(ROOT / "manifests", directory / "manifests")
        config = directory / "manifests" / "base" / "config.yaml"
        config.write_text(f"{config.read_text()}{EVERYTHING}")
        lines = ["resources:", f"  - manifests/{overlay}", "namespace: nri-netdev"]
        if components:
            lines += ["components:", *(f"  - manifests/components/{name}" for name in components)]
        (directory / "kustomization.yaml").write_text("\n".join(lines))
        daemon = DaemonSet(engine, kustomize(directory), node_ip=NODE_IP, config=CONFIG)
        running.append(daemon)
        if "unprivileged" in components:
            _require(tools.missing(("crun",)))
        daemon.start(handler="crun" if "unprivileged" in components else "")  # our runc has no seccomp
        daemon.wait_ready()
        return daemon

    yield install
    for daemon in running:
        print(f"--- log of the daemon\n{daemon.log_text()}---")


def is_home(node: Node, name: str = "nic0") -> bool:
    """Whether an interface is on the host as it was, without a mark."""
    link = node.link(name)
    return link is not None and node.addresses(name) == sorted(ADDRESSES) and not link.get("altnames")


def pins(node: Node) -> list[str]:
    """What is pinned, as the host sees it."""
    return re.findall(r" (/run/nri-netdev/netns/\S+) ", node.machine.run("cat", "/proc/self/mountinfo"))


def inside(crictl: Crictl, container: str) -> tuple[int, set[str], set[str]]:
    """What a container has of net1: its index, its flags and its addresses."""
    (link,) = crictl.ip_json(container, "addr", "show", "net1")
    return link["ifindex"], set(link["flags"]), {info["local"] for info in link["addr_info"]}


def test_the_image(archive: Path) -> None:
    """Labels, a bill of materials, under the limit, and no compiler in it."""
    with tarfile.open(archive) as image:
        manifest = json.loads(image.extractfile("manifest.json").read())[0]
        config = json.loads(image.extractfile(manifest["Config"]).read())["config"]
        programs, bills = set(), []
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=image.extractfile(layer)) as tar:
                for member in tar:
                    if Path(member.name).parent.name in {"bin", "sbin"}:
                        programs.add(Path(member.name).name)
                    if member.name.endswith("sbom.cdx.json"):
                        bills.append(json.loads(tar.extractfile(member).read()))
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items() if "opencontainers" in key}

    assert manifest["RepoTags"] == [NAME]
    assert config["Entrypoint"] == ["nri-netdev"]
    assert labels["version"] == __version__
    assert labels["licenses"] == "Apache-2.0"
    assert "nri-netdev" in programs
    assert not programs & {"gcc", "cc", "cc1", "clang", "make", "pip", "pip3"}
    (bill,) = bills
    assert (bill["bomFormat"], bill["specVersion"][:2]) == ("CycloneDX", "1.")
    parts = {part["name"]: part["purl"] for part in bill["components"] if "purl" in part}
    assert {"nri-netdev", "grpcio", "pyroute2", "protobuf"} <= {part["name"] for part in bill["components"]}
    assert parts["grpcio"].startswith("pkg:pypi/grpcio@")
    assert all(parts[name].startswith(f"pkg:deb/debian/{name}@") for name in ("libc6", "python3"))
    references = [part["bom-ref"] for part in bill["components"]]
    assert len(references) == len(set(references))
    packed = subprocess.run(["gzip", "--stdout", archive], check=True, capture_output=True).stdout
    assert len(packed) < LIMIT_BYTES


@pytest.mark.matrix
@pytest.mark.parametrize("components", [(), ("unprivileged",)], ids=["base", "unprivileged"])
def test_it_does_the_main_job(install: Install, node: Node, engine: Engine, components: tuple[str, ...]) -> None:
    """With exactly the manifest's security context and mounts: there, home, there again, home again."""
    daemon = install("base", *components)
    crictl = Crictl(engine)
    node.add_veth("nic0", addresses=ADDRESSES)
    for _ in range(2):
        pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
        container = crictl.run(pod, "app")
        (link,) = crictl.ip_json(container, "addr", "show", "net1")
        assert "UP" in link["flags"]
        assert {"198.51.100.7", "2001:db8:7::7"} <= {info["local"] for info in link["addr_info"]}
        assert node.link("nic0") is None
        crictl.delete_pod(pod)
        wait_until(lambda: is_home(node), timeout_s=10, what=lambda: f"nic0 at home:\n{daemon.log_text()}")
    assert pins(node) == []


def test_its_privileges_are_those_of_the_manifest(install: Install, engine: Engine) -> None:
    """The process of the unprivileged component has four capabilities, no more, and cannot gain others."""
    status = install("base", "unprivileged").status_of_process()
    net_admin, kill, sys_ptrace, sys_admin = 12, 5, 19, 21
    assert int(status["CapEff"], 16) == sum(1 << bit for bit in (net_admin, kill, sys_ptrace, sys_admin))
    assert status["NoNewPrivs"] == "1"
    if engine.name != "crio":  # ours is built without
        assert status["Seccomp"] == "2"


def test_it_refuses_with_a_reason(install: Install, node: Node, engine: Engine) -> None:
    """What reaches the pod's events, and the operator's page."""
    daemon = install()
    crictl = Crictl(engine)
    with pytest.raises(CriError, match=r"pod default/web, container app: .*nic9.* is not on this node"):
        crictl.run(crictl.run_pod("web", annotations={KEY: "- nic9"}), "app")
    with pytest.raises(CriError):
        daemon.exec("nri-netdev", "health", "--health", f"{NODE_IP}:1")
    page = daemon.exec("nri-netdev", "status")
    assert re.search(r"^ready +yes, since ", page, re.MULTILINE)
    assert re.search(r"^refused +1 absent$", page, re.MULTILINE)
    assert daemon.probe("livenessProbe")


CUSTODY: tuple[tuple[Callable[..., None], Sequence[Mapping[str, str]]], ...] = (
    (
        test_custody.test_however_it_ends_everything_comes_home,
        [{"ending": how, "kind": "veth"} for how in test_custody.ENDINGS],
    ),
    (
        test_custody.test_a_container_that_ends_by_itself,
        [{"how": how} for how in ("exits", "is killed", "runs out of memory")],
    ),
    (test_custody.test_a_failed_create_is_undone_by_the_next, [{}]),
    (test_custody.test_whatever_was_done_to_it_inside, [{"sabotage": what} for what in test_custody.SABOTAGE]),
    (test_custody.test_moved_on_into_a_netns_of_its_own, [{}]),
    (test_custody.test_containers_that_end_while_the_engine_is_down, [{}]),
)
"""Tests of a daemon on the host that ask nothing of it as a process, and what they are asked with."""


def test_custody_by_the_pod(install: Install, node: Node, engine: Engine) -> None:
    """Other pods' interfaces come home to the daemon in its pod as they do to one on the host: the same tests."""
    given = {"daemon": install(), "node": node, "crictl": Crictl(engine), "engine": engine}
    for test, cases in CUSTODY:
        asked = {name: given[name] for name in inspect.signature(test).parameters if name in given}
        for case in cases:
            print(f"--- {test.__name__} {' '.join(case.values())}")
            test(**asked, **case)
            node.ip("link", "del", "nic0")
            test_custody.remove_rules(node)


@pytest.mark.matrix
def test_replacing_the_pod_disturbs_nobody(install: Install, node: Node, engine: Engine) -> None:
    """An upgrade: the container runs on with its interface, and it comes home to the new daemon."""
    old = install()
    crictl = Crictl(engine)
    node.add_veth("nic0", addresses=ADDRESSES)
    pod = crictl.run_pod("web", annotations={KEY: "- {interface: nic0, name: net1}"})
    container = crictl.run(pod, "app")
    before = (crictl.inspect(container)["info"]["pid"], inside(crictl, container))
    old.delete()
    assert not old.probe("livenessProbe")
    new = install()
    after = (crictl.inspect(container)["info"]["pid"], inside(crictl, container))

    assert before == after
    assert "held" in new.exec("nri-netdev", "claims")
    crictl.delete_pod(pod)
    wait_until(lambda: is_home(node), timeout_s=10, what=lambda: f"nic0 at home:\n{new.log_text()}")


def test_a_pod_deleted_while_no_daemon_is_there(install: Install, node: Node, engine: Engine) -> None:
    """The pin outlives the daemon's container, so a virtual interface does too; the next daemon brings it home."""
    old = install()
    crictl = Crictl(engine)
    node.add_veth("nic0", addresses=ADDRESSES)
    pod = crictl.run_pod("web", annotations={KEY: "- nic0"})
    crictl.run(pod, "app")
    old.kill9()
    old.delete()
    crictl.delete_pod(pod)
    assert node.link("nic0") is None
    assert len(pins(node)) == 1
    new = install()
    wait_until(lambda: is_home(node), timeout_s=10, what=lambda: f"nic0 at home:\n{new.log_text()}")
    wait_until(lambda: pins(node) == [], timeout_s=10, what="no pin is left")


def test_removal_returns_everything_first(install: Install, node: Node, engine: Engine) -> None:
    """As docs/operators.md has it: out of a container that runs; then the daemon goes, and nothing is left."""
    daemon = install()
    crictl = Crictl(engine)
    node.add_veth("nic0", addresses=ADDRESSES)
    crictl.run(crictl.run_pod("web", annotations={KEY: "- nic0"}), "app")
    said = daemon.exec("nri-netdev", "release", "--all", "--yes")
    assert said.splitlines()[-1] == "nic0: released"
    assert is_home(node)
    daemon.delete()
    assert pins(node) == []


def test_the_doctor_in_the_pod(install: Install, engine: Engine) -> None:
    """Finds nothing to change in what the manifest asks for, and reads the engine's file on the host."""
    findings = json.loads(install().exec("nri-netdev", "doctor", "--json"))
    assert {finding["verdict"] for finding in findings} <= {"ok", "note"}
    (config,) = [finding for finding in findings if finding["topic"] == "engine config"]
    assert config["verdict"] == "ok"
    assert config["found"].startswith(f"{engine.config_path}: ")


def test_metrics_of_the_pod(install: Install, node: Node, engine: Engine) -> None:
    """The component opens the port that its PodMonitor names, and memory stays within the request."""
    daemon = install("overlays/containerd", "pod-monitor")
    program = "import sys, urllib.request as u; sys.stdout.write(u.urlopen(sys.argv[1], timeout=9).read().decode())"
    text = engine.machine.run("python3", "-c", program, f"http://{NODE_IP}:9809/metrics")
    resident = float(re.search(r"^process_resident_memory_bytes (\S+)$", text, re.MULTILINE)[1])

    assert "nri_netdev_ready 1.0" in text
    assert resident < 56 << 20 < daemon.requested_bytes


def test_it_takes_over_from_the_go_plugin(install: Install, node: Node, engine: Engine) -> None:
    """The overlay has its name and index, and its annotations work."""
    daemon = install("overlays/drop-in")
    assert "plugin=device-injector index=10" in daemon.log_text()
    crictl = Crictl(engine)
    node.add_veth("nic0", addresses=ADDRESSES)
    key = "network-devices.noderesource.dev/container.app"
    pod = crictl.run_pod("web", annotations={key: "- {hostIf: nic0}"})
    crictl.run(pod, "app")
    assert node.link("nic0") is None
