"""The places where scenarios play: a virtual machine with real drivers, and a stand-in machine with a veth."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.e2e import tools
from tests.e2e.cells import Cell
from tests.e2e.cri import Crictl
from tests.e2e.engine import Engine
from tests.e2e.node import LAN, Daemon, Node
from tests.sabotage import dumps
from tests.sabotage.dumps import Dump
from tests.vm.kinds import KINDS
from tests.vm.machine import VirtualMachine
from tests.vm.scene import wait

_DAEMON = "nri-netdev"
_CONFIG = Path("/etc/nri-netdev/config.yaml")
_LAN = """
ip netns add lan
ip link set enp2s0 netns lan
ip -n lan addr add 192.0.2.1/24 dev enp2s0
ip -n lan link set enp2s0 up
"""


class InMachine:
    """A virtual machine, booted and saved with an engine and the daemon at work.

    Args:
        directory: its own, for the machine's.
        kernel: the release of its kernel.
        cell: what runs in it.
        options: what else the kernel is booted with.
    """

    cards: Mapping[str, str] = {"nic": "enp1s0", "peer": "enp2s0", "pf": "enp3s0", "virtio": "enp4s0"}
    patience_s = 40.0

    def __init__(self, directory: Path, kernel: str, cell: Cell, options: str = "") -> None:
        self.vm = VirtualMachine(directory, kernel, options)
        self.cell = cell
        self.name = f"{kernel.partition('+')[0]} {cell}"
        self.engine = cell.engine(self.vm, handlers={cell.runtime.name: cell.runtime.program})  # type: ignore[arg-type]
        self.crictl = Crictl(self.engine, timeout_s=110)

    def boot(self) -> None:
        """Boot it, have all at work, and save it."""
        self.vm.boot()
        self.vm.write(_CONFIG, _config(self.cards))
        self.sh(_LAN)
        self.start_engine()
        self.engine.import_images()
        self.start_daemon()
        self.warm()
        self.vm.save()

    def warm(self) -> None:
        """Run a first pod, whose network turns on forwarding for all that comes; no other pod is left."""
        self.crictl.remove_all()
        self.crictl.run_pod("warm")
        self.crictl.remove_all()

    def restore(self) -> None:
        """Have it as it was saved."""
        self.vm.restore()

    def sh(self, script: str) -> str:
        """Run lines of sh of which each must succeed."""
        return self.vm.sh(script)

    def dump(self, ifname: str) -> Dump:
        """What programs tell of all links."""
        return self.vm.dump(ifname)

    def claims(self) -> list[dict[str, Any]]:
        """What `nri-netdev claims` tells."""
        claims: list[dict[str, Any]] = json.loads(self.vm.run("nri-netdev", "claims", "--json"))
        return claims

    def device(self, ifname: str) -> dict[str, Any]:
        """What `nri-netdev devices` tells of an interface."""
        [device] = json.loads(self.vm.run("nri-netdev", "devices", ifname, "--json"))
        return dict(device)

    def log(self) -> str:
        """The end of the daemon's log."""
        return self.vm.log(_DAEMON)

    def kill_daemon(self) -> None:
        """End it on the spot, and keep it from starting."""
        self.sh(f"systemctl kill --signal=KILL {_DAEMON}; systemctl stop {_DAEMON}")

    def start_daemon(self) -> None:
        """Start it, and wait until it is the engine's plugin."""
        self.sh(f"systemctl reset-failed {_DAEMON} 2>/dev/null || true; systemctl start {_DAEMON}")
        health = ("nri-netdev", "health", "--health=unix:///run/nri-netdev/health.sock")
        wait(lambda: self.vm.run(*health) or True, patience_s=self.patience_s, why="the daemon serves")

    def kill_engine(self) -> None:
        """End it on the spot; its containers go on."""
        self.sh(f"systemctl kill --signal=KILL --kill-whom=main {self.engine.name}")

    def start_engine(self) -> None:
        """Start it."""
        self.sh(f"systemctl reset-failed {self.engine.name} 2>/dev/null || true; systemctl start {self.engine.name}")


class OnHost:
    """A stand-in machine: the kernel of this one, with a veth for a network card.

    Args:
        engine: runs there.
        node: its node.
    """

    cards: Mapping[str, str] = {"nic": "nic0"}
    patience_s = 10.0

    def __init__(self, engine: Engine, node: Node) -> None:
        self.engine = engine
        self.name = "stand-in machine"
        self.crictl = Crictl(engine)
        self._node = node
        self._stack = contextlib.ExitStack()
        self._daemon: Daemon | None = None
        self._config = _config(self.cards)

    def boot(self) -> None:
        """Make the network card, and start the daemon."""
        self._node.add_veth("nic0", is_up=False)
        self._node.ip("addr", "add", "192.0.2.1/24", "dev", "nic0-peer", netns=LAN)
        self.start_daemon()

    def close(self) -> None:
        """End the daemon."""
        self._stack.close()

    def sh(self, script: str) -> str:
        """Run lines of sh of which each must succeed."""
        return self.engine.machine.run("bash", "-ec", script, env=self._env())

    def dump(self, ifname: str) -> Dump:
        """What programs tell of all links."""
        source = Path(dumps.__file__)
        told = self.engine.machine.run(sys.executable, source, ifname, env=self._env())
        return Dump.of_json(json.loads(told))

    def claims(self) -> list[dict[str, Any]]:
        """What `nri-netdev claims` tells."""
        claims: list[dict[str, Any]] = json.loads(self._node.cli("claims", "--json"))
        return claims

    def device(self, ifname: str) -> dict[str, Any]:
        """What `nri-netdev devices` tells of an interface."""
        [device] = json.loads(self._node.cli("devices", ifname, "--json"))
        return dict(device)

    def kill_daemon(self) -> None:
        """End it on the spot."""
        assert self._daemon is not None
        self._daemon.kill9()

    def start_daemon(self) -> None:
        """Start it, and wait until it is the engine's plugin."""
        self._daemon = self._stack.enter_context(self._node.daemon(config=self._config))

    def kill_engine(self) -> None:
        """End it on the spot; its containers go on."""
        self.engine.kill9()

    def start_engine(self) -> None:
        """Start it."""
        assert self._daemon is not None
        count = len(self._daemon.logged(r"\bregistered\b"))
        self.engine.start()
        self._daemon.wait_registered(count=count + 1)

    def _env(self) -> Mapping[str, str]:
        own = tools.ROOT / "dump-tools" / "usr"
        return {"PATH": f"{own / 'sbin'}:{own / 'bin'}:{tools.BIN}:{os.environ['PATH']}"}


def _config(cards: Mapping[str, str]) -> str:
    """A configuration that gives everything, whatever the node lives by."""
    kinds = [kind for kind in KINDS.values() if kind.cards <= cards.keys()]
    names = sorted({kind.ifname(cards) for kind in kinds})
    freely = {"namespaces": ["*"], "allow_protected": True, "may": ["all"], "default_route": True, "share": True}
    rules = [{**freely, "interfaces": [name]} for name in names]
    return yaml.safe_dump({"log_level": "debug", "rules": rules})
