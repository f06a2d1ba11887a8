"""`nri-netdev status`, read from a daemon that runs."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from nri_netdev import cli
from nri_netdev.cli.status_page import page
from nri_netdev.errors import StateError
from nri_netdev.shells.observe import status
from tests.daemon.node import Node, node, on_loop, until  # noqa: F401 - a fixture


@on_loop
async def test_no_engine_and_no_ledger(node: Node) -> None:  # noqa: F811
    """It says what is wrong, and its exit status is 1."""
    node.trouble = StateError("cannot open the ledger: it is damaged; move it away")
    async with node.daemon():
        await until((node.settings.run_dir / status.SOCKET).exists)
        document = await asyncio.to_thread(status.read, node.settings.run_dir)
        while not document["trouble"]:
            document = await asyncio.to_thread(status.read, node.settings.run_dir)
        text = page(document, now_s=document["started_s"])
        assert "engine      none connected" in text
        assert "ready       no: cannot open the ledger: it is damaged; move it away" in text
        arguments = ["status", "--json", "--run-dir", str(node.settings.run_dir)]
        assert await asyncio.to_thread(cli.main, arguments) == 1


def test_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words, with what to look at."""
    assert cli.main(["status", "--run-dir", str(tmp_path)]) == 1
    assert "no daemon answers at" in capsys.readouterr().err


def test_somebody_else_answers(tmp_path: Path) -> None:
    """What is no document of ours is an error of ours."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / status.SOCKET))
        other.listen()

        def talk() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"hello")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(StateError, match="is no nri-netdev"):
            status.read(tmp_path)
        thread.join()


@on_loop
async def test_a_run_directory_that_cannot_be_made(node: Node) -> None:  # noqa: F811
    """The page is not there; all else is."""
    node.settings.run_dir.touch()
    async with node.engine() as engine, node.daemon():
        await engine.wait_plugin()
        assert (await engine.create_container(node.pod(), node.container())).linux.net_devices
