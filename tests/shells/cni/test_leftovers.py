"""Plugins that somebody else has started are waited for, and killed when they take too long; nobody else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nri_netdev.shells.cni import leftovers
from nri_netdev.shells.cni.leftovers import outlast

KEY = f"{os.getpid():016x}"
VARIABLE = f"NRI_NETDEV_LEASE={KEY}"


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """What a test starts."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start(processes: list[subprocess.Popen[str]], key: str, code: str = "input()") -> subprocess.Popen[str]:
    """A process with a key in its environment that lives until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"print('ready', flush=True); {code}"],
        env={"NRI_NETDEV_LEASE": key},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    processes.append(process)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_none() -> None:
    """Nothing is waited for."""
    assert outlast(VARIABLE, 0)


def test_one_that_ends(processes: list[subprocess.Popen[str]]) -> None:
    """It is waited for; one that is not reaped counts as ended."""
    process = start(processes, KEY)
    waiting = threading.Thread(target=outlast, args=[VARIABLE, 60])
    waiting.start()
    assert process.stdin is not None
    process.stdin.write("x\n")
    process.stdin.flush()
    waiting.join(20)
    assert not waiting.is_alive()
    assert process.wait(20) == 0


def test_one_that_does_not(processes: list[subprocess.Popen[str]]) -> None:
    """It is killed, whatever it does with signals; one of another claim is not."""
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); input()"
    process, other = start(processes, KEY, ignoring), start(processes, f"{KEY}0")
    assert outlast(VARIABLE, 0.05)
    assert process.wait(20) == -signal.SIGKILL
    assert other.poll() is None


def test_another_that_has_its_number(processes: list[subprocess.Popen[str]]) -> None:
    """It is left alone."""
    other = start(processes, f"{KEY}0")
    leftovers._outlast(other.pid, VARIABLE.encode(), 0)
    assert other.poll() is None
    leftovers._outlast(1 << 22, b"x", 0)


def test_one_that_cannot_be_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kernel holds it: that is told."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1/environ").write_bytes(f"A=1\0{VARIABLE}\0".encode())
    monkeypatch.setattr(leftovers, "_PROC", tmp_path)
    monkeypatch.setattr(leftovers, "_KILL_S", 0.0)
    monkeypatch.setattr(leftovers, "_outlast", lambda *_: None)
    assert not outlast(VARIABLE, 0)
