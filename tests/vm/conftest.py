"""What the tests in virtual machines share: each machine boots once and is restored for each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import tools
from tests.e2e.cells import DEFAULT
from tests.e2e.machine import Machine
from tests.e2e.node import Node
from tests.vm import disk
from tests.vm.places import InMachine, OnHost
from tests.vm.scene import Place
from tests.vm.table import Row, table

IS_ALL = os.environ.get("VM") == "all"
_lines: list[str] = []
_rows: dict[str, Row] = {}


def row_of(kind: str) -> Row:
    """What is found of a kind."""
    return _rows.setdefault(kind, Row())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test below this directory; leave out what takes too long for each time, unless all is asked for."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.vm)
            item.add_marker(pytest.mark.e2e)
    left_out = [] if IS_ALL else [item for item in items if item.get_closest_marker("vm_all")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note what came of each scenario; show the daemon's log with one that fails."""
    report = yield
    place = getattr(item, "funcargs", {}).get("place")
    if place is not None and (report.when == "call" or report.failed):
        kind = item.callspec.params.get("kind") if isinstance(item, pytest.Function) else None
        if kind is not None and item.path.name == "test_lives.py" and report.outcome != "skipped":
            row_of(kind).count(place.name, report.outcome)
        _lines.append(f"{report.outcome:8} {report.duration:5.0f} s  {place.name:28} {item.name}")
        if report.failed:
            with (disk.PLACE / "failures.log").open("a") as log:  # a run is long: this can be read before its end
                log.write(f"{item.name}\n{report.longreprtext}\n")
        if report.failed and isinstance(place, InMachine):
            report.sections.append(("the daemon's log", place.log()))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each scenario."""
    if _lines:
        terminalreporter.section("scenarios in virtual machines")
        for line in _lines:
            terminalreporter.write_line(line)
    if _rows:
        terminalreporter.section("link kinds")
        for line in table(_rows):
            terminalreporter.write_line(line)


def _require(missing: list[str]) -> None:
    """Skip, or in CI fail, when something is missing."""
    if missing:
        reason = f"NOT TESTED IN A VIRTUAL MACHINE, missing: {', '.join(missing)}; as root run: make vm-disk"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def _machine(number: int, factory: pytest.TempPathFactory, options: str = "") -> Iterator[InMachine]:
    _require(disk.missing())
    cell = disk.CELLS[number]
    place = InMachine(factory.mktemp("vm"), disk.kernels()[number], cell, options)
    with place.vm:
        place.boot()
        yield place


@pytest.fixture(scope="session")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InMachine]:
    """Debian stable's kernel, containerd and runc."""
    yield from _machine(0, tmp_path_factory)


@pytest.fixture(scope="session")
def newest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InMachine]:
    """The newest kernel of Debian's backports, CRI-O and crun; each RDMA device belongs to one netns."""
    yield from _machine(1, tmp_path_factory, "ib_core.netns_mode=0")


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnHost]:
    """The kernel of this machine, containerd and runc."""
    _require(tools.missing((*tools.DEFAULT, *tools.SABOTAGE)))
    with (
        Machine(tmp_path_factory.mktemp("machine")) as machine,
        DEFAULT.engine(machine, handlers={DEFAULT.runtime.name: DEFAULT.runtime.program}) as engine,
    ):
        place = OnHost(engine, Node(machine))
        place.crictl.run_pod("warm")  # its network turns on forwarding
        place.crictl.remove_all()
        yield place


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """The place that a test names, as it was at first."""
    found: InMachine | OnHost = request.getfixturevalue(request.param)
    if isinstance(found, InMachine):
        found.restore()
        yield found
        return
    node = Node(found.engine.machine)
    fresh = OnHost(found.engine, node)
    fresh.boot()
    try:
        yield fresh
    finally:
        if not found.engine.is_running():
            found.engine.start()
        fresh.crictl.remove_all()
        fresh.close()
        node.clean()
