"""The configuration in force: from file, engine and options, and never worse than before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nri_netdev.config.settings import Settings
from nri_netdev.config.watched import Watched
from nri_netdev.domain.policy.selectors import Selector
from nri_netdev.errors import ConfigurationError


def written(directory: Path, text: str) -> Path:
    """A configuration file."""
    path = directory / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(path: Path | None, text_from_engine: str = "", **options: Any) -> Settings:
    """What is set by a file, an engine and options."""
    return Watched(path, **options).load(text_from_engine)


def test_without_anything_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default file may be absent, and nothing is given then."""
    monkeypatch.setattr("nri_netdev.config.watched.DEFAULT_PATH", tmp_path / "absent.yaml")
    assert loaded(None) == Settings()
    assert loaded(None).policy.rules == ()


def test_options_win_over_the_file(tmp_path: Path) -> None:
    """Field by field; an option that was not given does not."""
    path = written(tmp_path, "index: '20'\nname: netdev\nsocket: /run/nri.sock\n")
    settings = loaded(path, index="30", name=None)
    assert settings == Settings(index="30", name="netdev", socket=Path("/run/nri.sock"))


def test_what_the_engine_passes_wins_over_the_file(tmp_path: Path) -> None:
    """Key by key, in what can change while the daemon runs, and not over options."""
    path = written(tmp_path, "log_level: debug\nprotected: [a0]\nrules: [{namespaces: [a], interfaces: [b]}]\n")
    settings = loaded(path, "log_level: error\nprotected: [c0]\ninjection: oci\n", injection="netlink")
    assert (settings.log_level, settings.injection) == ("error", "netlink")
    assert settings.policy.protected == (Selector(interface="c0"),)
    assert [rule.namespaces for rule in settings.policy.rules] == [("a",)]
    with pytest.raises(ConfigurationError, match="configuration from the engine: socket cannot be set there"):
        loaded(path, "socket: /x\n")
    with pytest.raises(ConfigurationError, match='configuration from the engine:1: log_level "x" is not one of'):
        loaded(path, "log_level: x")


def test_load_tells_them_one_a_line(tmp_path: Path) -> None:
    """With the file's name, so that an editor can jump there."""
    path = written(tmp_path, "index: x\nsocket: y\n")
    with pytest.raises(ConfigurationError) as refusal:
        loaded(path)
    assert str(refusal.value).splitlines() == [
        f'{path}:1: index "x" is not two digits, 00 to 99',
        f'{path}:2: socket "y" is not an absolute path',
    ]


def test_options_are_checked_as_the_file_is(tmp_path: Path) -> None:
    """All of them at once."""
    with pytest.raises(ConfigurationError, match=r'index "x" is not two digits.*; log_level "y" is not one of'):
        loaded(written(tmp_path, ""), index="x", log_level="y")


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """And be text."""
    with pytest.raises(ConfigurationError, match="there is no configuration file"):
        loaded(tmp_path / "absent.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot read the configuration file"):
        loaded(tmp_path / "binary")


def test_a_change_comes_into_force(tmp_path: Path) -> None:
    """And what has not changed is not told of."""
    path = written(tmp_path, "log_level: info\n")
    watched = Watched(path)
    watched.load()
    assert watched.reload() is None
    written(tmp_path, "log_level: debug\nrules: [{namespaces: [a], interfaces: [b]}]\n")
    change = watched.reload()

    assert change is not None
    assert not change.problems
    assert change.settings is watched.settings
    assert (watched.settings.log_level, len(watched.settings.policy.rules)) == ("debug", 1)
    assert watched.reload() is None


def test_a_configmaps_swap_is_a_change(tmp_path: Path) -> None:
    """The kubelet replaces a symbolic link two levels above the file; the file's own path stays."""
    for version, level in (("1", "info"), ("2", "debug")):
        (tmp_path / version).mkdir()
        written(tmp_path / version, f"log_level: {level}\n")
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    watched = Watched(tmp_path / "config.yaml")
    watched.load()
    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").rename(tmp_path / "..data")

    assert watched.reload() is not None
    assert watched.settings.log_level == "debug"


@pytest.mark.parametrize("bad", ["log_level: x\nindex: y\n", "a: [", None])
def test_what_is_wrong_never_comes_into_force(tmp_path: Path, bad: str | None) -> None:
    """The old settings stay, every problem is told once, and the next good text is taken."""
    path = written(tmp_path, "log_level: debug\n")
    watched = Watched(path)
    before = watched.load()
    if bad is None:
        path.unlink()
    else:
        written(tmp_path, bad)
    change = watched.reload()

    assert change is not None
    assert change.problems
    assert change.settings is before is watched.settings
    assert watched.reload() is None
    written(tmp_path, "log_level: error\n")
    assert watched.reload() is not None
    assert watched.settings.log_level == "error"


def test_what_only_a_start_can_change_is_told(tmp_path: Path) -> None:
    """The rest comes into force without it."""
    watched = Watched(written(tmp_path, ""))
    watched.load()
    written(tmp_path, "socket: /elsewhere\nname: other\nlog_level: debug\n")
    change = watched.reload()

    assert change is not None
    assert change.needs_restart == ("socket", "name")
    assert (watched.settings.socket, watched.settings.log_level) == (Settings().socket, "debug")


def test_an_engine_that_configures_anew_is_heard(tmp_path: Path) -> None:
    """What it passes is looked at together with the file, then and whenever the file changes."""
    watched = Watched(written(tmp_path, "log_level: info\n"))
    watched.load()
    change = watched.configure("log_level: error\n")
    assert change is not None
    assert change.settings.log_level == "error"
    written(tmp_path, "log_level: debug\ninjection: oci\n")
    change = watched.reload()
    assert change is not None
    assert (change.settings.log_level, change.settings.injection) == ("error", "oci")
