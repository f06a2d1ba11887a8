"""The engines and OCI runtimes that the end-to-end tests know, and which pairs of them are tested when.

A cell is such a pair. The environment chooses: `ENGINE` and `RUNTIME` name one cell, `CELLS=all` means every
one. Otherwise each test runs on the first cell, and one that is marked `matrix` also on the others of `TESTED`.
"""

import dataclasses
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.e2e import tools
from tests.e2e.crio import Crio
from tests.e2e.engine import Containerd, ContainerdBefore, Engine, NextContainerd, OldContainerd


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """An OCI runtime."""

    name: str
    """By which tests choose it, as in ``RUNTIME=crun``; also the name of its handler."""
    tool: str
    """What must have been made for it to run."""
    program: Path
    moves_net_devices: bool
    """Whether it knows `linux.netDevices`; an older one ignores them."""
    tells_net_devices: bool
    """Whether its `features` say so."""

    @property
    def kind(self) -> str:
        """What it calls itself."""
        return self.name.partition("-")[0]

    def version(self) -> str:
        """Ask it for its version."""
        said = subprocess.run([self.program, "--version"], check=True, capture_output=True, text=True).stdout
        return said.splitlines()[0].split()[-1]


_RUNTIMES = (
    Runtime(name="runc", tool="runc", program=tools.BIN / "runc", moves_net_devices=True, tells_net_devices=True),
    Runtime(
        name="crun",
        tool="crun",
        program=tools.ROOT / "crun" / "usr" / "bin" / "crun",
        moves_net_devices=True,
        tells_net_devices=True,
    ),
    Runtime(
        name="runc-rc",
        tool="runc-rc",
        program=tools.CACHE / "runc-rc" / "runc",
        moves_net_devices=True,
        tells_net_devices=True,
    ),
    Runtime(
        name="runc-1.3",
        tool="runc-1.3",
        program=tools.CACHE / "runc-1.3" / "runc",
        moves_net_devices=False,
        tells_net_devices=False,
    ),
    Runtime(
        name="youki",
        tool="youki",
        program=tools.CACHE / "youki" / "bin" / "youki",
        moves_net_devices=True,
        tells_net_devices=False,
    ),
)
ENGINES: Mapping[str, type[Engine]] = {
    engine.name: engine for engine in (Containerd, Crio, ContainerdBefore, OldContainerd, NextContainerd)
}
RUNTIMES: Mapping[str, Runtime] = {runtime.name: runtime for runtime in _RUNTIMES}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """An engine whose default runtime handler is a certain OCI runtime."""

    engine: type[Engine]
    runtime: Runtime
    is_optional: bool = False
    """Whether it is no failure that it cannot run."""

    def __str__(self) -> str:
        return f"{self.engine.name}+{self.runtime.name}"

    @property
    def applies_net_devices(self) -> bool:
        """Whether `linux.netDevices` has an effect here without our help."""
        return self.engine.applies_net_devices and self.runtime.moves_net_devices

    def needs(self) -> tuple[str, ...]:
        """Name what must have been made for it."""
        return (*self.engine.needs, self.runtime.tool)

    def missing(self) -> list[str]:
        """Name what it needs and what is not here."""
        return tools.missing(self.needs())

    def handlers(self) -> dict[str, Path]:
        """Return the program of each runtime handler: the cell's own, then the others that are here."""
        others = (runtime for runtime in _RUNTIMES if runtime.program.exists())
        return {runtime.name: runtime.program for runtime in (self.runtime, *others)}


def cell(engine: str, runtime: str) -> Cell:
    """Return the cell of an engine and a runtime by their names."""
    return Cell(engine=ENGINES[engine], runtime=RUNTIMES[runtime], is_optional=runtime == "youki")


DEFAULT = cell("containerd", "runc")
TESTED = (DEFAULT, cell("crio", "crun"), cell("containerd-1.7", "runc-1.3"))
NEXT = cell("containerd-next", "runc-rc")
"""What is not released yet."""
ALL = (
    *TESTED,
    NEXT,
    cell("containerd-2.3", "runc"),
    cell("containerd", "crun"),
    cell("crio", "runc"),
    cell("containerd", "youki"),
)


def chosen(*, is_matrix: bool) -> tuple[Cell, ...]:
    """Return the cells on which to run a test, by the environment and by whether it is marked `matrix`."""
    engine, runtime = (os.environ.get(name) for name in ("ENGINE", "RUNTIME"))
    if engine or runtime:
        return (cell(engine or DEFAULT.engine.name, runtime or DEFAULT.runtime.name),)
    if os.environ.get("CELLS") == "all":
        return ALL
    return TESTED if is_matrix else (DEFAULT,)


def table(outcomes: Mapping[str, Mapping[str, int]]) -> str:
    """Return as a Markdown table on which cells tests ran, and what came of them.

    Args:
        outcomes: by the cell's name, how many tests passed, failed or were skipped.
    """
    lines = [
        "| engine | NRI | OCI runtime | moves interfaces by itself | passed | failed |",
        "|---|---|---|---|---|---|",
    ]
    for found in ALL:
        counts = outcomes.get(str(found))
        if counts:
            engine, runtime = found.engine, found.runtime
            moves = "yes" if found.applies_net_devices else "no"
            names = (
                f"| {engine.runtime_name} {engine.version} | {engine.nri_version} | {runtime.kind} {runtime.version()} "
            )
            lines.append(f"{names}| {moves} | {counts.get('passed', 0)} | {counts.get('failed', 0)} |")
    return "\n".join(lines)
