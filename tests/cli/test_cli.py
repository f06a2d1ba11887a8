"""The command line as a whole: its help, misuse, wrong configuration, and what it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import POD, run


def test_misuse_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    """No command, an unknown one, a lacking argument."""
    for arguments in ((), ("frobnicate",), ("validate",), ("release",)):
        status, out, err = run(*arguments, capsys=capsys)
        assert (status, out) == (2, "")
        assert "nri-netdev" in err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """And each has help of its own."""
    _, out, _ = run("--help", capsys=capsys)
    for command in ("run", "devices", "claims", "release", "validate", "demo", "version"):
        assert f"    {command}" in out
        assert run(command, "--help", capsys=capsys)[0] == 0


def test_no_command_loads_what_it_does_not_need() -> None:
    """`validate` waits neither for pyroute2 nor for protobuf."""
    code = "import sys; from nri_netdev import cli; cli.main(['validate', '-']); "
    code += "print(sorted({'pyroute2', 'google.protobuf', 'sqlite3', 'asyncio', 'grpc'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], input=POD, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_error_writes_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be printed in its words is escaped; its lines stay lines."""
    status, _, err = run("release", "a\x1b[2J", "--yes", "--state-dir", tmp_path, capsys=capsys)
    assert (status, err) == (1, "nri-netdev: nobody holds a\\x1b[2J; see `nri-netdev claims`\n")


def test_a_bad_configuration_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, without a traceback, by whatever command reads it."""
    (tmp_path / "config.yaml").write_text("index: x")
    for command in ("run", "claims", "devices"):
        status, _, err = run(command, "--config", tmp_path / "config.yaml", capsys=capsys)
        assert status == 2
        assert 'index "x" is not two digits' in err
        assert "Traceback" not in err
