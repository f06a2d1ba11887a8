"""The doctor: what it finds in state directory and configurations, and how it prints that; engines are in tests/e2e."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev.cli.doctor import Check, CheckVerdict, examine
from nri_netdev.config.settings import Settings
from nri_netdev.domain.claim import State
from nri_netdev.errors import ConfigurationError
from nri_netdev.shells.store.ledger import Ledger
from nri_netdev.shells.store.lock import Lock
from tests.cli.conftest import run
from tests.shells.store.test_ledger import claim


def checks(directory: Path, *, engine_config: str = "") -> dict[str, list[Check]]:
    """What is found with a state directory, by topic; no engine is there."""
    settings = Settings(state_dir=directory, run_dir=directory / "run", socket=directory / "nri.sock")
    path = directory / "engine.toml"
    path.write_text(engine_config)
    found: dict[str, list[Check]] = {}
    for check in examine(lambda: settings, engine_config=path):
        found.setdefault(check.topic, []).append(check)
    return found


def test_a_wrong_configuration(tmp_path: Path) -> None:
    """Is one thing to change, and everything else is looked at all the same."""

    def load() -> Settings:
        raise ConfigurationError("index is wrong")

    first, *others = examine(load, engine_config=tmp_path / "none")
    assert (first.topic, first.found, first.verdict) == ("config", "index is wrong", CheckVerdict.CHANGE)
    assert {"kernel", "capabilities", "state", "engine", "engine config", "mounts"} <= {one.topic for one in others}


def test_no_ledger_yet(tmp_path: Path) -> None:
    """Is well where one can be made, and none is made."""
    (check,) = checks(tmp_path)["state"]
    assert (check.found, check.verdict) == (f"{tmp_path}: no ledger yet", CheckVerdict.OK)
    assert not (tmp_path / "ledger.db").exists()


def test_a_ledger(tmp_path: Path) -> None:
    """How many interfaces are held, what is wrong with them, and who serves; what is prepared is not counted."""
    with Ledger(tmp_path) as ledger:
        ledger.write(put=[replace(claim(1), troubles=("it is lost",)), replace(claim(2), state=State.PREPARED)])
    unserved, trouble = checks(tmp_path)["state"]
    assert unserved.found == f"{tmp_path}: 1 claims, no daemon runs on it"
    assert (trouble.found, trouble.verdict) == ("ens1: it is lost", CheckVerdict.NOTE)
    with closing(Lock(tmp_path)) as lock:
        assert lock.take() is None
        assert checks(tmp_path)["state"][0].found.startswith(f"{tmp_path}: 1 claims, served by process ")


def test_a_damaged_ledger(tmp_path: Path) -> None:
    """The advice is what to do, without what is wrong."""
    (tmp_path / "ledger.db").write_bytes(b"rubbish" * 1000)
    (check,) = checks(tmp_path)["state"]
    assert check.verdict is CheckVerdict.CHANGE
    assert check.advice == "move the file away, restart, and bring interfaces home by hand"
    assert check.found.endswith(f"; {check.advice}")


def test_no_engine(tmp_path: Path) -> None:
    """It says how to turn NRI on, for each engine."""
    (check,) = checks(tmp_path)["engine"]
    assert check.found.startswith(f"no NRI at {tmp_path / 'nri.sock'}: ")
    assert check.verdict is CheckVerdict.CHANGE
    assert "io.containerd.nri.v1.nri" in check.advice
    assert "enable_nri = true" in check.advice


def test_an_engines_configuration(tmp_path: Path) -> None:
    """What to change in it, drop-in files considered, and what its runtimes can do."""
    runtimes = {"able": '{"linux": {"netDevices": {"enabled": true}}}', "old": "{}", "mute": "no JSON"}
    lines = ["[crio.nri]", "enable_nri = false"]
    for name, features in {**runtimes, "absent": None}.items():
        program = tmp_path / name
        lines += [f"[crio.runtime.runtimes.{name}]", f"runtime_path = '{program}'"]
        if features is not None:
            program.write_text(f"#!/bin/sh\necho '{features}'\n")
            program.chmod(0o755)
    found = checks(tmp_path, engine_config="\n".join(lines))
    (config,) = found["engine config"]
    assert config.found.endswith("engine.toml: CRI-O with NRI turned off, or without its socket")
    assert config.verdict is CheckVerdict.CHANGE
    assert found["fail-open"][0].verdict is CheckVerdict.NOTE
    told = {name: (check.found, check.verdict) for name in (*runtimes, "absent") for check in found[f"runtime {name}"]}
    assert told == {
        "able": (f"{tmp_path / 'able'} moves network devices", CheckVerdict.OK),
        "old": (f"{tmp_path / 'old'} does not say that it moves network devices", CheckVerdict.NOTE),
        "mute": (f"{tmp_path / 'mute'} cannot tell its features", CheckVerdict.NOTE),
        "absent": (f"{tmp_path / 'absent'} is not to be found from here", CheckVerdict.NOTE),
    }
    (tmp_path / "engine.toml.d").mkdir()
    validator = "[crio.nri.default_validator]\nnri_enable_default_validator = true\n"
    (tmp_path / "engine.toml.d" / "90.conf").write_text(f"[crio.nri]\nenable_nri = true\n{validator}")
    found = checks(tmp_path, engine_config="\n".join(lines))
    assert found["engine config"][0].found.endswith("engine.toml: CRI-O with NRI")
    assert found["fail-open"][0].verdict is CheckVerdict.OK


@pytest.mark.parametrize(
    ("text", "expected"), [("= nonsense", "cannot read "), ("a = 1", " is neither containerd's nor CRI-O's")]
)
def test_no_engines_configuration(tmp_path: Path, text: str, expected: str) -> None:
    """Is a note, since another one may be in force."""
    (check,) = checks(tmp_path, engine_config=text)["engine config"]
    assert check.verdict is CheckVerdict.NOTE
    assert expected in check.found


def test_how_it_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 1 while something must be changed; advice stands below what was found."""
    options = ("--state-dir", tmp_path, "--run-dir", tmp_path, "--socket", tmp_path / "nri.sock")
    status, out, _ = run("doctor", "--engine-config", tmp_path / "none", *options, capsys=capsys)
    assert status == 1
    assert out.startswith("ok      config ")
    engine = next(line for line in out.splitlines() if line.startswith("change  engine "))
    advice = out.splitlines()[out.splitlines().index(engine) + 1]
    assert advice.index("start the engine") == engine.index("no NRI at")
    status, out, _ = run("doctor", "--json", "--engine-config", tmp_path / "none", *options, capsys=capsys)
    assert status == 1
    assert list(json.loads(out)[0]) == ["topic", "found", "verdict", "advice"]
