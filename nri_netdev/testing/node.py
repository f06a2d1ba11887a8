"""The network namespaces and interfaces of a demonstration, in place of a node's.

The caller is in namespaces of its own (`nri-netdev demo` runs under `unshare`), so only cgroups are removed here: the
kernel removes everything else with the namespaces.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import pyroute2

from nri_netdev.shells.kernel import libc
from nri_netdev.shells.kernel.netns import OWN, in_new_netns, on_own_thread
from nri_netdev.shells.kernel.sysctls import has_ipv6

_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_S = 5.0
"""How long the processes in a cgroup may take to end."""


def mount_tmpfs(path: Path) -> None:
    """Mount an empty tmpfs on a directory.

    Raises:
        KernelError: The kernel refuses.
    """
    arguments = b"tmpfs", os.fsencode(path), b"tmpfs", 0, b"mode=0755"
    libc.call(f"mount a tmpfs on {path}", libc.LIBC.mount, *arguments)


def add_netns(path: Path) -> Path:
    """Make a netns with its loopback up, and bind-mount it at `path`.

    Raises:
        KernelError: The kernel refuses the netns or the mount.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)

    def make() -> None:
        libc.bind_mount(f"mount it at {path}", OWN, path)
        with pyroute2.IPRoute() as ipr:
            ipr.link("set", index=1, state="up")

    in_new_netns(make)
    return path


def add_interface(ifname: str, addresses: Iterable[str] = (), *, cable: str = "cable") -> None:
    """Add a veth to this netns, both ends up, and addresses like `192.0.2.1/24` to the one end.

    Args:
        ifname: name of the interface.
        addresses: its addresses; IPv6 addresses are left out if it has IPv6 turned off.
        cable: name of the other end.
    """

    def make() -> None:
        with pyroute2.IPRoute() as ipr:
            ipr.link("set", index=1, state="up")
            ipr.link("add", ifname=ifname, kind="veth", peer={"ifname": cable})
            for name in (cable, ifname):
                ipr.link("set", index=socket.if_nametoindex(name), state="up")
            for address in addresses:
                if ":" in address and not has_ipv6(ifname):
                    continue
                ip, _, prefixlen = address.partition("/")
                index = socket.if_nametoindex(ifname)
                # No duplicate address detection: no other host is on this link.
                ipr.addr("add", index=index, address=ip, prefixlen=int(prefixlen), flags=0x02 if ":" in ip else 0)

    on_own_thread(make)


def remove_interface(ifname: str) -> None:
    """Remove an interface from this netns, and with it the other end of the veth."""

    def remove() -> None:
        with pyroute2.IPRoute() as ipr:
            ipr.link("del", index=socket.if_nametoindex(ifname))

    on_own_thread(remove)


def remove_cgroup(name: str) -> None:
    """Remove a top-level cgroup and those below it, in every hierarchy, if it exists."""
    deadline = time.monotonic() + _CGROUP_S
    left = [found for pattern in ("", "*/") for found in _CGROUPS.glob(pattern + name)]
    while left:
        for directory in [below for top in left for below, _, _ in os.walk(top, topdown=False)]:
            with contextlib.suppress(OSError):  # busy until its processes have ended
                Path(directory).rmdir()
        left = [top for top in left if top.exists()]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.01)
