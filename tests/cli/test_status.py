"""`nri-netdev status`: the daemon's document, or a page made of it, and the exit status."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nri_netdev.shells.observe.status import SOCKET
from tests.cli.conftest import run
from tests.cli.test_status_page import DOCUMENT


def answered(run_dir: Path, document: dict[str, Any], ask: Callable[[], tuple[int, str, str]]) -> tuple[int, str, str]:
    """What a question gets from a daemon with this document."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(run_dir / SOCKET))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(json.dumps(document).encode())

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            return ask()
        finally:
            thread.join()
            (run_dir / SOCKET).unlink()


def test_ready_or_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 if it is ready, 1 if not; for programs the document as it is, for people a page."""
    arguments = ("status", "--run-dir", tmp_path)
    status, out, _ = answered(tmp_path, DOCUMENT, lambda: run(*arguments, "--json", capsys=capsys))
    assert (status, json.loads(out)) == (0, DOCUMENT)
    unready = DOCUMENT | {"ready": False}
    status, out, _ = answered(tmp_path, unready, lambda: run(*arguments, capsys=capsys))
    assert status == 1
    assert "\nready       no\n" in out


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is a no, with what to look at."""
    status, out, err = run("status", "--run-dir", tmp_path, capsys=capsys)
    assert (status, out) == (1, "")
    assert err.startswith(f"nri-netdev: no daemon answers at {tmp_path / SOCKET}: ")
