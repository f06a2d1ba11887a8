"""`nri-netdev demo`: give an interface to a container and bring it home, on a stand-in for a node.

The stand-in is a set of new namespaces - user (without root), mount, pid, network - so the kernel removes everything
when the demonstration ends, however it ends. In it are a host interface, a pod's netns, an OCI bundle, the engine's
side of NRI from `nri_netdev.testing`, the real daemon, and a real OCI runtime if one is found.

There are three processes. The outer one heeds signals and waits. Its child, the keeper, makes the namespaces and
removes the directory and the cgroup when they have ended, whatever became of the outer one. The inner one
(`python -m nri_netdev.cli.demo`) is their first process and runs the steps. A pipe joins it to the outer one: when that
closes its end or dies, the inner one exits, and the kernel ends every other process in the namespaces with it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nri_netdev.errors import ConfigurationError, KernelError, NriNetdevError
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.kernel.netns import OWN, open_netns
from nri_netdev.shells.kernel.rtnetlink import inventory_of, with_rtnl
from nri_netdev.testing import node
from nri_netdev.testing.engine import Engine
from nri_netdev.testing.runtime import (
    SLEEP,
    BuiltinRuntime,
    OciRuntime,
    bundle_config,
    find_busybox,
    find_runtimes,
    make_bundle,
    patch_bundle,
)

INTERFACE = "ens9"
INSIDE = "net1"
ADDRESSES = ("192.0.2.10/24", "2001:db8::10/64")
ANNOTATION = "nri-netdev.io/container.app"
VALUE = f"[{{interface: {INTERFACE}, name: {INSIDE}}}]"
PATIENCE_S = 30.0
"""How long the engine waits; long, so that a busy machine does not fail the demonstration."""
BUILTIN = "built-in"
"""Value of `--runtime` for no OCI runtime."""
_NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_WITHOUT_ROOT = ("--user", "--map-root-user")
_TOOLS = Path(__file__).parents[2] / ".cache" / "e2e" / "bin"
"""Where `make e2e-tools` puts the programs that it builds, in a clone of the project."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED = 130


# -- outside -----------------------------------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Run the demonstration; 0 if the interface is home as it was."""
    return play(runtime=options.runtime)


def play(*, runtime: str | None = None) -> int:
    """Make new namespaces, and run the demonstration in them.

    Args:
        runtime: the OCI runtime to use, or `BUILTIN`; None for the first that is found.

    Returns:
        The exit status: 0 if the interface is home as it was, 130 if interrupted, else 1.

    Raises:
        NriNetdevError: The kernel allows no new namespaces, or the program `unshare` is missing.
    """
    unshare = ("unshare", *_namespaces(), "--")
    theirs, ours = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until both know what to do with them
    keeper = os.fork()
    if keeper == 0:
        try:
            os.close(ours)
            os.setsid()  # Ctrl-C at the terminal reaches the outer process only
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os._exit(_keep(unshare, runtime or "", theirs))
        except Exception:  # noqa: BLE001 - the root of a process
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(theirs)
    with _closed_by_signals(ours, mask) as interruptions:
        status = os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])
    if interruptions:
        print("\nInterrupted; nothing is left behind.", flush=True)
        return _INTERRUPTED
    return status


def _keep(unshare: Sequence[str], runtime: str, lifeline: int) -> int:
    """Run the inner process, and remove what the kernel does not; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="nri-netdev-demo-") as directory:
        command = [*unshare, sys.executable, "-m", "nri_netdev.cli.demo", directory, runtime]
        status = subprocess.Popen(command, stdin=lifeline).wait()
        node.remove_cgroup(Path(directory).name)
    return status


@contextmanager
def _closed_by_signals(lifeline: int, mask: set[int | signal.Signals]) -> Iterator[list[int]]:
    """A signal only closes our end of the pipe, so that cleaning up always completes.

    Args:
        lifeline: our end.
        mask: the signals to block from then on.

    Yields:
        The signals received so far.
    """
    came: list[int] = []

    def cut(number: int, _frame: object) -> None:
        came.append(number)
        if len(came) == 1:
            os.close(lifeline)

    heeded = {number: signal.getsignal(number) for number in _SIGNALS}
    heeded = {number: handler for number, handler in heeded.items() if handler is not signal.SIG_IGN}
    for number in heeded:
        signal.signal(number, cut)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        yield came
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)
        if not came:
            os.close(lifeline)


def _namespaces() -> tuple[str, ...]:
    """Options of `unshare` that the kernel allows; with a user namespace only if it refuses those without."""
    refusals = []
    for options in (_NAMESPACES, (*_WITHOUT_ROOT, *_NAMESPACES)):
        try:
            done = subprocess.run(
                ["unshare", *options, "--", "true"],
                check=False,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise NriNetdevError("the demo needs the program unshare (Debian: util-linux)") from error
        if done.returncode == 0:
            return options
        refusals.append(done.stderr.strip())
    raise NriNetdevError(f"the demo needs root, or a kernel that allows user namespaces ({'; '.join(refusals)})")


# -- inside ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """The stand-in for a node."""

    directory: Path
    runtime: OciRuntime | BuiltinRuntime
    busybox: Path | None
    cgroup: str | None
    """For the container; None in a user namespace, which may not make one."""

    @property
    def netns(self) -> Path:
        """Path of the pod's netns."""
        return self.directory / "netns" / "web"


def main(arguments: Sequence[str]) -> int:
    """Run the steps, as the first process of new namespaces.

    Args:
        arguments: a directory for the demonstration's files, and the OCI runtime to use or "".
    """
    threading.Thread(target=_hold_lifeline, name="lifeline", daemon=True).start()
    directory, wanted = Path(arguments[0]), arguments[1] or None
    try:
        node.mount_tmpfs(directory)
        return asyncio.run(_play(directory, wanted))
    except (NriNetdevError, OSError, subprocess.SubprocessError) as error:  # TimeoutError is an OSError
        print(f"nri-netdev: the demo failed: {str(error) or type(error).__name__}", file=sys.stderr)
        with suppress(FileNotFoundError):
            print((directory / "daemon.log").read_text(encoding="utf-8"), file=sys.stderr)
        return 1


def _hold_lifeline() -> None:
    """Exit when the outer process closes its end of the pipe; the kernel then ends the whole pid namespace."""
    os.read(0, 1)
    os._exit(_INTERRUPTED)


async def _play(directory: Path, wanted: str | None) -> int:
    stage = _set_up(directory, wanted)
    _step("1. Make a bundle", f"busybox and config.json, to be run by {stage.runtime.name}")
    bundle = make_bundle(directory / "bundle", bundle_config(cgroup=stage.cgroup), stage.busybox)
    node.add_interface(INTERFACE, ADDRESSES)
    before = _ip(OWN)
    _step("2. Make a host interface")
    _show("host", before)
    node.add_netns(stage.netns)
    _step("3. Make a network namespace, for the pod")
    _show("pod", _ip(stage.netns))
    with _daemon(stage) as daemon:
        async with Engine(directory / "nri.sock", runtime_name="demo-engine", request_timeout_s=PATIENCE_S) as engine:
            await engine.wait_plugin(timeout_s=PATIENCE_S)
            await _run_container(stage, bundle, engine, daemon.pid)
    after = _ip(OWN)
    print(f"\n{INTERFACE} is home, as it was." if after == before else f"\n{INTERFACE} is NOT as it was.", flush=True)
    return int(after != before)


def _set_up(directory: Path, wanted: str | None) -> _Stage:
    """Choose what runs the container: the first OCI runtime that can do it here, or the built-in mover."""
    uid_map = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    cgroup = f"/{directory.name}" if uid_map == ["0", "0", "4294967295"] else None
    busybox = find_busybox((_TOOLS,))
    trial = bundle_config(cgroup=cgroup, args=("/bin/busybox", "true"))
    reasons: list[str] = []
    for runtime in find_runtimes(directory / "oci", (_TOOLS,), wanted) if wanted != BUILTIN else ():
        trouble = _try(runtime, make_bundle(directory / "trial", trial, busybox)) if busybox else "no static busybox"
        if not trouble:
            return _Stage(directory=directory, runtime=runtime, busybox=busybox, cgroup=cgroup)
        reasons.append(f"{runtime.name} cannot do it here: {trouble}")
    if wanted not in {None, BUILTIN}:
        raise ConfigurationError("; ".join(reasons))
    if wanted is None:
        reason = "; ".join(reasons) or "no OCI runtime with linux.netDevices was found"
        print(f"({reason}; a mover that does the same stands in for it)", flush=True)
    return _Stage(directory=directory, runtime=BuiltinRuntime(), busybox=busybox, cgroup=cgroup)


def _try(runtime: OciRuntime, bundle: Path) -> str:
    """Give an interface to a container by a runtime; returns its error, or ""."""
    patch_bundle(bundle, netns_path=None, net_devices={"trial": {}})
    node.add_interface("trial", cable="trial-cable")
    try:
        runtime.run("trial", bundle)
    except KernelError as error:
        return error.reason
    finally:
        with suppress(OSError):  # gone with the container's netns
            node.remove_interface("trial")
    return ""


async def _run_container(stage: _Stage, bundle: Path, engine: Engine, daemon_pid: int) -> None:
    """Create a container with its interface, run it, kill it, and have the interface brought home."""
    network = nri_pb2.LinuxNamespace(type="network", path=str(stage.netns))
    pod = nri_pb2.PodSandbox(
        id="web",
        name="web",
        namespace="default",
        annotations={ANNOTATION: VALUE},
        linux=nri_pb2.LinuxPodSandbox(namespaces=[network]),
    )
    container = nri_pb2.Container(id=stage.directory.name, pod_sandbox_id=pod.id, name="app")
    await engine.run_pod_sandbox(pod)
    adjustment = await engine.create_container(pod, container)
    devices = {name: {"name": device.name} for name, device in adjustment.linux.net_devices.items()}
    _step("4. Patch config.json", f"netDevices is the answer of nri-netdev (process {daemon_pid}) to CreateContainer")
    _lines("annotation", f"{ANNOTATION}: '{VALUE}'")
    _lines("namespaces", json.dumps({"type": "network", "path": str(stage.netns)}))
    _lines("netDevices", json.dumps(devices))
    patch_bundle(bundle, netns_path=str(stage.netns), net_devices=devices)
    _step("5. Run")
    container.pid = await asyncio.to_thread(stage.runtime.create, container.id, bundle)
    try:
        await engine.start_container(pod, container)
        await asyncio.to_thread(stage.runtime.start, container.id)
        _lines("process", f"{container.pid}: {' '.join(SLEEP)}")
        _step("6. Look inside")
        _show("host", _ip(OWN))
        _show("container", _ip(f"/proc/{container.pid}/ns/net"))
    finally:
        stage.runtime.kill(container.id)
    _step("7. Clean up", "the runtime leaves the interface in the pod; nri-netdev brings it home")
    await engine.stop_container(pod, container)
    await engine.remove_container(pod, container)
    await engine.stop_pod_sandbox(pod)
    _show("host", _ip(OWN))
    _show("pod", _ip(stage.netns))


@contextmanager
def _daemon(stage: _Stage) -> Iterator[subprocess.Popen[bytes]]:
    """Run the real daemon as a process, with a configuration file in the demonstration's directory."""
    settings = {
        "socket": stage.directory / "nri.sock",
        "state_dir": stage.directory / "state",
        "run_dir": stage.directory / "run",
    }
    config = stage.directory / "config.yaml"
    rule = f"rules:\n- namespaces: [default]\n  interfaces: [{INTERFACE}]\n"
    config.write_text("".join(f"{name}: {path}\n" for name, path in settings.items()) + rule, encoding="utf-8")
    command = [sys.executable, "-m", "nri_netdev", "run", "--config", str(config)]
    with (stage.directory / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
    try:
        yield daemon
    finally:
        daemon.terminate()
        daemon.wait(timeout=15)


# -- output ------------------------------------------------------------------------------------------------------------


def _ip(netns_path: str | Path) -> list[str]:
    """One line for each interface except loopback and the far ends of cables, which may outlive a trial."""
    with open_netns(netns_path) as netns_fd:
        found = with_rtnl(netns_fd, inventory_of)
    return [
        f"{link.ifname:6}{'up' if link.is_up else 'down':6}{link.mac}  mtu {link.mtu}  "
        + "  ".join(str(a) for a in found.addresses.get(link.ifindex, ()) if a.scope == 0)
        for link in found.links
        if not link.is_loopback and not link.ifname.endswith("cable")
    ]


def _step(title: str, more: str = "") -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
    print(f"\n{bold}{title}{plain}{f' - {more}' if more else ''}", flush=True)


def _show(where: str, links: list[str]) -> None:
    _lines(where, *(links or ["(nothing but lo)"]))


def _lines(label: str, *lines: str) -> None:
    for line in lines:
        print(f"     {label:11}{line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
