"""`nri-netdev health`: what it prints, and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from nri_netdev.domain.address import ListenAddress
from nri_netdev.shells.observe.health import serve
from tests.cli.conftest import run


def test_whether_it_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Readiness unless another service is named; 0 if it serves, 1 if it does not."""
    path = tmp_path / "health.sock"
    with serve(ListenAddress(path=path), {"liveness": lambda: True, "readiness": lambda: False}):
        arguments = ("health", "--health", f"unix://{path}")
        assert run(*arguments, capsys=capsys) == (1, "not serving\n", "")
        assert run(*arguments, "--service", "liveness", capsys=capsys) == (0, "serving\n", "")


def test_nowhere_to_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is misuse, with what to set."""
    (tmp_path / "config.yaml").write_text("")
    status, _, err = run("health", "--config", tmp_path / "config.yaml", capsys=capsys)
    assert status == 2
    assert "health: set where the daemon answers" in err


def test_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is a no."""
    assert run("health", "--health", f"unix://{tmp_path}/none", capsys=capsys)[0] == 1
