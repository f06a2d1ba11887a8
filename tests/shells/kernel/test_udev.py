"""What udev tells is heard by one that listens as libudev does, and waited for no longer than it may take.

The real udev renames and sets up interfaces that come home in tests/vm.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.udev import NETLINK_KOBJECT_UEVENT, UDEV_GROUP, Udev, is_at_work, properties
from tests.shells.conftest import Net


def message(*texts: str, prefix: bytes = b"libudev\0") -> bytes:
    """What udev sends, as systemd makes it since its first release of this format."""
    told = b"".join(f"{text}\0".encode() for text in texts)
    return struct.pack("=8s", prefix) + struct.pack(">I", 0xFEEDCAFE) + struct.pack("=III16x", 40, 40, len(told)) + told


COME = ("ACTION=add", "SUBSYSTEM=net", "INTERFACE=lan9", "IFINDEX=7")
RENAMED = ("ACTION=move", "SUBSYSTEM=net", "INTERFACE=ens1", "IFINDEX=7")


def waited(home: Net, *sent: bytes, ask: Callable[[Udev], bool]) -> bool:
    """What a wait returns if these messages are sent while it lasts."""

    def tell() -> None:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT) as sender:
            sender.bind((0, 0))
            for each in sent:
                sender.sendto(each, (0, UDEV_GROUP))

    def hear() -> bool:
        with Udev(is_there=True) as udev:
            told = threading.Thread(target=call_in_netns, args=(home.fd, tell))
            told.start()
            told.join()
            return ask(udev)

    return call_in_netns(home.fd, hear)


@pytest.mark.root
def test_an_interface_that_has_come_is_waited_for(home: Net) -> None:
    """Whatever it is called now; what is told of others, of its going and by others than udev is passed over."""
    others = [
        message("ACTION=add", "INTERFACE=lan8", "IFINDEX=77"),
        message("ACTION=remove", "INTERFACE=ens1", "IFINDEX=7"),
        message(*COME, prefix=b"kernel"),
        b"add@/devices/virtual/net/lan9\0ACTION=add\0IFINDEX=7\0",
    ]

    assert waited(home, *others, message(*COME), ask=lambda udev: udev.wait(7))
    assert not waited(home, *others, ask=lambda udev: udev.wait(7, patience_s=0.05))


@pytest.mark.root
def test_a_name_is_waited_for(home: Net) -> None:
    """What is told of the name before does not count."""
    assert waited(home, message(*COME), message(*RENAMED), ask=lambda udev: udev.wait(7, "ens1"))
    assert not waited(home, message(*COME), ask=lambda udev: udev.wait(7, "ens1", patience_s=0.05))


def test_nobody_is_waited_for_where_udev_is_not(tmp_path: Path) -> None:
    """Nor is anything opened."""
    with Udev(is_there=False) as udev:
        assert not udev.wait(7, patience_s=60)
    assert not is_at_work(tmp_path / "control")
    assert not is_at_work(Path(__file__))


def test_what_is_too_short_tells_nothing() -> None:
    """As what ends before its header does."""
    assert properties(b"libudev\0") == frozenset()
    assert properties(message(*COME)) == {*(text.encode() for text in COME), b""}
