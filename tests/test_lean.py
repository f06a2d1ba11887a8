"""What a daemon does not load, and what that leaves of its memory."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nri_netdev.domain.address import ListenAddress
from nri_netdev.lean import bare, hollow, without
from nri_netdev.shells.observe import health
from nri_netdev.testing.engine import Engine

PEAK_MIB = 47
"""Of a daemon with probes and metrics that holds nothing: 39 measured on Python 3.11, some 5 more on 3.13."""


def python(program: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_absent_for_a_while() -> None:
    """A module that is not loaded cannot be imported within the block, and can be after it."""
    assert python(
        "from nri_netdev.lean import without\n"
        "with without('colorsys'):\n"
        "    try:\n        import colorsys\n    except ImportError:\n        print('absent')\n"
        "import colorsys; print(colorsys.__name__)"
    ).split() == ["absent", "colorsys"]


def test_what_is_loaded_stays() -> None:
    """Whoever has it already keeps it."""
    with without("asyncio"), bare("asyncio"):
        assert sys.modules["asyncio"] is asyncio


def test_a_package_without_its_own_imports() -> None:
    """The module comes and its package's first lines do not run; afterwards the package is whole for who wants it."""
    assert python(
        "import sys\nfrom nri_netdev.lean import bare\n"
        "with bare('prometheus_client'):\n    from prometheus_client.registry import CollectorRegistry\n"
        "print('http.server' in sys.modules, 'prometheus_client' in sys.modules)\n"
        "import prometheus_client\nprint(prometheus_client.CollectorRegistry is CollectorRegistry)"
    ).split() == ["False", "False", "True"]


def test_hollow_for_a_while() -> None:
    """What a package imports and does not use is not loaded with it, and can be loaded afterwards."""
    assert python(
        "import sys\nfrom nri_netdev.lean import hollow\n"
        "with hollow('grpc.aio'):\n    import grpc\n"
        "print('grpc.aio._server' in sys.modules)\nimport grpc.aio\nprint(grpc.aio.server.__name__)"
    ).split() == ["False", "server"]
    with hollow("asyncio"):
        assert sys.modules["asyncio"] is asyncio


def test_protobuf_is_loaded_once() -> None:
    """In C or in Python, not both; messages work, and what is hidden can be had afterwards."""
    said = python(
        "import sys\nfrom nri_netdev.lean import protobuf_once\n"
        "with protobuf_once():\n    from nri_netdev.proto import nri_pb2\n"
        "from google.protobuf.internal import api_implementation\n"
        "print(api_implementation.Type() == 'python' or 'google.protobuf.text_format' not in sys.modules)\n"
        "told = nri_pb2.PodSandbox(id='p', annotations={'a': 'b'})\n"
        "print(nri_pb2.PodSandbox.FromString(told.SerializeToString()) == told)\n"
        "from google.protobuf import text_format\nprint(text_format.MessageToString(told, as_one_line=True).split()[1])"
    )
    assert said.split() == ["True", "True", '"p"']


def test_a_package_that_is_not_there() -> None:
    """The import within the block fails as it would anyhow."""
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), bare("no_such_package"):
        __import__("no_such_package.module")


class Daemon:
    """A daemon in a process of its own."""

    def __init__(self, pid: int, port: int, probes: ListenAddress) -> None:
        self._pid = pid
        self.port = port
        self.probes = probes

    def peak_mib(self) -> float:
        text = Path(f"/proc/{self._pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", text)[0]) / 1024

    def mapped(self) -> str:
        return Path(f"/proc/{self._pid}/maps").read_text()


@contextlib.asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Daemon]:
    """Registered with an engine, with probes and metrics."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    probes = directory / "health.sock"
    argv = [sys.executable, "-m", "nri_netdev", "run", f"--socket={directory / 'nri.sock'}"]
    argv += [f"--state-dir={directory / 'state'}", f"--run-dir={directory / 'run'}", "--log-format=json"]
    argv += [f"--health=unix://{probes}", f"--metrics=127.0.0.1:{port}"]
    async with Engine(directory / "nri.sock", runtime_name="containerd", runtime_version="2.3.4") as engine:
        with (directory / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*argv, stderr=log)
        try:
            await engine.wait_plugin(timeout_s=30)
            yield Daemon(process.pid, port, ListenAddress(path=probes))
        finally:
            process.terminate()
            await process.wait()


def test_memory(tmp_path: Path) -> None:
    """Probed and scraped it stays within its bound, for it has loaded no OpenSSL and no web server."""

    def look(daemon: Daemon) -> float:
        for _ in range(20):
            assert health.check(daemon.probes, "liveness")
            with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}/metrics", timeout=10) as answer:
                assert b"nri_netdev_ready" in answer.read()
        return daemon.peak_mib()

    async def measured() -> tuple[float, str]:
        async with asyncio.timeout(60), running(tmp_path) as daemon:
            return await asyncio.to_thread(look, daemon), daemon.mapped()

    peak_mib, mapped = asyncio.run(measured())
    assert "libssl" not in mapped
    assert "libcrypto" not in mapped
    assert peak_mib <= PEAK_MIB
