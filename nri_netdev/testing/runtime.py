"""OCI runtimes for a demonstration: a real one with `linux.netDevices`, or a built-in one that moves interfaces.

Both do at create what the OCI runtime-spec says about `netDevices`. Neither moves an interface back.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nri_netdev.domain.links import Address
from nri_netdev.errors import ConfigurationError, KernelError
from nri_netdev.shells.kernel.changes import move, put_address, set_up
from nri_netdev.shells.kernel.messages import IFA_F_PERMANENT
from nri_netdev.shells.kernel.netns import call_in_netns, open_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl, with_rtnl

CANDIDATES = ("runc", "crun", "youki")
SLEEP = ("/bin/busybox", "sleep", "3600")


def bundle_config(*, cgroup: str | None, args: Sequence[str] = SLEEP) -> dict[str, Any]:
    """The `config.json` of a container that runs busybox in namespaces of its own.

    Args:
        cgroup: the container's cgroup; None if the runtime cannot make one.
        args: command line of the container.
    """
    caps = ["CAP_KILL", "CAP_NET_BIND_SERVICE"]
    linux: dict[str, Any] = {"namespaces": [{"type": each} for each in ("pid", "mount", "ipc", "uts", "network")]}
    if cgroup is not None:
        linux["cgroupsPath"] = cgroup
    return {
        "ociVersion": "1.3.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        },
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": linux,
    }


def make_bundle(directory: Path, config: Mapping[str, Any], busybox: Path | None) -> Path:
    """Write an OCI bundle: `config.json` and a root file system that has only busybox. Returns its directory."""
    for name in ("bin", "dev", "proc"):
        (directory / "rootfs" / name).mkdir(parents=True, exist_ok=True)
    if busybox is not None:
        shutil.copy(busybox, directory / "rootfs" / "bin" / "busybox")
    (directory / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return directory


def patch_bundle(bundle: Path, *, netns_path: str | None, net_devices: Mapping[str, Any]) -> None:
    """Change `config.json` as an engine does: set the pod's netns, and the `netDevices` of a plugin's reply.

    Args:
        bundle: directory of the bundle.
        netns_path: None for a new netns.
        net_devices: `linux.netDevices`.
    """
    path = bundle / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for namespace in config["linux"]["namespaces"]:
        if namespace["type"] == "network" and netns_path is not None:
            namespace["path"] = netns_path
    config["linux"]["netDevices"] = dict(net_devices)
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")


def find_busybox(directories: Sequence[Path] = ()) -> Path | None:
    """A statically linked busybox, in the directories given or on PATH; None if there is none."""
    for found in (
        shutil.which("busybox", path=os.pathsep.join(map(str, directories))),
        shutil.which("busybox"),
    ):
        if found is not None and b"/ld-linux" not in Path(found).read_bytes():
            return Path(found)
    return None


def find_runtimes(
    state_dir: Path, directories: Sequence[Path] = (), program: str | None = None
) -> Iterator[OciRuntime]:
    """The runtimes on PATH or in the directories given whose `features` include `netDevices`.

    Args:
        state_dir: directory for their state.
        directories: searched after PATH.
        program: the only runtime to look for; None for any.

    Raises:
        ConfigurationError: `program` is not there, or does not have `netDevices`.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, directories)])
    for name in (program,) if program else CANDIDATES:
        found = shutil.which(name, path=path)
        version = _net_devices_version(found) if found else None
        if found and version:
            yield OciRuntime(program=found, name=version, state_dir=state_dir)
        elif program:
            raise ConfigurationError(
                f"{program} is not a runtime that says it has linux.netDevices (`{program} features`)"
            )


def _net_devices_version(program: str) -> str | None:
    """The version line of a runtime whose `features` include `netDevices`; None for any other."""
    try:
        features = json.loads(_output([program, "features"]))
        enabled = features["linux"]["netDevices"]["enabled"]
        version = _output([program, "--version"]).splitlines()[0]
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return None
    return version if enabled is True else None


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class OciRuntime:
    """A runtime with the command line of runc, such as crun."""

    program: str
    name: str
    state_dir: Path

    def run(self, container_id: str, bundle: Path) -> None:
        """Call `run`, and wait for the container's end.

        Raises:
            KernelError: The runtime failed; the error has its last message.
        """
        self._logged(bundle, "run", "--bundle", str(bundle), container_id)

    def create(self, container_id: str, bundle: Path) -> int:
        """Call `create`. Returns the pid of the container's process.

        Raises:
            KernelError: The runtime failed; the error has its last message.
        """
        self._logged(bundle, "create", "--bundle", str(bundle), container_id)
        return int(json.loads(_output([*self._command, "state", container_id]))["pid"])

    def start(self, container_id: str) -> None:
        """Call `start`."""
        _output([*self._command, "start", container_id])

    def kill(self, container_id: str) -> None:
        """Call `delete --force`, which kills the process first."""
        _output([*self._command, "delete", "--force", container_id])

    @property
    def _command(self) -> tuple[str, ...]:
        return self.program, "--root", str(self.state_dir)

    def _logged(self, bundle: Path, *arguments: str) -> None:
        # A container keeps the standard streams of `create`, so reading from a pipe would wait for its end.
        path = bundle / "runtime.log"
        with path.open("wb") as log:
            done = subprocess.run(
                [*self._command, *arguments], check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=30
            )
        if done.returncode:
            output = path.read_text(encoding="utf-8", errors="replace")
            raise KernelError(action=f"{arguments[0]} a container", errno=errno.EIO, reason=_last_message(output))


def _last_message(output: str) -> str:
    """The last line that a runtime wrote; runc and youki wrap it in `msg="…"`."""
    lines = output.strip().splitlines() or ["no reason given"]
    wrapped = re.search(r'msg="((?:[^"\\]|\\.)*)"', lines[-1])
    return wrapped[1].replace('\\"', '"') if wrapped else lines[-1]


class BuiltinRuntime:
    """A runtime that only moves interfaces; its container is a process that sleeps in the pod's netns."""

    name = "the built-in mover"

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def create(self, container_id: str, bundle: Path) -> int:
        """Move every interface of `netDevices`, with its name and permanent global addresses, and set it up.

        Returns the pid of the container's process.
        """
        linux = json.loads((bundle / "config.json").read_text(encoding="utf-8"))["linux"]
        target = next(namespace["path"] for namespace in linux["namespaces"] if namespace["type"] == "network")
        with open_netns() as home_fd, open_netns(target) as netns_fd:
            for ifname, device in linux.get("netDevices", {}).items():
                inside = device.get("name") or ifname
                kept = with_rtnl(home_fd, _send, ifname, netns_fd, inside)
                with_rtnl(netns_fd, _receive, inside, kept)
            process = call_in_netns(netns_fd, _sleeper)
        self._processes[container_id] = process
        return process.pid

    def start(self, container_id: str) -> None:
        """Do nothing: the process runs since `create`."""

    def kill(self, container_id: str) -> None:
        """Kill the process."""
        process = self._processes.pop(container_id)
        process.kill()
        process.wait(timeout=10)


def _sleeper() -> subprocess.Popen[bytes]:
    """Start a process that sleeps, in the netns of the calling thread."""
    return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], stdin=subprocess.DEVNULL)


def _send(rtnl: Rtnl, ifname: str, netns_fd: int, inside: str) -> tuple[Address, ...]:
    """Move an interface; return its addresses to restore there."""
    link = rtnl.link_called(ifname)
    if link is None:
        raise ConfigurationError(f"netDevices: there is no interface {ifname}")
    addresses = rtnl.addresses(link.ifindex).get(link.ifindex, ())
    move(rtnl, link.ifindex, netns_fd, inside)
    return tuple(address for address in addresses if address.flags & IFA_F_PERMANENT and address.scope == 0)


def _receive(rtnl: Rtnl, inside: str, addresses: Sequence[Address]) -> None:
    link = rtnl.link_called(inside)
    if link is None:
        raise ConfigurationError(f"netDevices: {inside} did not arrive")
    for address in addresses:
        put_address(rtnl, link.ifindex, address)
    set_up(rtnl, link.ifindex)
