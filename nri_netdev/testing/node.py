"""A stand-in for a node: the network namespaces and interfaces of a demonstration.

Made in namespaces that the caller has to himself (`nri-netdev demo` runs under `unshare`), so nothing but cgroups is
cleaned up here: the kernel does the rest when they go.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pyroute2

from nri_netdev.errors import KernelError

_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_S = 5.0
"""How long the processes in a cgroup may take to be gone."""
_libc = ctypes.CDLL(None, use_errno=True)


def mount_tmpfs(path: Path) -> None:
    """Put an empty tmpfs over a directory of ours."""
    _checked(_libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, b"mode=0755"), f"mount a tmpfs on {path}")


def add_netns(path: Path) -> Path:
    """Make a network namespace, held by a bind mount at `path`; its loopback is up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)

    def make() -> None:
        _checked(_libc.unshare(_CLONE_NEWNET), "make a network namespace")
        source = b"/proc/thread-self/ns/net"
        _checked(_libc.mount(source, os.fsencode(path), None, _MS_BIND, None), f"mount it at {path}")
        with pyroute2.IPRoute() as ipr:
            ipr.link("set", index=1, state="up")

    _in_thread(make)
    return path


def add_interface(ifname: str, addresses: Iterable[str] = (), *, cable: str = "cable") -> None:
    """Add an interface to this network namespace, up, with a carrier, and with addresses like `192.0.2.1/24`.

    Args:
        ifname: its name.
        addresses: its addresses; those of IPv6 are left out where there is no IPv6.
        cable: what the other end is called, which is here too.
    """

    def make() -> None:
        with pyroute2.IPRoute() as ipr:
            ipr.link("set", index=1, state="up")
            ipr.link("add", ifname=ifname, kind="veth", peer={"ifname": cable})
            for name in (cable, ifname):
                ipr.link("set", index=socket.if_nametoindex(name), state="up")
            for address in addresses:
                if ":" in address and not Path("/proc/sys/net/ipv6").exists():
                    continue
                ip, _, prefixlen = address.partition("/")
                index = socket.if_nametoindex(ifname)
                # No duplicate address detection: nobody else is on this cable.
                ipr.addr("add", index=index, address=ip, prefixlen=int(prefixlen), flags=0x02 if ":" in ip else 0)

    _in_thread(make)


def remove_interface(ifname: str) -> None:
    """Remove an interface from this network namespace, and the other end of its cable."""

    def remove() -> None:
        with pyroute2.IPRoute() as ipr:
            ipr.link("del", index=socket.if_nametoindex(ifname))

    _in_thread(remove)


def remove_cgroup(name: str) -> None:
    """Remove a cgroup at the root, in every hierarchy, and those below it; one that is not there is fine."""
    deadline = time.monotonic() + _CGROUP_S
    left = [found for pattern in ("", "*/") for found in _CGROUPS.glob(pattern + name)]
    while left:
        for directory in [below for top in left for below, _, _ in os.walk(top, topdown=False)]:
            with contextlib.suppress(OSError):  # busy, until the kernel is done with its processes
                Path(directory).rmdir()
        left = [top for top in left if top.exists()]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.01)


def _in_thread(make: Callable[[], None]) -> None:
    """Run in a thread of its own: another netns stays there, and a running event loop is no obstacle."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            make()
        except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _checked(result: int, doing: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise KernelError(action=doing, errno=number)
