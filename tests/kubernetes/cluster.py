"""A real Kubernetes of one node on a stand-in for a machine: etcd, API server, controllers, scheduler, kubelet.

All of it runs in the machine's own namespaces around a real engine. Knows nothing of nri-netdev.
"""

import contextlib
import json
import os
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from tests.e2e import tools
from tests.e2e.engine import Engine
from tests.e2e.machine import CommandError
from tests.e2e.node import UPLINK
from tests.e2e.wait import wait_until

Object = dict[str, Any]

VERSION = tools.required_version(tools.PINS / "kubernetes", "k8s.io/kubernetes").removeprefix("v")
NODE = "node"
NODE_IP = "192.0.2.2"
STATIC_PODS = Path("/etc/kubernetes/manifests")
"""Of the pods that the kubelet runs by itself."""

_BIN = tools.CACHE / "kubernetes"
_ETCD = tools.CACHE / "etcd" / "server"
_ETC = Path("/etc/kubernetes")
_SERVICE_IP = "10.96.0.1"
_API = f"https://{_SERVICE_IP}:443"
"""At the address of the service `kubernetes`, which no kube-proxy has to lead anywhere."""
_USERS = {
    "admin": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    f"system:node:{NODE}": "system:nodes",
}
"""Groups by user; each has a token."""

_KUBELET: Mapping[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": NODE_IP,
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "cgroupDriver": "cgroupfs",
    "clusterDNS": ["10.96.0.10"],  # there is none; without it each pod gets an event
    "crashLoopBackOff": {"maxContainerRestartPeriod": "2s"},
    "failCgroupV1": False,
    "failSwapOn": False,
    "healthzBindAddress": "127.0.0.1",
    "nodeStatusUpdateFrequency": "2s",
    "oomScoreAdj": 0,  # without CAP_SYS_RESOURCE the kernel refuses to lower it
    "resolvConf": "",
    "staticPodPath": os.fspath(STATIC_PODS),
    "syncFrequency": "10s",
    # The disks of the real machine are not to be judged.
    "evictionHard": {"memory.available": "1Mi"}
    | dict.fromkeys(("nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree"), "0%"),
    "imageGCHighThresholdPercent": 100,
}

_KERNEL = {
    "kernel/keys/root_maxbytes": 25000000,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
}
"""What the kubelet would write to the kernel of the real machine."""

_PREPARE = f"""
# As systemd has it: Bidirectional mounts of pods need it.
mount --make-rshared /
# A user namespace may mount a /proc of its own only where one without mounts upon it can be seen.
mkdir -p /run/whole-proc {_ETC}/pki {STATIC_PODS} /var/lib/kubelet /var/lib/etcd
mount -t proc proc /run/whole-proc
# Volumes of pods cannot lie upon an overlay.
mount -t tmpfs tmpfs /var/lib/kubelet
mount -t tmpfs -o mode=700 tmpfs /var/lib/etcd
openssl genrsa -out {_ETC}/pki/sa.key 2048 2>&-
openssl rsa -in {_ETC}/pki/sa.key -pubout -out {_ETC}/pki/sa.pub 2>&-
ip address add {_SERVICE_IP}/32 dev lo
"""

_PARTS: Mapping[str, tuple[str, ...]] = {
    "etcd": (
        "--data-dir=/var/lib/etcd",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=default=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ),
    "kube-apiserver": (
        "--etcd-servers=http://127.0.0.1:2379",
        "--bind-address=0.0.0.0",
        "--secure-port=443",
        f"--advertise-address={NODE_IP}",
        "--endpoint-reconciler-type=none",
        f"--cert-dir={_ETC}/pki",
        f"--token-auth-file={_ETC}/tokens.csv",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={_ETC}/pki/sa.pub",
        f"--service-account-signing-key-file={_ETC}/pki/sa.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
    ),
    "kube-controller-manager": (
        f"--kubeconfig={_ETC}/system:kube-controller-manager.conf",
        f"--service-account-private-key-file={_ETC}/pki/sa.key",
        f"--root-ca-file={_ETC}/pki/apiserver.crt",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={_ETC}/pki/kcm",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ),
    "kube-scheduler": (
        f"--kubeconfig={_ETC}/system:kube-scheduler.conf",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={_ETC}/pki/scheduler",
    ),
    "kubelet": (
        f"--config={_ETC}/kubelet.yaml",
        f"--kubeconfig={_ETC}/system:node:{NODE}.conf",
        f"--node-ip={NODE_IP}",
        f"--hostname-override={NODE}",
        "--root-dir=/var/lib/kubelet",
        "--v=2",
    ),
}
"""Arguments by part, in the order in which they start."""


class Cluster:
    """Kubernetes around an engine that runs, on a machine with an uplink; `start` returns when pods can be made.

    Args:
        engine: what its kubelet uses.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.machine = engine.machine
        self._processes: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for part in reversed(_PARTS):
            self.stop(part)

    # --- its parts ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every part."""
        self._prepare()
        for part in ("etcd", "kube-apiserver"):
            self.start_part(part)
        wait_until(self._is_serving, timeout_s=120, what=lambda: f"the API server:\n{self.log_tail('kube-apiserver')}")
        for part in ("kube-controller-manager", "kube-scheduler", "kubelet"):
            self.start_part(part)
        wait_until(self.is_node_ready, timeout_s=120, what=lambda: f"the node is ready:\n{self.log_tail('kubelet')}")
        wait_until(self._is_usable, timeout_s=120, what=self._why_unusable)

    def start_part(self, part: str) -> None:
        """Start a part, by its program's name."""
        program = _ETCD if part == "etcd" else _BIN / part
        with self._log(part).open("ab") as log:
            self._processes[part] = self.machine.popen(
                [program, *_PARTS[part]], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self, part: str) -> None:
        """End a part, if it runs."""
        process = self._processes.pop(part, None)
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=20)

    def kill9(self, part: str) -> None:
        """Kill a part on the spot."""
        process = self._processes.pop(part)
        process.kill()
        process.wait(timeout=20)

    def pids(self) -> set[int]:
        """Return its processes that run, as seen from outside the machine."""
        return {process.pid for process in self._processes.values()}

    @contextlib.contextmanager
    def without_kubelet(self) -> Iterator[None]:
        """Have the kubelet dead, killed on the spot, while a block runs."""
        self.kill9("kubelet")
        try:
            yield
        finally:
            self.start_part("kubelet")

    def contained(self) -> dict[int, str]:
        """Return the pids, as seen from outside the machine, and command lines of all that runs in pods."""
        found = {}
        for path in self.machine.cgroups():
            with contextlib.suppress(OSError):
                for pid in Path(path, "cgroup.procs").read_text().split():
                    line = Path("/proc", pid, "cmdline").read_bytes()
                    found[int(pid)] = line.replace(b"\0", b" ").decode().strip()
        return found

    def log_tail(self, part: str, lines: int = 15) -> str:
        """Return the end of the log of a part."""
        path = self._log(part)
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    # --- kubectl ------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str | Path, text_in: str = "", timeout_s: float = 60) -> str:
        """Run kubectl as an administrator and return its standard output.

        Raises:
            CommandError: its status is not 0.
        """
        return self.machine.run(
            _BIN / "kubectl", *arguments, text_in=text_in, timeout_s=timeout_s, env=self.environment
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment in which programs find kubectl and the cluster."""
        return {"KUBECONFIG": f"{_ETC}/admin.conf", "PATH": f"{_BIN}:{tools.BIN}:{os.environ['PATH']}"}

    def apply(self, *objects: Object | str) -> None:
        """Apply objects, or texts in YAML."""
        texts = (found if isinstance(found, str) else json.dumps(found) for found in objects)
        self.kubectl("apply", "-f", "-", text_in="\n---\n".join(map(textwrap.dedent, texts)))

    def get(self, *arguments: str) -> Object:
        """Return an object, or a list of them, as in ``get("pod", "web", "-n", "default")``."""
        found: Object = json.loads(self.kubectl("get", "-o", "json", *arguments))
        return found

    def find(self, *arguments: str) -> Object | None:
        """Return an object, or nothing when there is none."""
        said = self.kubectl("get", "-o", "json", "--ignore-not-found", *arguments)
        found: Object | None = json.loads(said) if said.strip() else None
        return found

    def wait(self, condition: Callable[[], Any], *, timeout_s: float = 60, what: Callable[[], str] | str = "") -> Any:
        """Wait for a condition; a failure tells `what`, asked only then if it can be called, and how the pods are."""

        def told() -> str:
            return f"{(what() if callable(what) else what) or condition}:\n{self.story()}"

        return wait_until(condition, timeout_s=timeout_s, what=told)

    def story(self) -> str:
        """Return what a person would look at first when something is wrong: pods and their events."""
        with contextlib.suppress(CommandError):
            pods = self.kubectl("get", "pods", "--all-namespaces", "-o", "wide")
            return pods + self.kubectl("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp")
        return ""

    def is_node_ready(self) -> bool:
        """Tell whether the node is Ready."""
        with contextlib.suppress(CommandError):
            conditions = self.get("node", NODE)["status"]["conditions"]
            return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)
        return False

    @contextlib.contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """A namespace for as long as the block lasts; its pods are gone afterwards."""
        self.kubectl("create", "namespace", name)
        self.wait(lambda: self.find("serviceaccount", "default", "-n", name), what=f"the service account of {name}")
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")
            kinds = ("deployments", "statefulsets", "daemonsets", "jobs", "pods")
            self.kubectl("delete", ",".join(kinds), "--all", "-n", name, "--grace-period=1", timeout_s=120)
            # That the namespace itself goes takes seconds more, and nobody uses its name again.
            self.wait(lambda: not self.get("pods", "-n", name)["items"], what=f"no pods in {name}")

    # --- within -------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        kernel = "\n".join(
            f"mkdir -p $(dirname /run/kernel/{name}); echo {value} > /run/kernel/{name}\n"
            f"mount --bind /run/kernel/{name} /proc/sys/{name}"
            for name, value in _KERNEL.items()
        )
        self.machine.run("sh", "-ec", f"{_PREPARE}\n{kernel}")
        self.machine.run("ip", "link", "show", UPLINK)  # the node's address is there
        for top in _cgroups(self.machine.cgroup):
            top.mkdir(parents=True, exist_ok=True)
        tokens = "".join(f'token-{user},{user},{user},"{groups}"\n' for user, groups in _USERS.items())
        self._write("tokens.csv", tokens)
        for user in _USERS:
            self._write(f"{user}.conf", yaml.safe_dump(_kubeconfig(user)))
        places = {"cgroupRoot": self.machine.cgroup, "containerRuntimeEndpoint": f"unix://{self.engine.cri_socket}"}
        self._write("kubelet.yaml", yaml.safe_dump({**_KUBELET, **places}))

    def _is_serving(self) -> bool:
        assert self._processes["kube-apiserver"].poll() is None, self.log_tail("kube-apiserver")
        with contextlib.suppress(CommandError):
            return self.kubectl("get", "--raw", "/readyz").strip() == "ok"
        return False

    def _is_usable(self) -> bool:
        with contextlib.suppress(CommandError):
            self.get("serviceaccount", "default")
            return not self.get("node", NODE)["spec"].get("taints")
        return False

    def _why_unusable(self) -> str:
        return f"a service account, and no taint:\n{self.log_tail('kube-controller-manager')}"

    def _log(self, part: str) -> Path:
        return self.machine.directory / f"{part}.log"

    def _write(self, name: str, text: str) -> None:
        path = self.machine.path(_ETC / name)
        path.write_text(text)
        path.chmod(0o600)


def _kubeconfig(user: str) -> Object:
    cluster = {"server": _API, "certificate-authority": f"{_ETC}/pki/apiserver.crt"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": f"token-{user}"}}],
        "contexts": [{"name": "context", "context": {"cluster": "cluster", "user": user}}],
        "current-context": "context",
    }


def _cgroups(cgroup: str) -> list[Path]:
    """Return a cgroup in each hierarchy of version 1, or the one of version 2."""
    top = Path("/sys/fs/cgroup")
    tops = [top] if (top / "cgroup.controllers").exists() else [d for d in top.iterdir() if d.is_dir()]
    return [found / cgroup.lstrip("/") for found in tops if found.name != "unified"]
