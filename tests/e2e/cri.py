"""The kubelet's part: pods and containers by CRI, through crictl and its JSON."""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.e2e import images
from tests.e2e.machine import CommandError

SLEEP = ("sleep", "1000000")
_PID_CONTAINER = 1  # NamespaceMode of CRI: as the kubelet asks unless a pod shares its process namespace


class Host(Protocol):
    """What is needed of the machine that an engine runs on; `tests.e2e.machine.Machine` says of each what it does."""

    cgroup: str

    def run(
        self, *argv: str | Path, timeout_s: float = 30, env: Mapping[str, str] | None = None, text_in: str = ""
    ) -> str:
        """Run a command there."""
        ...

    def write(self, inside: str | Path, text: str) -> None:
        """Make a file there."""
        ...

    def path(self, inside: str | Path) -> Path:
        """Return where a file of it is here."""
        ...

    def new_file(self, stem: str, suffix: str) -> Path:
        """Return where there is no file yet."""
        ...


class Engine(Protocol):
    """What is needed of an engine to talk CRI to it."""

    machine: Host
    cri_socket: Path


class CriError(Exception):
    """The engine refused a request; the text is what `kubectl describe pod` would show of it.

    Attributes:
        stderr: all that crictl said.
    """

    def __init__(self, stderr: str) -> None:
        said = re.findall(r' level=(?:error|fatal) msg="((?:[^"\\]|\\.)*)"', stderr)
        super().__init__(re.sub(r'\\(["\\])', r"\1", said[-1]) if said else stderr.strip())
        self.stderr = stderr


class Crictl:
    """Pods and containers on one engine, made as the kubelet makes them; each call is one request.

    Args:
        engine: whom to ask.
        timeout_s: how long one request may take.
    """

    def __init__(self, engine: Engine, *, timeout_s: float = 30) -> None:
        self._machine: Host = engine.machine
        self._timeout_s = timeout_s
        self._endpoint = f"unix://{engine.cri_socket}"
        self._is_told = False
        self._pods: dict[str, dict[str, Any]] = {}
        self._attempts: dict[tuple[str, ...], int] = {}

    def __call__(self, *arguments: str | Path, text_in: str = "") -> str:
        """Run crictl with any arguments and return its output.

        Raises:
            CriError: the engine said no.
        """
        if not self._is_told:
            where = {"runtime-endpoint": self._endpoint, "image-endpoint": self._endpoint}
            self._machine.write("/etc/crictl.yaml", json.dumps({**where, "timeout": int(self._timeout_s)}))
            self._is_told = True
        try:
            return self._machine.run("crictl", *arguments, text_in=text_in, timeout_s=self._timeout_s + 5)
        except CommandError as error:
            raise CriError(error.stderr) from None

    def run_pod(
        self,
        name: str,
        *,
        annotations: Mapping[str, str] | None = None,
        namespace: str = "default",
        host_network: bool = False,
        handler: str = "",
        labels: Mapping[str, str] | None = None,
        uid: str = "",
    ) -> str:
        """Run a pod's sandbox and return its id; with a fresh uid unless one is given."""
        uid = uid or str(uuid.uuid4())
        identity = {"pod.name": name, "pod.namespace": namespace, "pod.uid": uid}
        config: dict[str, Any] = {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": uid,
                "attempt": self._next_attempt(uid),
            },
            "labels": {**_kubernetes(identity), **(labels or {})},
            "annotations": dict(annotations or {}),
            "log_directory": f"/var/log/pods/{namespace}_{name}_{uid}",
            "dns_config": {"servers": ["192.0.2.53"]},
            "linux": {
                "cgroup_parent": self._machine.cgroup,
                "security_context": {"namespace_options": {"network": 2 if host_network else 0, "pid": _PID_CONTAINER}},
            },
        }
        if not host_network:
            config["hostname"] = name
        path = self._write("pod", config)
        pod_id = self("runp", "--cancel-timeout=0s", f"--runtime={handler}", path).strip()
        self._pods[pod_id] = config
        return pod_id

    def create(
        self,
        pod_id: str,
        name: str,
        args: Sequence[str] = SLEEP,
        *,
        annotations: Mapping[str, str] | None = None,
        envs: Mapping[str, str] | None = None,
        privileged: bool = False,
        memory_bytes: int = 0,
    ) -> str:
        """Create a container of a pod and return its id; the same name again is the next attempt at it.

        Raises:
            CriError: the engine, a plugin or the OCI runtime refused.
        """
        pod = self._pods[pod_id]
        attempt = self._next_attempt(pod_id, name)
        identity = {key.removeprefix(_LABEL): value for key, value in pod["labels"].items()}
        config = {
            "metadata": {"name": name, "attempt": attempt},
            "image": {"image": images.BUSYBOX, "user_specified_image": images.BUSYBOX},
            "command": list(args),
            "envs": [{"key": key, "value": value} for key, value in (envs or {}).items()],
            "labels": _kubernetes({"container.name": name, **identity}),
            "annotations": {f"{_LABEL}container.restartCount": str(attempt), **(annotations or {})},
            "log_path": f"{name}/{attempt}.log",
            "linux": {
                "security_context": {"privileged": privileged, "namespace_options": {"pid": _PID_CONTAINER}},
                "resources": {"memory_limit_in_bytes": memory_bytes},
            },
        }
        self._machine.write(f"{pod['log_directory']}/{name}/.made", "")  # the kubelet makes the directory
        pod_path = self._write("pod", pod)
        container_path = self._write("container", config)
        return self("create", "--cancel-timeout=0s", pod_id, container_path, pod_path).strip()

    def start(self, container_id: str) -> None:
        """Start a created container."""
        self("start", container_id)

    def run(self, pod_id: str, name: str, args: Sequence[str] = SLEEP, **options: Any) -> str:
        """Create and start a container, and return its id; takes the options of `create`."""
        container_id = self.create(pod_id, name, args, **options)
        self.start(container_id)
        return container_id

    def stop(self, container_id: str, *, grace_s: int = 0) -> None:
        """Stop a container: SIGTERM, and SIGKILL after the grace."""
        self("stop", f"--timeout={grace_s}", container_id)

    def remove(self, container_id: str, *, force: bool = False) -> None:
        """Remove a container; a running one only by force."""
        self("rm", *(("--force",) if force else ()), container_id)

    def stop_pod(self, pod_id: str) -> None:
        """Stop a pod: all its containers, and its network."""
        self("stopp", pod_id)

    def remove_pod(self, pod_id: str, *, force: bool = False) -> None:
        """Remove a pod; one that still runs only by force."""
        self("rmp", *(("--force",) if force else ()), pod_id)
        self._pods.pop(pod_id, None)

    def delete_pod(self, pod_id: str) -> None:
        """End a pod as its deletion does: stop its containers, stop it, remove all."""
        for container in self.containers(pod_id):
            if container["state"] == "CONTAINER_RUNNING":
                self.stop(container["id"])
        self.stop_pod(pod_id)
        for container in self.containers(pod_id):
            self.remove(container["id"])
        self.remove_pod(pod_id)

    def exec(self, container_id: str, argv: Sequence[str]) -> str:
        """Run a command in a container and return its standard output."""
        return self("exec", container_id, *argv)

    def ip_json(self, container_id: str, *arguments: str) -> Any:
        """Return what `ip -json` of the machine says in the network namespace of a container."""
        pid = self.inspect(container_id)["info"]["pid"]
        return json.loads(self._machine.run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-json", *arguments))

    def logs(self, container_id: str) -> str:
        """Return what a container has written to standard output and error."""
        lines = self._machine.path(self.inspect(container_id)["status"]["logPath"]).read_text().splitlines()
        return "".join(line.split(" ", 3)[3] + "\n" for line in lines)

    def inspect(self, container_id: str) -> dict[str, Any]:
        """Return all that the engine tells about a container: `status` and `info`."""
        return json.loads(self("inspect", "--output=json", container_id))

    def inspect_pod(self, pod_id: str) -> dict[str, Any]:
        """Return all that the engine tells about a pod: `status` and `info`."""
        return json.loads(self("inspectp", "--output=json", pod_id))

    def state(self, container_id: str) -> str:
        """Return a container's state, as in CONTAINER_RUNNING."""
        return self.inspect(container_id)["status"]["state"]

    def netns_path(self, pod_id: str) -> str:
        """Return the path of a pod's network namespace, as seen inside; empty for the host's."""
        namespaces = self.inspect_pod(pod_id)["info"]["runtimeSpec"]["linux"]["namespaces"]
        path = next((entry.get("path", "") for entry in namespaces if entry["type"] == "network"), "")
        if path and self._machine.path(path).samefile(f"/proc/{self._machine.pid}/ns/net"):
            return ""  # CRI-O gives the host's another name
        return path

    def pods(self) -> list[dict[str, Any]]:
        """Return all pods that the engine knows, in any state."""
        return json.loads(self("pods", "--output=json"))["items"]

    def containers(self, pod_id: str = "") -> list[dict[str, Any]]:
        """Return all containers that the engine knows, or those of one pod, in any state."""
        of_pod = (f"--pod={pod_id}",) if pod_id else ()
        return json.loads(self("ps", "--all", "--output=json", *of_pod))["containers"]

    def remove_all(self) -> None:
        """Remove every pod by force, for the end of a test."""
        running = self("ps", "--quiet").split()
        if running:  # else CRI-O gives each its grace
            self("stop", "--timeout=0", *running)
        self("rmp", "--all", "--force")
        self._pods.clear()

    def _next_attempt(self, *identity: str) -> int:
        """Number the tries at one pod or container, from 0: a name comes again only with another number."""
        self._attempts[identity] = self._attempts.get(identity, -1) + 1
        return self._attempts[identity]

    def _write(self, kind: str, config: Mapping[str, Any]) -> Path:
        path = self._machine.new_file(kind, ".json")
        self._machine.write(path, json.dumps(config))
        return path


_LABEL = "io.kubernetes."


def _kubernetes(identity: Mapping[str, str]) -> dict[str, str]:
    return {_LABEL + key: value for key, value in identity.items()}
