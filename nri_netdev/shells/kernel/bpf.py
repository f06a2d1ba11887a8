"""BPF programs that are attached to interfaces by tcx, which rtnetlink does not tell. Nothing is changed.

Numbers are those of `linux/bpf.h`.
"""

from __future__ import annotations

import ctypes
import platform
import struct

from nri_netdev.shells.kernel.libc import LIBC

_SYSCALLS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}
"""The number of the system call `bpf`, by machine."""
_BPF_PROG_QUERY = 16
_BPF_TCX_INGRESS, _BPF_TCX_EGRESS = 46, 47
_QUERY = struct.Struct("=IIIIQIIQQQQ")
"""`query` of `union bpf_attr`: ifindex, attach type, flags, flags, ids, count, …"""
_COUNT_OFFSET = 24


def has_tcx(ifindex: int) -> bool:
    """Whether an interface of the calling thread's netns has tcx programs; False if that cannot be read.

    It cannot without CAP_NET_ADMIN, and there are none before Linux 6.6.
    """
    return any(_count(ifindex, kind) for kind in (_BPF_TCX_INGRESS, _BPF_TCX_EGRESS))


def _count(ifindex: int, kind: int) -> int:
    number = _SYSCALLS.get(platform.machine())
    if number is None:
        return 0
    query = ctypes.create_string_buffer(_QUERY.pack(ifindex, kind, *[0] * 9), _QUERY.size)
    if LIBC.syscall(number, _BPF_PROG_QUERY, query, _QUERY.size) < 0:
        return 0
    (count,) = struct.unpack_from("=I", query, _COUNT_OFFSET)
    return int(count)
