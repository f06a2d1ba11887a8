"""Real engines in a stand-in for a machine, at their default paths: what they have in common, and containerd."""

import contextlib
import os
import signal
import socket
import subprocess
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from tests.e2e import images, podnet, tools
from tests.e2e.machine import Machine
from tests.e2e.wait import wait_until

NRI_SOCKET = Path("/run/nri/nri.sock")
NRI_PLUGINS = Path("/opt/nri/plugins")
NRI_PLUGIN_CONFIGS = Path("/etc/nri/conf.d")
_FIRST_WITH_VALIDATOR = (0, 10)
RUNC: Mapping[str, Path] = {"runc": tools.BIN / "runc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What an engine makes of its configuration files, as it says itself."""

    has_nri: bool
    nri_socket: str
    programs: Mapping[str, str]
    """The OCI runtime of each handler; "" if it is looked for."""


class Engine(ABC):
    """An engine of our own; `start` returns when it serves CRI and NRI.

    Args:
        machine: where it runs.
        handlers: OCI runtime program by runtime handler; the first is the default.
        nri_plugin_path: where it looks for plugins to launch.
        nri_request_timeout_s: how long it waits for a plugin's answer.
        nri_registration_timeout_s: how long it waits for a plugin to register.
        has_nri_validator: whether NRI's default validator looks at required plugins; there is none before NRI 0.10.
        is_debug: whether it logs every step.

    Attributes:
        machine: where it runs.
        handlers: OCI runtime program by runtime handler; the first is the default.
        has_nri_validator: whether NRI's default validator looks at required plugins.
        log: its log file.
    """

    name: ClassVar[str]
    """By which tests choose it, as in ``ENGINE=crio``."""
    runtime_name: ClassVar[str]
    """What it calls itself to NRI plugins."""
    version: ClassVar[str]
    """Without a leading v."""
    nri_version: ClassVar[str]
    """Of the NRI library in it, without a leading v."""
    needs: ClassVar[tuple[str, ...]]
    """What must have been made for it to run."""
    cri_socket: ClassVar[Path]
    """Where crictl finds it, as seen inside."""
    nri_socket: ClassVar[Path] = NRI_SOCKET
    """Where plugins find it, as seen inside."""
    applies_net_devices: ClassVar[bool]
    """Whether its NRI knows `linux.net_devices`; one before 0.11 drops it."""
    tells_start_errors: ClassVar[bool]
    """Whether a plugin's error from StartContainer fails the start; otherwise it is only logged."""
    keeps_netns_for_stop: ClassVar[bool]
    """Whether StopPodSandbox tells the pod's netns, and it is still there."""
    resends_pod_events: ClassVar[bool]
    """Whether pods from before its restart still get StopPodSandbox and RemovePodSandbox."""
    monitor: ClassVar[str]
    """In the program name of the process that stands over each container."""

    _config_path: ClassVar[Path]
    _pod_netns: ClassVar[str]

    def __init__(
        self,
        machine: Machine,
        *,
        handlers: Mapping[str, Path] = RUNC,
        nri_plugin_path: Path = NRI_PLUGINS,
        nri_request_timeout_s: float = 2,
        nri_registration_timeout_s: float = 5,
        has_nri_validator: bool = False,
        is_debug: bool = True,
    ) -> None:
        self.machine = machine
        self.handlers = dict(handlers)
        self.log = machine.directory / f"{self.name}.log"
        self.nri_request_timeout_s = nri_request_timeout_s
        self.nri_registration_timeout_s = nri_registration_timeout_s
        self._nri_plugin_path = nri_plugin_path
        self.has_nri_validator = has_nri_validator and _release(self.nri_version) >= _FIRST_WITH_VALIDATOR
        self._is_debug = is_debug
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def default_handler(self) -> str:
        """The handler of pods that name none."""
        return next(iter(self.handlers))

    def start(self, *, timeout_s: float = 30) -> None:
        """Start it and wait until it serves; give it the images on the first start."""
        is_first = not self.machine.path(self._config_path).exists()
        if is_first:
            self.configure()
        notices = self.machine.directory / f"{self.name}.notify"
        notices.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, self.log.open("ab") as log:
            notify.bind(os.fspath(notices))
            notify.settimeout(timeout_s)
            self._process = self.machine.popen(
                self.argv(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"NOTIFY_SOCKET": os.fspath(notices), **self.environment()},
            )
            self._wait_ready(notify)
        if is_first:
            self.import_images()

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

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it and the monitors of its containers on the spot, as if they hung; they go on afterwards."""
        assert self._process is not None
        processes = self.machine.processes().items()
        pids = [self._process.pid, *(pid for pid, line in processes if self.monitor in line.split(" ")[0])]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def is_running(self) -> bool:
        """Tell whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def log_text(self) -> str:
        """Return all that it has logged."""
        return self.log.read_text(errors="replace")

    def wait_logged(self, text: str, *, timeout_s: float = 10) -> None:
        """Wait until its log holds `text`."""
        wait_until(lambda: text in self.log_text(), timeout_s=timeout_s, what=f"{text!r} in {self.log}")

    @abstractmethod
    def load_image(self, archive: Path, name: str) -> None:
        """Give it the image called `name` out of an archive of docker's kind."""

    @property
    def config_path(self) -> Path:
        """Where its configuration file is, as seen inside."""
        return self._config_path

    @abstractmethod
    def effective(self, path: Path) -> Effective:
        """Ask it what it would make of a configuration file and all that belongs to it."""

    def config_text(self) -> str:
        """Return its configuration file."""
        return self.machine.path(self._config_path).read_text()

    def leftovers(self) -> list[str]:
        """Name the monitors of containers, pod network namespaces and cgroups that are left of pods."""
        monitors = [line for line in self.machine.processes().values() if self.monitor in line.split(" ")[0]]
        netns = [path.name for path in self.machine.path("/run/netns").glob(self._pod_netns)]
        return monitors + netns + self.machine.cgroups()

    @abstractmethod
    def argv(self) -> Sequence[str | Path]:
        """Return how it is started."""

    @abstractmethod
    def _config(self) -> str:
        """Return the text of its configuration file."""

    def environment(self) -> Mapping[str, str]:
        """Return further environment variables that it needs."""
        return {}

    def configure(self) -> None:
        """Write all that must be there before its first start."""
        for directory in (NRI_PLUGINS, NRI_PLUGIN_CONFIGS, self._config_path.parent):
            self.machine.path(directory).mkdir(parents=True, exist_ok=True)
        podnet.install(self.machine)
        self.machine.path(self._config_path).write_text(self._config())

    @abstractmethod
    def import_images(self) -> None:
        """Give it the images, when it serves for the first time."""

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
            raise AssertionError(f"{self.name} does not get ready:\n" + "\n".join(tail)) from None


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _pinned(path: str, module: Path = tools.HERE) -> str:
    return tools.required_version(module, path).removeprefix("v")


_BESIDE = ("cni", "crictl", "images", "system")
"""What every containerd needs."""


class Containerd(Engine):
    """containerd as people install it today."""

    name = "containerd"
    runtime_name = "containerd"
    version = _pinned("github.com/containerd/containerd/v2")
    nri_version = _pinned("github.com/containerd/nri")
    needs = ("containerd", *_BESIDE)
    cri_socket = Path("/run/containerd/containerd.sock")
    applies_net_devices = True
    tells_start_errors = True
    keeps_netns_for_stop = True
    resends_pod_events = False

    _config_path = Path("/etc/containerd/config.toml")
    monitor = "containerd-shim"
    _pod_netns = "cni-*"
    _bin = tools.BIN
    _runtime_plugin = "io.containerd.cri.v1.runtime"

    def argv(self) -> Sequence[str | Path]:
        return [self._bin / "containerd", "--log-level", "debug" if self._is_debug else "info"]

    def environment(self) -> Mapping[str, str]:
        return {"PATH": f"{self._bin}:{tools.BIN}:{os.environ['PATH']}"}  # it looks there for its shim

    def load_image(self, archive: Path, name: str) -> None:
        del name  # it is in the archive
        self.machine.run(self._bin / "ctr", "-n", "k8s.io", "images", "import", "--local", archive, timeout_s=120)

    def effective(self, path: Path) -> Effective:
        dump = tomllib.loads(self.machine.run(self._bin / "containerd", "--config", path, "config", "dump"))
        nri = dump["plugins"]["io.containerd.nri.v1.nri"]
        runtimes = dump["plugins"][self._runtime_plugin]["containerd"]["runtimes"]
        programs = {name: runtime.get("options", {}).get("BinaryName", "") for name, runtime in runtimes.items()}
        return Effective(
            has_nri=not nri["disable"] and not nri["disable_connections"],
            nri_socket=nri["socket_path"],
            programs=programs,
        )

    def import_images(self) -> None:
        for archive in ("busybox", "pause"):
            self.load_image(tools.IMAGES / f"{archive}.tar", "")

    def _config(self) -> str:
        runtime = f"plugins.'{self._runtime_plugin}'"
        return "\n".join(
            (
                "version = 3",
                "[plugins.'io.containerd.cri.v1.images'.pinned_images]",
                f"sandbox = '{images.PAUSE}'",
                f"[{runtime}]",
                *_CRI_OPTIONS,
                f"[{runtime}.cni]",
                f"bin_dirs = ['{podnet.CNI_BIN}']",
                f"conf_dir = '{podnet.CNI_CONF}'",
                *self._config_of_handlers(runtime),
                *self._config_of_nri(),
                "",
            )
        )

    def _config_of_handlers(self, runtime: str) -> Sequence[str]:
        lines = [f"[{runtime}.containerd]", f"default_runtime_name = '{self.default_handler}'"]
        for handler, program in self.handlers.items():
            name = f"{runtime}.containerd.runtimes.'{handler}'"
            lines += [f"[{name}]", "runtime_type = 'io.containerd.runc.v2'"]
            lines += [f"[{name}.options]", f"BinaryName = '{program}'"]
        return lines

    def _config_of_nri(self) -> Sequence[str]:
        lines = [
            "[plugins.'io.containerd.nri.v1.nri']",
            "disable = false",
            f"socket_path = '{NRI_SOCKET}'",
            f"plugin_path = '{self._nri_plugin_path}'",
            f"plugin_config_path = '{NRI_PLUGIN_CONFIGS}'",
            f"plugin_registration_timeout = '{self.nri_registration_timeout_s:g}s'",
            f"plugin_request_timeout = '{self.nri_request_timeout_s:g}s'",
        ]
        if self.has_nri_validator:
            lines += ["[plugins.'io.containerd.nri.v1.nri'.default_validator]", "enable = true"]
        return lines


_CRI_OPTIONS = (
    "restrict_oom_score_adj = true",  # without CAP_SYS_RESOURCE the kernel refuses to lower it
    "disable_apparmor = true",
)


class ContainerdBefore(Containerd):
    """The release before, which lives on as the one with long-term support."""

    name = "containerd-2.3"
    version = _pinned("github.com/containerd/containerd/v2", tools.PINS / "containerd-2.3")
    nri_version = _pinned("github.com/containerd/nri", tools.PINS / "containerd-2.3")
    needs = ("containerd-2.3", *_BESIDE)

    _bin = tools.CACHE / "containerd-2.3"


class NextContainerd(Containerd):
    """containerd as its next release may be: with an NRI newer than that of any release."""

    name = "containerd-next"
    version = _pinned("github.com/containerd/containerd/v2", tools.PINS / "containerd-next")
    nri_version = _pinned("github.com/containerd/nri", tools.PINS / "containerd-next")
    needs = ("containerd-next", *_BESIDE)

    _bin = tools.CACHE / "containerd-next"


class OldContainerd(Containerd):
    """The last containerd of the 1.x series: its NRI is older than `linux.net_devices`."""

    name = "containerd-1.7"
    version = _pinned("github.com/containerd/containerd", tools.PINS / "containerd-1.7")
    nri_version = _pinned("github.com/containerd/nri", tools.PINS / "containerd-1.7")
    needs = ("containerd-1.7", *_BESIDE)
    applies_net_devices = False
    keeps_netns_for_stop = False  # it is there, but no longer told

    _bin = tools.CACHE / "containerd-1.7"
    _runtime_plugin = "io.containerd.grpc.v1.cri"

    def _config(self) -> str:
        cri = f"plugins.'{self._runtime_plugin}'"
        return "\n".join(
            (
                "version = 2",
                f"[{cri}]",
                f"sandbox_image = '{images.PAUSE}'",
                *_CRI_OPTIONS,
                f"[{cri}.cni]",
                f"bin_dir = '{podnet.CNI_BIN}'",
                f"conf_dir = '{podnet.CNI_CONF}'",
                *self._config_of_handlers(cri),
                *self._config_of_nri(),
                "",
            )
        )
