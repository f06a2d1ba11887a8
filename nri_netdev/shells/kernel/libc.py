"""Calls of libc that Python lacks, and errors of the system as `KernelError`."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nri_netdev.errors import KernelError, Reason

LIBC = ctypes.CDLL(None, use_errno=True)
_MS_BIND = 4096


def call(action: str, function: Callable[..., int], *args: object, refusal: Reason = Reason.OTHER) -> None:
    """Call a function of `LIBC`.

    Args:
        action: what the call does, for error messages.
        function: returns anything but 0 for failure.
        args: what it is called with.
        refusal: the kind of refusal where a pod is refused because of a failure.

    Raises:
        KernelError: The call failed.
    """
    if function(*args) != 0:
        number = ctypes.get_errno()
        raise KernelError(action=action, errno=number, refusal=refusal)


def bind_mount(action: str, source: str | Path, target: Path) -> None:
    """Mount a file or directory at another path; `action` is for error messages.

    Raises:
        KernelError: The kernel refuses.
    """
    call(action, LIBC.mount, os.fsencode(source), os.fsencode(target), None, _MS_BIND, None)


_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # the same on every machine
_CLOEXEC, _FSCONFIG_CMD_CREATE = 1, 6


def mount_sysfs() -> int:
    """A sysfs that shows the calling thread's netns, mounted nowhere, as the fd of its directory; -1 if refused."""
    fs_fd = LIBC.syscall(_FSOPEN, b"sysfs", _CLOEXEC)
    if fs_fd < 0:
        return -1
    try:
        if LIBC.syscall(_FSCONFIG, fs_fd, _FSCONFIG_CMD_CREATE, None, None, 0) < 0:
            return -1
        return int(LIBC.syscall(_FSMOUNT, fs_fd, _CLOEXEC, 0))
    finally:
        os.close(fs_fd)


@contextmanager
def translated(action: str, *, refusal: Reason = Reason.OTHER) -> Iterator[None]:
    """Turn an `OSError` into a `KernelError` with an action and a kind of refusal."""
    try:
        yield
    except OSError as error:
        raise KernelError(action=action, errno=error.errno or errno.EIO, refusal=refusal) from error
