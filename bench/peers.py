"""The other plugins that set up interfaces, as `bench.setups` runs them on the stand-in machine.

dranet is built from the Go module that `bench/pins/dranet` pins. It is meant for Kubernetes; what it needs of that to
set up an interface is played by `bench.kubelet`. network-device-injector is a nested Go module without a tag, which
Go's module proxy does not give, so it is measured only where somebody has built it and says where it is.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from bench import kubelet
from tests.e2e.engine import NRI_SOCKET, Engine
from tests.e2e.golang import go_tool, required_version
from tests.e2e.machine import Machine
from tests.e2e.node import Node
from tests.e2e.toolbox import CACHE
from tests.e2e.wait import wait_until

REPOSITORY = Path(__file__).parent.parent
_PINS = Path(__file__).parent / "pins" / "dranet"
DRANET = go_tool("dranet", "sigs.k8s.io/dranet/cmd/dranet", module=_PINS, place=CACHE / "dranet")
DRANET_VERSION = required_version(_PINS, "sigs.k8s.io/dranet")

Before = Callable[[str], None]
"""Does what is done for a pod before it comes, given its uid."""


def nothing(uid: str) -> None:
    """Nothing is done before a pod comes."""
    del uid


@contextlib.contextmanager
def _known(engine: Engine, name: str) -> Iterator[None]:
    """Wait at the end of the block until the engine knows a plugin by its name and number."""
    known = engine.log_text().count(name)
    yield
    wait_until(lambda: engine.log_text().count(name) > known, timeout_s=30, what=f"the engine knows {name}")


@contextlib.contextmanager
def injector(program: Path, node: Node, engine: Engine) -> Iterator[Before]:
    """Run network-device-injector, from when the engine knows it."""
    with contextlib.ExitStack() as running:
        with _known(engine, "10-network-device-injector"):
            _run(running, node.machine, program, "-idx=10", f"-socket={NRI_SOCKET}")
        yield nothing


@contextlib.contextmanager
def dranet(config: Mapping[str, Any], device: str, node: Node, engine: Engine) -> Iterator[Before]:
    """Run dranet with what it needs of Kubernetes, from when the engine knows it.

    Args:
        config: what each pod asks for, as dranet's `NetworkConfig`.
        device: the interface that each pod gets.
        node: where it runs.
        engine: which it is a plugin of.
    """
    machine = node.machine
    for directory in ("plugins", "plugins_registry"):
        machine.path(f"{kubelet.ROOT}/{directory}").mkdir(parents=True, exist_ok=True)
    machine.path("/run/dranet").mkdir(exist_ok=True)
    server = {"name": "bench", "cluster": {"server": f"http://127.0.0.1:{kubelet.PORT}"}}
    context = {"name": "bench", "context": {"cluster": "bench", "user": ""}}
    kubeconfig = {"apiVersion": "v1", "kind": "Config", "clusters": [server], "contexts": [context]}
    machine.write("/run/dranet/kubeconfig", json.dumps({**kubeconfig, "current-context": "bench"}))
    with contextlib.ExitStack() as running:
        asked = json.dumps({"config": config, "device": device})
        beside = machine.popen(
            [sys.executable, "-m", "bench.kubelet", asked],
            env={"PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.callback(_end, beside)
        to, answers = cast("IO[str]", beside.stdin), cast("IO[str]", beside.stdout)
        _expect(answers, "serving")
        with _known(engine, f"00-{kubelet.DRIVER}"):
            options = {
                "kubeconfig": "/run/dranet/kubeconfig",
                "hostname-override": kubelet.NODE,
                "bind-address": "127.0.0.1:9177",
                "cloud-provider-hint": "NONE",
                "db-path": "/run/dranet/dranet.db",
                "inventory-min-poll-interval": "1ms",
                "inventory-poll-burst": "1000",
            }
            _run(running, machine, DRANET.files[0], *(f"--{name}={value}" for name, value in options.items()))
            _expect(answers, "registered")

        def prepare(uid: str) -> None:
            """The kubelet has dranet prepare a pod's claim before the engine hears of the pod."""

            def once() -> bool:
                to.write(f"{uid}\n")
                to.flush()
                return not json.loads(answers.readline())

            wait_until(once, timeout_s=10, what="dranet has prepared a claim")

        yield prepare


def _expect(answers: IO[str], word: str) -> None:
    said = answers.readline().strip()
    if said != word:
        raise AssertionError(f"bench.kubelet has not {word}: {said!r}")


def _run(running: contextlib.ExitStack, machine: Machine, program: Path, *arguments: str) -> None:
    """Run a plugin for as long as the stack lasts; its log is kept on the machine."""
    log = running.enter_context(machine.new_file(program.name, ".log").open("w", encoding="utf-8"))
    running.callback(_end, machine.popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log))


def _end(process: subprocess.Popen[Any]) -> None:
    """End a process at once: dranet would wait for pods that may be under way."""
    process.kill()
    process.wait(timeout=10)
