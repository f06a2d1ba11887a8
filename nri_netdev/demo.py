"""`nri-netdev demo`: the main job, here and now, on a stand-in for a node that leaves nothing behind.

The node is a set of namespaces of its own - user (without root), mount, pid, network - so the kernel takes everything
away when the demonstration ends, however it ends. In it: a host interface, a pod's netns, an OCI bundle, the engine's
side of NRI from `nri_netdev.testing`, the real daemon, and a real OCI runtime where there is one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nri_netdev.errors import NriNetdevError
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.netns import OWN, open_netns
from nri_netdev.shells.rtnetlink import Rtnl, with_rtnl
from nri_netdev.testing import node
from nri_netdev.testing.engine import Engine
from nri_netdev.testing.runtime import (
    BuiltinRuntime,
    Runtime,
    bundle_config,
    find_busybox,
    find_runtime,
    make_bundle,
)

INTERFACE = "ens9"
INSIDE = "net1"
ADDRESSES = ("192.0.2.10/24", "2001:db8::10/64")
ANNOTATION = "nri-netdev.io/container.app"
VALUE = f"- interface: {INTERFACE}\n  name: {INSIDE}\n"
_DIRECTORY = "NRI_NETDEV_DEMO_DIRECTORY"
_IS_ROOT = "NRI_NETDEV_DEMO_IS_ROOT"
_TOOLS = Path(".cache", "e2e", "bin").resolve()
"""Where `make e2e-tools` leaves what it builds, in a clone of the project."""


def run(*, runtime: str | None = None) -> int:
    """Run the demonstration in namespaces of its own.

    Args:
        runtime: the OCI runtime to use; None for the first that is found.

    Returns:
        The exit status: 0 when the interface went in and came home.
    """
    if _DIRECTORY in os.environ:
        return asyncio.run(_demonstrate(Path(os.environ[_DIRECTORY]), runtime))
    is_root = os.geteuid() == 0
    flags = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = ["unshare", *([] if is_root else ["--user", "--map-root-user"]), *flags, "--"]
    command += [sys.executable, "-m", "nri_netdev", "demo", *(["--runtime", runtime] if runtime else [])]
    with tempfile.TemporaryDirectory(prefix="nri-netdev-demo-") as directory:
        environment = os.environ | {_DIRECTORY: directory, _IS_ROOT: str(int(is_root))}
        try:
            process = subprocess.Popen(command, env=environment)
        except FileNotFoundError as error:
            raise NriNetdevError("the demo needs the program unshare (Debian: util-linux)") from error
        status = _wait(process)
    if status and not is_root:
        print("Where the kernel allows no user namespaces, run the demo as root.", file=sys.stderr)
    return status


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the inner process; an interruption, which it gets too, gives it time to put away what it has made."""
    try:
        return process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
        return 130


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What the demonstration plays on."""

    directory: Path
    netns: Path
    socket: Path
    runtime: Runtime
    busybox: Path | None


async def _demonstrate(directory: Path, wanted: str | None) -> int:
    """Play, as the first process of namespaces of our own."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    node.mount_tmpfs(directory)
    busybox = find_busybox((_TOOLS,))
    found = find_runtime((_TOOLS,), wanted) if os.environ[_IS_ROOT] == "1" and busybox else None
    stage = _Stage(
        directory=directory,
        netns=node.add_netns(directory / "netns" / "demo-pod"),
        socket=directory / "nri.sock",
        runtime=found or BuiltinRuntime(),
        busybox=busybox,
    )
    node.add_interface(INTERFACE, ADDRESSES)
    _say(f"A node: its own namespaces, the host interface {INTERFACE}, a pod. Runtime: {stage.runtime.name}.")
    before = _show(stage)
    with _daemon(stage) as daemon:
        async with Engine(stage.socket, runtime_name="demo-engine", runtime_version="2.3.4") as engine:
            await engine.wait_plugin(timeout_s=20)
            _say(f"nri-netdev is registered with the engine's NRI socket (process {daemon.pid}).")
            await _play(stage, engine)
    if _ip(None) != before:
        _say(f"{INTERFACE} is NOT as it was.")
        return 1
    _say(f"{INTERFACE} is home, as it was.")
    return 0


async def _play(stage: _Stage, engine: Engine) -> None:
    """One container's life: created with its interface, run, killed."""
    network = nri_pb2.LinuxNamespace(type="network", path=str(stage.netns))
    pod = nri_pb2.PodSandbox(
        id="demo-pod",
        name="web",
        namespace="default",
        annotations={ANNOTATION: VALUE},
        linux=nri_pb2.LinuxPodSandbox(namespaces=[network]),
    )
    container = nri_pb2.Container(id=f"demo-{os.getppid()}", pod_sandbox_id=pod.id, name="app")
    await engine.run_pod_sandbox(pod)
    _say(f"The pod's annotation: {ANNOTATION}: {json.dumps(VALUE)}")
    adjustment = await engine.create_container(pod, container)
    devices = {name: {"name": device.name} for name, device in adjustment.linux.net_devices.items()}
    config = bundle_config(netns_path=str(stage.netns), container_id=container.id)
    config["linux"]["netDevices"] = devices
    bundle = make_bundle(stage.directory / "bundle", config, stage.busybox)
    _say(f"The plugin's answer, in the bundle's config.json: linux.netDevices = {json.dumps(devices)}")
    stage.runtime.create(container.id, bundle)
    try:
        await engine.start_container(pod, container)
        stage.runtime.start(container.id)
        _say("The container runs:")
        _show(stage)
    finally:
        stage.runtime.kill(container.id)
    _say("The container was killed; the runtime leaves the interface in the pod. The plugin brings it home:")
    await engine.stop_container(pod, container)
    await engine.remove_container(pod, container)
    await engine.stop_pod_sandbox(pod)
    _show(stage)


@contextmanager
def _daemon(stage: _Stage) -> Iterator[subprocess.Popen[bytes]]:
    """The real daemon, as its own process; its log is shown only if something fails."""
    directories = ["--state-dir", str(stage.directory / "state"), "--run-dir", str(stage.directory / "run")]
    log = stage.directory / "daemon.log"
    with log.open("wb") as stream:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "nri_netdev", "run", "--socket", str(stage.socket), *directories], stderr=stream
        )
    try:
        yield daemon
    except Exception:
        print(log.read_text(encoding="utf-8"), file=sys.stderr)
        raise
    finally:
        daemon.terminate()
        daemon.wait(timeout=15)


def _show(stage: _Stage) -> list[str]:
    """Print what the kernel shows on the host and in the pod; returns the host's lines."""
    host = _ip(None)
    for where, lines in (("host", host), ("pod", _ip(stage.netns))):
        for line in lines or ["(nothing but lo)"]:
            print(f"    {where:5} {line}")
    return host


def _ip(netns: Path | None) -> list[str]:
    """One line for each interface but the loopback and the cable's other end."""
    with open_netns(netns or OWN) as netns_fd:
        inventory = with_rtnl(netns_fd, Rtnl.inventory)
    return [
        f"{link.ifname:8} {'up' if link.is_up else 'down':5} {link.mac}  mtu {link.mtu}  "
        + " ".join(str(a) for a in inventory.addresses.get(link.ifindex, ()) if a.scope == 0)
        for link in inventory.links
        if not link.is_loopback and link.ifname != "cable"
    ]


def _say(text: str) -> None:
    print(f"- {text}", flush=True)
