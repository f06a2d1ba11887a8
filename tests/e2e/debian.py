"""Programs out of packages of a newer Debian than the machine's, without changing the machine.

The packages of a program and all that it depends on, down to the C library, are unpacked into a
directory of the cache, and the program is told to use the loader and the libraries there.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.e2e.toolbox import CACHE, OTHERS, MissingError, Tool, ensure_program, run

SUITE = OTHERS["debian"]
"""The Debian whose packages these are; their versions follow it, so they are asked for."""

ROOT = CACHE / "debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_RECIPE = "1"


def debian_tool(name: str, *packages: str, programs: tuple[str, ...]) -> Tool:
    """Describe programs of Debian packages, as in ``debian_tool("crun", "crun", programs=("crun",))``.

    A program that is not in /usr/bin is named by its place below /usr, as in "sbin/ethtool".
    """
    place = ROOT / name
    files = tuple(place / "usr" / (program if "/" in program else f"bin/{program}") for program in programs)

    def make() -> None:
        patchelf = ensure_program("patchelf", package="patchelf")
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            tree = Path(work, "tree")
            tree.mkdir()
            for archive in _fetch(Path(work), packages):
                run(["dpkg-deb", "--extract", archive, tree], what=f"unpacking {archive.name}")
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            tree.rename(place)
        (loader,) = place.glob("usr/lib*/ld-linux-*.so.*")
        (libraries,) = (path.parent for path in place.glob("usr/lib/*/libc.so.6"))
        for file in files:
            options = ["--set-interpreter", loader, "--force-rpath", "--set-rpath", libraries]
            run([patchelf, *options, file], what=f"patchelf of {file.name}")

    return Tool(name=name, files=files, key=lambda: "\n".join((_RECIPE, SUITE, *packages, str(place))), make=make)


def _fetch(work: Path, packages: tuple[str, ...]) -> list[Path]:
    """Download packages and all that they depend on, as if nothing were installed."""
    for directory in ("state/lists/partial", "cache/archives/partial"):
        work.joinpath(directory).mkdir(parents=True)
    sources = work / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirror()} {SUITE} main\n")
    status = work / "status"
    status.touch()
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "Dir::State": work / "state",
        "Dir::State::Status": status,
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    apt = ["apt-get", "--yes", "--quiet", *(f"--option={key}={value}" for key, value in settings.items())]
    run([*apt, "update"], what=f"apt-get update for {SUITE}")
    run([*apt, "--download-only", "install", *packages], what=f"download of {', '.join(packages)}")
    return sorted(work.glob("cache/archives/*.deb"))


def mirror() -> str:
    """Return where the machine gets its own Debian packages from."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise MissingError(f"packages of Debian {SUITE} need root and apt-get")
    for command in (None, ["apt-get", "update", "--quiet"]):
        if command:
            run(command, what="apt-get update")
        targets = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages", "Label: Debian"]
        found = subprocess.run(targets, capture_output=True, text=True, check=False).stdout.split()
        if found:
            return found[0]
    raise MissingError(f"packages of Debian {SUITE} need a Debian machine")
