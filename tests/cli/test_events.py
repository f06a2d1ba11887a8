"""`nri-netdev events`: its options, and from a daemon's stream to an API server, as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nri_netdev.shells.observe import stream
from nri_netdev.shells.observe.stream import EventRing
from tests.cli.conftest import run
from tests.shells.kube.server import HOST, ApiStandIn, make_certificate, serving

RSS_MIB = 32
"""Of the process after it has written: 25 measured on Python 3.11."""


def kubeconfig(directory: Path, api: ApiStandIn, authority: Path) -> Path:
    path = directory / "kubeconfig"
    cluster = {"server": f"https://{HOST}:{api.port}", "certificate-authority": str(authority)}
    document = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--events"),
        (("--events", "unix:///x"), "NODE_NAME"),
        (("--events", "127.0.0.1:1", "--node", "n"), "unix:///PATH"),
        (("--events", "unix:///x", "--node", "n"), "say --kubeconfig FILE"),
        (("--events", "unix:///x", "--node", "n", "--kubeconfig", "/none"), "cannot read /none"),
        (("--events", "unix:///x", "--node", "n", "--log-level", "loud"), "--log-level is one of debug, info"),
        (("--events", "unix:///x", "--node", "n", "--log-format", "xml"), "--log-format is one of text, json"),
    ],
)
def test_misuse(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is told, and is exit status 2."""
    for name in ("NODE_NAME", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    status, _, err = run("events", *arguments, capsys=capsys)
    assert status == 2
    assert said in err


@contextlib.contextmanager
def process(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The command, until the block ends."""
    command = [sys.executable, "-m", "nri_netdev", "events", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "NODE_NAME": "node-1"}) as own:
        try:
            yield own
        finally:
            own.kill()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_as_a_process(tmp_path: Path) -> None:
    """What happens before it is there and while it is there becomes objects; it stays small.

    SIGTERM ends it with 0, after the last words of a daemon that ends at the same time.
    """
    pem = make_certificate(tmp_path)
    path = tmp_path / "events.sock"
    ring = EventRing()

    def note(ifname: str) -> None:
        ring.note("claim.home", {"pod": "default/web", "pod_uid": "u1", "ifname": ifname})

    def use(api: ApiStandIn, own: subprocess.Popen[str]) -> None:
        until(lambda: len(api.events) == 1)
        note("nic1")
        until(lambda: len(api.events) == 2)
        text = Path(f"/proc/{own.pid}/status").read_text()
        mapped = {line.split()[-1] for line in Path(f"/proc/{own.pid}/maps").read_text().splitlines()}
        own.terminate()
        with pytest.raises(subprocess.TimeoutExpired):  # the daemon is still there
            own.wait(2)
        note("nic2")
        assert int(re.findall(r"VmHWM:\s+(\d+) kB", text)[0]) / 1024 <= RSS_MIB
        assert not [name for name in mapped if re.search(r"sqlite|google|grpc|_asyncio", name)]

    async def daemon(api: ApiStandIn, own: subprocess.Popen[str]) -> None:
        async with stream.serving(path, ring):
            await asyncio.to_thread(use, api, own)

    note("nic0")
    with serving(pem) as api:
        arguments = ("--events", f"unix://{path}", "--kubeconfig", kubeconfig(tmp_path, api, pem))
        with process(*arguments) as own:
            asyncio.run(daemon(api, own))
            _, said = own.communicate(timeout=30)
    assert own.returncode == 0
    assert "notices.started node=node-1" in said
    assert [found["message"] for found in api.events] == [f"back on the node, as before: nic{n}" for n in range(3)]
    assert [found["source"]["host"] for found in api.events] == ["node-1"] * 3
    assert api.asked[0].headers["Authorization"] == "Bearer secret"
