"""The node around an engine: its network interfaces, and the daemon under test."""

import contextlib
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.engine import NRI_SOCKET
from tests.e2e.machine import CommandError, Machine
from tests.e2e.wait import wait_until

LAN = "lan"
UPLINK = "uplink"
"""The node's own interface: it has the node's addresses and the default routes."""

_UPLINK_SETUP = f"""
netns add {LAN}
-n {LAN} link set lo up
link add {UPLINK} type veth peer name {UPLINK}-peer netns {LAN}
address add 192.0.2.2/24 dev {UPLINK}
address add 2001:db8::2/64 dev {UPLINK} nodad
link set {UPLINK} up
-n {LAN} address add 192.0.2.1/24 dev {UPLINK}-peer
-n {LAN} address add 2001:db8::1/64 dev {UPLINK}-peer nodad
-n {LAN} link set {UPLINK}-peer up
route add default via 192.0.2.1
-6 route add default via 2001:db8::1
"""


EVERYTHING = """
rules:
  - namespaces: ["*"]
    interfaces: ["*"]
"""
"""A policy for tests that are about something else."""


class Daemon:
    """A running nri-netdev, or one that ran.

    Attributes:
        log: the file with all that it wrote to standard output and error.
        argv: how it was started.
    """

    def __init__(self, machine: Machine, argv: Sequence[str | Path], *, log: Path, env: Mapping[str, str]) -> None:
        self.argv = [str(part) for part in argv]
        self.log = log
        with log.open("ab") as stream:
            self._process = machine.popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=dict(env)
            )

    @property
    def config_path(self) -> Path:
        """Its configuration file, as seen from outside the machine."""
        return self.log.with_suffix(".yaml")

    @property
    def pid(self) -> int:
        """Its process, as seen from outside the machine."""
        return self._process.pid

    def log_text(self) -> str:
        """Return all that it has logged."""
        return self.log.read_text(errors="replace")

    def logged(self, pattern: str) -> list[str]:
        """Return the lines of its log in which a regular expression is found."""
        return [line for line in self.log_text().splitlines() if re.search(pattern, line)]

    def wait_logged(self, pattern: str, *, count: int = 1, timeout_s: float = 10) -> list[str]:
        """Wait until its log has `count` lines with a regular expression, and return them.

        Fails at once when the daemon has ended without them.
        """

        def found() -> list[str]:
            is_over = self.status() is not None
            lines = self.logged(pattern)
            if is_over and len(lines) < count:
                raise AssertionError(f"ended with status {self.status()}:\n{self.log_text()}")
            return lines if len(lines) >= count else []

        return wait_until(found, timeout_s=timeout_s, what=lambda: f"{pattern!r} in:\n{self.log_text()}")

    def wait_registered(self, *, count: int = 1, timeout_s: float = 10) -> None:
        """Wait until an engine has taken it as a plugin, for the `count`-th time."""
        self.wait_logged(r"\bregistered\b", count=count, timeout_s=timeout_s)

    def wait_ended(self, *, timeout_s: float = 10) -> int:
        """Wait until it ends by itself and return its status, negative for a signal."""
        return self._process.wait(timeout=timeout_s)

    def status(self) -> int | None:
        """Return its exit status, negative for a signal; nothing while it runs."""
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill9(self) -> None:
        """Kill it on the spot."""
        self._process.kill()
        self._process.wait(timeout=10)

    def terminate(self, *, timeout_s: float = 10) -> int:
        """Ask it to end and return its status."""
        self._process.terminate()
        try:
            return self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"did not end on SIGTERM:\n{self.log_text()}") from None


class Node:
    """Makes interfaces on a machine and runs the daemon there.

    The network namespace `lan` stands for what is at the other end of the cables: the peers of the veth
    pairs live there, so that the node's ends have carrier.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._states: set[str] = set()
        self._daemons: list[Daemon] = []
        if not machine.path(f"/run/netns/{LAN}").exists():
            self.ip_batch(_UPLINK_SETUP)

    # --- commands -----------------------------------------------------------------------------------

    def ip(self, *arguments: str, netns: str = "") -> str:
        """Run `ip` in the node's network namespace, or in another one given by name or path."""
        return self.machine.run("ip", *(("-n", netns) if netns else ()), *arguments)

    def ip_json(self, *arguments: str, netns: str = "") -> Any:
        """Return what `ip -json` says, as in ``ip_json("-d", "addr", "show", "nic0")``."""
        said = self.ip("-json", *arguments, netns=netns)
        return json.loads(said) if said.strip() else []

    def ip_batch(self, lines: str) -> None:
        """Run many `ip` commands, one a line, until one fails."""
        script = "\n".join(f"ip {line}" for line in lines.strip().splitlines() if line.strip())
        self.machine.run("sh", "-ec", script)

    def sysctl(self, name: str, value: object) -> None:
        """Set a network sysctl of the node, as in ``net/ipv6/conf/nic0/keep_addr_on_down``."""
        self.machine.run("sh", "-c", f"echo {shlex.quote(str(value))} > /proc/sys/{shlex.quote(name)}")

    def link(self, name: str, *, netns: str = "") -> dict[str, Any] | None:
        """Return what `ip -d addr show` says of an interface, or nothing when it is not there."""
        return next(
            (
                found
                for found in self.ip_json("-details", "address", netns=netns)
                if found.get("ifname") == name or name in found.get("altnames", ())
            ),
            None,
        )

    def addresses(self, name: str, *, netns: str = "") -> list[str]:
        """Return an interface's addresses with prefix lengths, sorted; not the link-local ones."""
        found = self.link(name, netns=netns) or {"addr_info": []}
        return sorted(f"{info['local']}/{info['prefixlen']}" for info in found["addr_info"] if info["scope"] != "link")

    # --- interfaces ---------------------------------------------------------------------------------

    def add_veth(self, name: str, *, addresses: Sequence[str] = (), mtu: int = 1500, is_up: bool = True) -> str:
        """Make a veth pair: `name` on the node and `<name>-peer`, up, in the lan; return the name."""
        peer = f"{name}-peer"
        self._add(name, f"type veth peer name {peer} mtu {mtu} netns {LAN}", addresses, mtu=mtu, is_up=is_up)
        self.ip("link", "set", peer, "up", netns=LAN)
        return name

    def add_ifb(self, name: str, *, addresses: Sequence[str] = (), is_up: bool = True) -> str:
        """Make an intermediate functional block interface: the nearest to a NIC without a peer."""
        return self._add(name, "type ifb", addresses, is_up=is_up)

    def add_macvlan(
        self,
        name: str,
        *,
        parent: str = UPLINK,
        mode: str = "bridge",
        addresses: Sequence[str] = (),
        is_up: bool = True,
    ) -> str:
        """Make a macvlan upon another interface of the node."""
        return self._add(name, f"link {parent} type macvlan mode {mode}", addresses, is_up=is_up)

    def add_vxlan(self, name: str, *, vni: int = 42, addresses: Sequence[str] = (), is_up: bool = True) -> str:
        """Make a VXLAN tunnel over the uplink."""
        return self._add(name, f"type vxlan id {vni} dev {UPLINK} dstport 4789", addresses, is_up=is_up)

    def add_bridge(self, name: str, *, addresses: Sequence[str] = (), is_up: bool = True) -> str:
        """Make a bridge."""
        return self._add(name, "type bridge", addresses, is_up=is_up)

    def add_bridge_port(self, name: str, *, bridge: str) -> str:
        """Make a veth pair whose end on the node is a port of a bridge."""
        self.add_veth(name)
        self.ip("link", "set", name, "master", bridge)
        return name

    def leftovers(self) -> list[str]:
        """Name the interfaces of node and lan that the node did not begin with, and daemons that run."""
        links = [f"{name} in {netns or 'the node'}" for netns, name in self._extra_links()]
        return links + [shlex.join(daemon.argv) for daemon in self._daemons if daemon.status() is None]

    def clean(self) -> None:
        """Take away all that was made here: daemons, their state and pins, interfaces."""
        for daemon in self._daemons:
            if daemon.status() is None:
                daemon.kill9()
        for state in self._states:
            pins = f"awk '$5 ~ \"^/run/{state}/\" {{print $5}}' /proc/self/mountinfo"
            self.machine.run("sh", "-c", f"umount --lazy $({pins}) 2>&- ; rm -rf /run/{state} /var/lib/{state}")
        for netns, name in self._extra_links():
            with contextlib.suppress(CommandError):  # went with its peer
                self.ip("link", "delete", name, netns=netns)
        wait_until(lambda: not self.leftovers(), timeout_s=10, what=lambda: f"gone: {self.leftovers()}")

    def _add(
        self, name: str, kind: str, addresses: Sequence[str], *, mtu: int | None = None, is_up: bool = True
    ) -> str:
        size = "" if mtu is None else f" mtu {mtu}"
        lines = [f"link add name {name}{size} {kind}"]
        lines += [f"address add {address} dev {name}{' nodad' * (':' in address)}" for address in addresses]
        if is_up:
            lines.append(f"link set {name} up")
        self.ip_batch("\n".join(lines))
        return name

    def _extra_links(self) -> list[tuple[str, str]]:
        """Return netns and name of each interface beyond those of the beginning and the pods'."""
        own = {("", "lo"), ("", UPLINK), (LAN, "lo"), (LAN, f"{UPLINK}-peer")}
        found = [(netns, link["ifname"]) for netns in ("", LAN) for link in self.ip_json("link", netns=netns)]
        return [link for link in found if link not in own]

    # --- the daemon ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def daemon(
        self,
        *,
        config: str | None = None,
        name: str = "nri-netdev",
        index: str = "10",
        state: str = "nri-netdev",
        log_level: str = "debug",
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        program: Sequence[str | Path] | None = None,
        wait_registered: bool = True,
    ) -> Iterator[Daemon]:
        """Run `nri-netdev run` on this node for as long as the block lasts.

        A second one with the same `state` finds what the first one left. Its log is printed when the
        block raises.

        Args:
            config: text of its configuration file; without rules it gets one that gives everything to everybody.
            name: plugin name.
            index: plugin index, two digits.
            state: name of its directories below `/var/lib` and `/run` of the machine.
            log_level: what it logs.
            options: further options.
            env: further environment variables.
            program: what to run in the place of `nri-netdev`, up to the options; for tests of this harness.
            wait_registered: whether to wait until an engine has taken it.
        """
        log = self.machine.new_file("daemon", ".log")
        self._states.add(state)
        argv: list[str | Path] = list(program or (Path(sys.executable).with_name("nri-netdev"), "run"))
        argv += [f"--socket={NRI_SOCKET}", f"--name={name}", f"--index={index}"]
        argv += [f"--state-dir=/var/lib/{state}", f"--run-dir=/run/{state}", f"--log-level={log_level}"]
        path = log.with_suffix(".yaml")
        path.write_text(config if config is not None and "rules:" in config else f"{config or ''}\n{EVERYTHING}")
        argv.append(f"--config={path}")
        daemon = Daemon(self.machine, [*argv, *options], log=log, env=env or {})
        self._daemons.append(daemon)
        try:
            if wait_registered:
                daemon.wait_registered()
            yield daemon
        except BaseException:
            print(f"--- {log.name}\n{daemon.log_text()}---")
            raise
        finally:
            if daemon.status() is None:
                daemon.terminate()

    def cli(self, *arguments: str, timeout_s: float = 30) -> str:
        """Run another command of nri-netdev on this node and return its output."""
        return self.machine.run(Path(sys.executable).with_name("nri-netdev"), *arguments, timeout_s=timeout_s)
