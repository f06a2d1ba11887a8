"""The command line: commands, options and their help, exit statuses, and the keys of what programs read."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

# Everything internal that this file knows.
from nri_netdev.cli import main
from nri_netdev.config.settings import Settings
from nri_netdev.daemon.unread import UnreadKey
from nri_netdev.daemon.view import View
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.shells.observe.metrics import Meters
from nri_netdev.shells.store.ledger import Ledger
from nri_netdev.wire.events import Configured
from tests.golden.store import DIRECTORY, as_json, stored
from tests.shells.store.test_ledger import claim

ROOT = DIRECTORY.parents[1]
TERMINAL = {"COLUMNS": "100", "NO_COLOR": "1", "PYTHON_COLORS": "0"}
"""Of the environment: what argparse lays its help out by."""

GOOD = """\
kind: Pod
metadata: {name: web, annotations: {nri-netdev.io/container.app: "[lo]"}}
spec: {containers: [{name: app}]}
"""
BAD = GOOD.replace("[lo]", "[a/b]")
FILES = {"good.yaml": GOOD, "bad.yaml": BAD, "good-config.yaml": "log_level: debug\n", "bad-config.yaml": "index: x\n"}

STATUSES: tuple[tuple[str, ...], ...] = (
    (),
    ("frobnicate",),
    ("--frobnicate",),
    ("version", "more"),
    ("version",),
    ("validate",),
    ("validate", "good.yaml"),
    ("validate", "bad.yaml"),
    ("validate", "good.yaml", "bad.yaml"),
    ("validate", "absent.yaml"),
    ("validate", "--config", "good-config.yaml"),
    ("validate", "--config", "bad-config.yaml"),
    ("validate", "--config", "bad-config.yaml", "bad.yaml"),
    ("validate", "--config", "absent.yaml"),
    ("run", "--config", "bad-config.yaml"),
    ("run", "--config", "absent.yaml"),
    ("run", "--index", "x"),
    ("devices", "--config", "bad-config.yaml"),
    ("devices", "--state-dir", "state"),
    ("devices", "--json", "--state-dir", "state"),
    ("claims", "--config", "bad-config.yaml"),
    ("claims", "--state-dir", "state"),
    ("claims", "--json", "--state-dir", "state"),
    ("status", "--run-dir", "run"),
    ("health",),
    ("health", "--health", "nonsense"),
    ("health", "--health", "unix:///absent"),
    ("release",),
    ("release", "ens1", "--all"),
    ("release", "ens1", "--state-dir", "state"),
    ("release", "--all", "--state-dir", "state"),
    ("explain",),
    ("explain", "good.yaml", "--pod", "a/b"),
    ("explain", "absent.yaml"),
    ("explain", "good.yaml", "--state-dir", "state"),
    ("explain", "--pod", "a/b", "--socket", "absent.sock"),
)
"""Command lines whose exit status does not depend on the machine; run in a directory with `FILES`."""
PLACES = {"state", "run", "absent.sock"}
"""Arguments that are paths in that directory."""


def run(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(list(arguments))
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, out.getvalue(), err.getvalue()


def helps() -> dict[str, list[str]]:
    """The lines of each command's help, by its name; "" for that of the program, which lists the commands."""
    _, top, _ = run(["--help"])
    commands = re.findall(r"^    (\w+)", top, re.MULTILINE)
    return {name: run([*filter(None, [name]), "--help"])[1].splitlines() for name in ("", *commands)}


def statuses(directory: Path) -> list[dict[str, object]]:
    """Each command line with its exit status and what it prints.

    Left out are the directory's path, the version, what this machine has, and the words of argparse and gRPC.
    """
    for name, text in FILES.items():
        (directory / name).write_text(text, encoding="utf-8")
    version = run(["version"])[1].split()[-1]
    rows = []
    with contextlib.chdir(directory):
        for arguments in STATUSES:
            given = [*arguments[:1], *(str(directory / one) if one in PLACES else one for one in arguments[1:])]
            status, out, err = run([*given, *_elsewhere(directory, given)])
            is_others = err.startswith("usage:") or "unix:///absent" in arguments
            shows_machine = arguments[:1] == ("devices",) and status == 0
            told = [text.replace(str(directory), "DIR").replace(version, "VERSION") for text in (out, err)]
            rows.append(
                {
                    "arguments": arguments,
                    "status": status,
                    **(
                        {} if is_others or shows_machine else {"out": told[0].splitlines(), "err": told[1].splitlines()}
                    ),
                }
            )
    return rows


def _elsewhere(directory: Path, given: Sequence[str]) -> list[str]:
    """Options that keep a command away from the configuration of this machine."""
    needs = given[:1] and given[0] in {"run", "devices", "claims", "status", "health", "release", "explain"}
    return ["--config", str(directory / "good-config.yaml")] if needs and "--config" not in given else []


def documents(directory: Path) -> dict[str, object]:
    """The keys of every JSON document that is printed, with the state of a daemon that holds one interface."""
    (directory / "config.yaml").write_text(
        f"state_dir: {directory}\nrun_dir: {directory}\nrules: [{{namespaces: ['*'], interfaces: ['*']}}]\n"
    )
    (directory / "pod.yaml").write_text(GOOD, encoding="utf-8")
    with Ledger(directory) as ledger:
        ledger.write(put=[claim(987654)])
    options = ["--json", "--config", str(directory / "config.yaml")]
    found = {
        name: sorted({tuple(row) for row in _printed(*arguments, *options)})
        for name, arguments in {
            "devices": ["devices"],
            "claims": ["claims"],
            "doctor": ["doctor"],
            "explain": ["explain", str(directory / "pod.yaml")],
        }.items()
    }
    return {**found, "status": _shape(_status(directory))}


def _printed(*arguments: str) -> Any:
    """The document that a command prints, in a process of its own."""
    command = [sys.executable, "-m", "nri_netdev", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    return json.loads(done.stdout)


class _Seen:
    """A daemon that is connected and holds nothing."""

    is_ready = True
    trouble = ""
    claims = ()
    policy = Policy()
    unread = (UnreadKey(pod="default/web", key="nri-netdev.io/x", reason="unknown annotation key"),)
    engine = Configured(
        config="",
        runtime_name="containerd",
        runtime_version="2.3.4",
        registration_timeout_ms=0,
        request_timeout_ms=0,
        nri_version="v0.12.0",
        nri_release=None,
        events=0,
        request=None,  # type: ignore[arg-type]
    )


def _status(directory: Path) -> Mapping[str, Any]:
    meters = Meters()
    meters.count_event("create.refused", {"pod": "default/web", "container": "app", "reason": "because"})
    return View(settings=Settings(state_dir=directory), meters=meters, daemon=_Seen()).document()


def _shape(value: object) -> object:
    """A document with its leaves replaced by what they are."""
    if isinstance(value, Mapping):
        return {key: _shape(one) for key, one in value.items()}
    return [_shape(one) for one in value] if isinstance(value, list) else type(value).__name__


def command_line(directory: Path) -> dict[str, object]:
    """All of it."""
    for name in ("statuses", "documents"):
        (directory / name).mkdir()
    return {
        "help": helps(),
        "statuses": statuses(directory / "statuses"),
        "documents": documents(directory / "documents"),
    }


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TERMINAL.items():
        monkeypatch.setenv(name, value)


def test_help() -> None:
    """The program has the stored commands, and each the stored options, metavars and help."""
    computed, known = helps(), stored("command_line")["help"]

    assert list(computed) == list(known)
    for name in known:
        assert computed[name] == known[name]


def test_exit_statuses(tmp_path: Path) -> None:
    """Each command line ends with the stored exit status and the stored words."""
    computed = as_json(statuses(tmp_path))

    assert [row["arguments"] for row in computed] == [row["arguments"] for row in stored("command_line")["statuses"]]
    for row, known in zip(computed, stored("command_line")["statuses"], strict=True):
        assert row == known


@pytest.mark.root
def test_documents(tmp_path: Path) -> None:
    """Every JSON document that is printed has the stored keys, in the stored order."""
    computed, known = as_json(documents(tmp_path)), stored("command_line")["documents"]

    assert computed == known
    assert json.dumps(computed) == json.dumps(known)
