"""BPF programs that let everything pass, loaded and attached by the system call itself, for tests."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

_LIBC = ctypes.CDLL(None, use_errno=True)
_BPF = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), 280)
XDP, SCHED_CLS = 6, 3
_PASS = {XDP: 2, SCHED_CLS: 0}


def bpf(command: int, attr: bytes) -> int:
    """One call."""
    result = int(_LIBC.syscall(_BPF, command, ctypes.create_string_buffer(attr, 144), 144))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def load(kind: int) -> int:
    """Load `return PASS`; the fd."""
    code = struct.pack("=BBhi", 0xB7, 0, 0, _PASS[kind]) + struct.pack("=BBhi", 0x95, 0, 0, 0)
    instructions, licence = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
    return bpf(5, struct.pack("=IIQQ", kind, 2, ctypes.addressof(instructions), ctypes.addressof(licence)))


def attach(fd: int, ifindex: int, hook: int) -> None:
    """Attach to a hook of the calling thread's netns."""
    bpf(8, struct.pack("=IIII", ifindex, fd, hook, 0))


def link(fd: int, ifindex: int, hook: int) -> int:
    """Attach by a link, which holds for as long as its fd."""
    return bpf(28, struct.pack("=III", fd, ifindex, hook))
