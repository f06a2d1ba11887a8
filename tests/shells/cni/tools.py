"""Real IPAM plugins, and programs that pass for some."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from nri_netdev.shells.cni import leftovers
from tests.e2e.toolbox import BIN


def real(name: str) -> Path:
    """The path of a real plugin; a test that cannot have it is skipped."""
    path = BIN / name
    if not path.exists():
        reason = f"NOT TESTED WITH {name}: it is not in {BIN}; run: make e2e-tools"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return path


def only(directory: Path, *names: str) -> Path:
    """A directory with these real plugins alone."""
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).symlink_to(real(name))
    return directory


def script(path: Path, text: str) -> Path:
    """A plugin in the language of the shell; `$here` is its directory."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\nhere=$(dirname "$0")\n{text}\n')
    path.chmod(0o755)
    return path


def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """What is set when a plugin of an earlier daemon is being waited for."""
    event, ended = threading.Event(), leftovers._ended

    def told(pidfd: int, limit_s: float) -> bool:
        event.set()
        return ended(pidfd, limit_s)

    monkeypatch.setattr(leftovers, "_ended", told)
    return event


def given(data: Path) -> dict[str, str]:
    """What host-local counts as given in its data directory: marks by address."""
    found = {}
    for path in data.rglob("*"):
        if path.is_file() and path.name != "lock" and not path.name.startswith("last_reserved_ip."):
            found[path.name] = path.read_text().partition("\n")[0]
    return found
