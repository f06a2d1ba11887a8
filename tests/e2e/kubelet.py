"""The kubelet's part for a DaemonSet: the pod that its manifest says, translated to CRI field by field, and its probes.

Knows the fields that our manifests use and refuses any other, so that nothing of a security context is passed over.
"""

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.cri import Crictl
from tests.e2e.engine import Engine
from tests.e2e.machine import CommandError
from tests.e2e.tools import BIN
from tests.e2e.wait import wait_until

Object = dict[str, Any]

_NODE, _CONTAINER = 2, 1  # NamespaceMode of CRI
_PROPAGATION = {"HostToContainer": 1, "Bidirectional": 2}
_SECURITY = {
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "privileged",
    "readOnlyRootFilesystem",
    "runAsUser",
    "seccompProfile",
}
_PROFILES = {"RuntimeDefault": 0, "Unconfined": 1}


def kustomize(directory: Path) -> list[Object]:
    """Every object that `kustomize build` makes of a directory."""
    built = subprocess.run([BIN / "kustomize", "build", directory], check=True, capture_output=True, text=True)
    return [document for document in yaml.safe_load_all(built.stdout) if document]


class DaemonSet:
    """The pod of a DaemonSet on one node.

    Args:
        engine: which runs it.
        objects: what kustomize made; one of them is the DaemonSet.
        node_ip: address of the node, which is that of a pod on the host network.
        config: text in the place of the ConfigMap's config.yaml.
    """

    def __init__(self, engine: Engine, objects: list[Object], *, node_ip: str, config: str | None = None) -> None:
        self._engine = engine
        self._crictl = Crictl(engine)
        (daemon_set,) = (found for found in objects if found["kind"] == "DaemonSet")
        self._meta = daemon_set["metadata"]
        self._spec = daemon_set["spec"]["template"]["spec"]
        (self._container,) = self._spec["containers"]
        (config_map,) = (x for x in objects if x["kind"] == "ConfigMap" and "config.yaml" in x["data"])
        self._config = config if config is not None else config_map["data"]["config.yaml"]
        self._node_ip = node_ip
        self.pod_uid = ""
        self.pod_id = ""
        self.container_id = ""
        self._log = Path()
        self._last_log = ""

    # --- its life -----------------------------------------------------------------------------------

    def start(self, *, handler: str = "") -> None:
        """Run the pod and its container, by a runtime handler."""
        assert self._spec["hostNetwork"] is True
        assert self._spec["hostPID"] is True
        self.pod_uid = uid = str(uuid.uuid4())
        name = f"{self._meta['name']}-{uid[:5]}"
        namespaces = {"network": _NODE, "pid": _NODE, "ipc": 0}
        labels = {
            "io.kubernetes.pod.name": name,
            "io.kubernetes.pod.namespace": self._meta["namespace"],
            "io.kubernetes.pod.uid": uid,
        }
        logs = f"/var/log/pods/{name}"
        self._path(logs).mkdir(parents=True)
        security = self._security()
        pod = {
            "metadata": {"name": name, "namespace": self._meta["namespace"], "uid": uid, "attempt": 0},
            "labels": labels,
            "log_directory": logs,
            "linux": {
                "cgroup_parent": self._engine.machine.cgroup,
                "security_context": {"namespace_options": namespaces, "privileged": security["privileged"]},
            },
        }
        container = {
            "metadata": {"name": self._container["name"], "attempt": 0},
            "image": {"image": self._container["image"], "user_specified_image": self._container["image"]},
            "args": [self._expanded(argument) for argument in self._container["args"]],
            "envs": [{"key": key, "value": value} for key, value in self._environment().items()],
            "labels": {**labels, "io.kubernetes.container.name": self._container["name"]},
            "mounts": [self._mount(mount) for mount in self._container["volumeMounts"]],
            "log_path": "0.log",
            "linux": {
                "resources": {"memory_limit_in_bytes": _bytes(self._container["resources"]["limits"]["memory"])},
                "security_context": {**security, "namespace_options": namespaces},
            },
        }
        pod_file, container_file = (self._engine.machine.new_file(kind, ".json") for kind in ("pod", "container"))
        pod_file.write_text(json.dumps(pod))
        container_file.write_text(json.dumps(container))
        self.pod_id = self._crictl("runp", "--cancel-timeout=0s", f"--runtime={handler}", pod_file).strip()
        self.container_id = self._crictl("create", self.pod_id, container_file, pod_file).strip()
        self._log = self._path(logs) / "0.log"
        self._crictl.start(self.container_id)

    def delete(self) -> None:
        """End the pod as its deletion does, within its grace."""
        grace_s = self._spec["terminationGracePeriodSeconds"]
        self._crictl.stop(self.container_id, grace_s=grace_s)
        self._last_log = self.log_text()
        self._crictl.stop_pod(self.pod_id)
        self._crictl.remove(self.container_id)
        self._crictl("rmp", self.pod_id)

    def kill9(self) -> None:
        """Kill its process on the spot."""
        self._engine.machine.run("kill", "-9", str(self._pid_inside()))
        wait_until(
            lambda: self._crictl.state(self.container_id) == "CONTAINER_EXITED", timeout_s=10, what="the daemon's end"
        )

    def wait_ready(self) -> None:
        """Wait until its readiness probe succeeds."""
        wait_until(lambda: self.probe("readinessProbe"), timeout_s=30, what=lambda: f"ready:\n{self.log_text()}")

    def probe(self, name: str) -> bool:
        """Ask one of its gRPC probes, from the node, as the kubelet does."""
        grpc = self._container[name]["grpc"]
        program = Path(sys.executable).with_name("nri-netdev")
        where = f"{self._node_ip}:{grpc['port']}"
        try:
            self._engine.machine.run(program, "health", f"--health={where}", f"--service={grpc['service']}")
        except CommandError:
            return False
        return True

    # --- looking ------------------------------------------------------------------------------------

    def exec(self, *argv: str) -> str:
        """Run a command in its container."""
        return self._crictl.exec(self.container_id, argv)

    def log_text(self) -> str:
        """Return all that it has logged."""
        return self._last_log or (self._log.read_text() if self._log.is_file() else "")

    def inspect(self) -> dict[str, Any]:
        """Return what the engine tells of its container."""
        return self._crictl.inspect(self.container_id)

    @property
    def requested_bytes(self) -> int:
        """The memory that its container requests."""
        return _bytes(self._container["resources"]["requests"]["memory"])

    def status_of_process(self) -> dict[str, str]:
        """Return /proc/PID/status of its process."""
        lines = self._path(f"/proc/{self._pid_inside()}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def _pid_inside(self) -> int:
        return int(self.inspect()["info"]["pid"])

    # --- translating --------------------------------------------------------------------------------

    def _environment(self) -> Mapping[str, str]:
        fields = {"status.podIP": self._node_ip}
        return {entry["name"]: fields[entry["valueFrom"]["fieldRef"]["fieldPath"]] for entry in self._container["env"]}

    def _expanded(self, text: str) -> str:
        return re.sub(r"\$\((\w+)\)", lambda found: self._environment()[found[1]], text)

    def _security(self) -> dict[str, Any]:
        wanted = self._container["securityContext"]
        assert set(wanted) <= _SECURITY, set(wanted) - _SECURITY
        seccomp = wanted.get("seccompProfile", {"type": "Unconfined"})["type"]
        return {
            "privileged": wanted["privileged"],
            "readonly_rootfs": wanted["readOnlyRootFilesystem"],
            "run_as_user": {"value": wanted["runAsUser"]},
            "no_new_privs": not wanted.get("allowPrivilegeEscalation", True),
            "seccomp": {"profile_type": _PROFILES[seccomp]},
            "capabilities": {
                "add_capabilities": wanted.get("capabilities", {}).get("add", []),
                "drop_capabilities": wanted.get("capabilities", {}).get("drop", []),
            },
        }

    def _mount(self, mount: Object) -> dict[str, Any]:
        (volume,) = (found for found in self._spec["volumes"] if found["name"] == mount["name"])
        if "configMap" in volume:
            host_path = f"/var/lib/kubelet/{volume['configMap']['name']}"
            self._path(host_path).mkdir(parents=True, exist_ok=True)
            self._path(f"{host_path}/config.yaml").write_text(self._config)
        elif "emptyDir" in volume:
            host_path = f"/run/kubelet/{self.pod_uid}/{volume['name']}"
            self._path(host_path).mkdir(parents=True)
        else:
            host_path = volume["hostPath"]["path"]
            assert volume["hostPath"]["type"] == "DirectoryOrCreate"
            self._path(host_path).mkdir(mode=0o755, parents=True, exist_ok=True)
        return {
            "container_path": mount["mountPath"],
            "host_path": host_path,
            "readonly": mount.get("readOnly", False),
            "propagation": _PROPAGATION.get(mount.get("mountPropagation", ""), 0),
        }

    def _path(self, inside: str) -> Path:
        return self._engine.machine.path(inside)


def _bytes(quantity: str) -> int:
    return int(quantity.removesuffix("Mi")) << 20
