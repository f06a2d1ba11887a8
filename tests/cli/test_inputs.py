"""What commands read: the settings, with options over the file, and files."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from nri_netdev.cli.inputs import read_file, read_settings, read_watched
from nri_netdev.errors import ConfigurationError


def test_options_win_over_the_file(tmp_path: Path) -> None:
    """Those that are given; what is no setting, and what is not given, changes nothing."""
    path = tmp_path / "config.yaml"
    path.write_text("index: '20'\nname: mine\n")
    options = Namespace(config=path, command="run", index="30", name=None, state_dir=Path("/s"), json=True)
    settings = read_settings(options)
    assert (settings.index, settings.name, settings.state_dir) == ("30", "mine", Path("/s"))
    assert read_watched(options).settings == settings


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    """In the file or in an option."""
    path = tmp_path / "config.yaml"
    path.write_text("index: x\n")
    with pytest.raises(ConfigurationError, match='index "x" is not two digits'):
        read_settings(Namespace(config=path))
    path.write_text("")
    with pytest.raises(ConfigurationError, match='index "y" is not two digits'):
        read_settings(Namespace(config=path, index="y"))


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, or standard input; what cannot be read as text is an error with its name."""
    path = tmp_path / "text"
    path.write_text("a ö")
    assert read_file(str(path)) == "a ö"
    monkeypatch.setattr(sys, "stdin", io.StringIO("piped"))
    assert read_file("-") == "piped"
    path.write_bytes(b"\xff")
    for name in (str(path), str(tmp_path / "absent")):
        with pytest.raises(ConfigurationError, match=f"cannot read {name}: "):
            read_file(name)
