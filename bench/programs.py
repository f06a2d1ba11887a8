"""The benchmark's two Go programs, built from `bench/go.mod` and kept under `.cache/bench`."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.golang import go_program
from tests.e2e.toolbox import run

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where they are."""

    engine: Path
    """Stands where the engine stands; see `bench/engine/main.go`."""
    injector: Path
    """What we are compared with; see `bench/injector/main.go`."""


def build() -> Programs:
    """Return the programs, after building them if need be.

    Raises:
        tests.e2e.toolbox.MissingError: Go or a module cannot be had here.
    """
    sources = sorted([*HERE.glob("go.*"), *HERE.glob("*/*.go")])
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()
    place = CACHE / digest[:16]
    programs = Programs(engine=place / "engine", injector=place / "injector")
    if programs.engine.exists() and programs.injector.exists():
        return programs
    place.mkdir(parents=True, exist_ok=True)
    go = go_program(HERE)
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    run([go, "mod", "download"], what="go mod download", cwd=HERE, env=environment)
    for program in (programs.engine, programs.injector):
        partial = program.with_name(f"{program.name}.{os.getpid()}")
        flags = ["-trimpath", "-buildvcs=false", "-tags=nri_no_wasm"]
        run(
            [go, "build", *flags, "-o", partial, f"./{program.name}"],
            what=f"go build of {program.name}",
            cwd=HERE,
            env=environment,
        )
        partial.rename(program)
    return programs
