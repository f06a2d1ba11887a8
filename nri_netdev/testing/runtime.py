"""The low-level runtime of a demonstration: a real one that knows `linux.netDevices`, or a built-in mover.

Both do what the OCI runtime-spec asks of `netDevices` at create, and neither does more: what was moved stays moved.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nri_netdev.domain.links import Address
from nri_netdev.errors import ConfigurationError
from nri_netdev.shells.netns import open_netns
from nri_netdev.shells.rtnetlink import Rtnl, with_rtnl

CANDIDATES = ("runc", "crun", "youki")
SLEEP = ("/bin/busybox", "sleep", "3600")
_IFA_F_PERMANENT = 0x80


class Runtime(Protocol):
    """What a demonstration asks of a low-level runtime."""

    @property
    def name(self) -> str:
        """What to call it, with its version."""

    def create(self, container_id: str, bundle: Path) -> None:
        """Create the container of a bundle: its interfaces move now."""

    def start(self, container_id: str) -> None:
        """Start its process."""

    def kill(self, container_id: str) -> None:
        """Kill its process, and delete the container."""


def bundle_config(*, netns_path: str, container_id: str) -> dict[str, Any]:
    """The `config.json` that an engine would make for a container in a pod with this netns, before it asks NRI."""
    caps = ["CAP_KILL", "CAP_NET_BIND_SERVICE"]
    return {
        "ociVersion": "1.3.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": list(SLEEP),
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        },
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {
            "cgroupsPath": f"/nri-netdev-demo/{container_id}",
            "namespaces": [
                {"type": "pid"},
                {"type": "mount"},
                {"type": "ipc"},
                {"type": "uts"},
                {"type": "network", "path": netns_path},
            ],
        },
    }


def make_bundle(directory: Path, config: Mapping[str, Any], busybox: Path | None) -> Path:
    """Write an OCI bundle: a root file system of busybox alone, and `config.json`."""
    (directory / "rootfs" / "bin").mkdir(parents=True, exist_ok=True)
    (directory / "rootfs" / "proc").mkdir(exist_ok=True)
    if busybox is not None:
        shutil.copy(busybox, directory / "rootfs" / "bin" / "busybox")
    (directory / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return directory


def find_busybox(directories: Sequence[Path] = ()) -> Path | None:
    """A statically linked busybox, on PATH or in the directories given."""
    for found in (
        shutil.which("busybox", path=os.pathsep.join(map(str, directories))),
        shutil.which("busybox"),
    ):
        if found is not None and b"/ld-linux" not in Path(found).read_bytes():
            return Path(found)
    return None


def find_runtime(directories: Sequence[Path] = (), program: str | None = None) -> OciRuntime | None:
    """A runtime on PATH, or in the directories given, that says it has `netDevices`.

    Args:
        directories: looked through after PATH.
        program: only this one will do.

    Raises:
        ConfigurationError: The one that was asked for is not there, or does not have `netDevices`.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, directories)])
    for name in (program,) if program else CANDIDATES:
        found = shutil.which(name, path=path)
        version = _net_devices_version(found) if found else None
        if found and version:
            return OciRuntime(program=found, name=version)
    if program:
        raise ConfigurationError(f"{program} is not a runtime that says it has linux.netDevices (`{program} features`)")
    return None


def _net_devices_version(program: str) -> str | None:
    """The version line of a runtime whose `features` say that it has `netDevices`; None for any other."""
    try:
        features = json.loads(_output([program, "features"]))
        enabled = features["linux"]["netDevices"]["enabled"]
        version = _output([program, "--version"]).splitlines()[0]
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return None
    return version if enabled is True else None


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout


@dataclass(frozen=True, slots=True)
class OciRuntime:
    """runc, crun or another program with the command line that they share."""

    program: str
    name: str

    def create(self, container_id: str, bundle: Path) -> None:
        """`create`; raises `subprocess.CalledProcessError` with what it said."""
        # A container keeps the standard streams that create was given, so pipes would wait for its end.
        with (bundle / "runtime.log").open("wb") as log:
            self._run("create", "--bundle", str(bundle), container_id, stdout=log, stderr=log)

    def start(self, container_id: str) -> None:
        """`start`."""
        self._run("start", container_id)

    def kill(self, container_id: str) -> None:
        """`delete --force`, which kills first."""
        self._run("delete", "--force", container_id)

    def _run(self, *arguments: str, **streams: Any) -> None:
        subprocess.run([self.program, *arguments], check=True, stdin=subprocess.DEVNULL, timeout=30, **streams)


class BuiltinRuntime:
    """Moves interfaces as the OCI runtime-spec says; its container is a sleeping process in the pod's netns."""

    name = "the built-in mover (no OCI runtime with linux.netDevices was found)"

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def create(self, container_id: str, bundle: Path) -> None:
        """Move every interface of `netDevices`, rename it, give it its permanent global addresses back, set it up."""
        linux = json.loads((bundle / "config.json").read_text(encoding="utf-8"))["linux"]
        target = next(namespace["path"] for namespace in linux["namespaces"] if namespace["type"] == "network")
        with open_netns() as home_fd, open_netns(target) as netns_fd:
            for ifname, device in linux.get("netDevices", {}).items():
                inside = device.get("name") or ifname
                kept = with_rtnl(home_fd, _send, ifname, netns_fd, inside)
                with_rtnl(netns_fd, _receive, inside, kept)
        self._processes[container_id] = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])

    def start(self, container_id: str) -> None:
        """Nothing: the process sleeps already."""

    def kill(self, container_id: str) -> None:
        """Kill the process."""
        process = self._processes.pop(container_id)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)


def _send(rtnl: Rtnl, ifname: str, netns_fd: int, inside: str) -> tuple[Address, ...]:
    """Move an interface, and return the addresses that it must have there."""
    link = rtnl.link_called(ifname)
    if link is None:
        raise ConfigurationError(f"netDevices: there is no interface {ifname}")
    addresses = rtnl.addresses(link.ifindex).get(link.ifindex, ())
    rtnl.move(link.ifindex, netns_fd, inside)
    return tuple(address for address in addresses if address.flags & _IFA_F_PERMANENT and address.scope == 0)


def _receive(rtnl: Rtnl, inside: str, addresses: Sequence[Address]) -> None:
    link = rtnl.link_called(inside)
    if link is None:
        raise ConfigurationError(f"netDevices: {inside} did not arrive")
    for address in addresses:
        rtnl.put_address(link.ifindex, address)
    rtnl.set_up(link.ifindex)
