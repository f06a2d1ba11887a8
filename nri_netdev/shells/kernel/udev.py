"""udev's word that it is done with an interface (docs/adr/0017).

udev takes an interface that comes home for a new one and gives it the name, the MTU and the queues that a `.link` file
has for it, and all but the name again whenever it is renamed. What is restored before that is overwritten. When udev is
done it tells everyone who listens as libudev does; where it does not run, nobody is waited for.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from nri_netdev.shells.kernel.netns import is_same_namespace

NETLINK_KOBJECT_UEVENT = 15
UDEV_GROUP = 2
"""`MONITOR_GROUP_UDEV`: what udev sends after its rules; the kernel itself sends to group 1."""
PATIENCE_S = 3.0
"""How long udev may take; it takes milliseconds on an idle node."""

_CONTROL = Path("/proc/1/root/run/udev/control")
"""Is there while udev runs; the host's, also in a container that shares its process ids."""
_PREFIX = struct.Struct("=8s4xIII")
"""`struct monitor_netlink_header`: its prefix, a magic number, its size, offset and length of what is told."""
_MAGIC_WORD = b"libudev\0"
_BUFFER_BYTES = 1 << 16


def is_at_work(control: Path = _CONTROL) -> bool:
    """Whether udev handles the interfaces of this netns."""
    try:
        return control.is_socket() and is_same_namespace("net", 1) is True
    except OSError:
        return False


class Udev:
    """Hears udev from when it is entered; a context manager. For one thread at a time, in the host's netns.

    Args:
        is_there: whether there is a udev to wait for; None to find out.
    """

    def __init__(self, *, is_there: bool | None = None) -> None:
        self._is_there = is_at_work() if is_there is None else is_there
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        if self._is_there:
            with contextlib.suppress(OSError):
                self._socket = _opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()

    def wait(self, ifindex: int, ifname: str = "", patience_s: float = PATIENCE_S) -> bool:
        """Wait until udev is done with an interface that has come, or that has been renamed.

        Args:
            ifindex: the interface.
            ifname: the name that it was given; "" if it has come, as udev may have renamed it.
            patience_s: how long to wait.

        Returns:
            Whether udev has told so; False, too, where there is no udev.
        """
        if self._socket is None:
            return False
        deadline = time.monotonic() + patience_s
        wanted = [f"IFINDEX={ifindex}".encode(), *([f"INTERFACE={ifname}".encode()] if ifname else [])]
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                break
            try:
                told = properties(self._socket.recv(_BUFFER_BYTES))
            except OSError:  # so much was told that some of it is lost
                return False
            if all(each in told for each in wanted) and b"ACTION=remove" not in told:
                return True
        return False


def properties(message: bytes) -> frozenset[bytes]:
    """What a message of udev tells, each as `KEY=value`; nothing if it is not udev's."""
    if len(message) < _PREFIX.size:
        return frozenset()
    prefix, _, offset, length = _PREFIX.unpack_from(message)
    return frozenset(message[offset : offset + length].split(b"\0")) if prefix == _MAGIC_WORD else frozenset()


def _opened() -> socket.socket:
    kinds = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    opened = socket.socket(socket.AF_NETLINK, kinds, NETLINK_KOBJECT_UEVENT)
    try:
        opened.bind((0, UDEV_GROUP))
    except OSError:
        opened.close()
        raise
    return opened
