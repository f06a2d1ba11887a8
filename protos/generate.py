"""Generate `nri_netdev/proto` from the .proto files beside this script; `--check` only compares."""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
ROOT = PROTOS.parent
PACKAGE = Path("nri_netdev/proto")


def generate(out: Path) -> None:
    """Write message modules and their stubs under `out`, in the folders of the package.

    Raises:
        SystemExit: protoc refuses a file; it has said why.
    """
    names = sorted(path.name for path in PROTOS.glob("*.proto"))
    status = protoc.main(
        [
            "protoc",
            # Mapped to the package's path, so that file names in the descriptor pool are ours alone and
            # generated modules import each other by their full name.
            f"--proto_path={PACKAGE}={PROTOS}",
            f"--proto_path={Path(grpc_tools.__file__).parent / '_proto'}",
            f"--python_out={out}",
            f"--pyi_out={out}",
            *(str(PACKAGE / name) for name in names),
        ]
    )
    if status != 0:
        raise SystemExit(status)


def differing() -> list[str]:
    """Name the generated files that are missing, superfluous or other than `protos/` gives."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        wanted = {path.name for path in (fresh / PACKAGE).iterdir()}
        found = {path.name for path in (ROOT / PACKAGE).glob("*_pb2.py*")}
        _, changed, missing = filecmp.cmpfiles(fresh / PACKAGE, ROOT / PACKAGE, wanted, shallow=False)
        return sorted({*changed, *missing, *(found - wanted)})


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the checked-in code is not what protos/ gives")
    if not parser.parse_args().check:
        generate(ROOT)
        return 0
    stale = differing()
    if stale:
        print(f"not what protos/ gives: {', '.join(f'{PACKAGE}/{name}' for name in stale)}", file=sys.stderr)
        print("run `make protos` and commit the result", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
