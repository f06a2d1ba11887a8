"""Programs attached by tcx, on the kernel."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

import pytest

from nri_netdev.shells.kernel import bpf
from nri_netdev.shells.kernel.libc import LIBC
from nri_netdev.shells.kernel.netns import call_in_netns
from tests.shells.conftest import Net

XDP, SCHED_CLS = 6, 3
INGRESS, EGRESS = 46, 47
NUMBER = {"x86_64": 321, "aarch64": 280}


def syscall(command: int, request: bytes) -> int:
    """Call `bpf`; skip where the kernel does not let us."""
    number = NUMBER.get(platform.machine())
    if number is None:
        pytest.skip("NOT TESTED WITH A PROGRAM: another machine")
    attr = ctypes.create_string_buffer(request.ljust(128, b"\0"), 128)
    result = int(LIBC.syscall(number, command, attr, 128))
    if result < 0:
        pytest.skip(f"NOT TESTED WITH A PROGRAM: bpf {command}: {os.strerror(ctypes.get_errno())}")
    return result


def load(kind: int) -> int:
    """The fd of a program of this kind, which returns 2: XDP_PASS or TC_ACT_SHOT."""
    code = ctypes.create_string_buffer(struct.pack("=BBhi", 0xB7, 0, 0, 2) + struct.pack("=BBhi", 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    return syscall(5, struct.pack("=IIQQ", kind, 2, ctypes.addressof(code), ctypes.addressof(licence)))


def attach_tcx(ifindex: int, where: int = INGRESS) -> None:
    """Attach a program to an interface of the calling thread's netns."""
    program = load(SCHED_CLS)
    try:
        syscall(8, struct.pack("=III", ifindex, program, where))
    finally:
        os.close(program)


@pytest.mark.root
@pytest.mark.parametrize("where", [INGRESS, EGRESS])
def test_programs_are_found_in_either_direction(home: Net, where: int) -> None:
    """Of the interface that is asked for, and of no other."""
    home.ip("link add dev0 type veth peer name dev1")
    first, second = home.link("dev0").ifindex, home.link("dev1").ifindex
    assert not call_in_netns(home.fd, bpf.has_tcx, first)

    call_in_netns(home.fd, attach_tcx, first, where)

    assert call_in_netns(home.fd, bpf.has_tcx, first)
    assert not call_in_netns(home.fd, bpf.has_tcx, second)


def test_what_cannot_be_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interface that is not there, and a machine whose system calls are not known."""
    assert not bpf.has_tcx(0x7FFFFFFF)
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    assert not bpf.has_tcx(1)
