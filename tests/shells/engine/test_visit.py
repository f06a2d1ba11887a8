"""A visit reads what an engine says of itself and what exists there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from nri_netdev.proto import nri_pb2
from nri_netdev.shells.engine.visit import Visit, visit
from nri_netdev.testing.engine import Engine

POD = nri_pb2.PodSandbox(id="p", name="web", namespace="n")
CONTAINER = nri_pb2.Container(id="c", pod_sandbox_id="p", name="app")


def test_what_exists(tmp_path: Path) -> None:
    """Its name and version, its process, and all pods and containers; afterwards it is as it was."""

    async def main() -> Visit:
        async with Engine(tmp_path / "nri.sock", runtime_name="cri-o", runtime_version="1.36.0") as engine:
            await engine.run_pod_sandbox(POD)
            await engine.create_container(POD, CONTAINER)
            found = await asyncio.to_thread(visit, engine.path)
            assert engine.containers
        return found

    found = asyncio.run(main())
    assert (found.engine.runtime_name, found.engine.runtime_version) == ("cri-o", "1.36.0")
    assert found.pid == os.getpid()
    assert [pod.name for pod in found.pods] == ["web"]
    assert [(container.name, container.pod_id) for container in found.containers] == [("app", "p")]


def test_an_engine_that_hangs_up(tmp_path: Path) -> None:
    """Is an error that says so."""

    async def main() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.close()

        path = tmp_path / "nri.sock"
        async with await asyncio.start_unix_server(hang_up, path):
            await asyncio.to_thread(visit, path)

    with pytest.raises(ConnectionResetError):
        asyncio.run(main())


def test_nobody_listens(tmp_path: Path) -> None:
    """Is the error of connecting."""
    with pytest.raises(FileNotFoundError):
        visit(tmp_path / "nri.sock")
