"""Tries the newest version of everything on a copy of this project: ``make newest``.

The copy is `.cache/newest/tree`; its pins are raised, what they pin is built in its own cache, and its tests run in a
virtual environment with the newest of our own dependencies that pyproject.toml allows. The checked-in pins stay as
they are. The exit status is 0 if all is well; with ``CI=true`` what could not be tried is not well either.
"""

import argparse
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from tests.e2e import cells, tools
from tests.e2e.toolbox import MissingError, run
from tests.newest import pins, report
from tests.newest.pins import Version
from tests.newest.report import Outcome

TOP = Path(__file__).parents[2]
PLACE = TOP / ".cache" / "newest"
TREE = PLACE / "tree"
LOGS = PLACE / "logs"
PYTHON = PLACE / "venv" / "bin" / "python"
CELLS = (cells.DEFAULT, cells.NEXT, cells.cell("crio", "crun"), cells.cell("containerd", "youki"))
_BESIDE = ("runc-1.3",)
"""Of which tests of arrival want a handler on every engine."""
_KUBERNETES = "Kubernetes"
_FOR_KUBERNETES = ("etcd", "kubernetes")
_NEEDS_NOTHING = "not root and not upstream and not e2e"
_OTHER_TESTS: Mapping[str, Sequence[str]] = {
    "NRI's engine side alone": ("-m", "upstream", "tests/wire/upstream"),
    "our Python dependencies": ("-m", _NEEDS_NOTHING, "tests", "--ignore-glob=tests/test_*.py"),
    _KUBERNETES: ("tests/kubernetes",),
}
_ON_CELLS = ("-m", "matrix", "tests/e2e", "--ignore=tests/e2e/test_image.py")  # an image's packages are locked


def _copy() -> None:
    """Copy this project as it is; what the copy has built before stays."""
    TREE.mkdir(parents=True, exist_ok=True)
    for old in TREE.iterdir():
        if old.name != ".cache":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    left_out = shutil.ignore_patterns(".git", ".cache", ".venv", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(TOP, TREE, ignore=left_out, dirs_exist_ok=True)


def _raise_python() -> Iterator[Version]:
    """Make a virtual environment with the newest dependencies that are allowed; tell of newer ones, too."""
    shutil.rmtree(PLACE / "venv", ignore_errors=True)
    run([sys.executable, "-m", "venv", PLACE / "venv"], what="a virtual environment")
    pip = [PYTHON, "-m", "pip"]
    run([*pip, "install", "--quiet", "--upgrade", "pip"], what="pip install pip")
    run([*pip, "install", "--quiet", "--editable", TREE, "--group", f"{TREE}/pyproject.toml:test"], what="pip install")
    listed = {_normal(one["name"]): one for one in json.loads(run([*pip, "list", "--format=json"], what="pip list"))}
    outdated = json.loads(run([*pip, "list", "--outdated", "--format=json"], what="pip list --outdated"))
    newer = {_normal(one["name"]): one["latest_version"] for one in outdated}
    for requirement in importlib.metadata.requires("nri-netdev") or ():
        name = re.match(r"[\w-]+", requirement)[0]
        note = f"{newer[name]} is not allowed" if name in newer else ""
        yield Version(part=name, pinned=requirement.removeprefix(name), newest=listed[name]["version"], note=note)


def _normal(name: str) -> str:
    """Spell the name of a distribution as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _python(*arguments: str, log: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy, where what is missing is a failure; keep what it printed."""
    done = subprocess.run(
        [PYTHON, *arguments],
        cwd=TREE,
        env=os.environ | {"CI": "true", "COLUMNS": "400"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    LOGS.mkdir(exist_ok=True)
    LOGS.joinpath(f"{log}.log").write_text(done.stdout)
    return done


def _build(names: Sequence[str]) -> dict[str, str]:
    """Build each tool by itself; return why not, by the name of the tool."""
    wrong = {}
    for name in names:
        done = _python("-m", "tests.e2e.tools", name, log=f"build-{name}")
        if done.returncode or "NOT TESTED" in done.stdout:
            wrong[name] = done.stdout.splitlines()[-1]
    return wrong


def _test(what: str, *arguments: str, **environment: str) -> Outcome:
    print(f"newest: testing {what}", flush=True)
    log = re.sub(r"[^\w+.-]+", "-", what)
    done = _python("-m", "pytest", "-q", "--show-capture=no", *arguments, log=log, **environment)
    return report.of_pytest(what, done.stdout, done.returncode)


def _outcomes(wanted: Collection[str]) -> Iterator[Outcome]:
    """Build what is needed for what is wanted, and test one after the other."""
    needed = {cell: (*tools.DEFAULT, *_BESIDE, *cell.needs()) for cell in CELLS if str(cell) in wanted}
    names = [name for names in needed.values() for name in names]
    wrong = _build([*dict.fromkeys(names), *(_FOR_KUBERNETES if _KUBERNETES in wanted else ())])
    for cell, names in needed.items():
        reasons = tuple(wrong[name] for name in names if name in wrong)
        if not reasons:
            yield _test(str(cell), *_ON_CELLS, ENGINE=cell.engine.name, RUNTIME=cell.runtime.name)
        elif cell.is_optional:
            yield Outcome(what=str(cell), not_tried=reasons[0])
        else:
            yield Outcome(what=str(cell), broke=reasons)
    for what, arguments in _OTHER_TESTS.items():
        if what in wanted:
            yield _test(what, *arguments)


def main() -> int:
    """Do all of it, print the report, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.newest", description=__doc__.split("\n")[0])
    parser.add_argument("--kubernetes", action="store_true", help="build and test Kubernetes, too: 20 min more")
    parser.add_argument("--versions", action="store_true", help="only tell which newer versions there are")
    known = [*map(str, CELLS), *_OTHER_TESTS]
    parser.add_argument("--only", action="append", choices=known, help="test only this; can be given again")
    options = parser.parse_args()
    usual = known if options.kubernetes else [what for what in known if what != _KUBERNETES]
    wanted = [] if options.versions else options.only or usual
    print(f"newest: raising the pins of a copy in {TREE.relative_to(TOP)}", flush=True)
    _copy()
    go_pins = pins.GO_PINS + (pins.KUBERNETES if options.kubernetes or _KUBERNETES in wanted else ())
    versions = [pins.raise_go(TREE, pin) for pin in go_pins]
    try:
        versions += [*pins.raise_others(TREE), *_raise_python()]
    except MissingError as error:
        print(f"newest: nothing can be tested: {error}", file=sys.stderr)
        return 1
    outcomes = list(_outcomes(wanted))
    print("", report.text(versions, outcomes), "", f"Logs are in {LOGS.relative_to(TOP)}.", sep="\n")
    is_well = not report.broke(versions, outcomes)
    return 0 if is_well and not (os.environ.get("CI") == "true" and report.not_tried(versions, outcomes)) else 1


if __name__ == "__main__":
    sys.exit(main())
