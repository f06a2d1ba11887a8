"""Throwaway network namespaces: one stands for the host, one for a pod. Nothing of the machine's own is touched."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from nri_netdev.domain.links import Link
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl, with_rtnl

T = TypeVar("T")

CLONE_NEWNET = 0x40000000


class Net:
    """One network namespace, kept alive by its fd."""

    def __init__(self) -> None:
        self.fd = self._new()
        self.ip("link set lo up")

    @staticmethod
    def _new() -> int:
        fds: list[int] = []

        def make() -> None:
            if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0:
                fds.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not fds:
            raise PermissionError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
        return fds[0]

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def run(self, *command: str) -> str:
        """Run a program in it."""
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", *command], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def ip(self, command: str) -> str:
        """`ip …`, as one would type it."""
        return self.run("ip", *command.split())

    def ip_json(self, command: str) -> Any:
        """`ip -json …`, read."""
        return json.loads(self.run("ip", "-json", *command.split()) or "[]")

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call `function(rtnl, *args)` there."""
        return with_rtnl(self.fd, function, *args)

    def link(self, ifname: str) -> Link:
        """The link of this name."""
        found = self.call(Rtnl.link_called, ifname)
        assert found is not None, f"{ifname} is not here: {self.names()}"
        return found

    def names(self) -> set[str]:
        """What the links here are called."""
        return {link.ifname for link in self.call(Rtnl.links)}

    def sysctl(self, key: str, value: str | None = None) -> str:
        """Read or set `ipv4/conf/eth0/rp_filter`."""
        path = Path("/proc/sys/net") / key

        def act() -> str:
            if value is not None:
                path.write_text(value)
            return path.read_text().strip()

        return call_in_netns(self.fd, act)

    def close(self) -> None:
        os.close(self.fd)


@pytest.fixture
def nets() -> Iterator[Callable[[], Net]]:
    """Makes namespaces, and lets them go at the end."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("NOT TESTED ON A REAL KERNEL: needs root and iproute2")
    made: list[Net] = []

    def make() -> Net:
        made.append(Net())
        return made[-1]

    yield make
    for net in made:
        net.close()


@pytest.fixture
def home(nets: Callable[[], Net]) -> Net:
    """Stands for the host."""
    return nets()


@pytest.fixture
def pod(nets: Callable[[], Net]) -> Net:
    """Stands for a pod."""
    return nets()
