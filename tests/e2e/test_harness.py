"""The harness itself, on real engines and OCI runtimes and without the daemon: other tests build on this."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nri_netdev.proto import nri_pb2
from nri_netdev.wire.session import EventKind, Request
from tests.e2e import cells
from tests.e2e.cells import Cell
from tests.e2e.conftest import MakeEngine
from tests.e2e.cri import Crictl, CriError
from tests.e2e.engine import NRI_SOCKET, Containerd, Engine
from tests.e2e.machine import CommandError, Machine
from tests.e2e.node import LAN, UPLINK, Node
from tests.e2e.plugin import Plugin, Refusal
from tests.e2e.wait import wait_until

ANNOTATION = {"nri-netdev.io/container.app": "- nic0"}


@pytest.mark.parametrize(
    ("environment", "is_matrix", "expected"),
    [
        ({}, False, [cells.DEFAULT]),
        ({}, True, list(cells.TESTED)),
        ({"ENGINE": "crio", "RUNTIME": "crun"}, False, [cells.cell("crio", "crun")]),
        ({"ENGINE": "crio"}, True, [cells.cell("crio", "runc")]),
        ({"ENGINE": "", "RUNTIME": ""}, False, [cells.DEFAULT]),
        ({"CELLS": "all"}, False, list(cells.ALL)),
    ],
)
def test_environment_chooses_cells(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_matrix: bool, expected: list[Cell]
) -> None:
    """A pair is named by ENGINE and RUNTIME, all of them by CELLS; else the marker `matrix` decides."""
    for name in ("ENGINE", "RUNTIME", "CELLS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert list(cells.chosen(is_matrix=is_matrix)) == expected


@pytest.mark.matrix
def test_runtime_tells_net_devices(cell: Cell) -> None:
    """The OCI runtime is the one that the cell stands for, and says of netDevices what is expected of it."""
    said = subprocess.run([cell.runtime.program, "features"], check=True, capture_output=True).stdout

    assert cell.runtime.name.partition("-")[2] in cell.runtime.version()
    known = json.loads(said)["linux"].get("netDevices") or {}
    assert known.get("enabled", False) == cell.runtime.tells_net_devices


@pytest.mark.matrix
def test_pod_runs(crictl: Crictl) -> None:
    """A pod's container runs, has eth0 with both families, and its output can be read."""
    pod = crictl.run_pod("web")
    container = crictl.run(pod, "app", ["sh", "-c", "echo hello; exec sleep 1000"])

    assert crictl.state(container) == "CONTAINER_RUNNING"
    assert re.search(r"eth0.*inet 10\.88\.", crictl.exec(container, ["ip", "addr"]), re.DOTALL)
    (eth0,) = crictl.ip_json(container, "addr", "show", "eth0")
    families = {info["family"] for info in eth0["addr_info"] if info["scope"] == "global"}
    assert families == {"inet", "inet6"}
    wait_until(lambda: crictl.logs(container) == "hello\n", timeout_s=5, what="the container's output")


@pytest.mark.matrix
def test_pod_reaches_node(crictl: Crictl, node: Node) -> None:
    """Packets pass between a pod and the node in both families: the network is real."""
    container = crictl.run(crictl.run_pod("web"), "app")

    for address in ("192.0.2.2", "2001:db8::2"):
        assert "1 packets received" in crictl.exec(container, ["ping", "-c1", "-w5", address])


@pytest.mark.matrix
def test_annotation_alone_does_nothing(crictl: Crictl, node: Node) -> None:
    """Without a plugin an annotated container runs, and the interface stays."""
    node.add_veth("nic0")
    before = node.link("nic0")
    container = crictl.run(crictl.run_pod("web", annotations=ANNOTATION), "app")

    assert [link["ifname"] for link in crictl.ip_json(container, "link")] == ["lo", "eth0"]
    assert node.link("nic0") == before


@pytest.mark.matrix
def test_same_name_again(crictl: Crictl) -> None:
    """A container that ended is created anew under its name, in the same pod, as the kubelet does."""
    pod = crictl.run_pod("web")
    first = crictl.run(pod, "app", ["true"])
    wait_until(lambda: crictl.state(first) == "CONTAINER_EXITED", timeout_s=5, what="the end of the container")
    second = crictl.run(pod, "app")

    assert crictl.inspect(second)["status"]["metadata"] == {"name": "app", "attempt": 1}
    assert crictl.state(second) == "CONTAINER_RUNNING"


@pytest.mark.matrix
def test_host_network(crictl: Crictl, node: Node) -> None:
    """A pod on the host's network sees the node's interfaces."""
    pod = crictl.run_pod("monitor", host_network=True)
    container = crictl.run(pod, "app")

    assert crictl.netns_path(pod) == ""
    assert UPLINK in {link["ifname"] for link in crictl.ip_json(container, "link")}


@pytest.mark.matrix
def test_refusal_is_told(cell: Cell, crictl: Crictl) -> None:
    """What the OCI runtime says of a container that it cannot run reaches the caller in clear."""
    pod = crictl.run_pod("web")
    says_why = cell.runtime.name != "youki"  # containerd reads its log as runc's, and finds nothing there

    with pytest.raises(CriError, match="/no/such/program.* not found|no such file" if says_why else "exit status"):
        crictl.run(pod, "app", ["/no/such/program"])


@pytest.mark.matrix
def test_pod_ends_in_steps(crictl: Crictl, engine: Engine) -> None:
    """Stopping and removing step by step leaves neither shim nor netns nor cgroup."""
    pod = crictl.run_pod("web")
    container = crictl.run(pod, "app")
    path = crictl.netns_path(pod)
    crictl.stop(container)

    assert crictl.state(container) == "CONTAINER_EXITED"
    crictl.remove(container)
    crictl.stop_pod(pod)
    crictl.remove_pod(pod)
    assert crictl.pods() == []
    assert not engine.machine.path(path).exists()
    wait_until(lambda: engine.leftovers() == [], timeout_s=5, what=lambda: str(engine.leftovers()))


@pytest.mark.matrix
def test_engine_restarts(crictl: Crictl, engine: Engine) -> None:
    """Containers outlive a restart and a kill of the engine, which finds them again."""
    container = crictl.run(crictl.run_pod("web"), "app")
    engine.restart()

    assert crictl.exec(container, ["echo", "here"]) == "here\n"
    engine.kill9()
    assert not engine.is_running()
    engine.start()
    assert crictl.exec(container, ["echo", "here"]) == "here\n"


@pytest.mark.matrix
def test_engines_side_by_side(engine: Engine, make_engine: MakeEngine) -> None:
    """Two engines run at once, each on its own machine with its own sockets at the same paths."""
    other = make_engine(nri_request_timeout_s=0.5)
    crictl = Crictl(other)
    container = crictl.run(crictl.run_pod("web"), "app")

    sockets = {(stat.st_dev, stat.st_ino) for stat in (e.machine.path(NRI_SOCKET).stat() for e in (engine, other))}
    assert len(sockets) == 2
    assert container not in {found["id"] for found in Crictl(engine).containers()}
    with Plugin(other.machine.path(other.nri_socket)) as plugin:
        assert plugin.configured is not None
        assert plugin.configured.request_timeout_ms == 500


@pytest.mark.matrix
def test_plugin_hears(crictl: Crictl, engine: Engine) -> None:
    """A plugin is told what runs already, and then of each step of a container's life."""
    pod = crictl.run_pod("web")
    early = crictl.run(pod, "early")
    with Plugin(engine.machine.path(engine.nri_socket)) as plugin:
        assert plugin.configured is not None
        assert plugin.configured.runtime_name == engine.runtime_name
        assert plugin.configured.runtime_version.removeprefix("v") == engine.version
        assert plugin.synchronized is not None
        assert [(found.id, found.name) for found in plugin.synchronized.containers] == [(early, "early")]
        container = crictl.run(pod, "app")
        crictl.stop(container)
        crictl.remove(container)
        (created, *_) = plugin.events
        kinds = plugin.kinds(container=container)

    assert (created.kind, created.pod.id, created.container.name) == (EventKind.CREATE_CONTAINER, pod, "app")
    assert kinds == [
        EventKind.CREATE_CONTAINER,
        EventKind.POST_CREATE_CONTAINER,
        EventKind.START_CONTAINER,
        EventKind.POST_START_CONTAINER,
        EventKind.STOP_CONTAINER,
        EventKind.REMOVE_CONTAINER,
    ]


@pytest.mark.matrix
def test_net_devices_without_us(cell: Cell, crictl: Crictl, engine: Engine, node: Node) -> None:
    """An interface that a plugin asks for moves by itself where engine and runtime know how; else nothing is said."""
    node.add_veth("nic0")
    adjust = nri_pb2.ContainerAdjustment()
    adjust.linux.net_devices["nic0"].name = "net1"
    answers = {EventKind.CREATE_CONTAINER: lambda _: nri_pb2.CreateContainerResponse(adjust=adjust)}
    with Plugin(engine.machine.path(engine.nri_socket), answers=answers) as plugin:
        container = crictl.run(crictl.run_pod("web"), "app")
        started = next(event for event in plugin.events if event.kind is EventKind.START_CONTAINER)

    inside = {link["ifname"] for link in crictl.ip_json(container, "link")} - {"lo", "eth0"}
    assert inside == ({"net1"} if cell.applies_net_devices else set())
    assert (node.link("nic0") is None) == cell.applies_net_devices
    assert ("nic0" in started.container.linux.net_devices) == engine.applies_net_devices


@pytest.mark.matrix
def test_start_refused(crictl: Crictl, engine: Engine) -> None:
    """A plugin's error from StartContainer stops the container, or the engine only logs it."""

    def refuse(_: Request) -> None:
        raise Refusal("no interface for you")

    with Plugin(engine.machine.path(engine.nri_socket), answers={EventKind.START_CONTAINER: refuse}):
        container = crictl.create(crictl.run_pod("web"), "app")
        if engine.tells_start_errors:
            with pytest.raises(CriError, match="no interface for you"):
                crictl.start(container)
        else:
            crictl.start(container)
            engine.wait_logged("no interface for you")

    assert (crictl.state(container) == "CONTAINER_RUNNING") != engine.tells_start_errors


@pytest.mark.matrix
def test_netns_at_pod_stop(crictl: Crictl, engine: Engine) -> None:
    """Whether a plugin can still reach the pod's netns when the pod is stopped is as the engine's class says."""
    reachable: list[bool] = []

    def look(event: Request) -> None:
        paths = [entry.path for entry in event.pod.linux.namespaces if entry.type == "network"]
        reachable.append(any(engine.machine.path(path).exists() for path in paths))

    with Plugin(engine.machine.path(engine.nri_socket), answers={EventKind.STOP_POD_SANDBOX: look}):
        pod = crictl.run_pod("web")
        crictl.run(pod, "app")
        crictl.stop_pod(pod)

    assert reachable == [engine.keeps_netns_for_stop]


@pytest.mark.matrix
def test_pod_from_before_engine_restart(crictl: Crictl, engine: Engine) -> None:
    """Whether a plugin hears of the end of a pod that is older than the engine's process is as its class says."""
    pod = crictl.run_pod("web")
    container = crictl.run(pod, "app")
    engine.restart()
    with Plugin(engine.machine.path(engine.nri_socket)) as plugin:
        assert plugin.synchronized is not None
        assert [found.id for found in plugin.synchronized.containers] == [container]
        crictl.delete_pod(pod)
        kinds = plugin.kinds()

    pod_events = {EventKind.STOP_POD_SANDBOX, EventKind.REMOVE_POD_SANDBOX}
    assert [kind for kind in kinds if kind not in pod_events] == [EventKind.STOP_CONTAINER, EventKind.REMOVE_CONTAINER]
    assert (pod_events <= set(kinds)) == engine.resends_pod_events


@pytest.mark.matrix
def test_required_plugin(make_engine: MakeEngine) -> None:
    """The engine's own validator refuses a container whose pod requires a plugin that is away, where it has one."""
    engine = make_engine(has_nri_validator=True)
    crictl = Crictl(engine)
    pod = crictl.run_pod("web", annotations={"required-plugins.noderesource.dev": "[ noter ]"})
    if engine.has_nri_validator:
        with pytest.raises(CriError, match="noter"):
            crictl.create(pod, "app")
    with Plugin(engine.machine.path(engine.nri_socket), name="noter"):
        assert crictl.run(pod, "app")


@pytest.mark.matrix
@pytest.mark.parametrize("moment", [EventKind.POST_CREATE_CONTAINER, EventKind.START_CONTAINER])
def test_start_prevented(crictl: Crictl, engine: Engine, moment: EventKind) -> None:
    """What surely keeps a container from starting: to kill its first process, and to answer once it is dead."""

    def kill(event: Request) -> None:
        if event.container.pid:  # containerd runs it only before StartContainer
            pid = event.container.pid
            wait = f"while grep -qs '^State:[[:space:]]*[^Z[:space:]]' /proc/{pid}/status; do :; done"
            engine.machine.run("sh", "-c", f"kill -KILL {pid}; {wait}")
        raise Refusal("no interface for you")

    pod = crictl.run_pod("web")
    with Plugin(
        engine.machine.path(engine.nri_socket), answers={moment: kill, EventKind.START_CONTAINER: kill}
    ) as plugin:
        container = crictl.create(pod, "app", ["sh", "-c", "echo ran; exec sleep 1000"])
        log = engine.machine.path(crictl.inspect(container)["status"]["logPath"])
        with pytest.raises(CriError, match=r"has stopped|not running|not in created state|no interface for you"):
            crictl.start(container)
        kinds = plugin.kinds(container=container)
        killed = [event for event in plugin.events if event.kind in {moment, EventKind.START_CONTAINER}]

    assert any(event.container.pid for event in killed)
    assert EventKind.STOP_CONTAINER in kinds
    assert EventKind.POST_START_CONTAINER not in kinds
    assert not log.exists() or "ran" not in log.read_text()


def test_node_has_interfaces(node: Node) -> None:
    """Each kind of interface that the kernel offers here can be made, with carrier where it has a cable."""
    node.add_veth("nic0", addresses=("198.51.100.1/24", "2001:db8:1::1/64"), mtu=1400)
    node.add_ifb("ifb7", is_up=False)
    node.add_macvlan("mac0")
    node.add_vxlan("vx0")
    node.add_bridge("br0")
    node.add_bridge_port("port0", bridge="br0")

    nic = node.link("nic0")
    assert nic is not None
    assert (nic["mtu"], nic["operstate"], nic["linkinfo"]["info_kind"]) == (1400, "UP", "veth")
    assert node.addresses("nic0") == ["198.51.100.1/24", "2001:db8:1::1/64"]
    assert node.link("port0")["master"] == "br0"
    assert node.link("nic0-peer", netns=LAN)["operstate"] == "UP"
    assert node.ip_json("route", "show", "default")[0]["dev"] == UPLINK


def test_node_is_clean_again(node: Node) -> None:
    """No interface of another test is to be seen."""
    assert [link["ifname"] for link in node.ip_json("link")] == ["lo", UPLINK]
    assert node.leftovers() == []


def test_daemon_is_run(node: Node) -> None:
    """A daemon runs on the node, can be waited for and killed, and finds the host as process 1's netns."""
    program = """
        import os, signal
        print(f"netns={os.readlink('/proc/self/ns/net')} host={os.readlink('/proc/1/ns/net')}", flush=True)
        print("event=registered", flush=True)
        signal.pause()
    """
    with node.daemon(program=(sys.executable, "-c", textwrap.dedent(program))) as daemon:
        (line,) = daemon.logged("netns=")
        own, host = (part.partition("=")[2] for part in line.split())

        assert own == host != os.readlink("/proc/self/ns/net")  # noqa: PTH115 - a magic link
        daemon.kill9()
        assert daemon.status() == -signal.SIGKILL


def test_daemon_that_ends_is_told(node: Node) -> None:
    """Waiting for a daemon that has ended fails at once, with what it said."""
    program = (sys.executable, "-c", "raise SystemExit('no such option')")

    with pytest.raises(AssertionError, match="no such option"), node.daemon(program=program):
        pass


def test_daemon_leaves_nothing_to_next_test(node: Node) -> None:
    """What a killed daemon left, state and pinned netns, is gone after the test."""
    script = """
        mkdir -p /var/lib/nri-netdev /run/nri-netdev/netns
        touch /var/lib/nri-netdev/ledger /run/nri-netdev/netns/pin
        mount --bind /run/netns/lan /run/nri-netdev/netns/pin
        echo registered
    """
    with node.daemon(program=("sh", "-ec", textwrap.dedent(script))) as daemon:
        assert daemon.wait_ended() == 0
    node.clean()

    assert "nri-netdev/netns" not in node.machine.run("cat", "/proc/self/mountinfo")
    assert not node.machine.path("/run/nri-netdev").exists()
    assert not node.machine.path("/var/lib/nri-netdev").exists()
    assert node.machine.path(f"/run/netns/{LAN}").exists()


def test_command_error_is_told(node: Node) -> None:
    """A command that fails inside raises with what it said."""
    with pytest.raises(CommandError, match=r'"nic9" does not exist'):
        node.ip("link", "show", "nic9")


def test_nothing_is_left(tmp_path: Path) -> None:
    """Closing a machine whose engine and pod still run ends them, and leaves nothing."""
    links = _machine_links()
    with Machine(tmp_path) as machine:
        engine = Containerd(machine)
        engine.start()
        crictl = Crictl(engine)
        crictl.run(crictl.run_pod("web"), "app")
        Node(machine).add_veth("nic0")
        cgroup = machine.cgroup
        assert machine.cgroups() != []

    assert not engine.is_running()
    assert list(Path("/sys/fs/cgroup").glob(f"**{cgroup}")) == []
    assert _machine_links() == links
    assert not Path("/run/netns", LAN).exists()


def test_killed_tests_leave_nothing(tmp_path: Path) -> None:
    """Killing the test process ends what runs on its machine."""
    program = f"""
        import os, pathlib, signal
        from tests.e2e.machine import Machine
        machine = Machine(pathlib.Path({str(tmp_path)!r}))
        print(machine.pid, machine.popen(["sleep", "1000"]).pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == -signal.SIGKILL
    paths = [Path("/proc", pid) for pid in done.stdout.split()]
    assert len(paths) == 2
    wait_until(
        lambda: not any(path.joinpath("ns/net").exists() for path in paths),
        timeout_s=10,
        what="the end of all",
    )


def _machine_links() -> list[str]:
    """Return the names of the real machine's interfaces."""
    return sorted(path.name for path in Path("/sys/class/net").iterdir())
