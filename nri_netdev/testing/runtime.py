"""The low-level runtime of a demonstration: a real one that knows `linux.netDevices`, or a built-in mover.

Both do what the OCI runtime-spec asks of `netDevices` at create, and neither does more: what was moved stays moved.
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
from typing import Any, Protocol

from nri_netdev.domain.links import Address
from nri_netdev.errors import ConfigurationError, KernelError
from nri_netdev.shells.kernel.netns import call_in_netns, open_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl, with_rtnl

CANDIDATES = ("runc", "crun", "youki")
SLEEP = ("/bin/busybox", "sleep", "3600")
_IFA_F_PERMANENT = 0x80


class Runtime(Protocol):
    """What a demonstration asks of a low-level runtime."""

    @property
    def name(self) -> str:
        """What to call it, with its version."""

    def create(self, container_id: str, bundle: Path) -> int:
        """Create the container of a bundle: its interfaces move now. Returns the pid of its process."""

    def start(self, container_id: str) -> None:
        """Start its process."""

    def kill(self, container_id: str) -> None:
        """Kill its process, and delete the container."""


def bundle_config(*, cgroup: str | None, args: Sequence[str] = SLEEP) -> dict[str, Any]:
    """The `config.json` of a container that runs busybox in namespaces of its own.

    Args:
        cgroup: the container's cgroup; None where the runtime may make none.
        args: what it runs.
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
    """Write an OCI bundle: a root file system of busybox alone, and `config.json`."""
    for name in ("bin", "dev", "proc"):
        (directory / "rootfs" / name).mkdir(parents=True, exist_ok=True)
    if busybox is not None:
        shutil.copy(busybox, directory / "rootfs" / "bin" / "busybox")
    (directory / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return directory


def patch_bundle(bundle: Path, *, netns_path: str | None, net_devices: Mapping[str, Any]) -> None:
    """Do what an engine does to `config.json`: the pod's netns, and the `netDevices` that a plugin has answered.

    Args:
        bundle: its directory.
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
    """A statically linked busybox, on PATH or in the directories given."""
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
    """The runtimes on PATH, or in the directories given, that say they have `netDevices`.

    Args:
        state_dir: where each is to keep its own state.
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
            yield OciRuntime(program=found, name=version, state_dir=state_dir)
        elif program:
            raise ConfigurationError(
                f"{program} is not a runtime that says it has linux.netDevices (`{program} features`)"
            )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OciRuntime:
    """runc, crun or another program with the command line that they share."""

    program: str
    name: str
    state_dir: Path

    def run(self, container_id: str, bundle: Path) -> None:
        """`run`, to the container's end.

        Raises:
            KernelError: With what the runtime said.
        """
        self._logged(bundle, "run", "--bundle", str(bundle), container_id)

    def create(self, container_id: str, bundle: Path) -> int:
        """`create`.

        Raises:
            KernelError: With what the runtime said.
        """
        self._logged(bundle, "create", "--bundle", str(bundle), container_id)
        return int(json.loads(_output([*self._command, "state", container_id]))["pid"])

    def start(self, container_id: str) -> None:
        """`start`."""
        _output([*self._command, "start", container_id])

    def kill(self, container_id: str) -> None:
        """`delete --force`, which kills first."""
        _output([*self._command, "delete", "--force", container_id])

    @property
    def _command(self) -> tuple[str, ...]:
        return self.program, "--root", str(self.state_dir)

    def _logged(self, bundle: Path, *arguments: str) -> None:
        # A container keeps the standard streams that create was given, so pipes would wait for its end.
        path = bundle / "runtime.log"
        with path.open("wb") as log:
            done = subprocess.run(
                [*self._command, *arguments], check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=30
            )
        if done.returncode:
            said = path.read_text(encoding="utf-8", errors="replace")
            raise KernelError(action=f"{arguments[0]} a container", errno=errno.EIO, reason=_last_words(said))


def _last_words(said: str) -> str:
    """The last complaint of a runtime; runc and youki wrap theirs in `msg="…"`."""
    lines = said.strip().splitlines() or ["no reason given"]
    wrapped = re.search(r'msg="((?:[^"\\]|\\.)*)"', lines[-1])
    return wrapped[1].replace('\\"', '"') if wrapped else lines[-1]


class BuiltinRuntime:
    """Moves interfaces as the OCI runtime-spec says; its container is a sleeping process in the pod's netns."""

    name = "the built-in mover"

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def create(self, container_id: str, bundle: Path) -> int:
        """Move every interface of `netDevices`, rename it, give it its permanent global addresses back, set it up."""
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
        """Nothing: the process sleeps already."""

    def kill(self, container_id: str) -> None:
        """Kill the process."""
        process = self._processes.pop(container_id)
        process.kill()
        process.wait(timeout=10)


def _sleeper() -> subprocess.Popen[bytes]:
    """A process that sleeps, in the netns of the calling thread."""
    return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], stdin=subprocess.DEVNULL)


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
