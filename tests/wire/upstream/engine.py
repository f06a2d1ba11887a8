"""Builds and runs the stand-in for an engine that is made of upstream's own engine side of NRI.

The Go program is in `driver`; it is built once for each version of NRI and kept under `.cache/upstream`.
"""

import hashlib
import json
import os
import subprocess
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from nri_netdev.proto import nri_pb2
from tests.e2e.golang import go_program
from tests.e2e.toolbox import run

DRIVER = Path(__file__).parent / "driver"
CACHE = Path(__file__).parents[3] / ".cache" / "upstream"
PATIENCE_S = 60
"""How long anything may take before a test fails; nothing waits that long unless it hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of NRI to build the program with.

    Attributes:
        modfile: the go.mod that pins it.
        tags: Go build tags.
    """

    modfile: str
    tags: str


RELEASES = {
    "0.11": Release(modfile="v0_11.mod", tags="nri_no_wasm,nri_v0_11"),
    "0.12": Release(modfile="go.mod", tags="nri_no_wasm"),
}


class EngineError(Exception):
    """The engine answered a command with an error; carries its text."""


def build(version: str) -> Path:
    """Return the program for a version of NRI, after building it if need be.

    Raises:
        tests.e2e.toolbox.MissingError: Go or a module cannot be had here.
        subprocess.CalledProcessError: it does not compile.
    """
    release = RELEASES[version]
    sources = sorted(path for path in DRIVER.iterdir() if path.is_file())
    digest = hashlib.sha256(repr(release).encode() + b"".join(path.read_bytes() for path in sources))
    program = CACHE / digest.hexdigest()[:16] / "engine"
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    go = go_program(DRIVER)
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    modfile = f"-modfile={release.modfile}"
    run([go, "mod", "download", modfile], what="go mod download", cwd=DRIVER, env=environment)
    made = program.with_name(f"engine.{os.getpid()}")
    flags = ["-trimpath", "-buildvcs=false", modfile, f"-tags={release.tags}"]
    subprocess.run([go, "build", *flags, "-o", made, "."], cwd=DRIVER, env=environment, check=True)
    return made.rename(program)


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What became of CreateContainer.

    Attributes:
        adjust: what all plugins asked for, merged.
        spec: the container's OCI spec with that applied, as JSON.
        consulted: the plugins in the order of calls, as in "10-net".
    """

    adjust: nri_pb2.ContainerAdjustment
    spec: dict[str, Any]
    consulted: list[str]


class Engine:
    """The running program.

    Args:
        program: what `build` returned.
        directory: where it makes its socket.
        options: its flags; an underscore stands for a dash.
    """

    def __init__(self, program: Path, directory: Path, **options: str) -> None:
        self.socket_path = directory / "nri.sock"
        flags = [f"-{name.replace('_', '-')}={value}" for name, value in options.items()]
        self._process = subprocess.Popen(
            [program, f"-directory={directory}", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._news = threading.Condition()
        self._logs: list[str] = []
        self._waiting: dict[int, Future[Any]] = {}
        self._last_id = 0
        self._reader = threading.Thread(target=self._read, name="engine", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        self.wait_logged("ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()

    def begin(self, op: str, pod: Message | None = None, container: Message | None = None, **rest: int) -> Future[Any]:
        """Give a command; the future brings its result or raises EngineError."""
        self._last_id += 1
        command = {"id": self._last_id, "op": op, **rest}
        for name, message in (("pod", pod), ("container", container)):
            if message is not None:
                command[name] = MessageToDict(message)
        future = self._waiting[self._last_id] = Future()
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        return future

    def call(self, op: str, pod: Message | None = None, container: Message | None = None, **rest: int) -> Any:
        """Give a command that no plugin has to answer, and return its result."""
        return self.begin(op, pod, container, **rest).result(PATIENCE_S)

    def wait_logged(self, text: str, *, times: int = 1) -> None:
        """Wait until so many log lines have held this text."""
        with self._news:
            found = self._news.wait_for(lambda: sum(text in line for line in self._logs) >= times, timeout=PATIENCE_S)
        assert found, f"the engine never logged {text!r}, but: {self._logs[-20:]}"

    def logged(self, text: str) -> list[str]:
        """Return the log lines so far that hold this text."""
        with self._news:
            return [line for line in self._logs if text in line]

    def _read(self) -> None:
        for raw in self._process.stdout:
            line = json.loads(raw)
            if "log" in line:
                with self._news:
                    self._logs.append(line["log"])
                    self._news.notify_all()
            elif "error" in line:
                self._waiting.pop(line["id"]).set_exception(EngineError(line["error"]))
            else:
                self._waiting.pop(line["id"]).set_result(_result(line.get("result")))
        for future in self._waiting.values():
            future.set_exception(EOFError("the engine is gone"))


def _result(found: Any) -> Any:
    if isinstance(found, dict) and "adjust" in found:
        return Created(**found | {"adjust": ParseDict(found["adjust"], nri_pb2.ContainerAdjustment())})
    return found
