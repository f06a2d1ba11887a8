"""The doctor on real engines: what it says is so."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cells import RUNTIMES, Cell
from tests.e2e.crio import Crio
from tests.e2e.engine import Engine
from tests.e2e.machine import CommandError
from tests.e2e.node import Node

pytestmark = pytest.mark.matrix

PROGRAM = Path(sys.executable).with_name("nri-netdev")


def examine(node: Node, config: Path, *options: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Exit status, and findings by topic."""
    script = '"$0" "$@"; echo "status $?"'
    output = node.machine.run("sh", "-c", script, PROGRAM, "doctor", "--json", "--engine-config", config, *options)
    text, _, status = output.rpartition("status ")
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(text):
        found.setdefault(finding["topic"], []).append(finding)
    return int(status), found


@pytest.fixture
def config(engine: Engine, tmp_path: Path) -> Path:
    """The engine's own configuration."""
    path = tmp_path / "engine.toml"
    path.write_text(engine.config_text())
    return path


def test_a_node_that_is_fit(cell: Cell, engine: Engine, node: Node, config: Path) -> None:
    """Nothing is to be changed; engine, NRI and each runtime are told as they are."""
    status, found = examine(node, config)

    assert status == 0, found
    assert engine.version.lstrip("v") in found["engine"][0]["found"]
    assert found["engine config"][0]["verdict"] == "ok"
    assert {finding["verdict"] for finding in found["namespaces"]} == {"ok"}
    for name in engine.handlers:
        [told] = found[f"runtime {name}"]
        assert (told["verdict"] == "ok") == RUNTIMES[name].tells_net_devices, told
    if not engine.applies_net_devices:
        assert found["nri"][0]["verdict"] == "note"


def test_it_leaves_the_engine_as_it_was(node: Node, engine: Engine, config: Path) -> None:
    """It comes and goes as a plugin, also beside a daemon, and none stays."""
    with node.daemon() as daemon:
        before = len(daemon.log_text().splitlines())
        examine(node, config)

        assert daemon.status() is None
        assert not any("engine.away" in line for line in daemon.log_text().splitlines()[before:])


def test_an_engine_that_is_not_there(node: Node, config: Path) -> None:
    """Is to be started, with NRI; the exit status says so."""
    status, found = examine(node, config, "--socket", "/run/nowhere.sock")

    assert status == 1
    assert found["engine"][0]["verdict"] == "change"
    assert "/run/nowhere.sock" in found["engine"][0]["found"]


def test_nri_turned_off(engine: Engine, node: Node, config: Path) -> None:
    """The lines that turn it on are told."""
    on, off = ("enable_nri = true", "enable_nri = false")
    if not isinstance(engine, Crio):
        on, off = ("disable = false", "disable = true")
    config.write_text(engine.config_text().replace(on, off))
    status, found = examine(node, config)

    assert status == 1
    assert on in found["engine config"][0]["advice"]


def test_in_namespaces_of_its_own(node: Node, config: Path) -> None:
    """In a network namespace that is not the engine's nothing could be given."""
    with pytest.raises(CommandError) as ended:
        node.machine.run("unshare", "--net", PROGRAM, "doctor", "--engine-config", config)
    assert ended.value.status == 1
