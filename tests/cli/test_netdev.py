"""`kubectl netdev`, with a stand-in for kubectl; with a real one it is tested in tests/kubernetes/test_plugin.py."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nri_netdev.cli import netdev
from tests.cli.test_shown import CLAIM
from tests.cli.test_status_page import DOCUMENT

ROOT = Path(__file__).parents[2]
KUBECTL = """#!{python} -IS
import json, pathlib, sys, time
here = pathlib.Path(__file__).parent
with open(here / "called", "a") as called:
    called.write(json.dumps(sys.argv[1:]) + "\\n")
words = [word for word in sys.argv[1:] if not word.startswith("--")]
name = "get" if words[0] == "get" else words[1]
found = json.loads((here / name).read_text())
if "--stdin" in sys.argv:
    (here / f"{{name}}.stdin").write_text(sys.stdin.read())
time.sleep(found["pause_s"])
sys.stdout.write(found["out"])
sys.stderr.write(found["err"])
sys.exit(found["status"])
"""
CHECK = {"topic": "kernel", "found": "6.12", "verdict": "ok", "advice": ""}
EXPLAINED: dict[str, Any] = {
    "pod": "-: Pod default/web",
    "container": "app",
    "asked": "entry 1",
    "steps": [],
    "verdict": "no",
}
EXPLAINED |= {"sets": [], "effects": []}


class Cluster:
    """What the stand-in answers, and what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._pods: list[dict[str, Any]] = []
        program = directory / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable))
        program.chmod(0o755)
        self._write("get", json.dumps({"items": []}))

    def _write(self, name: str, out: str, err: str = "", status: int = 0, *, pause_s: int = 0) -> None:
        document = {"out": out, "err": err, "status": status, "pause_s": pause_s}
        (self.directory / name).write_text(json.dumps(document))

    def refuse(self, err: str) -> None:
        self._write("get", "", err, 1)

    def pod(self, node: str, state: dict[str, Any] | None = None, *, name: str = "", **more: Any) -> str:
        """A daemon's pod on a node; by default its container runs and is ready."""
        name = name or f"pod-{node}"
        is_ready = state is None
        status = {"name": "nri-netdev", "ready": is_ready, "state": {"running": {}} if state is None else state}
        other = {"name": "events", "ready": True, "state": {"running": {}}}
        pod = {
            "metadata": {"namespace": "netdev", "name": name, **more},
            "spec": {"nodeName": node},
            "status": {"phase": "Pending", "containerStatuses": [other, status]},
        }
        self._pods.append(pod)
        self._write("get", json.dumps({"items": self._pods}))
        return name

    def says(self, node: str, document: Any, err: str = "", status: int = 0) -> None:
        """What a command in the pod of a node prints; kubectl adds how it ended."""
        out = "" if document is None else json.dumps(document)
        ended = f"command terminated with exit code {status}\n" if status else ""
        self._write(f"pod-{node}", out, err + ended, status)

    def prints(self, node: str, out: str, err: str = "", status: int = 0) -> None:
        """What a command prints for people."""
        self.says(node, None, err, status)
        found = json.loads((self.directory / f"pod-{node}").read_text())
        self._write(f"pod-{node}", out, found["err"], status)

    def hangs(self, node: str) -> None:
        """That a command in its pod does not end."""
        self._write(f"pod-{node}", "", "", 0, pause_s=30)

    def fails(self, node: str, err: str) -> None:
        """That kubectl cannot run the command."""
        self._write(f"pod-{node}", "", err, 1)

    @property
    def called(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.directory / "called").read_text().splitlines()]

    def stdin(self, node: str) -> str:
        return (self.directory / f"pod-{node}.stdin").read_text()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Cluster(tmp_path)


@pytest.fixture
def two(cluster: Cluster) -> Cluster:
    """A cluster of two nodes that hold an interface each."""
    for node, namespace in (("b", "shop"), ("a", "default")):
        cluster.pod(node)
        claim = {**CLAIM, "namespace": namespace, "holder": f"pod {namespace}/web"}
        cluster.says(node, [claim])
    return cluster


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    try:
        status = netdev.main([str(argument) for argument in arguments])
    except SystemExit as ended:
        status = int(ended.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_one_table_of_all_nodes(two: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of their names; asked in the container of the daemon."""
    status, out, err = run(capsys, "claims")
    head, *rows = [line.split() for line in out.splitlines()]

    assert (status, err) == (0, "")
    assert head[:3] == ["NODE", "INTERFACE", "STATE"]
    assert [row[:2] for row in rows] == [["a", "nic0"], ["b", "nic0"]]
    get, *execs = two.called
    assert get == ["get", "pods", "--all-namespaces", f"--selector={netdev.SELECTOR}", "--output=json"]
    command = ["--container=nri-netdev", "--", "nri-netdev", "claims", "--json"]
    assert sorted(execs) == [["exec", "--namespace=netdev", f"pod-{node}", *command] for node in "ab"]


def test_of_a_namespace(two: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """What its pods hold."""
    status, out, _ = run(capsys, "claims", "-n", "shop")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["b"]


@pytest.mark.parametrize("option", [("--json",), ("-o", "json")])
def test_for_programs(two: Cluster, capsys: pytest.CaptureFixture[str], option: tuple[str, ...]) -> None:
    """One list, each item with its node."""
    _, out, _ = run(capsys, "claims", *option)
    assert [(one["node"], one["namespace"]) for one in json.loads(out)] == [("a", "default"), ("b", "shop")]


def test_which_cluster(two: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """kubectl is told, each time, and where nri-netdev is."""
    run(capsys, "claims", "--context=c", "--kubeconfig=k", "--nri-netdev-namespace=netdev", "--node=a")
    assert [call[:2] for call in two.called] == [["--context=c", "--kubeconfig=k"]] * 2
    assert two.called[0][4] == "--namespace=netdev"


def test_a_node_that_fails_hides_no_other(two: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it is: it is told with its node, and the exit status is 1."""
    two.pod("c", {"waiting": {"reason": "CrashLoopBackOff"}})
    two.pod("d", {"terminated": {"exitCode": 1}})
    two.pod("e")
    two.fails("e", "error: container not found\n")
    two.pod("f")
    two.says("f", None, "nri-netdev: cannot open the ledger\nnri-netdev: it is damaged\n", 1)
    two.pod("g")
    two.says("g", None)
    status, out, err = run(capsys, "claims", *(f"--node={node}" for node in "abcdefgh"))

    assert status == 1
    assert len(out.splitlines()) == 3
    assert err.splitlines() == [
        "kubectl-netdev: node c: the daemon does not run: CrashLoopBackOff; see kubectl -n netdev describe pod pod-c",
        "kubectl-netdev: node d: the daemon does not run: Pending; see kubectl -n netdev describe pod pod-d",
        "kubectl-netdev: node e: kubectl exec into pod-e failed: error: container not found",
        "kubectl-netdev: node f: cannot open the ledger",
        "kubectl-netdev: node f: it is damaged",
        "kubectl-netdev: node g: it printed no document",
        "kubectl-netdev: node h: there is no pod of nri-netdev",
    ]


def test_while_one_pod_replaces_another(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """The one whose daemon is ready is asked; if none is, one that runs."""
    cluster.pod("a", {"waiting": {}}, name="new")
    cluster.pod("a", name="old", deletionTimestamp="now")
    cluster.pod("a")
    cluster.says("a", [])
    cluster.pod("b", {"waiting": {}}, name="other")
    cluster.pod("b", {"running": {}})
    cluster.says("b", [])
    assert run(capsys, "claims")[0] == 0


@pytest.mark.parametrize(("statuses", "status"), [((0, 0), 0), ((1, 0), 1), ((0, 2), 2), ((1, 2), 2), ((137, 0), 1)])
def test_exit_status(two: Cluster, capsys: pytest.CaptureFixture[str], statuses: tuple[int, int], status: int) -> None:
    """Yes if all say yes; misuse if one says so."""
    for node, each in zip("ab", statuses, strict=True):
        two.says(node, [], "", each)
    assert run(capsys, "doctor", "--json")[0] == status


def test_devices_by_name(two: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """With what giving them does, on each node that has them."""
    two.says("a", [{"ifname": "nic0", "free": True, "effects": ["its route goes"]}])
    two.says("b", None, 'nri-netdev: interface "nic0" is not on this node\n', 1)
    status, out, err = run(capsys, "devices", "nic0")
    assert status == 1
    assert out.splitlines()[-1] == "a: nic0: its route goes"
    assert 'node b: interface "nic0" is not on this node' in err
    assert two.called[1][-3:] == ["devices", "--json", "nic0"]


def test_pages(two: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """One for each node, below its name."""
    for node in "ab":
        two.says(node, [CHECK])
    _, out, _ = run(capsys, "doctor")
    assert out == "node a\nok      kernel  6.12\n\nnode b\nok      kernel  6.12\n"
    two.fails("a", "error: x")
    two.fails("b", "error: x")
    assert run(capsys, "doctor")[1] == ""


def test_explain(two: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Manifests go to every node on standard input; a pod by its name."""
    for node in "ab":
        two.says(node, [EXPLAINED], "", 1)
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"kind: {name}")
    status, out, _ = run(capsys, "explain", "-f", tmp_path / "one.yaml", "-f", tmp_path / "two.yaml")
    assert status == 1
    assert out.splitlines()[:3] == ["node a", "Pod default/web, container app, entry 1", "  no"]
    assert two.stdin("a") == two.stdin("b") == "kind: one\n---\nkind: two"
    assert two.called[1][-3:] == ["explain", "--json", "-"]
    run(capsys, "explain", "--pod", "default/web")
    assert two.called[-1][-1] == "--pod=default/web"


def test_release(two: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    """On one node, at this terminal; its exit status is that of the command."""
    assert run(capfd, "release", "nic0")[0] == 2
    two.says("a", ["what it prints"], "", 1)
    status, out, _ = run(capfd, "release", "nic0", "--yes", "--node", "a")
    assert (status, out) == (1, '["what it prints"]')
    assert two.called[-1] == [
        *("exec", "--namespace=netdev", "--stdin", "pod-a", "--container=nri-netdev", "--"),
        *("nri-netdev", "release", "--yes", "nic0"),
    ]
    status, _, err = run(capfd, "release", "nic0", "--node", "c")
    assert (status, err) == (1, "kubectl-netdev: node c: there is no pod of nri-netdev\n")


@pytest.mark.parametrize(("said", "status"), [(None, 1), ("n", 1), ("y", 0)])
def test_release_on_every_node(
    two: Cluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    said: str | None,
    status: int,
) -> None:
    """After one question, which says on how many nodes; none is asked before somebody agrees."""
    monkeypatch.setattr("sys.stdin", io.StringIO("" if said is None else f"{said}\n"))
    for node in "ab":
        two.prints(node, "nic0: held, pod shop/web\nnic0: released\n")
    found, out, err = run(capsys, "release", "--all", "--every-node")
    question = "Bring home everything on 2 of 2 nodes, whoever uses it now? [y/N] "
    page = "nic0: held, pod shop/web\nnic0: released"
    assert (found, out) == (status, f"{question}node a\n{page}\n\nnode b\n{page}\n" if status == 0 else question)
    assert err == ("nobody answers; say --yes\n" if said is None else "")
    assert len(two.called) == (3 if status == 0 else 1)
    assert all(call[-4:] == ["nri-netdev", "release", "--all", "--yes"] for call in two.called[1:])


def test_release_on_nodes_that_fail(two: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """A node that is dead, or has no daemon, or says no, keeps no other from it."""
    two.hangs("a")
    two.prints("b", "nic0: released\x1b[2J\n")
    two.pod("c")
    two.prints("c", "nic1: given up: it is lost\n", "a warning\x1b[2J\n", 1)
    two.pod("d", {"waiting": {"reason": "CrashLoopBackOff"}})
    status, out, err = run(capsys, "release", "--all", "--every-node", "--yes", "--timeout=2")
    assert status == 1
    assert out == "node b\nnic0: released\\x1b[2J\n\nnode c\nnic1: given up: it is lost\n"
    assert err.splitlines() == [
        "kubectl-netdev: node a: no answer within 2 s",
        "kubectl-netdev: node c: a warning\\x1b[2J",
        "kubectl-netdev: node d: the daemon does not run: CrashLoopBackOff; see kubectl -n netdev describe pod pod-d",
    ]


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        ("claims", [{key: value for key, value in CLAIM.items() if key != "share"}], [CLAIM]),
        ("claims", {"claims": [CLAIM]}, [CLAIM]),
        ("claims", [{**CLAIM, "troubles": None}], [CLAIM]),
        ("devices", [{"ifname": "nic0"}], [{"ifname": "nic0", "free": True}]),
        ("devices", [{"ifname": "nic0", "free": True, "effects": 7}], [{"ifname": "nic0", "free": True}]),
        ("doctor", [CHECK | {"verdict": "perhaps"}], [CHECK]),
        ("doctor", [CHECK | {"since": 7}], [CHECK]),
        ("doctor", [], [CHECK]),
        ("status", DOCUMENT | {"engine": {"name": "x"}}, DOCUMENT),
        ("status", DOCUMENT | {"claims": []}, DOCUMENT),
        ("status", DOCUMENT | {"latest": [{"at_s": 10**20, "event": "x"}]}, DOCUMENT),
        ("explain", [EXPLAINED | {"pod": None}], [EXPLAINED]),
    ],
)
def test_a_node_of_another_version_hides_no_other(
    two: Cluster, capsys: pytest.CaptureFixture[str], command: str, old: Any, new: Any
) -> None:
    """Whatever its document lacks, or has: that is told with its node, and the exit status is 1."""
    more = {"explain": ["--pod=a/b"], "devices": ["nic0"]}.get(command, [])
    two.says("a", old)
    two.says("b", new)
    status, out, err = run(capsys, command, *more)
    two.says("a", None)
    alone = run(capsys, command, *more)[1]
    assert (status, out) == (1, alone)
    assert out.startswith("node b\n") or out.splitlines()[1].startswith("b ")
    known = " (1.2)" if command == "status" else ""
    assert err.startswith(f"kubectl-netdev: node a: its document is of another version of nri-netdev{known} than this ")
    assert len(err.splitlines()) == 1


def test_a_node_of_another_version_for_programs(two: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Its items are shown as they are, if they are items."""
    two.says("a", [{"ifname": "nic0"}])
    assert [one["node"] for one in json.loads(run(capsys, "claims", "--json")[1])] == ["a", "b"]
    two.says("a", ["nic0"])
    status, out, err = run(capsys, "claims", "--json")
    assert (status, [one["node"] for one in json.loads(out)]) == (1, ["b"])
    assert "node a: its document is of another version" in err


EVIL = "a\x1b]0;b\udcff\u202e"
TAMED = r"a\x1b]0;b\udcff\u202e"


@pytest.mark.parametrize(
    ("command", "document"),
    [
        ("claims", [CLAIM | {"ifname_now": EVIL}]),
        ("devices", [{"ifname": EVIL, "free": True}]),
        ("devices", [{"ifname": "nic0", "free": True, "effects": [EVIL]}]),
        ("status", DOCUMENT | {"trouble": EVIL, "ready": False}),
        ("explain", [EXPLAINED | {"effects": [EVIL]}]),
        ("doctor", [CHECK | {"found": EVIL}]),
        ("doctor", [CHECK | {"advice": EVIL}]),
    ],
)
def test_no_pod_writes_to_the_terminal(
    two: Cluster, capsys: pytest.CaptureFixture[str], command: str, document: Any
) -> None:
    """What cannot be printed is escaped, on standard error too: a container may rename its interface to any bytes."""
    more = {"explain": ["--pod=a/b"], "devices": ["nic0"]}.get(command, [])
    two.says("a", document, f"nri-netdev: {EVIL[:-2]}\n")
    status, out, err = run(capsys, command, "--node=a", *more)
    assert (status, err) == (0, f"kubectl-netdev: node a: {TAMED[:-12]}\n")
    assert TAMED in out
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "required: command"),
        (("frobnicate",), "invalid choice"),
        (("explain",), "say -f FILE or --pod"),
        (("explain", "-f", "/none", "--pod", "a/b"), "say -f FILE or --pod"),
        (("explain", "-f", "/none"), "cannot read a manifest"),
        (("release", "nic0"), "--node NAME"),
        (("release", "--all", "--yes"), "--node NAME"),
        (("release", "--every-node", "--yes"), "--every-node goes with --all"),
        (("release", "--every-node", "--all", "--yes", "--node=a"), "neither with --node"),
        (("release", "--every-node", "--all", "--yes", "nic0"), "nor with an INTERFACE"),
    ],
)
def test_misuse(two: Cluster, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    """Is exit status 2."""
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_no_cluster(cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No nri-netdev, no rights, no kubectl, no patience."""
    said = [run(capsys, "status")[2]]
    cluster.refuse("Error from server (Forbidden): pods is forbidden\n")
    said.append(run(capsys, "status")[2])
    (cluster.directory / "kubectl").write_text("#!/bin/sh\nexec sleep 30\n")
    said.append(run(capsys, "status", "--timeout=0.05")[2])
    monkeypatch.setenv("PATH", "/none")
    said.append(run(capsys, "status")[2])
    assert [text.removeprefix("kubectl-netdev: ").partition(":")[0] for text in said] == [
        "no pod has the labels app.kubernetes.io/name=nri-netdev,app.kubernetes.io/component=daemon",
        "cannot list the pods of nri-netdev",
        "no answer within 0.05 s\n",
        "cannot run kubectl",
    ]


@pytest.fixture
def single_file(tmp_path: Path) -> Path:
    return written(tmp_path / "kubectl-netdev")


def written(target: Path) -> Path:
    subprocess.run([sys.executable, ROOT / "image" / "kubectl_netdev.py", target], check=True, capture_output=True)
    return target


def test_as_a_single_file(two: Cluster, single_file: Path) -> None:
    """It runs without any package, under the name by which kubectl finds it, and is small."""
    command = [sys.executable, "-I", "-S", single_file, "claims", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=True)
    assert [one["node"] for one in json.loads(done.stdout)] == ["a", "b"]
    assert os.access(single_file, os.X_OK)
    assert single_file.stat().st_size < 40_000


def test_the_single_file_is_the_same_each_time(single_file: Path, tmp_path: Path) -> None:
    """In bytes, and whatever the dates of its sources."""
    again = written(tmp_path / "again")
    assert again.read_bytes() == single_file.read_bytes()
    with zipfile.ZipFile(again) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_single_file_on_an_older_python(single_file: Path) -> None:
    """Says what it needs: what runs first is read by any Python 3, and looks at the version before anything else."""
    with zipfile.ZipFile(single_file) as archive:
        ast.parse(archive.read("__main__.py"), feature_version=(3, 4))
    code = "import runpy, sys; sys.version_info = (3, 10, 1); runpy.run_path(sys.argv[1], run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code, single_file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("kubectl-netdev: it needs Python 3.11 or newer, and python3 is 3.10; ")
