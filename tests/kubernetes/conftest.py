"""What the tests on a real Kubernetes share: one cluster and one installation for all of them; NICs for each test.

Which engines and OCI runtimes they run on is said in `CELLS`; the environment chooses as for tests/e2e, and
`KUBERNETES=all` runs everything on each.
"""

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import cells, tools
from tests.e2e.cells import Cell
from tests.e2e.conftest import _require
from tests.e2e.container_image import ARCHIVE, IMAGE
from tests.e2e.crio import Crio
from tests.e2e.fewer_capabilities import write_wrapper
from tests.e2e.machine import CommandError, Machine
from tests.e2e.node import Node
from tests.e2e.toolbox import MissingError
from tests.kubernetes import cluster as kubernetes
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.nics import Nics
from tests.kubernetes.product import IMAGE as IMAGE_NAME
from tests.kubernetes.product import Product
from tests.kubernetes.scene import Scene

IS_ALL = os.environ.get("KUBERNETES") == "all"
CELLS = (cells.DEFAULT, cells.cell("crio", "crun"))
PATIENCE_S = 10.0
"""How long an engine that is patient waits for a plugin."""
_outcomes: dict[str, Counter[str]] = {}
_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test below this directory; leave out what takes too long for each time, unless all is asked for."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.kubernetes)
            item.add_marker(pytest.mark.last)
    left_out = [] if IS_ALL else [item for item in items if item.get_closest_marker("kubernetes_all")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the first of the cells, one that is marked `matrix` on all; or on the one that is asked for."""
    if "cell" in metafunc.fixturenames:
        is_matrix = IS_ALL or metafunc.definition.get_closest_marker("matrix") is not None
        one = os.environ.get("ENGINE") or os.environ.get("RUNTIME")
        chosen = cells.chosen(is_matrix=False) if one else CELLS if is_matrix else CELLS[:1]
        metafunc.parametrize("cell", chosen, ids=str, indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Count what came of it; show the daemon's log with a test that fails."""
    report = yield
    arguments = getattr(item, "funcargs", {})
    if isinstance(arguments.get("cell"), Cell) and (report.when == "call" or report.failed):
        _outcomes.setdefault(str(arguments["cell"]), Counter())[report.outcome] += 1
    product = arguments.get("uninstalled")
    if report.failed and isinstance(product, Product):
        with contextlib.suppress(CommandError):  # the cluster may be over
            report.sections.append(("how the pods are", product.cluster.story()))
            report.sections.append(("end of the daemon's log", "\n".join(product.log_text().splitlines()[-60:])))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was found to work with what."""
    if _outcomes:
        terminalreporter.section(f"Kubernetes {kubernetes.VERSION}")
        terminalreporter.write_line(cells.table(_outcomes))


@pytest.fixture(scope="session", name="cell")
def session_cell(request: pytest.FixtureRequest) -> Cell:
    """Give the engine and the OCI runtime that a test runs on."""
    chosen: Cell = request.param
    needs = (*chosen.needs(), *tools.KUBERNETES)
    _require(tools.wait_for(needs), of=f" on Kubernetes with {chosen}", is_optional=chosen.is_optional)
    return chosen


@pytest.fixture(scope="session", name="archive")
def image_archive() -> Path:
    """Give the image, built if anything in it has changed."""
    try:
        IMAGE.ensure()
    except MissingError as error:
        _require([str(error)])
    return ARCHIVE


@pytest.fixture(scope="session", name="cluster")
def session_cluster(cell: Cell, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run one cluster for all tests of a cell; its engine has the image of nri-netdev."""
    with Machine(tmp_path_factory.mktemp("machine")) as machine:
        handlers = cell.handlers()
        if cell.engine is Crio:
            handlers = {name: write_wrapper(machine, program) for name, program in handlers.items()}
        with cell.engine(machine, handlers=handlers) as engine:
            engine.load_image(archive, IMAGE_NAME)
            Node(machine)
            with Cluster(engine) as cluster:
                yield cluster


@pytest.fixture(scope="session")
def uninstalled(cluster: Cluster, cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> Product:
    """Give what can be installed; for tests that do it themselves."""
    overlay = "crio" if cell.engine is Crio else "containerd"
    return Product(cluster, tmp_path_factory.mktemp("kustomization"), overlay=overlay)


@pytest.fixture
def product(uninstalled: Product) -> Product:
    """Give nri-netdev as installed; what an earlier test changed of it is put back."""
    uninstalled.reinstall()
    return uninstalled


@pytest.fixture
def nics(cluster: Cluster) -> Iterator[Nics]:
    """Give the node's interfaces that a test makes; at the end every one must be home as it was."""
    nics = Nics(Node(cluster.machine))
    yield nics
    nics.remove()


@contextlib.contextmanager
def _engine_with(product: Product, **settings: Any) -> Iterator[None]:
    """Have the engine restarted with other settings while a block runs."""
    engine = product.cluster.engine

    def set_up(values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            setattr(engine, name, value)
        engine.configure()
        engine.restart()
        product.cluster.wait(product.cluster.is_node_ready, what="the node is ready")
        if product.is_installed():
            product.wait_registered()

    before = {name: getattr(engine, name) for name in settings}
    try:
        set_up(settings)
        yield
    finally:
        set_up(before)


@pytest.fixture(scope="class")
def patient(uninstalled: Product) -> Iterator[None]:
    """Have the engine wait longer for plugins: on a machine that has other things to do, too, 2 s may not be enough."""
    with _engine_with(uninstalled, nri_request_timeout_s=PATIENCE_S):
        yield


@pytest.fixture
def validating(uninstalled: Product) -> Iterator[None]:
    """Have the engine refuse containers of pods that require a plugin which is not there; it is patient, too."""
    with _engine_with(uninstalled, nri_request_timeout_s=PATIENCE_S, has_nri_validator=True):
        yield


@contextlib.contextmanager
def _scene(product: Product) -> Iterator[Scene]:
    product.reinstall()
    cluster = product.cluster
    nics = Nics(Node(cluster.machine))
    try:
        with cluster.namespace(f"test-{next(_numbers)}") as name:
            yield Scene(cluster, nics, name)
        nics.wait_home()
    finally:
        nics.remove()


@pytest.fixture
def scene(uninstalled: Product) -> Iterator[Scene]:
    """Give a namespace and interfaces; at the end every one must be home as it was."""
    with _scene(uninstalled) as scene:
        yield scene


@pytest.fixture(scope="class")
def shared_scene(uninstalled: Product) -> Iterator[Scene]:
    """Give the same for all tests of a class."""
    with _scene(uninstalled) as scene:
        yield scene


@pytest.fixture
def namespace(cluster: Cluster, nics: Nics) -> Iterator[str]:
    """Give a namespace; at the end its pods are deleted, and then every interface must come home as it was."""
    with cluster.namespace(f"test-{next(_numbers)}") as name:
        yield name
    nics.wait_home()
