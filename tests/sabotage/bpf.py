"""XDP and traffic-control programs by bpf(2) itself: `r0 = 2; exit`, attached in the ways that the kernel has.

A program that is pinned can be attached by `ip` and `tc`. tcx has two ways, a plain one and one by a link, which lasts
as long as its fd.
"""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_NR_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "s390x": 351, "ppc64le": 361}[os.uname().machine]
_PROG_LOAD, _OBJ_PIN, _PROG_ATTACH, _LINK_CREATE = 5, 6, 8, 28
SCHED_CLS, XDP = 3, 6
"""`enum bpf_prog_type`."""
ATTACH_TYPES = {"xdp": 37, "tcx-ingress": 46, "tcx-egress": 47}
"""`enum bpf_attach_type`."""
_PROGRAM = struct.pack("=BBhi", 0xB7, 0, 0, 2) + struct.pack("=BBhi", 0x95, 0, 0, 0)
_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attr: bytes) -> int:
    buffer = ctypes.create_string_buffer(attr.ljust(64, b"\0"))
    result = int(_libc.syscall(_NR_BPF, command, buffer, len(buffer) - 1))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {command}: {os.strerror(ctypes.get_errno())}")
    return result


def load(kind: int) -> int:
    """Load the program; returns its fd."""
    code, text = ctypes.create_string_buffer(_PROGRAM), ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("=IIQQ", kind, len(_PROGRAM) // 8, ctypes.addressof(code), ctypes.addressof(text))
    return _bpf(_PROG_LOAD, attr)


def pin(fd: int, path: Path) -> None:
    """Give a program a name in a bpffs."""
    text = ctypes.create_string_buffer(os.fsencode(path))
    _bpf(_OBJ_PIN, struct.pack("=QI", ctypes.addressof(text), fd))


def attach(fd: int, ifindex: int, attach_type: int) -> None:
    """Attach a program to an interface of this thread's netns, for as long as both exist."""
    _bpf(_PROG_ATTACH, struct.pack("=IIII", ifindex, fd, attach_type, 0))


def link(fd: int, ifindex: int, attach_type: int) -> int:
    """Attach a program to an interface of this thread's netns by a link; returns the link's fd."""
    return _bpf(_LINK_CREATE, struct.pack("=IIII", fd, ifindex, attach_type, 0))
