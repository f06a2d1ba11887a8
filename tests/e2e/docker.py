"""A real dockerd with NRI in a stand-in for a machine, on the containerd that is there; its HTTP API is called."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from tests.e2e import images, tools
from tests.e2e.engine import Engine
from tests.e2e.wait import wait_until

NEEDS = ("docker",)
"""What must have been made beside the engine."""
VERSION = tools.required_version(tools.PINS / "docker", "github.com/moby/moby/v2").removeprefix("v")
NRI_SOCKET = Path("/run/docker-nri/nri.sock")
"""Where plugins find it; not where they find containerd."""

_PROGRAM = tools.CACHE / "docker" / "dockerd"
_SOCKET = Path("/run/docker.sock")
_OPTIONS = (
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--userland-proxy=false",
    "--exec-opt=native.cgroupdriver=cgroupfs",
    f"--nri-opts=enable=true,socket-path={NRI_SOCKET}",
)


class DockerError(Exception):
    """dockerd refused; the text is its own."""


class Docker:
    """A dockerd on the containerd of an engine.

    Args:
        engine: a containerd that runs.

    Attributes:
        machine: where it runs.
    """

    def __init__(self, engine: Engine) -> None:
        self.machine = engine.machine
        self._argv = [
            _PROGRAM,
            f"--containerd={engine.cri_socket}",
            f"--host=unix://{_SOCKET}",
            f"--cgroup-parent={engine.machine.cgroup}",
            *_OPTIONS,
        ]
        self._log = engine.machine.new_file("dockerd", ".log")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = self.machine.popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"HOME": "/root"}
            )
        wait_until(self._serves, timeout_s=30, what=lambda: f"dockerd serves: {self.log_text()[-4000:]}")
        self._call("POST", "/images/load", (tools.IMAGES / "busybox.tar").read_bytes())
        return self

    def __exit__(self, *_: object) -> None:
        for container in self.containers():
            self.remove(container)
        self._process.terminate()
        self._process.wait(timeout=30)

    def log_text(self) -> str:
        """Return all that it has logged."""
        return self._log.read_text(errors="replace")

    def info(self) -> dict[str, Any]:
        """Return what it says of itself."""
        return self._call("GET", "/info")

    def run(
        self, *, name: str = "", annotations: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None
    ) -> str:
        """Run a container that sleeps, in a network namespace of its own; return its id.

        Raises:
            DockerError: It is refused.
        """
        asked = {
            "Image": images.BUSYBOX,
            "Cmd": ["sleep", "1000"],
            "Labels": labels or {},
            "HostConfig": {"Annotations": annotations or {}, "NetworkMode": "none", "Init": False},
        }
        query = f"?name={name}" if name else ""
        container: str = self._call("POST", f"/containers/create{query}", json.dumps(asked).encode())["Id"]
        self._call("POST", f"/containers/{container}/start")
        return container

    def containers(self) -> list[str]:
        """Return the ids of all containers, also of those that do not run."""
        return [container["Id"] for container in self._call("GET", "/containers/json?all=true")]

    def interfaces(self, container: str) -> list[str]:
        """Name the interfaces in a container that runs."""
        pid = self._inspect(container)["State"]["Pid"]
        shown = self.machine.run("nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-json", "link")
        return [link["ifname"] for link in json.loads(shown)]

    def environment(self, container: str) -> dict[str, str]:
        """Return the variables that a container was made with."""
        return dict(variable.split("=", 1) for variable in self._inspect(container)["Config"]["Env"])

    def remove(self, container: str) -> None:
        """Kill and remove a container."""
        self._call("DELETE", f"/containers/{container}?force=true")

    def _inspect(self, container: str) -> dict[str, Any]:
        return self._call("GET", f"/containers/{container}/json")

    def _serves(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"dockerd ended with status {self._process.returncode}:\n{self.log_text()[-4000:]}")
        with contextlib.suppress(OSError):
            self.info()
            return True
        return False

    def _call(self, method: str, path: str, body: bytes = b"") -> Any:
        """Call its API and return what it answers, decoded."""
        with _connected(self.machine.path(_SOCKET)) as connection:
            kind = "application/x-tar" if path == "/images/load" else "application/json"
            connection.request(method, path, body, {"Content-Type": kind})
            response = connection.getresponse()
            said = response.read()
        if response.status >= http.client.BAD_REQUEST:
            raise DockerError(json.loads(said)["message"])
        return json.loads(said) if said and path != "/images/load" else None


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[http.client.HTTPConnection]:
    """An HTTP connection over a unix socket."""
    connection = http.client.HTTPConnection("docker")
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.settimeout(60)
        connection.sock.connect(os.fspath(path))
        yield connection
    finally:
        connection.close()
