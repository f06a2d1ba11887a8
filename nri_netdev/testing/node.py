"""A stand-in for a node: the network namespaces and interfaces of a demonstration.

Made in namespaces that the caller has to himself (`nri-netdev demo` runs under `unshare`), so nothing here cleans up:
the kernel does when they go.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pyroute2

_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
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


def add_interface(ifname: str, addresses: Iterable[str]) -> None:
    """Add an interface to this network namespace, up, with a carrier, and with addresses like `192.0.2.1/24`."""

    def make() -> None:
        with pyroute2.IPRoute() as ipr:
            ipr.link("set", index=1, state="up")
            ipr.link("add", ifname=ifname, kind="veth", peer={"ifname": "cable"})
            for name in ("cable", ifname):
                ipr.link("set", index=socket.if_nametoindex(name), state="up")
            for address in addresses:
                ip, _, prefixlen = address.partition("/")
                index = socket.if_nametoindex(ifname)
                # No duplicate address detection: nobody else is on this cable.
                ipr.addr("add", index=index, address=ip, prefixlen=int(prefixlen), flags=0x02 if ":" in ip else 0)

    _in_thread(make)


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
        raise OSError(number, f"cannot {doing}: {os.strerror(number)}")
