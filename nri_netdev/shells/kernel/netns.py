"""Network namespaces: opened, entered, told apart, pinned.

A namespace is a path, an fd or a pair of numbers; names here say which. Nothing here speaks netlink.
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

from nri_netdev.errors import KernelError

P = ParamSpec("P")
R = TypeVar("R")

OWN = "/proc/thread-self/ns/net"
"""The netns of the calling thread; `/proc/self/ns/net` is the main thread's."""

NSFS_MAGIC = 0x6E736673
"""`linux/magic.h`."""

_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_NS_GET_NSTYPE = 0xB703  # ioctl_nsfs(2): nsfs also holds pid, mount and other namespaces
_STATFS_BYTES = 256  # struct statfs has 120 on 64-bit

_libc = ctypes.CDLL(None, use_errno=True)


def _call(action: str, function: Callable[..., int], *args: object) -> None:
    """Call libc, and raise what it answers."""
    if function(*args) != 0:
        number = ctypes.get_errno()
        raise KernelError(action=action, errno=number)


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn an `OSError` into a `KernelError` that says what was tried."""
    try:
        yield
    except OSError as error:
        raise KernelError(action=action, errno=error.errno or errno.EIO) from error


@contextmanager
def open_netns(path: str | Path = OWN) -> Iterator[int]:
    """Open a netns by its path, and close it afterwards. The fd keeps the netns alive.

    Raises:
        KernelError: There is nothing (`ENOENT`), or it is no netns (`EINVAL`).
    """
    with translated(f"open network namespace {path}"):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not is_netns(fd):
            raise KernelError(action=f"open network namespace {path}", errno=errno.EINVAL, reason="it is not one")
        yield fd
    finally:
        os.close(fd)


def is_netns(netns: str | Path | int) -> bool:
    """Whether a path or fd is a netns: on nsfs, and of type net. False if there is nothing.

    A file that an engine made to mount a netns on, and did not mount, is none.
    """
    if not isinstance(netns, int):
        buffer = ctypes.create_string_buffer(_STATFS_BYTES)
        if _libc.statfs(os.fsencode(netns), buffer) or ctypes.c_long.from_buffer(buffer).value != NSFS_MAGIC:
            return False  # opened only when it is known not to be a fifo or a device
        try:
            fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return is_netns(fd)
        finally:
            os.close(fd)
    return bool(_libc.ioctl(netns, _NS_GET_NSTYPE) == _CLONE_NEWNET)


def netns_id(netns: str | Path | int) -> tuple[int, int]:
    """The numbers that tell one netns from another, `st_dev` and `st_ino`, by path or fd.

    Raises:
        KernelError: There is nothing, or it is no netns.
    """
    with translated(f"read network namespace {netns}"):
        status = os.stat(netns)  # noqa: PTH116 - hot
    if not is_netns(netns):
        raise KernelError(action=f"read network namespace {netns}", errno=errno.EINVAL, reason="it is not one")
    return status.st_dev, status.st_ino


def is_same_netns(path: str | Path, dev: int, ino: int) -> bool:
    """Whether a path leads to the netns with these numbers, which nothing else has as long as it is kept alive."""
    try:
        status = os.stat(path)  # noqa: PTH116 - hot
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (dev, ino)


def in_new_netns(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a netns of its own, that ends with it.

    Raises:
        KernelError: The kernel gives none.
    """

    def call() -> R:
        _call("make a network namespace", _libc.unshare, _CLONE_NEWNET)
        return function(*args, **kwargs)

    return _on_own_thread(call)


def call_in_netns(netns_fd: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function with the calling thread in another netns, and return or raise what it does.

    The thread goes there and comes back, which takes two microseconds, where a thread of its own would have to be
    woken. Should it ever be unable to come back, the process ends on the spot: nothing may go on in a wrong netns, and
    whoever was cut short begins again from what is durable. Whatever the function opens, it must close.

    Raises:
        KernelError: The netns cannot be entered.
    """
    with translated("open the thread's own network namespace"):
        own_fd = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("enter a network namespace", _libc.setns, netns_fd, _CLONE_NEWNET)
        return function(*args, **kwargs)
    finally:
        if _libc.setns(own_fd, _CLONE_NEWNET) != 0:
            os.abort()
        os.close(own_fd)


def _on_own_thread(call: Callable[[], R]) -> R:
    """Call a function on a thread that ends with it, as a thread that has changed its netns must."""
    results: list[R] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again on the calling thread
            errors.append(error)

    thread = threading.Thread(target=run, name="netns", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


# -- pins --------------------------------------------------------------------------------------------------------------


def pin(netns_path: str | Path, pin_path: Path) -> None:
    """Keep a netns alive by a bind mount of it, whoever else lets go. Pinning it again changes nothing.

    Raises:
        KernelError: It is no netns, another netns is pinned there (`EEXIST`), or the mount is refused.
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
        _call(action, _libc.mount, os.fsencode(netns_path), os.fsencode(pin_path), None, _MS_BIND, None)
    except KernelError:
        unpin(pin_path)
        raise
    if not is_same_netns(pin_path, *wanted):
        unpin(pin_path)
        raise KernelError(action=f"pin {netns_path}", errno=errno.ESTALE, reason="it was replaced meanwhile")


def _make_file(path: Path, action: str) -> bool:
    """Make a file to mount a netns on, and its directory; whether it was not there."""
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
    """Take a pin away, and the file under it; nothing if there is none.

    Raises:
        KernelError: The kernel refuses.
    """
    while is_netns(pin_path):
        _call(f"unpin {pin_path}", _libc.umount2, os.fsencode(pin_path), _MNT_DETACH | _UMOUNT_NOFOLLOW)
    with translated(f"remove {pin_path}"):
        pin_path.unlink(missing_ok=True)


def pins(directory: Path) -> frozenset[str]:
    """Names of the pins in a directory; files that a crash left without a mount are among them."""
    with suppress(FileNotFoundError):
        return frozenset(entry.name for entry in os.scandir(directory) if entry.is_file(follow_symlinks=False))
    return frozenset()
