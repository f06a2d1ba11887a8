"""Directories that are mounted into containers: made, filled at once, removed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from nri_netdev.errors import StateError
from nri_netdev.shells.store.handouts import Handouts

ID = "0123456789abcdef" * 4


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run" / "nri-netdev"


@pytest.fixture
def handouts(run_dir: Path) -> Iterator[Handouts]:
    """With a umask that would let nobody read."""
    previous = os.umask(0o077)
    try:
        yield Handouts(run_dir)
    finally:
        os.umask(previous)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_directory_is_there_before_its_files(handouts: Handouts, run_dir: Path) -> None:
    """Empty, and open to users of the container's own; ours above it are not."""
    source = Path(handouts.make(ID))
    assert source == run_dir / "pods" / ID
    assert [*source.iterdir()] == []
    assert (mode(source), mode(run_dir / "pods"), mode(run_dir)) == (0o755, 0o755, 0o700)


def test_files_are_written_and_replaced(handouts: Handouts) -> None:
    """As new files, so that whoever reads one has the old one whole; nothing else is left."""
    source = Path(handouts.make(ID))
    handouts.write(ID, {"a.json": "old", "b.json": "ß"})
    with (source / "a.json").open(encoding="utf-8") as reader:
        handouts.write(ID, {"a.json": "new"})
        assert reader.read() == "old"
    assert {path.name: path.read_text(encoding="utf-8") for path in source.iterdir()} == {
        "a.json": "new",
        "b.json": "ß",
    }
    assert {mode(path) for path in source.iterdir()} == {0o644}
    assert [path.name for path in source.parent.iterdir()] == [ID]


def test_to_make_again_keeps_the_files(handouts: Handouts) -> None:
    """And the directory itself, which is mounted already."""
    source = Path(handouts.make(ID))
    handouts.write(ID, {"a.json": "{}"})
    number = source.stat().st_ino
    assert handouts.make(ID) == str(source)
    assert (source.stat().st_ino, (source / "a.json").read_text(encoding="utf-8")) == (number, "{}")


def test_a_missing_directory_is_made(handouts: Handouts, run_dir: Path) -> None:
    """For a container that another daemon let in."""
    handouts.write(ID, {"a.json": "{}"})
    assert (run_dir / "pods" / ID / "a.json").exists()


def test_what_is_gone_is_removed(handouts: Handouts, run_dir: Path) -> None:
    """With what a daemon left that died over a file."""
    handouts.keep([])
    for pod_id in ("a1", "b2", "c3"):
        handouts.write(pod_id, {"a.json": "{}"})
    (run_dir / "pods" / ".new-c3").write_text("{", encoding="utf-8")
    (run_dir / "pods" / "link").symlink_to(run_dir / "pods" / "b2")
    handouts.keep({"b2", "d4"})
    assert [path.name for path in (run_dir / "pods").iterdir()] == ["b2"]
    assert (run_dir / "pods" / "b2" / "a.json").exists()


@pytest.mark.parametrize("pod_id", ["", ".", "..", "a/b", "../x", "a.b", "/etc", "a\0b", "ä", "a\n", "a" * 129])
def test_an_id_that_is_no_name(handouts: Handouts, run_dir: Path, pod_id: str) -> None:
    """Nothing is made of it."""
    for act in (handouts.make, lambda text: handouts.write(text, {"a.json": "{}"})):
        with pytest.raises(StateError, match="for a pod whose id is"):
            act(pod_id)
    assert not run_dir.exists()


def test_a_directory_that_cannot_be_made(handouts: Handouts, run_dir: Path) -> None:
    """The error has what, where and why, and what to do."""
    run_dir.parent.mkdir()
    run_dir.write_text("", encoding="utf-8")
    with pytest.raises(StateError) as caught:
        handouts.make(ID)
    assert str(caught.value) == f"cannot make {run_dir}/pods/{ID}: File exists; check the run directory and its disk"


def test_a_file_that_cannot_be_written(handouts: Handouts, run_dir: Path) -> None:
    """Nothing is left of it."""
    source = Path(handouts.make(ID))
    (source / "a.json").mkdir()
    with pytest.raises(StateError, match=f"^cannot write {source}/a.json: Is a directory; check"):
        handouts.write(ID, {"a.json": "{}"})
    assert [path.name for path in (run_dir / "pods").iterdir()] == [ID]


def test_one_that_cannot_be_removed_does_not_keep_others(
    handouts: Handouts, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told when the others are gone."""
    for pod_id in ("a1", "b2", "c3"):
        handouts.make(pod_id)
    rmdir = os.rmdir

    def busy(path: str, **options: int) -> None:
        if path == "b2" or str(path).endswith("/b2"):
            raise OSError(16, os.strerror(16), path)
        rmdir(path, **options)

    monkeypatch.setattr(os, "rmdir", busy)
    with pytest.raises(StateError, match=f"^cannot remove {run_dir}/pods/b2: Device or resource busy; check"):
        handouts.keep([])
    assert [path.name for path in (run_dir / "pods").iterdir()] == ["b2"]
