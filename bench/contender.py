"""The plugins that run in turn, and the engine's stand-in that asks them."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from bench.host import PLACE, veths
from bench.programs import Programs

SOCKET = PLACE / "nri.sock"
STATE = PLACE / "state"
CONFIG = PLACE / "config.yaml"
SETTINGS = f"""
health: unix://{PLACE}/nri-netdev/health.sock
metrics: 127.0.0.1:9819
rules:
  - namespaces: ["*"]
    interfaces: ["*"]
"""
"""What the operator of the measured node has said: as a DaemonSet has it, and every pod may have every interface."""


class EngineError(Exception):
    """The engine's stand-in, or the plugin under it, failed; carries what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A plugin."""

    name: str
    """In the results."""
    title: str
    """For people."""
    command: tuple[str, ...]


def ours(*wrapper: str) -> Contender:
    """This daemon, as it is installed; with `wrapper` in place of `-m nri_netdev`, as in a profile."""
    flags = (
        "--config",
        str(CONFIG),
        "--socket",
        str(SOCKET),
        "--state-dir",
        str(STATE),
        "--run-dir",
        str(PLACE / "nri-netdev"),
    )
    command = (sys.executable, *(wrapper or ("-m", "nri_netdev")), "run", *flags)
    return Contender(name="ours", title="nri-netdev", command=command)


def go(programs: Programs) -> Contender:
    """The plugin on upstream's stub."""
    return Contender(name="go", title="Go plugin", command=(str(programs.injector), "-socket", str(SOCKET)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One entry of the annotation."""

    interface: str
    inside: str


ONE = (Device(interface="ens1", inside="net1"),)
"""The annotated container's interface: one end of a veth, with an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of a process, in MiB."""

    now: float
    peak: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """How a plugin came up."""

    pid: int
    registered_ms: float
    """From the start of its process to when it was registered and configured."""
    synchronize_ms: float

    def memory(self) -> Memory:
        """Its resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        fields = dict(line.split(":", 1) for line in status)
        return Memory(**{key: int(fields[field].split()[0]) / 1024 for key, field in _FIELDS.items()})

    def fds(self) -> int:
        """How many files it has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())


_FIELDS = {"now": "VmRSS", "peak": "VmHWM"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Of containers, in microseconds."""

    run_pod_us: Sequence[float]
    """RunPodSandbox of each one's pod."""
    rest_us: Sequence[float]
    """CreateContainer of each, or with all the events after it."""

    @property
    def whole_us(self) -> list[float]:
        """Both together."""
        return [run_pod + rest for run_pod, rest in zip(self.run_pod_us, self.rest_us, strict=True)]


class Engine:
    """The program that stands where the engine stands.

    Args:
        programs: what was built.
        log: where the plugins' output goes.
    """

    def __init__(self, programs: Programs, log: Path) -> None:
        self._log = log
        with log.open("w", encoding="utf-8") as said:
            self._process = subprocess.Popen(
                [programs.engine, f"-directory={PLACE}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self._to, self._from = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._to.close()
        self._process.wait()
        self._from.close()

    @contextlib.contextmanager
    def running(self, contender: Contender, *, pods: int = 0) -> Iterator[Started]:
        """Run a plugin, told of so many pods, on a fresh node: an interface that was moved lacks its address."""
        shutil.rmtree(STATE, ignore_errors=True)
        CONFIG.write_text(SETTINGS, encoding="utf-8")
        with veths((device.interface for device in ONE), "192.0.2.1/24"):
            answer = self._call(op="start", argv=contender.command, log=str(self._log), pods=pods)
            try:
                yield Started(
                    pid=answer["pid"],
                    registered_ms=answer["registered_ms"],
                    synchronize_ms=answer["synchronize_ms"],
                )
            finally:
                self._call(op="stop")

    def times(
        self, op: str, count: int, *, warm_up: int = 0, netns: Path | None = None, devices: Sequence[Device] = ()
    ) -> Times:
        """Have so many containers, each in a new pod; timed to CreateContainer (`create`) or to their end (`life`)."""
        answer = self._call(op=op, count=count, warm_up=warm_up, **_subject(netns, devices))
        return Times(**{f"{of}_us": [each / 1000 for each in answer[f"{of}_ns"]] for of in ("run_pod", "rest")})

    @contextlib.contextmanager
    def claimed(self, holders: Sequence[tuple[str, Path, Sequence[Device]]]) -> Iterator[None]:
        """Keep containers that hold interfaces: name, netns of the pod, what each has."""
        try:
            for name, netns, devices in holders:
                self._call(op="claim", name=name, **_subject(netns, devices))
            yield
        finally:
            for name, netns, devices in holders:
                self._call(op="release", name=name, **_subject(netns, devices))

    def _call(self, **command: Any) -> dict[str, Any]:
        self._to.write(json.dumps(command) + "\n")
        self._to.flush()
        line = self._from.readline()
        if not line:
            raise EngineError("the engine's stand-in has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineError(f"{command['op']}: {answer['error']}; see {self._log}")
        return answer


def _subject(netns: Path | None, devices: Sequence[Device]) -> dict[str, Any]:
    entries = [{"hostIf": device.interface, "name": device.inside} for device in devices]
    return {"netns": str(netns or ""), "devices": entries}
