"""What the end-to-end tests share: one engine for the tests of a cell; interfaces and pods for each test.

Which engines and OCI runtimes they run on is said in `tests.e2e.cells`.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import cells, tools
from tests.e2e.cells import Cell
from tests.e2e.cri import Crictl
from tests.e2e.engine import Engine
from tests.e2e.machine import Machine
from tests.e2e.node import Node
from tests.e2e.wait import wait_until

LOG_LINES = 60
MakeEngine = Callable[..., Engine]
_outcomes: dict[str, Counter[str]] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test below this directory."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of the engine's log with a test that fails."""
    report = yield
    engine = getattr(item, "funcargs", {}).get("engine")
    if report.failed and isinstance(engine, Engine):
        report.sections.append((f"end of {engine.log}", "\n".join(engine.log_text().splitlines()[-LOG_LINES:])))
    cell = getattr(item, "funcargs", {}).get("cell")
    if isinstance(cell, Cell) and (report.when == "call" or report.failed):
        _outcomes.setdefault(str(cell), Counter())[report.outcome] += 1
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was found to work with what."""
    if _outcomes:
        terminalreporter.section("engines and OCI runtimes")
        terminalreporter.write_line(cells.table(_outcomes))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses an engine on each of the chosen cells."""
    if "cell" in metafunc.fixturenames:
        is_matrix = metafunc.definition.get_closest_marker("matrix") is not None
        metafunc.parametrize("cell", cells.chosen(is_matrix=is_matrix), ids=str, indirect=True, scope="session")


@pytest.fixture(scope="session", autouse=True)
def e2e_tools() -> None:
    """Skip what needs tools that are not here; in CI that is a failure."""
    _require(tools.missing())


@pytest.fixture(scope="session", name="cell")
def session_cell(request: pytest.FixtureRequest) -> Cell:
    """Give the engine and the OCI runtime that a test runs on."""
    chosen: Cell = request.param
    _require(chosen.missing(), of=f" on {chosen}", is_optional=chosen.is_optional)
    return chosen


@pytest.fixture(scope="session", name="engine")
def session_engine(cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Run one engine on one stand-in machine for all tests; a test that stops it need not start it again."""
    with (
        Machine(tmp_path_factory.mktemp("machine")) as machine,
        cell.engine(machine, handlers=cell.handlers()) as engine,
    ):
        yield engine


@pytest.fixture
def make_engine(cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeEngine]:
    """Give a function that starts a further engine, on a machine of its own, with the engine's options."""
    machines = []

    def make(**options: Any) -> Engine:
        machines.append(Machine(tmp_path_factory.mktemp("machine")))
        engine = cell.engine(machines[-1], **{"handlers": cell.handlers(), **options})
        engine.start()
        return engine

    yield make
    for machine in machines:
        machine.close()


@pytest.fixture
def node(engine: Engine) -> Iterator[Node]:
    """Give the engine's node, on which a test makes its interfaces and runs the daemon."""
    node = Node(engine.machine)
    yield node
    if not engine.is_running():
        engine.start()
    Crictl(engine).remove_all()
    wait_until(lambda: not engine.leftovers(), timeout_s=10, what=lambda: f"gone: {engine.leftovers()}")
    node.clean()


@pytest.fixture
def crictl(engine: Engine, node: Node) -> Crictl:
    """Give the CRI of the engine; the pods are removed at the end."""
    return Crictl(engine)


def _require(missing: list[str], *, of: str = "", is_optional: bool = False) -> None:
    """Skip, or in CI fail, when something is missing."""
    if missing:
        reason = f"NOT TESTED END TO END{of}, missing: {', '.join(missing)}; as root run: make e2e-tools"
        if os.environ.get("CI") == "true" and not is_optional:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
