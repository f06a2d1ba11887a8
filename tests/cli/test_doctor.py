"""The doctor: what it finds in state directory and configurations, and how it prints that; engines are in tests/e2e."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev.cli.check import Check, CheckVerdict
from nri_netdev.cli.doctor import examine
from nri_netdev.config.settings import Settings
from nri_netdev.domain.claim import State
from nri_netdev.errors import ConfigurationError
from nri_netdev.shells.observe.status import serving
from nri_netdev.shells.store.ledger import Ledger
from nri_netdev.shells.store.lock import Lock
from nri_netdev.testing.engine import Engine
from tests.cli.conftest import run
from tests.loop import within
from tests.shells.store.test_ledger import claim


@contextmanager
def reporting(run_dir: Path, document: dict[str, object]) -> Iterator[None]:
    """A daemon that reports a status."""
    stop = threading.Event()

    async def serve(ready: threading.Event) -> None:
        async with serving(run_dir, lambda: document):
            ready.set()
            await asyncio.to_thread(stop.wait)

    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(ready)))
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        stop.set()
        thread.join()


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


@pytest.mark.parametrize(
    ("name", "verdict"), [("containerd", CheckVerdict.OK), ("cri-o", CheckVerdict.OK), ("docker", CheckVerdict.CHANGE)]
)
@within(60)
async def test_an_engine(tmp_path: Path, name: str, verdict: CheckVerdict) -> None:
    """It answers; Docker's containers get nothing all the same."""
    async with Engine(tmp_path / "nri.sock", runtime_name=name, runtime_version="2.4.2"):
        (check,) = (await asyncio.to_thread(checks, tmp_path))["engine"]
    assert check.found == f"{name} 2.4.2 answers at {tmp_path / 'nri.sock'}"
    assert (check.verdict, "no pod sandbox" in check.advice) == (verdict, name == "docker")


def test_the_daemon_is_registered(tmp_path: Path) -> None:
    """It is no fault that the doctor is not let in beside it, and what a file says is then not in force."""
    answer = {"engine": {"name": "containerd", "version": "v2.3.4"}, "socket": str(tmp_path / "nri.sock")}
    with reporting(tmp_path / "run", answer):
        found = checks(tmp_path, engine_config="[plugins.'io.containerd.nri.v1.nri']\ndisable = true")
    for topic, text in {
        "engine": "containerd v2.3.4 has the daemon registered, and does not answer nri-netdev doctor: ",
        "engine config": "that is not in force, since containerd v2.3.4 answers",
    }.items():
        (check,) = found[topic]
        assert check.verdict is CheckVerdict.NOTE
        assert text in check.found


@pytest.mark.parametrize("answer", [{"engine": None, "socket": "nri.sock"}, {"engine": {}, "socket": "other.sock"}])
def test_the_daemon_is_not_registered(tmp_path: Path, answer: dict[str, object]) -> None:
    """Or at another socket: then it says nothing of this one."""
    with reporting(tmp_path / "run", {**answer, "socket": str(tmp_path / str(answer["socket"]))}):
        (check,) = checks(tmp_path)["engine"]
    assert check.verdict is CheckVerdict.CHANGE


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
