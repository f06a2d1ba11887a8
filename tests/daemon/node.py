"""A node in memory that a daemon runs on, with an engine on a real socket: for the tests of the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from nri_netdev.config.settings import Settings
from nri_netdev.custody.custody import Custody
from nri_netdev.custody.returning import Beside
from nri_netdev.daemon.service import Daemon
from nri_netdev.errors import RemoteError, StateError
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.engine.translate import adjustment
from nri_netdev.testing.engine import Engine
from tests.fakes import FakeKernel, FakeLedger
from tests.loop import within

KEY = "nri-netdev.io/container.app"


class Node:
    """What a daemon runs on: a state directory, a kernel and a ledger in memory, and one pod."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(
            socket=directory / "nri.sock", state_dir=directory / "state", run_dir=directory / "run"
        )
        self.kernel = FakeKernel()
        self.ledger = FakeLedger()
        self.trouble: StateError | None = None
        self.beside: Beside | None = None
        """What custody does beside its jobs; None for at once."""
        self.running: Daemon | None = None
        self.threads: set[str] = set()
        self.nic = self.kernel.add("ens1")
        self.netns = self.kernel.new_netns()

    def custody(self, _: Settings) -> Custody:
        """What the daemon's lane opens."""
        self.threads.add(threading.current_thread().name)
        if self.trouble:
            raise self.trouble
        return Custody(
            self.ledger,
            self.kernel,
            encode=lambda grants, handout: adjustment(grants, handout).SerializeToString(),
            now_s=time.time,
            monotonic_s=time.monotonic,
            beside=self.beside,
        )

    def pod(self, value: str | None = "- ens1", pod_id: str = "p1") -> nri_pb2.PodSandbox:
        annotations = {} if value is None else {KEY: value}
        pod = nri_pb2.PodSandbox(id=pod_id, name="web", namespace="default", uid="u1", annotations=annotations)
        pod.linux.namespaces.add(type="network", path=self.netns.path)
        return pod

    def container(self, number: int = 1, pod_id: str = "p1") -> nri_pb2.Container:
        return nri_pb2.Container(id=f"c{number}", pod_sandbox_id=pod_id, name="app", pid=0)

    @contextlib.asynccontextmanager
    async def daemon(self, environment: Mapping[str, str] | None = None) -> AsyncIterator[asyncio.Task[None]]:
        self.running = Daemon(self.settings, environment or {}, self.custody)
        task = asyncio.ensure_future(self.running.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    def slow_to_pin(self) -> threading.Event:
        """Let whoever pins a netns wait from now on, until the event is set."""
        go_on = threading.Event()
        pin = self.kernel.pods.pin

        def slowly(target: Any) -> None:
            go_on.wait()
            pin(target)

        self.kernel.pods.pin = slowly  # type: ignore[method-assign]
        return go_on

    def engine(self, **options: Any) -> Engine:
        return Engine(self.settings.socket, runtime_name="containerd", runtime_version="2.3.4", **options)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


on_loop = within(60)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for knows no event loop
        await asyncio.sleep(0.01)


async def until_given(node: Node, engine: Engine) -> None:
    """As a kubelet does: every try is another container."""
    for number in count(3):
        with contextlib.suppress(RemoteError):
            adjust = await engine.create_container(node.pod(), node.container(number))
            if adjust.linux.net_devices:
                return
        await asyncio.sleep(0.05)


async def announced(node: Node, engine: Engine, value: str = "- ens1") -> nri_pb2.PodSandbox:
    """Announce a pod, and wait until all is prepared for its container."""
    pod = node.pod(value)
    await engine.run_pod_sandbox(pod)
    await until(lambda: node.ledger.prepared)
    await until(lambda: node.nic.link.altnames)
    return pod


def is_untouched(node: Node) -> bool:
    """Whether nothing is claimed or prepared, marked or pinned."""
    return not (
        tuple(node.ledger.rows.values())
        or tuple(node.ledger.prepared.values())
        or node.nic.link.altnames
        or node.kernel.pods.pins()
    )
