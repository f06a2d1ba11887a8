"""The doctor on real engines: what it says is so."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cells import RUNTIMES, Cell
from tests.e2e.conftest import MakeEngine
from tests.e2e.crio import Crio
from tests.e2e.engine import Engine
from tests.e2e.machine import CommandError
from tests.e2e.node import Node

pytestmark = pytest.mark.matrix

PROGRAM = Path(sys.executable).with_name("nri-netdev")


def examine(node: Node, config: Path | None, *options: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Exit status, and findings by topic; without a configuration the doctor finds it."""
    script = '"$0" "$@"; echo "status $?"'
    named = ("--engine-config", config) if config else ()
    output = node.machine.run("sh", "-c", script, PROGRAM, "doctor", "--json", *named, *options)
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
    """The lines that turn it on are told; while the engine answers, nothing must be changed."""
    on, off = ("enable_nri = true", "enable_nri = false")
    if not isinstance(engine, Crio):
        on, off = ("disable = false", "disable = true")
    config.write_text(engine.config_text().replace(on, off))
    status, found = examine(node, config)
    assert status == 0
    assert on in found["engine config"][0]["advice"]
    status, found = examine(node, config, "--socket", "/run/nowhere.sock")
    assert status == 1
    assert on in found["engine config"][0]["advice"]


NRI = "[plugins.'io.containerd.nri.v1.nri']\n"
HANDLERS = {
    2: "plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes",
    3: "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes",
}
CONTAINERD = {
    # files, the first of which is given to the engine
    "nothing said, version 2": {"c.toml": "version = 2"},
    "nothing said, version 3": {"c.toml": "version = 3"},
    "nothing said, no version": {"c.toml": ""},
    "full name, no version": {"c.toml": f"{NRI}disable = false"},
    "short name, no version": {"c.toml": "[plugins.nri]\ndisable = false"},
    "short name, version 2": {"c.toml": "version = 2\n[plugins.nri]\ndisable = true"},
    "nested, relative, a loop": {
        "c.toml": f"version = 2\nimports = ['a/*.toml']\n{NRI}disable = true",
        "a/2.toml": "imports = ['../b/x.toml', '../c.toml']",
        "a/1.toml": f"{NRI}disable = true",
        "b/x.toml": f"{NRI}disable = false",
    },
    "the last one wins": {
        "c.toml": "version = 2\nimports = ['z.toml', 'a*.toml']",
        "z.toml": f"{NRI}disable = true",
        "a1.toml": f"{NRI}disable = true",
        "a2.toml": f"{NRI}disable = false",
    },
    "a table in two files": {
        "c.toml": f"version = 2\nimports = ['x.toml']\n{NRI}disable = false",
        "x.toml": f"{NRI}plugin_request_timeout = '3s'",
    },
    "a table in two files, without a socket": {
        "c.toml": f"version = 2\nimports = ['x.toml']\n{NRI}disable = false\ndisable_connections = true",
        "x.toml": f"{NRI}plugin_request_timeout = '3s'",
    },
    "runtimes of version 2": {
        "c.toml": f"version = 2\nimports = ['x.toml']\n[{HANDLERS[2]}.a.options]\nBinaryName = '/a'",
        "x.toml": f"version = 2\n[{HANDLERS[2]}.b.options]\nBinaryName = '/b'",
    },
    "runtimes of version 3": {
        "c.toml": f"version = 3\nimports = ['x.toml']\n[{HANDLERS[3]}.a.options]\nBinaryName = '/a'",
        "x.toml": f"version = 2\n[{HANDLERS[2]}.b.options]\nBinaryName = '/b'",
    },
    "runtimes in the wrong place": {"c.toml": f"version = 3\n[{HANDLERS[2]}.a.options]\nBinaryName = '/a'"},
    "a runtime in two files": {
        "c.toml": f"version = 2\nimports = ['x.toml']\n[{HANDLERS[2]}.a.options]\nBinaryName = '/a'",
        "x.toml": f"version = 2\n[{HANDLERS[2]}.a.options]\nBinaryName = '/b'",
    },
}
ON, OFF = "[crio.nri]\nenable_nri = true\n", "[crio.nri]\nenable_nri = false\n"
CRIO = {
    "nothing said": {"c.toml": "[crio]"},
    "drop-ins of any name": {"c.toml": ON, "c.toml.d/20/x~": OFF, "c.toml.d/30": "[crio.nri]\nnri_listen = '/x'"},
    "the last one wins": {"c.toml": OFF, "c.toml.d/b": ON, "c.toml.d/a/c": OFF},
    "without a socket": {"c.toml": ON, "c.toml.d/x": "[crio.nri]\nnri_disable_connections = true"},
    "runtimes": {
        "c.toml": "[crio.runtime.runtimes.a]\nruntime_path = '/a'\n[crio.runtime.runtimes.b]\nruntime_path = '/b'",
        "c.toml.d/x": "[crio.runtime.runtimes.a]\nruntime_path = '/c'",
    },
}


def written(directory: Path, texts: Mapping[str, str]) -> Path:
    """A configuration as a layout has it."""
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory / "c.toml"


def test_files_are_read_as_the_engine_reads_them(engine: Engine, node: Node, tmp_path: Path) -> None:
    """The engine itself is asked what it makes of them: whether NRI is on, and the program of each handler."""
    is_crio = isinstance(engine, Crio)
    compared = 0
    for number, (layout, texts) in enumerate((CRIO if is_crio else CONTAINERD).items()):
        path = written(tmp_path / str(number), texts)
        try:
            expected = engine.effective(path)
        except CommandError:  # an older release refuses it, so there is nothing to be read
            continue
        compared += 1
        _, found = examine(node, path)
        (config,) = found["engine config"]
        assert ("NRI turned off" in config["found"]) == (not expected.has_nri), (layout, config)
        assert config["verdict"] == ("ok" if expected.has_nri else "note"), (layout, config)
        told = {topic[8:]: found[topic][0]["found"].split()[0] for topic in found if topic.startswith("runtime ")}
        assert told.keys() == expected.programs.keys() or not expected.programs, layout
        programs = {name: program for name, program in expected.programs.items() if program}
        assert {name: told[name] for name in programs} == programs, layout
    assert compared >= len(CRIO)


def test_a_socket_elsewhere(engine: Engine, node: Node, tmp_path: Path) -> None:
    """Is where the engine says, and not where the daemon looks."""
    text = f"version = 2\n{NRI}disable = false\nsocket_path = '/run/x/nri.sock'"
    if isinstance(engine, Crio):
        text = f"{ON}nri_listen = '/run/x/nri.sock'"
    path = written(tmp_path, {"c.toml": text})
    _, found = examine(node, path, "--socket", "/run/nowhere.sock")
    assert f"with NRI at {engine.effective(path).nri_socket}, " in found["engine config"][0]["found"]


def spread(engine: Engine, text: str) -> Path:
    """Have the engine's configuration in another file than its first; returns that, as seen inside."""
    main = engine.config_path
    if isinstance(engine, Crio):
        other, first = Path(f"{main}.d/10/x"), ""
    else:
        version = text.splitlines()[0]
        other, first = main.parent / "b/x.toml", f"{version}\nimports = ['a/*.toml']\n"
        engine.machine.path(main.parent / "a").mkdir(exist_ok=True)
        engine.machine.path(main.parent / "a/x.toml").write_text("imports = ['../b/x.toml']\n")
    engine.machine.path(other).parent.mkdir(parents=True, exist_ok=True)
    engine.machine.path(other).write_text(text)
    engine.machine.path(main).write_text(first)
    return other


def test_a_configuration_that_changes(make_engine: MakeEngine) -> None:
    """The doctor finds it by the engine's process, and tells what is written from what is in force."""
    engine = make_engine()
    node = Node(engine.machine)
    text = engine.config_text()
    is_crio = isinstance(engine, Crio)
    on, off = ("enable_nri = true", "enable_nri = false") if is_crio else ("disable = false", "disable = true")
    other = spread(engine, text)
    engine.restart()
    status, found = examine(node, None)
    assert (status, found["engine config"][0]["verdict"]) == (0, "ok"), found
    assert str(engine.config_path) in found["engine config"][0]["found"]
    assert {f"runtime {name}" for name in engine.handlers} <= found.keys()

    engine.machine.path(other).write_text(text.replace(on, off))
    status, found = examine(node, None)
    assert (status, found["engine config"][0]["verdict"]) == (0, "note"), found
    assert found["engine config"][0]["found"].startswith(f"{other}: ")
    assert "not in force" in found["engine config"][0]["found"]

    engine.restart()
    status, found = examine(node, None)
    assert (status, found["engine config"][0]["verdict"]) == (1, "change"), found
    assert found["engine config"][0]["found"].startswith(f"{other}: ")
    assert f"in {other}\n" in found["engine config"][0]["advice"]

    time.sleep(2)  # the start of a process is known to the second
    engine.machine.path(other).write_text(text)
    status, found = examine(node, None)
    assert (status, found["engine config"][0]["verdict"]) == (1, "change"), found
    assert f"{other} changed after it had started" in found["engine config"][0]["found"]

    engine.restart()
    status, found = examine(node, None)
    assert (status, found["engine config"][0]["verdict"]) == (0, "ok"), found
    node.clean()


def test_in_namespaces_of_its_own(node: Node, config: Path) -> None:
    """In a network namespace that is not the engine's nothing could be given."""
    with pytest.raises(CommandError) as ended:
        node.machine.run("unshare", "--net", PROGRAM, "doctor", "--engine-config", config)
    assert ended.value.status == 1
