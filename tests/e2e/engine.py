"""A real containerd in a stand-in for a machine, at its default paths, with its own CNI configuration."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.e2e import images, tools
from tests.e2e.machine import Machine
from tests.e2e.wait import wait_until

NRI_SOCKET = Path("/run/nri/nri.sock")
NRI_PLUGINS = Path("/opt/nri/plugins")
NRI_PLUGIN_CONFIGS = Path("/etc/nri/conf.d")
RUNC: Mapping[str, Path] = {"runc": tools.BIN / "runc"}

POD_SUBNETS = ("10.88.0.0/16", "fd00:88::/64")
_CNI_BIN = Path("/opt/cni/bin")
_CNI_CONF = Path("/etc/cni/net.d")

# ptp waits a second or more for duplicate address detection of the pod's eth0. The sysctl is put back
# before the pod runs: interfaces that arrive later meet the kernel's defaults.
_PTP = """#!/bin/sh
accept_dad() {
    [ "$CNI_COMMAND" != ADD ] || nsenter --net="$CNI_NETNS" sh -c \\
        "echo $1 > /proc/sys/net/ipv6/conf/default/accept_dad"
}
accept_dad 0
ptp
status=$?
accept_dad 1
exit $status
"""

_NETWORK = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "ptp-at-once",
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": subnet}] for subnet in POD_SUBNETS],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        }
    ],
}


class Containerd:
    """A containerd of our own; `start` returns when it serves CRI and NRI.

    Attributes:
        machine: where it runs.
        handlers: OCI runtime program by runtime handler; the first is the default.
        log: its log file.
        cri_socket: where crictl finds it, as seen inside.
    """

    name = "containerd"
    cri_socket = Path("/run/containerd/containerd.sock")

    def __init__(
        self,
        machine: Machine,
        *,
        handlers: Mapping[str, Path] = RUNC,
        nri_plugin_path: Path = NRI_PLUGINS,
        nri_request_timeout_s: float = 2,
        nri_registration_timeout_s: float = 5,
        is_debug: bool = True,
    ) -> None:
        self.machine = machine
        self.handlers = dict(handlers)
        self.log = machine.directory / "containerd.log"
        self._nri_plugin_path = nri_plugin_path
        self._nri_timeouts_s = (nri_registration_timeout_s, nri_request_timeout_s)
        self._is_debug = is_debug
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *, timeout_s: float = 30) -> None:
        """Start it and wait until it serves; import the images on the first start."""
        is_first = not self._configured().exists()
        if is_first:
            self._configure()
        notices = self.machine.directory / "containerd.notify"
        notices.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, self.log.open("ab") as log:
            notify.bind(os.fspath(notices))
            notify.settimeout(timeout_s)
            level = "debug" if self._is_debug else "info"
            self._process = self.machine.popen(
                ["containerd", "--log-level", level],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"NOTIFY_SOCKET": os.fspath(notices)},
            )
            self._wait_ready(notify)
        if is_first:
            for archive in ("busybox", "pause"):
                path = tools.IMAGES / f"{archive}.tar"
                self.machine.run("ctr", "-n", "k8s.io", "images", "import", "--local", path)

    def stop(self, *, timeout_s: float = 30) -> None:
        """Ask it to end, and wait; its containers go on."""
        self._end(signal.SIGTERM, timeout_s)

    def kill9(self) -> None:
        """Kill it on the spot; its containers go on."""
        self._end(signal.SIGKILL, 30)

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def is_running(self) -> bool:
        """Tell whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def log_text(self) -> str:
        """Return all that it has logged."""
        return self.log.read_text(errors="replace")

    def wait_logged(self, text: str, *, timeout_s: float = 10) -> None:
        """Wait until its log holds `text`."""
        wait_until(lambda: text in self.log_text(), timeout_s=timeout_s, what=f"{text!r} in {self.log}")

    def leftovers(self) -> list[str]:
        """Name the shims and containers, pod network namespaces and cgroups that are left of pods."""
        shims = [line for line in self.machine.processes().values() if "containerd-shim" in line.split(" ")[0]]
        netns = [path.name for path in self.machine.path("/run/netns").iterdir() if path.name.startswith("cni-")]
        return shims + netns + self.machine.cgroups()

    def _end(self, number: int, timeout_s: float) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(timeout=timeout_s)
        self._process = None

    def _wait_ready(self, notify: socket.socket) -> None:
        """Wait for the notice that it gives to an init system when all of its services are ready."""
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
        except TimeoutError:
            tail = self.log_text().splitlines()[-20:]
            raise AssertionError("containerd does not get ready:\n" + "\n".join(tail)) from None

    def _configured(self) -> Path:
        return self.machine.path("/etc/containerd/config.toml")

    def _configure(self) -> None:
        place = self.machine.path
        for directory in (_CNI_BIN, _CNI_CONF, NRI_PLUGINS, NRI_PLUGIN_CONFIGS, "/etc/containerd"):
            place(directory).mkdir(parents=True, exist_ok=True)
        for plugin in ("ptp", "host-local", "loopback"):
            place(_CNI_BIN / plugin).symlink_to(tools.BIN / plugin)
        wrapper = place(_CNI_BIN / "ptp-at-once")
        wrapper.write_text(_PTP)
        wrapper.chmod(0o755)
        place(_CNI_CONF / "10-pods.conflist").write_text(json.dumps(_NETWORK))
        self._configured().write_text(self._config())

    def _config(self) -> str:
        registration_s, request_s = self._nri_timeouts_s
        runtime = "plugins.'io.containerd.cri.v1.runtime'"
        lines = [
            "version = 3",
            "[plugins.'io.containerd.cri.v1.images'.pinned_images]",
            f"sandbox = '{images.PAUSE}'",
            f"[{runtime}]",
            "restrict_oom_score_adj = true",  # without CAP_SYS_RESOURCE the kernel refuses to lower it
            "disable_apparmor = true",
            f"[{runtime}.cni]",
            f"bin_dirs = ['{_CNI_BIN}']",
            f"conf_dir = '{_CNI_CONF}'",
            f"[{runtime}.containerd]",
            f"default_runtime_name = '{next(iter(self.handlers))}'",
            "[plugins.'io.containerd.nri.v1.nri']",
            "disable = false",
            f"socket_path = '{NRI_SOCKET}'",
            f"plugin_path = '{self._nri_plugin_path}'",
            f"plugin_config_path = '{NRI_PLUGIN_CONFIGS}'",
            f"plugin_registration_timeout = '{registration_s:g}s'",
            f"plugin_request_timeout = '{request_s:g}s'",
        ]
        for handler, program in self.handlers.items():
            name = f"{runtime}.containerd.runtimes.{handler}"
            lines += [f"[{name}]", "runtime_type = 'io.containerd.runc.v2'"]
            lines += [f"[{name}.options]", f"BinaryName = '{program}'"]
        return "\n".join(lines) + "\n"
