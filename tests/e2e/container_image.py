"""The container image of this project, built by `image/build.py` from what is in the working tree."""

import runpy
import subprocess
import sys
from pathlib import Path

from tests.e2e.toolbox import MissingError, Tool, ensure_program

ROOT = Path(__file__).parents[2]
_BUILD = ROOT / "image" / "build.py"
ARCHIVE: Path = ROOT / ".cache" / "image" / "nri-netdev.tar"


def _sources() -> list[Path]:
    fixed = (
        "Dockerfile",
        ".dockerignore",
        "image/build.py",
        "image/constraints.txt",
        "image/requirements.txt",
        "image/sbom.py",
        "pyproject.toml",
    )
    return [*(ROOT / name for name in fixed), *sorted((ROOT / "nri_netdev").rglob("*.py"))]


def _make() -> None:
    ensure_program("debootstrap", package="debootstrap")
    if not _works():
        ensure_program("buildah", package="buildah")
    done = subprocess.run([sys.executable, _BUILD], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingError(f"the image cannot be built: {' '.join(done.stderr.splitlines()[-1:])}")


def _works() -> bool:
    module = runpy.run_path(str(_BUILD))
    try:
        module["builder"]()
    except module["BuildError"]:
        return False
    return True


IMAGE = Tool(
    name="nri-netdev-image",
    files=(ARCHIVE,),
    key=lambda: "\n".join(path.read_text() for path in _sources()),
    make=_make,
)
