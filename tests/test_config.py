"""Settings: from the file, from options, and every problem told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from nri_netdev import config
from nri_netdev.config import Settings
from nri_netdev.errors import ConfigurationError


def test_without_anything_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default file may be absent."""
    monkeypatch.setattr(config, "DEFAULT_PATH", tmp_path / "absent.yaml")
    assert config.load(None) == Settings()


def test_options_win_over_the_file(tmp_path: Path) -> None:
    """Field by field; an option that was not given does not."""
    path = tmp_path / "config.yaml"
    path.write_text("index: '20'\nname: netdev\nsocket: /run/nri.sock\n")
    settings = config.load(path, index="30", name=None)
    assert settings == Settings(index="30", name="netdev", socket=Path("/run/nri.sock"))


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("nmae: x", ["unknown: nmae; known: socket, name, index"]),
        ("index: '7'\nname: a b\nlog_level: loud", ['index "7": two digits', 'name "a b"', 'log_level "loud": one of']),
        ("socket: nri.sock", ['socket "nri.sock": an absolute path']),
        ("- a", ["mapping"]),
        ("a: [", ["YAML"]),
    ],
)
def test_problems_are_told_together(tmp_path: Path, text: str, reasons: list[str]) -> None:
    """With the file's name."""
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refusal:
        config.load(path)
    assert str(path) in str(refusal.value)
    for reason in reasons:
        assert reason in str(refusal.value)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """And be text."""
    with pytest.raises(ConfigurationError, match="there is no configuration file"):
        config.load(tmp_path / "absent.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot read the configuration file"):
        config.load(tmp_path / "binary")
