"""`nri-netdev validate`: what it finds, and its exit status."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import POD, POLICY, run


def test_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent and 0 when all is well; every finding and 1 otherwise; 2 for a file that is not there."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(POD)
    bad.write_text(f"---{POD}---{POD.replace('ens1', 'a/b')}")
    assert run("validate", good, capsys=capsys) == (0, "", "")
    status, out, _ = run("validate", good, bad, capsys=capsys)
    assert status == 1
    assert out.startswith(f"{bad}:2:nri-netdev.io/container.app:1: ")
    assert len(out.splitlines()) == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO(POD))
    assert run("validate", "-", capsys=capsys)[0] == 0
    status, _, err = run("validate", tmp_path / "absent.yaml", capsys=capsys)
    assert status == 2
    assert "cannot read" in err


def test_a_key_that_no_pod_gets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is a mistake like any other, whatever it is on."""
    path = tmp_path / "service.yaml"
    path.write_text("kind: Service\nmetadata:\n  name: web\n  annotations:\n    nri-netdev.io/pod: '[ens1]'\n")
    status, out, _ = run("validate", path, capsys=capsys)
    assert status == 1
    assert out == (
        f"{path}:1:nri-netdev.io/pod:-: no pod gets it from metadata.annotations; "
        "move it to the metadata.annotations of a pod or of a pod template (Service web, line 5)\n"
    )


def test_validate_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every problem with its line; nothing when all is well."""
    path = tmp_path / "config.yaml"
    path.write_text(POLICY)
    assert run("validate", "--config", path, capsys=capsys) == (0, "", "")
    path.write_text("rules:\n  - {namespaces: [], pools: [nowhere]}\nindex: x\n")
    status, out, _ = run("validate", "--config", path, capsys=capsys)
    assert status == 1
    assert [line.split(":")[1] for line in out.splitlines()] == ["2", "2", "3"]
