"""Settings in sysfs: steering of packets to CPUs, deferred interrupts, limits of queues.

sysfs shows the netns in which it was mounted: so it is mounted anew, attached nowhere, wherever the daemon's own `/sys`
comes from.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nri_netdev.domain.snapshot import Messages
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Recorded, Refusals, Site
from nri_netdev.shells.kernel.facets.objects import one_by_one
from nri_netdev.shells.kernel.libc import translated

_OWN = ("gro_flush_timeout", "napi_defer_hard_irqs", "threaded")
_STATE = frozenset({"limit", "inflight", "stall_cnt", "stall_max", "power"})
"""Files of queues that the kernel itself writes."""
_UPPER = "upper_"
_WRITABLE = stat.S_IWUSR
_MAX_BYTES = 4096


@contextmanager
def _directory(site: Site) -> Iterator[int]:
    """The directory of the interface, open.

    Raises:
        OSError: There is none, or it is another's.
    """
    name = site.link.ifname
    if site.rtnl.sysfs_fd < 0 or "/" in name:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    fd = os.open(f"class/net/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=site.rtnl.sysfs_fd)
    try:
        if _content("ifindex", fd) != f"{site.ifindex}\n".encode():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        yield fd
    finally:
        os.close(fd)


def _content(path: str, directory_fd: int) -> bytes | None:
    """What a file says; None if it cannot be read, as some cannot while a device is down or lacks what they set."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)
    except OSError:
        return None
    try:
        return os.read(fd, _MAX_BYTES)
    except OSError:
        return None
    finally:
        os.close(fd)


def _paths(directory_fd: int) -> Iterator[str]:
    yield from _OWN
    with suppress(OSError):
        for queue in sorted(_names("queues", directory_fd)):
            yield from _files(f"queues/{queue}", directory_fd)


def _names(path: str, directory_fd: int) -> list[str]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory_fd)
    try:
        return os.listdir(fd)  # noqa: PTH208 - by its fd
    finally:
        os.close(fd)


def _files(path: str, directory_fd: int) -> Iterator[str]:
    """Writable files in a directory and below it."""
    for name in sorted(set(_names(path, directory_fd)) - _STATE):
        mode = os.stat(f"{path}/{name}", dir_fd=directory_fd, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield from _files(f"{path}/{name}", directory_fd)
        elif stat.S_ISREG(mode) and mode & _WRITABLE:
            yield f"{path}/{name}"


def upper_names(site: Site) -> list[str] | None:
    """The names of the devices of its netns on top of an interface, its master left out; None if there is no sysfs."""
    try:
        with _directory(site) as directory_fd:
            return [name.removeprefix(_UPPER) for name in os.listdir(directory_fd) if name.startswith(_UPPER)]  # noqa: PTH208
    except OSError:
        return None


def _read(site: Site) -> Messages | None:
    try:
        with _directory(site) as directory_fd:
            contents = ((path, _content(path, directory_fd)) for path in _paths(directory_fd))
            return tuple(path.encode() + b"\0" + value.strip() for path, value in contents if value is not None)
    except OSError:
        return None


def _items(recorded: Recorded) -> Items:
    return {message.partition(b"\0")[0].decode(): message.partition(b"\0")[2] for message in recorded.messages}


def _put(site: Site, _: Recorded, change: Change) -> Refusals:
    return one_by_one(site, change.differing, lambda site, key: _write(site, key, change.was[key]))


def _write(site: Site, path: str, value: bytes) -> None:
    with translated(f"set {path} of interface {site.ifindex} in sysfs"), _directory(site) as directory_fd:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory_fd)
        try:
            os.write(fd, value)
        finally:
            os.close(fd)


SYSFS = Facet(
    name="sysfs",
    title="RPS, XPS, limits of queues, deferred interrupts, threaded NAPI (sysfs)",
    read=_read,
    items=_items,
    what=lambda _site, key: f"{key} in sysfs",
    show=lambda _site, _key, value: value.decode("ascii", "replace") or "empty",
    put=_put,
    expected={"present limits and counters of queues": "counted by the kernel"},
    advice="set it again in /sys/class/net, then `nri-netdev release` forgets the claim",
)
