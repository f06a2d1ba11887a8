"""The benchmark runs. What it measures is no test's business."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import profile, programs, stopwatch
from tests.e2e import tools
from tests.e2e.cells import ENGINES, RUNTIMES, Cell
from tests.e2e.toolbox import MissingError

REPOSITORY = Path(__file__).parent.parent

pytestmark = [pytest.mark.root, pytest.mark.upstream]


@pytest.fixture(name="built", scope="module")
def fixture_built() -> None:
    try:
        programs.build()
    except MissingError as error:
        pytest.skip(str(error))


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=300).stdout


def test_everything_is_measured_of_both(built: None, tmp_path: Path) -> None:
    """A short run has a figure of either plugin for every measure, a point for every size, and a picture of each."""
    result = tmp_path / "results.json"
    run("bench", "--short", f"--json={result}")

    found = json.loads(result.read_text())
    assert len(found["table"]) == 14
    assert all(line["ours"] > 0 and line["go"] > 0 for line in found["table"])
    assert all(time_us > 0 for scale in found["scales"].values() for by in scale.values() for time_us in by.values())
    assert {path.name for path in tmp_path.glob("*.svg")} == {
        f"speed-{of}.svg" for of in ("interfaces", "live", "entries")
    }
    assert len(found["growth"]) == 10


def test_profile_shows_the_way_of_a_claim(built: None) -> None:
    """The profile tells the steps of an annotated CreateContainer, and that each is taken."""
    said = run("bench.profile", "--count=3")

    _, annotated = said.split("containers, annotated")
    steps = {line.split()[0]: float(line.split()[1]) for line in annotated.splitlines()[2:] if line}
    assert steps["Preparations.prepare"] >= 1.0
    assert steps["Custody.give"] == 1.0
    assert steps["Ledger.write"] > 0


@pytest.mark.e2e
def test_real_containers_are_timed(built: None) -> None:
    """A turn of each: no plugin, the Go plugin, this daemon; and annotated containers have their interface."""
    cell = Cell(engine=ENGINES["containerd"], runtime=RUNTIMES["runc"])
    if missing := [*tools.missing(), *cell.missing()]:
        pytest.skip(f"missing: {', '.join(missing)}")
    table = [line.split("|")[1:4] for line in run("bench.pods", "--rounds=1", "--count=1").splitlines() if "|" in line]

    ratios = {name.strip(): (plain.strip(), annotated.strip()) for name, plain, annotated in table[2:]}
    assert ratios["no plugin"] == ("1.00", "")
    assert all(float(ratio) > 0 for name in ("Go plugin", "nri-netdev") for ratio in ratios[name])


@pytest.mark.e2e
def test_what_it_costs_to_be_set_up_is_told() -> None:
    """A turn of each case: what was asked for is inside, and custody's part is known."""
    cell = Cell(engine=ENGINES["containerd"], runtime=RUNTIMES["runc"])
    if missing := [*tools.missing(), *cell.missing()]:
        pytest.skip(f"missing: {', '.join(missing)}")
    said = run("bench.setups", "--rounds=1", "--count=1", "--no-dranet").splitlines()
    table = {cells[1].strip(): cells[2:] for line in said if len(cells := line.split("|")) == 7}

    set_up = [
        cells for title, cells in table.items() if title.startswith("nri-netdev: ") and "an interface" not in title
    ]
    assert len(set_up) == 2
    assert {inside.strip() for *_, inside, _ in set_up} == {"MTU 1400, 198.51.100.9/24, route to 203.0.113.0/24"}
    assert all(float(part.removesuffix(" ms ")) > 0 for _, _, part, *_ in set_up)


def test_every_step_that_is_profiled_exists() -> None:
    """A function that was renamed would silently lose its stopwatch."""
    watched = {module: tuple(names) for module, names in stopwatch.WITHIN.items()}
    custody = {"nri_netdev.custody.custody": tuple(stopwatch.WHOLE)}
    for module, names in (*profile.STEPS.items(), *watched.items(), *custody.items()):
        for name in names:
            owner: object = importlib.import_module(module)
            for part in name.split("."):
                owner = getattr(owner, part)
            assert callable(owner), name
