"""Ready means that the ledger can be written now, tried on a real disk that fills up."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev.config.settings import Settings
from nri_netdev.custody.custody import Custody
from nri_netdev.daemon import readiness
from nri_netdev.daemon.readiness import Readiness
from nri_netdev.domain.address import ListenAddress
from nri_netdev.shells.observe import health, status
from nri_netdev.shells.store.ledger import Ledger, why_not_writable
from tests.daemon.node import Node, on_loop


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", path], check=True)
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that there is."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return path


def test_no_ledger_yet(tmp_path: Path) -> None:
    """What is not there is nobody's trouble, and is not made."""
    assert why_not_writable(tmp_path) is None
    assert not (tmp_path / "ledger.db").exists()


def test_a_ledger_that_is_in_use(tmp_path: Path) -> None:
    """Trying changes nothing and waits for nobody: what is being written can be written."""
    with Ledger(tmp_path) as ledger:
        before = ledger._db.execute("PRAGMA data_version").fetchone()
        ledger._db.execute("BEGIN IMMEDIATE")
        assert why_not_writable(tmp_path) is None
        ledger._db.execute("COMMIT")
        assert why_not_writable(tmp_path) is None
        assert ledger._db.execute("PRAGMA data_version").fetchone() != before
        assert ledger.claims() == ()


def test_a_ledger_that_is_damaged(tmp_path: Path) -> None:
    """What SQLite says, and what to do."""
    (tmp_path / "ledger.db").write_bytes(b"no database at all" * 100)
    assert "is not a database; move the file away" in str(why_not_writable(tmp_path))


@pytest.mark.root
def test_a_read_only_disk(disk: Path) -> None:
    """As a disk with errors becomes."""
    Ledger(disk).close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert "check that its directory exists and is writable" in str(why_not_writable(disk))


class Daemon:
    """What readiness asks of one."""

    is_ready = False
    trouble = ""


def test_since_when(tmp_path: Path) -> None:
    """From the moment that it is ready; anew after every interruption."""
    daemon, clock = Daemon(), iter((10.0, 20.0))
    ready = Readiness(daemon, tmp_path, now_s=lambda: next(clock))
    assert (ready.look(), ready.since_s) == (False, None)
    daemon.is_ready = True
    assert (ready.look(), ready.look(), ready.since_s) == (True, True, 10.0)
    daemon.is_ready = False
    assert (ready.look(), ready.since_s) == (False, None)
    daemon.is_ready = True
    assert (ready.look(), ready.since_s) == (True, 20.0)


@pytest.mark.root
def test_a_disk_that_fills_up(node: Node, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not ready while it is full, and the status page says why; ready again once there is room. Live all the time."""
    monkeypatch.setattr(readiness, "LOOK_S", 0.05)

    def custody(_: Settings) -> Custody:
        return Custody(
            Ledger(disk), node.kernel, encode=lambda _grants, _handout: b"", now_s=time.time, monotonic_s=time.monotonic
        )

    @on_loop
    async def check(node: Node) -> None:
        where = ListenAddress(path=node.settings.run_dir / "health.sock")
        node.settings = replace(node.settings, state_dir=disk, health=f"unix://{where.path}")

        async def serves(service: str) -> bool:
            return await asyncio.to_thread(health.check, where, service)

        async with node.engine() as engine, node.daemon():
            await engine.wait_plugin()
            while not await serves("readiness"):
                pass
            filler = fill(disk)
            while await serves("readiness"):
                pass
            assert await serves("liveness")
            document = await asyncio.to_thread(status.read, node.settings.run_dir)
            assert (document["ready"], document["ready_since_s"]) == (False, None)
            assert "is full; make room on it" in document["trouble"]
            os.unlink(filler)  # noqa: PTH108 - at once
            while not await serves("readiness"):
                pass
            assert (await engine.create_container(node.pod(), node.container())).linux.net_devices

    monkeypatch.setattr(node, "custody", custody)
    check(node)
