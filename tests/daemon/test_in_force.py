"""A change of the configuration comes into force, or the old one stays."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nri_netdev.config.settings import Settings
from nri_netdev.config.watched import Watched
from nri_netdev.daemon.in_force import InForce


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("on_missed: report\n")
    return path


@pytest.fixture(name="applied")
def _applied() -> list[Settings]:
    """What was put into force."""
    return []


@pytest.fixture(name="in_force")
def _in_force(path: Path, applied: list[Settings]) -> InForce:
    watched = Watched(path)
    return InForce(watched.load(""), watched, applied.append)


def test_a_change(in_force: InForce, path: Path, applied: list[Settings], caplog: pytest.LogCaptureFixture) -> None:
    """It is applied once, and is what is in force."""
    in_force.reload()
    assert applied == []
    path.write_text("on_missed: attach\n")
    with caplog.at_level(logging.INFO):
        in_force.reload()
        in_force.reload()
    assert [settings.on_missed for settings in applied] == ["attach"]
    assert in_force.settings.on_missed == "attach"
    assert caplog.messages == ["config.in_force"]


def test_a_mistake(in_force: InForce, path: Path, applied: list[Settings], caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and changes nothing."""
    path.write_text("on_missed: never\n")
    in_force.reload()
    assert applied == []
    assert in_force.settings.on_missed == "report"
    assert caplog.messages == ["config.refused"]


def test_what_needs_a_restart(in_force: InForce, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is told; the rest comes into force."""
    path.write_text("on_missed: attach\nname: other\n")
    in_force.reload()
    assert in_force.settings.on_missed == "attach"
    assert "config.needs_restart" in caplog.messages


def test_what_the_engine_passes(in_force: InForce, applied: list[Settings]) -> None:
    """The text of Configure goes over the file."""
    in_force.configure("on_missed: attach")
    assert [settings.on_missed for settings in applied] == ["attach"]


def test_settings_that_never_change() -> None:
    """Without a file there is nothing to read."""
    applied: list[Settings] = []
    in_force = InForce(Settings(), None, applied.append)
    in_force.reload()
    in_force.configure("on_missed: attach")
    assert (in_force.settings, applied) == (Settings(), [])
