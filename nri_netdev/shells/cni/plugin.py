"""IPAM plugins of CNI: programs of the node that give addresses and take them back.

Source: https://www.cni.dev/docs/spec/ (1.1.0); the configuration is of version 1.0.0, which plugins know since 2021.

In a container the daemon uses the host's plugins: mount the host's `/opt/cni/bin` at the same path. A plugin then runs
in the daemon's container, so it must be linked statically, as those of containernetworking's releases are. What it
keeps must outlive the container, or an address is given twice: mount the host's `/var/lib/cni` too, for host-local, and
`/run/cni` for dhcp, whose own daemon runs on the host.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nri_netdev.domain.setup.leases import Lease, LeaseResult, read_result
from nri_netdev.errors import PluginError
from nri_netdev.shells.cni.leftovers import outlast

DIRECTORIES = (Path("/opt/cni/bin"), Path("/usr/lib/cni"), Path("/usr/libexec/cni"))
"""Where plugins are looked for, in this order."""
ADD_LIMIT_S = 30.0
DELETE_LIMIT_S = 30.0

_CNI_VERSION = "1.0.0"
_TYPE = "nri-netdev"
_KEY = "NRI_NETDEV_LEASE"
"""Not of CNI: the variable that has the lease's key."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WORDS = 1000
"""Characters of what a plugin says that an error has."""
# fmt: off
_NOT_IPAM = frozenset({
    "bandwidth", "bond", "bridge", "calico", "cilium-cni", "dummy", "firewall", "flannel", "host-device", "ipvlan",
    "ib-sriov-cni", "loopback", "macvlan", "multus", "multus-shim", "ovs", "portmap", "ptp", "rdma", "sbr", "sriov",
    "tap", "tuning", "vlan", "vrf", "weave-net",
})
# fmt: on
"""Well-known plugins that give no addresses but make or change interfaces: they would do so to the host."""
_HINTS = {
    1: f"it does not know CNI {_CNI_VERSION}: install a newer one",
    11: "it says that this passes: try again",
}
"""What to do next, by CNI's code of an error."""
_HINT = "see the documentation of the plugin, and check `ipam`"


class Plugins:
    """The node's IPAM plugins; implements `nri_netdev.custody.ports.Leasing`. On any thread.

    A plugin runs without a shell, with an environment of CNI's variables, PATH and the lease's key alone, in a process
    group of its own, which is killed when it takes too long.

    Args:
        directories: where plugins are looked for, in this order.
        add_limit_s: how long ADD may take.
        delete_limit_s: how long DEL may take.
    """

    def __init__(
        self,
        directories: Sequence[Path] = DIRECTORIES,
        *,
        add_limit_s: float = ADD_LIMIT_S,
        delete_limit_s: float = DELETE_LIMIT_S,
    ) -> None:
        self._directories = tuple(directories)
        self._add_limit_s = add_limit_s
        self._delete_limit_s = delete_limit_s

    def add(self, lease: Lease) -> LeaseResult:
        """Have the plugin give what a lease is for: ADD.

        Raises:
            PluginError: It gave nothing, or it is not known what.
        """
        return read_result(self._run(lease, "ADD", self._add_limit_s), plugin=lease.plugin)

    def delete(self, lease: Lease) -> None:
        """Have the plugin take back what it gave: DEL; nothing if it gave nothing.

        An ADD for the lease that an earlier daemon has begun is waited for.

        Raises:
            PluginError: It may still count as given.
        """
        if not outlast(_known_by(lease), self._add_limit_s):
            raise PluginError(
                plugin=lease.plugin,
                command="DEL",
                reason="an earlier call of it cannot be killed",
                hint="see what it waits for: `ps` shows its state as D",
                has_run=False,
            )
        self._run(lease, "DEL", self._delete_limit_s)

    def names(self) -> tuple[str, ...]:
        """The IPAM plugins that are there, as far as names tell."""
        found: set[str] = set()
        for directory in self._directories:
            with contextlib.suppress(OSError):
                found |= {path.name for path in directory.iterdir() if _is_program(path)}
        return tuple(sorted(name for name in found - _NOT_IPAM if _NAME.fullmatch(name)))

    def _find(self, name: str, command: str) -> Path:
        there = ", ".join(self.names())
        hint = f"the IPAM plugins there are {there}" if there else "there is no IPAM plugin there"
        if not _NAME.fullmatch(name):
            raise _not_run(name, command, "the name of a plugin is letters, digits, `.`, `_` and `-`", hint)
        if name in _NOT_IPAM:
            raise _not_run(name, command, "it gives no addresses", hint)
        for directory in self._directories:
            if _is_program(directory / name):
                return directory / name
        searched = ", ".join(map(str, self._directories))
        raise _not_run(name, command, f"it is in none of {searched}", f"install it on the node; {hint}")

    def _run(self, lease: Lease, command: str, limit_s: float) -> str:
        """Run a plugin; what it says on its standard output."""
        path = self._find(lease.plugin, command)
        try:
            process = subprocess.Popen(
                [path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env=self._environment(lease, command),
                start_new_session=True,
            )
        except OSError as error:
            hint = "check that it is for this machine; in a container it must be linked statically"
            raise _not_run(lease.plugin, command, f"{path} cannot be run: {error.strerror}", hint) from error
        with process:
            try:
                out, err = process.communicate(_configuration(lease), timeout=limit_s)
            except subprocess.TimeoutExpired as error:
                _kill(process)
                reason = f"it took longer than {limit_s:g} s and was killed"
                hint = "see what it waits for: a daemon, a server or a lock"
                raise PluginError(plugin=lease.plugin, command=command, reason=reason, hint=hint) from error
            except BaseException:
                _kill(process)
                raise
        if process.returncode:
            raise _failure(lease.plugin, command, process.returncode, (_text(out), _text(err)))
        return _text(out)

    def _environment(self, lease: Lease, command: str) -> dict[str, str]:
        arguments = {
            "IgnoreUnknown": "1",
            "K8S_POD_NAMESPACE": lease.namespace,
            "K8S_POD_NAME": lease.pod,
            "K8S_POD_INFRA_CONTAINER_ID": lease.pod_id,
            "K8S_POD_UID": lease.pod_uid,
        }
        # What has a ; or = would be read as other arguments; Kubernetes allows no such name.
        told = (f"{key}={value}" for key, value in arguments.items() if value and not set(";=") & set(value))
        key = {_KEY: lease.key} if lease.key else {}
        return {
            **key,
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": lease.container_id,
            "CNI_NETNS": "" if command == "DEL" and _is_own(lease.netns_path) else lease.netns_path,
            "CNI_IFNAME": lease.ifname,
            "CNI_PATH": ":".join(map(str, self._directories)),
            "CNI_ARGS": ";".join(told),
            "PATH": _PATH,
        }


def _known_by(lease: Lease) -> str:
    """The variable that the processes of a lease are known by. Those of an earlier release have no other than CNI's."""
    return f"{_KEY}={lease.key}" if lease.key else f"CNI_CONTAINERID={lease.container_id}"


def _configuration(lease: Lease) -> bytes:
    ipam = {**json.loads(lease.document), "type": lease.plugin}
    return json.dumps({"cniVersion": _CNI_VERSION, "name": lease.network, "type": _TYPE, "ipam": ipam}).encode()


def _is_own(netns_path: str) -> bool:
    """Whether a path, such as /proc/4711/ns/net, leads to our own netns by now: plugins fail for that, even at DEL."""
    try:
        return Path(netns_path).samefile("/proc/self/ns/net")
    except (OSError, ValueError):
        return False


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a plugin and all that it has started; to be called before it is waited for, while its number is its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _not_run(plugin: str, command: str, reason: str, hint: str) -> PluginError:
    return PluginError(plugin=plugin, command=command, reason=reason, hint=hint, has_run=False)


def _failure(plugin: str, command: str, status: int, said: tuple[str, str]) -> PluginError:
    """What a plugin says of its failure: an error of CNI on standard output; else whatever it says."""
    out, err = said
    told: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(out)
    if isinstance(told, dict) and isinstance(told.get("msg"), str):
        details = told.get("details")
        reason = f"{told['msg']} ({details})" if isinstance(details, str) and details else told["msg"]
        code = told.get("code")
        hint = _HINTS.get(code, _HINT) if isinstance(code, int) else _HINT
    else:
        ended = f"signal {-status}" if status < 0 else f"status {status}"
        reason, hint = f"it ended with {ended}: {err.strip() or out.strip() or 'without a word'}", _HINT
    return PluginError(plugin=plugin, command=command, reason=_cut(reason), hint=hint, is_answer=status > 0)


def _cut(text: str) -> str:
    """One line of sound Unicode, of a length that one reads."""
    line = " ".join(text.split()).encode(errors="replace").decode()
    return line if len(line) <= _WORDS else f"{line[:_WORDS]}…"


def _text(said: bytes) -> str:
    return said.decode(errors="replace")
