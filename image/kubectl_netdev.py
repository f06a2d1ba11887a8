"""Write `kubectl netdev` as one file that needs Python 3.11 alone: `python image/kubectl_netdev.py [FILE]`.

The file is an archive of those modules of the package that it uses, which Python runs as it is. Put it into a directory
of PATH as `kubectl-netdev`.
"""

from __future__ import annotations

import sys
import tempfile
import zipapp
from modulefinder import ModuleFinder
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / ".cache" / "kubectl-netdev"
MODULE = "nri_netdev.cli.netdev"


def modules() -> list[Path]:
    """The files of the package that the plugin imports, however indirectly."""
    finder = ModuleFinder(path=[str(ROOT), *sys.path])
    finder.import_hook(MODULE)
    found = (module.__file__ for name, module in finder.modules.items() if name.split(".")[0] == "nri_netdev")
    return sorted(Path(path) for path in found if path)


def write(target: Path) -> None:
    """Write the file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        for path in modules():
            copy = Path(directory) / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
        Path(directory, "__main__.py").write_text(f"import sys\nfrom {MODULE} import main\nsys.exit(main())\n")
        zipapp.create_archive(directory, target, interpreter="/usr/bin/env python3", compressed=True)
    target.chmod(0o755)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    write(target)
    print(f"{target}: {target.stat().st_size // 1024} KiB")
