"""A stand-in for a node in namespaces of its own: the daemon as a process, the engine's side of NRI, pods, containers.

It is the first process of new mount, network and pid namespaces (`tests.sabotage.__main__` makes them), so that the
kernel removes all of it at the end, however that comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from nri_netdev.cli.node_state import binding_claims
from nri_netdev.domain.claim import Claim, State
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.testing.engine import Engine
from tests.e2e import tools
from tests.sabotage import bpf
from tests.sabotage.settings import Setting

T = TypeVar("T")

INTERFACE, INSIDE = "dev0", "net1"
_PATIENCE_S = 30.0
_CONFIG = """\
socket: {top}/nri.sock
state_dir: {top}/state
run_dir: {top}/run
rules:
- namespaces: [default]
  interfaces: [{interface}]
  allow_protected: true
"""
_KEY, _VALUE = "nri-netdev.io/container.app", f"[{{interface: {INTERFACE}, name: {INSIDE}}}]"
_HOLDER = (
    "mount -t sysfs sysfs /sys; ip link set lo up; echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad;"
    " echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; echo ready; exec sleep 3600"
)
_TOOLS = tools.ROOT / "dump-tools" / "usr"


class FailedRound(Exception):  # noqa: N818 - a finding, not an error of this program
    """A round cannot go on: the text says what did not happen."""


class Node:
    """The node; a context manager.

    Args:
        top: an empty directory.
    """

    def __init__(self, top: Path) -> None:
        self.top = top
        self.bpf = top / "bpf"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self.engine = Engine(top / "nri.sock", runtime_name="containerd", request_timeout_s=_PATIENCE_S)
        self._links: list[int] = []
        self._programs: dict[str, int] = {}

    def __enter__(self) -> Self:
        os.environ["PATH"] = f"{_TOOLS / 'sbin'}:{_TOOLS / 'bin'}:{os.environ['PATH']}"
        must(f"mount -t tmpfs tmpfs {self.top}", "mount -t sysfs sysfs /sys", "mount -t tmpfs tmpfs /run")
        self.bpf.mkdir()
        must(f"mount -t bpf bpf {self.bpf}", "ip link set lo up")
        for conf in ("all", "default"):  # detection would take a second in each round
            Path(f"/proc/sys/net/ipv6/conf/{conf}/accept_dad").write_text("0", encoding="ascii")
        for name, kind in (("xdp", bpf.XDP), ("cls", bpf.SCHED_CLS)):
            self._programs[name] = bpf.load(kind)
            bpf.pin(self._programs[name], self.bpf / name)
        config = _CONFIG.format(top=self.top, interface=INTERFACE)
        (self.top / "config.yaml").write_text(config, encoding="utf-8")
        self._thread.start()
        self.call(self.engine.__aenter__())
        self.start_daemon()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_daemon(signal.SIGKILL)
        self.call(self.engine.__aexit__())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Have the engine do something."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE_S)

    # -- the daemon ------------------------------------------------------------------------------------------------

    def start_daemon(self) -> None:
        """Start it, and wait until the engine knows it."""
        command = [sys.executable, "-m", "nri_netdev", "run", "--config", str(self.top / "config.yaml")]
        with (self.top / "daemon.log").open("ab") as log:
            self._daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        self.call(self.engine.wait_plugin(_PATIENCE_S))

    def stop_daemon(self, by: signal.Signals) -> None:
        """End it."""
        if self._daemon is not None:
            self._daemon.send_signal(by)
            self._daemon.wait(timeout=_PATIENCE_S)
            self._daemon = None
            self.call(self._unplugged())

    async def _unplugged(self) -> None:
        while self.engine.plugins:  # noqa: ASYNC110 - the engine has no event for it
            await asyncio.sleep(0.002)

    def claims(self) -> tuple[Claim, ...]:
        """The claims, as `nri-netdev claims` reads them."""
        return binding_claims(self.top / "state")

    def home(self) -> tuple[str, ...]:
        """Wait until the interface is home; returns what the claim says is wrong.

        Raises:
            FailedRound: It does not come.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while claims := self.claims():
            if all(claim.state in {State.PARTIAL, State.LOST} for claim in claims):
                break
            if time.monotonic() > deadline:
                raise FailedRound(f"not home after {_PATIENCE_S:.0f} s: {[(c.state, c.troubles) for c in claims]}")
            time.sleep(0.005)
        return tuple(text for claim in claims for text in claim.troubles)

    def log(self) -> str:
        """The end of the daemon's log."""
        return "\n".join((self.top / "daemon.log").read_text(encoding="utf-8").splitlines()[-20:])

    # -- settings --------------------------------------------------------------------------------------------------

    def apply(self, settings: Iterable[Setting], pod: Pod | None = None) -> list[str]:
        """Carry out settings, on the host or in a pod; returns what was refused, and why."""
        dev = INTERFACE if pod is None else INSIDE
        refused: list[str] = []
        script: list[str] = []

        def flush() -> None:
            if script:
                refused.extend(_try("\n".join(script), pod))
                script.clear()

        for setting in settings:
            for command in setting.commands:
                line = command.replace("{dev}", dev).replace("{bpf}", str(self.bpf))
                if not line.startswith("@"):
                    quoted = line.replace("'", "'\\''")
                    script.append(f"{{ {line}\n}} >/dev/null 2>$E || {{ echo '{quoted}:' $(head -n 1 $E); }}")
                    continue
                flush()
                try:
                    self._attach(line[1:], dev, pod and pod.fd)
                except OSError as error:
                    refused.append(f"{line}: {error}")
        flush()
        return refused

    def _attach(self, how: str, dev: str, netns_fd: int | None) -> None:
        where, _, way = how.partition(" ")
        program = self._programs["xdp" if where == "xdp" else "cls"]

        def act() -> None:
            ifindex = socket.if_nametoindex(dev)
            if way == "attach":
                bpf.attach(program, ifindex, bpf.ATTACH_TYPES[where])
            else:
                self._links.append(bpf.link(program, ifindex, bpf.ATTACH_TYPES[where]))

        if netns_fd is None:
            act()
        else:
            call_in_netns(netns_fd, act)

    # -- between rounds --------------------------------------------------------------------------------------------

    def clear(self, remove: Sequence[str] = ()) -> None:
        """Remove every link, rule, nexthop and claim, and end what a tenant has left running."""
        _end_strangers()
        for fd in self._links:
            os.close(fd)
        self._links.clear()
        if self.claims():
            self.stop_daemon(signal.SIGKILL)
            must(f"rm -rf {self.top}/state")
        rules = "for f in -4 -6; do ip $f rule flush; ip $f rule add pref 32766 table main; done"
        default = (
            "ip -4 rule add pref 32767 table default; ip mptcp endpoint flush; ip nexthop flush; nft flush ruleset"
        )
        links = "for n in $(ls /sys/class/net | grep -vx lo); do ip link del $n; done"
        script = "\n".join([*remove, links, rules, default])
        subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if self._daemon is None:
            self.start_daemon()


class Pod:
    """A pod on the node, with the one container that asks for the interface.

    Args:
        node: the node.
        number: a number that no other pod has.
    """

    def __init__(self, node: Node, number: int) -> None:
        self.node = node
        self.path = node.top / f"netns-{number}"
        self.path.touch()
        subprocess.run(["unshare", f"--net={self.path}", "true"], check=True)
        self.fd = os.open(self.path, os.O_RDONLY)
        self.holder = self._hold()
        network = nri_pb2.LinuxNamespace(type="network", path=str(self.path))
        self.sandbox = nri_pb2.PodSandbox(
            id=f"pod{number}",
            name="web",
            namespace="default",
            uid=f"uid{number}",
            annotations={_KEY: _VALUE},
            linux=nri_pb2.LinuxPodSandbox(namespaces=[network]),
        )
        self.container = nri_pb2.Container(id=f"app{number}", pod_sandbox_id=f"pod{number}", name="app")

    def _hold(self) -> subprocess.Popen[bytes]:
        """Start the container's process."""
        command = ["nsenter", f"--net={self.path}", "unshare", "--mount", "sh", "-c", _HOLDER]
        holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        holder.stdout.close()
        return holder

    def run(self) -> None:
        """Run the pod and its container."""
        self.node.call(self.node.engine.run_pod_sandbox(self.sandbox))
        self._create()

    def run_again(self) -> None:
        """Run another container of the same name in the pod, as a kubelet does when one has ended."""
        self.container.id += "-again"
        self.container.pid = 0
        self.holder = self._hold()
        self._create()

    def _create(self) -> None:
        """Create and start the container, and move in what it is given, as an OCI runtime does."""
        node = self.node
        adjustment = node.call(node.engine.create_container(self.sandbox, self.container))
        for ifname, device in adjustment.linux.net_devices.items():
            must(f"ip link set dev {ifname} netns {self.path} name {device.name or ifname}")
        self.container.pid = self.holder.pid
        node.engine.containers[self.container.id].pid = self.holder.pid
        node.call(node.engine.start_container(self.sandbox, self.container))

    def left(self) -> dict[str, str]:
        """Kinds of the links in the pod that still use one of another netns, by name; none if the netns is gone."""
        if not self.path.exists():
            return {}
        command = ["nsenter", f"--net={self.path}", "ip", "-j", "-d", "link", "show"]
        links = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return {each["ifname"]: each["linkinfo"]["info_kind"] for each in links if "link_netnsid" in each}

    def kill(self) -> None:
        """End the container's process."""
        if self.holder.poll() is None:
            self.holder.kill()
            self.holder.wait(timeout=10)

    def unmount(self) -> None:
        """Remove the pod's netns, as an engine does."""
        if self.path.exists():
            must(f"umount -l {self.path}")
            self.path.unlink()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def forget(self) -> None:
        """Have the engine know nothing of it any more, without an event."""
        self.node.engine.containers.pop(self.container.id, None)
        self.node.engine.pods.pop(self.sandbox.id, None)


# -- the ways in which a container ends --------------------------------------------------------------------------------


def stopped(pod: Pod) -> None:
    """The container is stopped and removed."""
    pod.kill()
    pod.node.call(pod.node.engine.stop_container(pod.sandbox, pod.container))
    pod.node.call(pod.node.engine.remove_container(pod.sandbox, pod.container))


def stopped_twice(pod: Pod) -> None:
    """The container is stopped, runs again, and is stopped again."""
    stopped(pod)
    if any("cannot be found" in text for text in pod.node.home()):
        return
    pod.run_again()
    stopped(pod)


def pod_stopped(pod: Pod) -> None:
    """The pod's netns is removed, and then the pod stopped, as CRI-O does it."""
    pod.kill()
    pod.unmount()
    pod.node.call(pod.node.engine.stop_pod_sandbox(pod.sandbox))


def vanished(pod: Pod) -> None:
    """Process and netns are gone, and the engine says nothing."""
    pod.kill()
    pod.unmount()


def restarted_before(pod: Pod) -> None:
    """The daemon is restarted while the container runs, which then is stopped."""
    pod.node.stop_daemon(signal.SIGKILL)
    pod.node.start_daemon()
    stopped(pod)


def died_over(pod: Pod) -> None:
    """The container ends and is forgotten while no daemon runs."""
    pod.node.stop_daemon(signal.SIGTERM)
    pod.kill()
    pod.forget()
    pod.unmount()
    pod.node.start_daemon()


ENDINGS = {each.__name__: each for each in (stopped, stopped_twice, pod_stopped, vanished, restarted_before, died_over)}


def _end_strangers() -> None:
    """End every process of this pid namespace that is in another netns; its links would use those of the next round."""
    own = Path("/proc/self/ns/net").stat().st_ino
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if (process / "ns/net").stat().st_ino != own:
                os.kill(int(process.name), signal.SIGKILL)


def must(*lines: str) -> None:
    """Carry out lines of sh.

    Raises:
        FailedRound: One of them fails.
    """
    for line in lines:
        done = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FailedRound(f"{line}: {done.stderr.strip()}")


def make(lines: Iterable[str]) -> str:
    """Carry out lines of sh of which each must succeed; returns why one does not, or ""."""
    try:
        must(*lines)
    except FailedRound as error:
        return str(error)
    return ""


def _try(script: str, pod: Pod | None) -> list[str]:
    """Carry out a script; returns the lines that it prints, one for each command that was refused."""
    inside = [] if pod is None else ["nsenter", f"--target={pod.holder.pid}", "--net", "--mount"]
    whole = f"E=$(mktemp)\n{script}\nrm $E\n"
    done = subprocess.run([*inside, "sh", "-s"], input=whole, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()
