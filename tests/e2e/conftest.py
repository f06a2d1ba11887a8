"""What the end-to-end tests share: one engine for the session; interfaces and pods for each test.

The environment variables ENGINE and RUNTIME choose another engine and another default OCI runtime.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import tools
from tests.e2e.cri import Crictl
from tests.e2e.engine import Containerd
from tests.e2e.machine import Machine
from tests.e2e.node import Node
from tests.e2e.wait import wait_until

ENGINES = {"containerd": Containerd}
RUNTIMES = {"runc": tools.BIN / "runc"}
LOG_LINES = 60
MakeEngine = Callable[..., Containerd]


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
    if report.failed and isinstance(engine, Containerd):
        report.sections.append((f"end of {engine.log}", "\n".join(engine.log_text().splitlines()[-LOG_LINES:])))
    return report


def engine_class() -> type[Containerd]:
    """Return the engine that the environment variable ENGINE names."""
    return ENGINES[os.environ.get("ENGINE", "containerd")]


def handlers() -> dict[str, Path]:
    """Return the runtime handlers, the one that the environment variable RUNTIME names first."""
    default = os.environ.get("RUNTIME", "runc")
    return {default: RUNTIMES[default]} | RUNTIMES


@pytest.fixture(scope="session", autouse=True)
def e2e_tools() -> None:
    """Skip what needs tools that are not here; in CI that is a failure."""
    missing = tools.missing()
    if missing:
        reason = f"NOT TESTED END TO END, missing: {', '.join(missing)}; as root run: make e2e-tools"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session", name="engine")
def session_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containerd]:
    """Run one engine on one stand-in machine for all tests; a test that stops it need not start it again."""
    with (
        Machine(tmp_path_factory.mktemp("machine")) as machine,
        engine_class()(machine, handlers=handlers()) as engine,
    ):
        yield engine


@pytest.fixture
def make_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeEngine]:
    """Give a function that starts a further engine, on a machine of its own, with the engine's options."""
    machines = []

    def make(**options: Any) -> Containerd:
        machines.append(Machine(tmp_path_factory.mktemp("machine")))
        engine = engine_class()(machines[-1], **{"handlers": handlers(), **options})
        engine.start()
        return engine

    yield make
    for machine in machines:
        machine.close()


@pytest.fixture
def node(engine: Containerd) -> Iterator[Node]:
    """Give the engine's node, on which a test makes its interfaces and runs the daemon."""
    node = Node(engine.machine)
    yield node
    if not engine.is_running():
        engine.start()
    Crictl(engine).remove_all()
    wait_until(lambda: not engine.leftovers(), timeout_s=10, what=lambda: f"gone: {engine.leftovers()}")
    node.clean()


@pytest.fixture
def crictl(engine: Containerd, node: Node) -> Crictl:
    """Give the CRI of the engine; the pods are removed at the end."""
    return Crictl(engine)
