"""A real process in a real netns dies, and the engine says nothing: the real daemon brings its interface home."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from nri_netdev.proto import nri_pb2
from nri_netdev.testing.engine import Engine
from tests.daemon.node import KEY, on_loop, until
from tests.shells.conftest import Net, home, nets

__all__ = ["home", "nets"]

pytestmark = pytest.mark.root

SOON_S = 2.0
"""How soon an interface is home at the latest: twice as long as promised, for a busy machine."""
PATIENCE_S = 30.0
"""How long the engine waits for an answer, so that load refuses nothing."""
CONFIG = """
socket: {0}/nri.sock
state_dir: {0}/state
run_dir: {0}/run
rules: [{{namespaces: [default], interfaces: [nic0, nic1]}}]
"""


class Host:
    """A host with two interfaces, and what runs on it."""

    def __init__(self, directory: Path, home: Net, nets: Callable[[], Net]) -> None:
        self.directory = directory
        self.home = home
        self._nets = nets
        self._processes = contextlib.ExitStack()
        (directory / "config.yaml").write_text(CONFIG.format(directory), encoding="utf-8")
        for number in range(2):
            home.ip(f"link add nic{number} type veth peer name peer{number}")
            home.ip(f"address add 192.0.2.{number + 1}/24 dev nic{number}")
            home.ip(f"link set peer{number} up")
            home.ip(f"link set nic{number} up")

    def engine(self) -> Engine:
        return Engine(self.directory / "nri.sock", runtime_name="containerd", request_timeout_s=PATIENCE_S)

    def pod(self, pod_id: str, value: str = "- {interface: nic0, name: net1}") -> tuple[nri_pb2.PodSandbox, Net]:
        net = self._nets()
        pod = nri_pb2.PodSandbox(id=pod_id, name=pod_id, namespace="default", uid=pod_id, annotations={KEY: value})
        pod.linux.namespaces.add(type="network", path=net.path)
        return pod, net

    def process(self, *command: str) -> subprocess.Popen[bytes]:
        """A process of this host, which nobody waits for before the end of the test: dead, it is a zombie."""
        process = self._processes.enter_context(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        self._processes.callback(process.kill)
        return process

    def daemon(self) -> subprocess.Popen[bytes]:
        """The daemon; its mounts are its own."""
        command = (sys.executable, "-m", "nri_netdev", "run", "--config", str(self.directory / "config.yaml"))
        return self.process("nsenter", f"--net={self.home.path}", "unshare", "--mount", "--", *command)

    @contextlib.asynccontextmanager
    async def serving(self, engine: Engine) -> AsyncIterator[subprocess.Popen[bytes]]:
        """A daemon that the engine knows."""
        daemon = self.daemon()
        try:
            await engine.wait_plugin(timeout_s=20)
            yield daemon
        finally:
            daemon.terminate()
            await asyncio.to_thread(daemon.wait)

    async def run(self, engine: Engine, pod: nri_pb2.PodSandbox, net: Net, *command: str) -> nri_pb2.Container:
        """Run a container in a pod: its first process waits, the daemon moves the interface in."""
        number = len(engine.containers) + 1
        container = nri_pb2.Container(id=f"{pod.id}-{number}", pod_sandbox_id=pod.id, name="app")
        await engine.create_container(pod, container)
        process = self.process("nsenter", f"--net={net.path}", *(command or ("sleep", "600")))
        await until(lambda: os.stat(f"/proc/{process.pid}/ns/net").st_ino == os.fstat(net.fd).st_ino)  # noqa: PTH116
        container.pid = process.pid
        await engine.start_container(pod, container)
        assert "net1" in net.names()
        return container

    def links(self) -> dict[str, list[str]]:
        """What `ip` shows: the interfaces that are up, and their alternative names."""
        links = self.home.ip_json("link show up")
        return {link["ifname"]: link.get("altnames", []) for link in links if link.get("ifname") in {"nic0", "nic1"}}

    async def comes_home(self) -> None:
        """Wait until the host is as it was, without a mark, and assert that this is soon."""
        begin_s = time.monotonic()
        await until(lambda: self.links() == {"nic0": [], "nic1": []})
        assert time.monotonic() - begin_s < SOON_S

    def close(self) -> None:
        self._processes.close()


def kill(pid: int) -> None:
    """Kill a child, and leave it a zombie."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture(name="host")
def _host(tmp_path: Path, home: Net, nets: Callable[[], Net]) -> Iterator[Host]:
    host = Host(tmp_path, home, nets)
    yield host
    host.close()


@on_loop
async def test_a_process_dies_and_the_engine_says_nothing(host: Host) -> None:
    """Home within a second, though nobody has waited for the process; what the engine says later finds nothing."""
    pod, net = host.pod("one")
    async with host.engine() as engine, host.serving(engine):
        container = await host.run(engine, pod, net)
        kill(container.pid)
        await host.comes_home()
        await engine.stop_container(pod, container)
        assert host.links() == {"nic0": [], "nic1": []}


@on_loop
async def test_time_after_time(host: Host) -> None:
    """A container that crashes is created again, the engine being late each time; the daemon keeps no file open."""
    pod, net = host.pod("one")
    async with host.engine() as engine, host.serving(engine) as daemon:
        open_files = []
        for _ in range(6):
            container = await host.run(engine, pod, net)
            kill(container.pid)
            await host.comes_home()
            await engine.stop_container(pod, container)
            await until(lambda: not list((host.directory / "run" / "netns").iterdir()))
            open_files.append(sum(1 for fd in fds(daemon.pid) if not fd.startswith("ledger.db")))
        assert open_files[1:] == open_files[:1] * 5


def fds(pid: int) -> list[str]:
    """The names of a process's open files."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(entry.readlink().name)
    return found


@on_loop
async def test_others_live_on_in_the_netns(host: Host) -> None:
    """The first process ends, a child of it does not: as in a shared pid namespace, the container has ended."""
    pod, net = host.pod("one")
    async with host.engine() as engine, host.serving(engine):
        container = await host.run(engine, pod, net, "sh", "-c", "sleep 600 & wait")
        await until(lambda: children(container.pid))
        (child,) = children(container.pid)
        kill(container.pid)
        try:
            await host.comes_home()
            os.kill(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)


def children(pid: int) -> list[int]:
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@on_loop
async def test_while_the_engine_is_gone(host: Host) -> None:
    """It has hung up, and the daemon brings home what it has given all the same."""
    pod, net = host.pod("one")
    async with contextlib.AsyncExitStack() as stack:
        async with host.engine() as engine:
            await stack.enter_async_context(host.serving(engine))
            container = await host.run(engine, pod, net)
        kill(container.pid)
        await host.comes_home()


@on_loop
async def test_while_the_engine_is_gone_and_the_daemon_is_new(host: Host) -> None:
    """It knows the process from the ledger, and sees that it is in the pod's netns."""
    pod, net = host.pod("one")
    async with host.engine() as engine, host.serving(engine) as daemon:
        container = await host.run(engine, pod, net)
        daemon.kill()
        await asyncio.to_thread(daemon.wait)
    daemon = host.daemon()
    await until(lambda: is_watched(daemon.pid, container.pid))
    kill(container.pid)
    await host.comes_home()


def is_watched(watcher: int, pid: int) -> bool:
    """Whether a process has a pidfd of another."""
    with contextlib.suppress(OSError):
        for info in Path(f"/proc/{watcher}/fdinfo").iterdir():
            if f"\nPid:\t{pid}\n" in info.read_text():
                return True
    return False


@on_loop
async def test_it_dies_while_no_daemon_runs(host: Host) -> None:
    """The next one learns from the engine's list, which still has it, that its process is gone."""
    pod, net = host.pod("one")
    async with host.engine() as engine:
        async with host.serving(engine) as daemon:
            container = await host.run(engine, pod, net)
            daemon.kill()
        kill(container.pid)
        await until(lambda: not engine.plugins)
        async with host.serving(engine):
            await host.comes_home()


@pytest.mark.parametrize("by", ["interface", "mac"])
def test_another_pod_is_not_kept_waiting(host: Host, by: str) -> None:
    """Its container is created at once after the death, and gets the interface, asked for by name or by selector."""
    what = {"interface": "nic0", "mac": host.home.ip_json("link show nic0")[0]["address"]}[by]

    @on_loop
    async def check(host: Host) -> None:
        pod, net = host.pod("one")
        other, other_net = host.pod("two", f'- {{{by}: "{what}", name: net1}}')
        async with host.engine() as engine, host.serving(engine):
            container = await host.run(engine, pod, net)
            kill(container.pid)
            await host.run(engine, other, other_net)
            assert "net1" not in net.names()

    check(host)


@on_loop
async def test_a_way_home_that_takes_long_delays_nobody_else(host: Host) -> None:
    """While ten thousand routes are put back, the engine has its answer, and another pod is served."""
    routes = "".join(f"route add 10.{n >> 8}.{n & 255}.0/24 via 192.0.2.9\n" for n in range(10_000))
    (host.directory / "routes").write_text(routes, encoding="utf-8")
    host.home.ip(f"-batch {host.directory / 'routes'}")
    pod, net = host.pod("one")
    other, _ = host.pod("other", "- {interface: nic1, name: net1}")
    created = nri_pb2.Container(id="other-1", pod_sandbox_id=other.id, name="app")
    async with host.engine() as engine, host.serving(engine):
        container = await host.run(engine, pod, net)
        await engine.stop_container(pod, container)
        await engine.create_container(other, created)
        assert host.links().get("nic0") != []  # not yet home, or not yet whole
        await until(lambda: host.links().get("nic0") == [])
        assert host.home.ip("route show").count("via 192.0.2.9 dev nic0") == 10_000
