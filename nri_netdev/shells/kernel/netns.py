"""Network namespaces: opened, entered, compared, pinned.

A namespace is a path, an fd or a pair of numbers; names here say which. Nothing here uses netlink.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel.libc import LIBC, bind_mount, translated
from nri_netdev.shells.kernel.libc import call as call_libc

P = ParamSpec("P")
R = TypeVar("R")

OWN = "/proc/thread-self/ns/net"
"""The netns of the calling thread; `/proc/self/ns/net` is the main thread's."""

NSFS_MAGIC = 0x6E736673
"""`linux/magic.h`."""

_CLONE_NEWNET = 0x40000000
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_NS_GET_NSTYPE = 0xB703  # ioctl_nsfs(2): nsfs also holds pid, mount and other namespaces
_STATFS_BYTES = 256  # struct statfs has 120 on 64-bit


def _no_netns(action: str) -> KernelError:
    return KernelError(action=action, errno=errno.EINVAL, reason="it is not one", refusal=Reason.POD)


@contextmanager
def open_netns(path: str | Path = OWN) -> Iterator[int]:
    """Open a netns by its path, and close the fd afterwards. The fd keeps the netns alive.

    Raises:
        KernelError: There is no such path (`ENOENT`), or it is no netns (`EINVAL`).
    """
    with translated(f"open network namespace {path}", refusal=Reason.POD):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not is_netns(fd):
            raise _no_netns(f"open network namespace {path}")
        yield fd
    finally:
        os.close(fd)


def is_netns(netns: str | Path | int) -> bool:
    """Whether a path or fd is a netns: on nsfs, and of type net. False if the path does not exist.

    A plain file on which an engine meant to mount a netns is none.
    """
    if not isinstance(netns, int):
        buffer = ctypes.create_string_buffer(_STATFS_BYTES)
        if LIBC.statfs(os.fsencode(netns), buffer) or ctypes.c_long.from_buffer(buffer).value != NSFS_MAGIC:
            return False  # opened only if it is neither a fifo nor a device
        try:
            fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return is_netns(fd)
        finally:
            os.close(fd)
    return bool(LIBC.ioctl(netns, _NS_GET_NSTYPE) == _CLONE_NEWNET)


def netns_id(netns: str | Path | int) -> tuple[int, int]:
    """The identity of a netns, given by path or fd: `st_dev` and `st_ino`.

    Raises:
        KernelError: There is no such path, or it is no netns.
    """
    with translated(f"read network namespace {netns}", refusal=Reason.POD):
        status = os.stat(netns)  # noqa: PTH116 - hot
    if not is_netns(netns):
        raise _no_netns(f"read network namespace {netns}")
    return status.st_dev, status.st_ino


def is_same_netns(path: str | Path, dev: int, ino: int) -> bool:
    """Whether a path leads to the netns with these numbers. No other has them while that netns is kept alive."""
    try:
        status = os.stat(path)  # noqa: PTH116 - hot
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (dev, ino)


def in_new_netns(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a new netns, on a thread of its own; the netns ends with it unless something keeps it.

    Raises:
        KernelError: The kernel refuses a new netns.
    """

    def call() -> R:
        call_libc("make a network namespace", LIBC.unshare, _CLONE_NEWNET, refusal=Reason.POD)
        return function(*args, **kwargs)

    return on_own_thread(call)


def call_in_netns(netns_fd: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function with the calling thread in another netns, and return or raise what it does.

    The thread enters and comes back, which takes two microseconds; another thread would have to be woken. If it cannot
    come back, the process aborts: nothing may continue in a wrong netns, and after a restart the ledger says what is to
    be done. Whatever the function opens, it must close.

    Raises:
        KernelError: The netns cannot be entered.
    """
    with translated("open the thread's own network namespace", refusal=Reason.POD):
        own_fd = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        call_libc("enter a network namespace", LIBC.setns, netns_fd, _CLONE_NEWNET, refusal=Reason.POD)
        return function(*args, **kwargs)
    finally:
        if LIBC.setns(own_fd, _CLONE_NEWNET) != 0:
            os.abort()
        os.close(own_fd)


def on_own_thread(call: Callable[[], R]) -> R:
    """Call a function on a new thread, and return or raise what it does. A netns that it enters is not the caller's."""
    results: list[R] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again on the calling thread
            errors.append(error)

    thread = threading.Thread(target=run, name="netns", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


# -- pins --------------------------------------------------------------------------------------------------------------


def pin(netns_path: str | Path, pin_path: Path) -> None:
    """Keep a netns alive by a bind mount. Pinning it again changes nothing.

    Raises:
        KernelError: It is no netns, another netns is pinned there (`EEXIST`), or the kernel refuses the mount.
    """
    action = f"pin {netns_path} at {pin_path}"
    with open_netns(netns_path) as netns_fd:
        status = os.fstat(netns_fd)
        wanted = status.st_dev, status.st_ino
    if not _make_file(pin_path, action) and is_netns(pin_path):
        if is_same_netns(pin_path, *wanted):
            return
        raise KernelError(action=action, errno=errno.EEXIST, reason="another one is pinned there")
    try:
        bind_mount(action, netns_path, pin_path)
    except KernelError:
        unpin(pin_path)
        raise
    if not is_same_netns(pin_path, *wanted):
        unpin(pin_path)
        raise KernelError(action=f"pin {netns_path}", errno=errno.ESTALE, reason="it was replaced meanwhile")


def _make_file(path: Path, action: str) -> bool:
    """Make a file to mount a netns on, and its directory. Returns whether the file is new."""
    flags = os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with translated(action):
        for is_last in (False, True):
            try:
                os.close(os.open(path, flags, 0o600))
            except FileExistsError:
                os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
                return False
            except FileNotFoundError:
                if is_last:
                    raise
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            else:
                return True
    raise AssertionError


def unpin(pin_path: Path) -> None:
    """Remove a pin and the file under it, if they exist.

    Raises:
        KernelError: The kernel refuses.
    """
    while is_netns(pin_path):
        call_libc(f"unpin {pin_path}", LIBC.umount2, os.fsencode(pin_path), _MNT_DETACH | _UMOUNT_NOFOLLOW)
    with translated(f"remove {pin_path}"):
        pin_path.unlink(missing_ok=True)


def pins(directory: Path) -> frozenset[str]:
    """Names of the pins in a directory, including files that a crash left without a mount."""
    with suppress(FileNotFoundError):
        return frozenset(entry.name for entry in os.scandir(directory) if entry.is_file(follow_symlinks=False))
    return frozenset()


def is_same_namespace(kind: str, pid: int) -> bool | None:
    """Whether a process is in our namespace of a kind, as `pid` or `net`; None if that cannot be seen."""
    try:
        theirs, ours = (os.stat(f"/proc/{of}/ns/{kind}") for of in (pid, "self"))  # noqa: PTH116
    except OSError:
        return None
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)
