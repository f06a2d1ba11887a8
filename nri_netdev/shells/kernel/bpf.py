"""The system call bpf(2), as far as attached programs need it: what is attached is queried, detached and attached.

Structures are those of `union bpf_attr` in `linux/bpf.h`. An interface is named by its ifindex in the netns of the
calling thread.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.libc import LIBC

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}
"""The number of the system call, by machine."""
_ATTR_BYTES = 160
_PROG_ATTACH, _PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 8, 9, 13, 16
_LINK_GET_FD_BY_ID, _LINK_GET_NEXT_ID, _LINK_DETACH, _OBJ_GET_INFO_BY_FD = 30, 31, 34, 15
_MAX_PROGRAMS = 64
"""The greatest number of programs at one hook (`BPF_MPROG_MAX`)."""
_LINK_TYPE_XDP = 6
_INFO_BYTES = 128

TCX_INGRESS, TCX_EGRESS, NETKIT_PRIMARY, NETKIT_PEER = 46, 47, 54, 55
HOOKS = {
    TCX_INGRESS: "tcx ingress",
    TCX_EGRESS: "tcx egress",
    NETKIT_PRIMARY: "netkit primary",
    NETKIT_PEER: "netkit peer",
}
"""Hooks of interfaces that hold several programs (`enum bpf_attach_type`)."""


def _bpf(action: str, command: int, attr: ctypes.Array[ctypes.c_char]) -> int:
    number = _NUMBERS.get(platform.machine())
    if number is None:
        raise KernelError(action=action, errno=errno.ENOSYS)
    result = LIBC.syscall(number, command, attr, _ATTR_BYTES)
    if result < 0:
        raise KernelError(action=action, errno=ctypes.get_errno())
    return int(result)


def _attr(layout: str = "", *values: int) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(struct.pack(layout, *values), _ATTR_BYTES)


def attached(ifindex: int, hook: int) -> list[tuple[int, int]]:
    """The programs at a hook of an interface in their order, as (program id, link id or 0).

    Raises:
        KernelError: The kernel refuses; `EINVAL` if it has no such hook.
    """
    programs, links = ((ctypes.c_uint32 * _MAX_PROGRAMS)() for _ in range(2))
    pointers = ctypes.addressof(programs), ctypes.addressof(links)
    attr = _attr("=IIIIQIIQQQQ", ifindex, hook, 0, 0, pointers[0], _MAX_PROGRAMS, 0, 0, pointers[1], 0, 0)
    _bpf(f"read the {HOOKS[hook]} programs of interface {ifindex}", _PROG_QUERY, attr)
    (count,) = struct.unpack_from("=I", attr, 24)
    return list(zip(programs[:count], links[:count], strict=True))


def has_tcx(ifindex: int) -> bool:
    """Whether an interface has tcx programs; False if that cannot be read, as before Linux 6.6."""
    try:
        return any(attached(ifindex, hook) for hook in (TCX_INGRESS, TCX_EGRESS))
    except KernelError:
        return False


@contextmanager
def _open(what: str, command: int, number: int) -> Iterator[int]:
    fd = _bpf(f"open {what} {number}", command, _attr("=I", number))
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def program(program_id: int) -> Iterator[int]:
    """A program by its id, open.

    Raises:
        KernelError: There is none any more, or the kernel refuses.
    """
    with _open("BPF program", _PROG_GET_FD_BY_ID, program_id) as fd:
        yield fd


def detach(ifindex: int, hook: int, program_id: int) -> None:
    """Take a program from a hook of an interface.

    Raises:
        KernelError: The kernel refuses.
    """
    with program(program_id) as fd:
        _bpf(f"detach {HOOKS[hook]} program {program_id}", _PROG_DETACH, _attr("=IIII", ifindex, fd, hook, 0))


def attach(ifindex: int, hook: int, program_id: int) -> None:
    """Put a program that is still loaded at the end of a hook of an interface.

    Raises:
        KernelError: The kernel refuses.
    """
    with program(program_id) as fd:
        _bpf(f"attach {HOOKS[hook]} program {program_id}", _PROG_ATTACH, _attr("=IIII", ifindex, fd, hook, 0))


def detach_link(link_id: int) -> None:
    """Detach what a link holds attached; its owner keeps the link, which does nothing any more.

    Raises:
        KernelError: The kernel refuses.
    """
    with _open("BPF link", _LINK_GET_FD_BY_ID, link_id) as fd:
        _bpf(f"detach BPF link {link_id}", _LINK_DETACH, _attr("=I", fd))


def xdp_links(program_id: int) -> list[int]:
    """The ids of the XDP links of a program.

    Raises:
        KernelError: The kernel refuses.
    """
    found: list[int] = []
    latest = 0
    while True:
        attr = _attr("=II", latest, 0)
        try:
            _bpf("list BPF links", _LINK_GET_NEXT_ID, attr)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return found
            raise
        (latest,) = struct.unpack_from("=I", attr, 4)
        with _open("BPF link", _LINK_GET_FD_BY_ID, latest) as fd:
            info = ctypes.create_string_buffer(_INFO_BYTES)
            query = _attr("=IIQ", fd, _INFO_BYTES, ctypes.addressof(info))
            _bpf(f"read BPF link {latest}", _OBJ_GET_INFO_BY_FD, query)
        kind, _, its_program = struct.unpack_from("=III", info)
        if (kind, its_program) == (_LINK_TYPE_XDP, program_id):
            found.append(latest)
