"""What the end-to-end tests run is made once, kept under `.cache/e2e`, and found there afterwards."""

import dataclasses
import hashlib
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "e2e"
BIN = CACHE / "bin"
PINS = HERE / "pins"
"""A directory with a go.mod for each program that cannot share the go.mod of this one."""
OTHERS: Mapping[str, str] = tomllib.loads((PINS / "others.toml").read_text())
"""The versions that no go.mod pins, by what they are of."""


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
    is_optional: bool = False
    """Whether all may go well without it."""

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


def ensure_program(program: str, *, package: str) -> Path:
    """Return the path of a program, after installing its Debian package if need be."""
    found = shutil.which(program)
    if found is None:
        install(package)
        found = shutil.which(program)
    if found is None:
        raise MissingError(f"{program} is not on PATH (Debian package {package})")
    return Path(found)


def ensure_c_compiler() -> Path:
    """Return a C compiler with the C library's headers."""
    compiler = ensure_program("gcc", package="gcc")
    if not Path("/usr/include/stdlib.h").exists():
        install("libc6-dev")
    return compiler


def install(*packages: str) -> None:
    """Install Debian packages."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise MissingError(f"install {names} by hand: there is no apt-get here")
    if os.geteuid() != 0:
        raise MissingError(f"installing {names} needs root")
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    if subprocess.run(command, env=os.environ | environment, capture_output=True, check=False).returncode:
        run(["apt-get", "update", "--quiet"], what="apt-get update")
        run(command, what=f"apt-get install {names}", env=environment)


def run(command: list[str | Path], *, what: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command, with further environment variables, and return its output.

    Raises:
        MissingError: it failed; carries the last line of what it said.
    """
    environment = os.environ | (env or {})
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise MissingError(f"{what} failed: {lines[-1].strip() if lines else f'status {done.returncode}'}")
    return done.stdout
