"""Write `kubectl netdev` as one file that needs Python 3.11 alone: `python image/kubectl_netdev.py [FILE]`.

The file is an archive of those modules of the package that it uses, which Python runs as it is. Put it into a directory
of PATH as `kubectl-netdev`. From the same source it is the same bytes each time.
"""

from __future__ import annotations

import sys
from modulefinder import ModuleFinder
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / ".cache" / "kubectl-netdev"
MODULE = "nri_netdev.cli.netdev"
MAIN = f"""\
import sys

if sys.version_info < (3, 11):
    sys.exit(
        "kubectl-netdev: it needs Python 3.11 or newer, and python3 is %d.%d; "
        "put a newer one first in PATH, or name it in the first line of this file" % sys.version_info[:2]
    )
from {MODULE} import main

sys.exit(main())
"""
"""What runs first; any Python 3 can read it."""


def modules() -> list[Path]:
    """The files of the package that the plugin imports, however indirectly."""
    finder = ModuleFinder(path=[str(ROOT), *sys.path])
    finder.import_hook(MODULE)
    found = (module.__file__ for name, module in finder.modules.items() if name.split(".")[0] == "nri_netdev")
    return sorted(Path(path) for path in found if path)


def write(target: Path) -> None:
    """Write the file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in modules()} | {
        "__main__.py": MAIN.encode()
    }
    with target.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with ZipFile(file, "w") as archive:
            for name, content in files.items():
                archive.writestr(ZipInfo(name), content, ZIP_DEFLATED)  # dated 1980, wherever it is made
    target.chmod(0o755)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    write(target)
    print(f"{target}: {target.stat().st_size // 1024} KiB")
