"""A real CRI-O in a stand-in for a machine."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e import images, podnet, tools
from tests.e2e.engine import NRI_PLUGIN_CONFIGS, NRI_SOCKET, Effective, Engine

_PINS = tools.PINS / "crio"
_HELPERS = tools.ROOT / "crio-helpers" / "usr" / "bin"
_STORAGE = "overlay@/var/lib/containers/storage+/run/containers/storage"

# Those of containerd: a container of the tests can do the same on either engine.
_CAPABILITIES = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
    *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)


class Crio(Engine):
    """CRI-O as people install it today."""

    name = "crio"
    runtime_name = "cri-o"
    version = tools.required_version(_PINS, "github.com/cri-o/cri-o").removeprefix("v")
    nri_version = tools.required_version(_PINS, "github.com/containerd/nri").removeprefix("v")
    needs = ("crio", "pinns", "crio-helpers", "cni", "crictl", "images", "system")
    cri_socket = Path("/run/crio/crio.sock")
    applies_net_devices = True
    tells_start_errors = False
    keeps_netns_for_stop = False
    resends_pod_events = True

    _config_path = Path("/etc/crio/crio.conf")
    monitor = "conmon"
    _pod_netns = "*-*-*-*-*"

    def argv(self) -> Sequence[str | Path]:
        return [tools.CACHE / "crio" / "crio"]

    def configure(self) -> None:
        super().configure()
        policy = self.machine.path("/etc/containers/policy.json")
        policy.parent.mkdir(exist_ok=True)
        policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))

    def effective(self, path: Path) -> Effective:
        text = self.machine.run(*self.argv(), "--config", path, "--config-dir", f"{path}.d", "config")
        # It puts what is at its default into a comment.
        nri = dict(re.findall(r"^(?:# )?(enable_nri|nri_disable_connections|nri_listen) = (.*)$", text, re.MULTILINE))
        runtimes = tomllib.loads(text)["crio"]["runtime"].get("runtimes", {})
        return Effective(
            has_nri=nri["enable_nri"] == "true" and nri["nri_disable_connections"] == "false",
            nri_socket=json.loads(nri["nri_listen"]),
            programs={name: runtime["runtime_path"] for name, runtime in runtimes.items()},
        )

    def load_image(self, archive: Path, name: str) -> None:
        self._copy(f"docker-archive:{archive}", name)

    def import_images(self) -> None:
        for archive, name in (("busybox", images.BUSYBOX), ("pause", images.PAUSE)):
            self._copy(f"oci-archive:{tools.IMAGES}/{archive}.tar", name)

    def _copy(self, source: str, name: str) -> None:
        target = f"containers-storage:[{_STORAGE}]{name}"
        self.machine.run(_HELPERS / "skopeo", "copy", "--quiet", source, target, timeout_s=120)

    def _config(self) -> str:
        tables: dict[str, Mapping[str, object]] = {
            "crio.runtime": {
                "apparmor_profile": "unconfined",
                "cgroup_manager": "cgroupfs",
                "conmon_cgroup": "pod",
                "default_capabilities": _CAPABILITIES,
                "default_runtime": self.default_handler,
                "disable_hostport_mapping": True,
                "log_level": "debug" if self._is_debug else "info",
                "pinns_path": str(tools.CACHE / "crio" / "pinns"),
            },
            "crio.image": {"pause_image": images.PAUSE, "pause_command": ""},
            "crio.network": {"network_dir": str(podnet.CNI_CONF), "plugin_dirs": [str(podnet.CNI_BIN)]},
            "crio.nri": {
                "enable_nri": True,
                "nri_listen": str(NRI_SOCKET),
                "nri_plugin_dir": str(self._nri_plugin_path),
                "nri_plugin_config_dir": str(NRI_PLUGIN_CONFIGS),
                "nri_plugin_registration_timeout": f"{self.nri_registration_timeout_s:g}s",
                "nri_plugin_request_timeout": f"{self.nri_request_timeout_s:g}s",
            },
            "crio.nri.default_validator": {"nri_enable_default_validator": self.has_nri_validator},
        }
        for handler, program in self.handlers.items():
            tables[f'crio.runtime.runtimes."{handler}"'] = {
                "monitor_cgroup": "pod",
                "monitor_path": str(_HELPERS / "conmon"),
                "runtime_path": str(program),
                "runtime_root": f"/run/{handler}",
                "runtime_type": "oci",
            }
        lines = []
        for table, entries in tables.items():  # a JSON value of these kinds is a TOML value
            lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in entries.items())]
        return "\n".join(lines) + "\n"
