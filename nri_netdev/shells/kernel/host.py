"""The node's kernel, as custody asks for it (`nri_netdev.custody.ports.Kernel`): netns by path, interfaces by index.

A call into a pod's netns opens what it needs and closes it again. What is of home stays open: a socket, and a mirror
of what the host has.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import select
import signal
import socket
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeVar

from nri_netdev.domain.claim import Netns
from nri_netdev.domain.links import Inside, Inventory, Link
from nri_netdev.domain.policy.selectors import FactsOf
from nri_netdev.domain.snapshot import HomeReport, Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import capture, homing, netns, sysctls
from nri_netdev.shells.kernel.mirror import Mirror, link_events
from nri_netdev.shells.kernel.rtnetlink import Rtnl, with_rtnl
from nri_netdev.shells.kernel.sysfs import facts_reader

T = TypeVar("T")

_PROC = Path("/proc")
_DEATH_S = 1.0
"""How long a process may take to die of SIGKILL."""


class HostKernel:
    """The kernel of this host; home is the netns of the process. For one thread at a time.

    Args:
        run_dir: below it netns are pinned, in `netns`.
    """

    def __init__(self, run_dir: Path) -> None:
        self._pins = run_dir / "netns"
        self._home = _Home()
        self._listened: dict[str, _Listened] = {}
        """The pods' netns that are listened to, by the names of their pins."""

    def boot_id(self) -> str:
        """An id that changes with each boot."""
        return _boot_id()

    # -- reading ---------------------------------------------------------------------------------------------------

    def inventory(self, *, is_fresh: bool = False) -> Inventory:
        """The host; all of it read anew, or as the kernel has told it up to now (`nri_netdev.shells.kernel.mirror`)."""
        mirror = self._home.mirror()
        return self._at(None, mirror.fresh if is_fresh else mirror.inventory)

    def news(self, netns: Netns | None = None) -> int:
        """A number that is another once something is no longer as it was that a verdict rests on.

        At home, or in a pinned netns, which is listened to from the first time that this is asked until it is unpinned.
        """
        if netns is None:
            mirror = self._home.mirror()
            return self._at(None, mirror.news)
        listened = self._listened.get(netns.pin)
        if listened is None:
            listened = self._listened[netns.pin] = _Listened(self._pins / netns.pin)
        return listened.news()

    def last_news(self, netns: Netns | None = None) -> int | None:
        """What `news` would say, if that can be said without reading anything; else None. Waits for nothing."""
        source = self._home.mirror() if netns is None else self._listened.get(netns.pin)
        return None if source is None else source.last_news()

    def is_called(self, ifindex: int, ifname: str) -> bool:
        """Whether an interface at home has this name. Waits for nothing."""
        try:
            return socket.if_nametoindex(ifname) == ifindex
        except OSError:
            return False

    def facts(self) -> FactsOf:
        """A reader of what rtnetlink does not tell of interfaces at home, for one decision."""
        return facts_reader()

    def links(self, netns_path: str | None) -> tuple[Link, ...]:
        """Every link in a netns."""
        return self._at(netns_path, Rtnl.links)

    def link(self, ifindex: int) -> Link:
        """One interface at home."""
        return self._at(None, Rtnl.link, ifindex)

    def marked(self, mark: str) -> Link | None:
        """The interface at home that has this mark."""
        return self._at(None, Rtnl.link_called, mark)

    def snapshot(self, ifindex: int) -> Snapshot:
        """All that a move would destroy of an interface at home."""
        return self._at(None, capture.snapshot, ifindex, self._home.sysctls())

    def netns(self, path: str) -> Netns:
        """Which netns a path leads to."""
        dev, ino = netns.netns_id(path)
        return Netns(path=path, dev=dev, ino=ino)

    def is_home(self, other: Netns) -> bool:
        """Whether it is the host's own."""
        return (other.dev, other.ino) == self._home.netns_id()

    # -- pins ------------------------------------------------------------------------------------------------------

    def pin(self, target: Netns) -> None:
        """Keep a netns alive."""
        netns.pin(target.path, self._pins / target.pin)

    def pinned(self, target: Netns) -> str | None:
        """The path of the pin of a netns, if it stands."""
        path = f"{self._pins}/{target.pin}"
        return path if netns.is_same_netns(path, target.dev, target.ino) else None

    def unpin(self, name: str) -> None:
        """Let a netns die, if nobody else keeps it."""
        listened = self._listened.pop(name, None)
        if listened is not None:
            listened.close()
        netns.unpin(self._pins / name)

    def pins(self) -> frozenset[str]:
        """The names of the pins that stand."""
        return netns.pins(self._pins)

    # -- changing --------------------------------------------------------------------------------------------------

    def mark(self, ifindex: int, mark: str) -> None:
        """Give an interface at home its mark."""
        self._at(None, homing.mark, ifindex, mark)

    def unmark(self, ifindex: int, mark: str) -> None:
        """Take the mark off an interface at home."""
        self._at(None, homing.unmark, ifindex, mark)

    def send(self, ifindex: int, netns_path: str, ifname: str) -> None:
        """Move an interface from home into a netns under a name, as an OCI runtime would."""
        with netns.open_netns(netns_path) as netns_fd:
            self._at(None, Rtnl.move, ifindex, netns_fd, ifname)

    def inside(self, netns_path: str) -> Inside:
        """What a netns has, for who is to come into it."""
        return self._at(netns_path, lambda rtnl: Inside(links=rtnl.links(), has_ipv6=_has_ipv6()))

    def complete(self, netns_path: str, ifindex: int, ifname: str, snapshot: Snapshot) -> None:
        """Give an interface in a pod its name there and the addresses that it had, and set it up."""
        self._at(netns_path, homing.complete, ifindex, ifname, snapshot.addresses)

    def bring_home(self, netns_path: str, ifindex: int, snapshot: Snapshot, mark: str) -> HomeReport:
        """Fetch an interface and restore it."""
        with netns.open_netns(netns_path) as pod_fd, netns.open_netns() as home_fd:
            return homing.bring_home(pod_fd, ifindex, snapshot, mark, home_fd)

    def restore(self, snapshot: Snapshot, ifindex: int, mark: str) -> HomeReport:
        """Restore an interface that is at home."""
        return self._at(None, homing.restore, snapshot, ifindex, mark)

    def rename(self, ifindex: int, ifname: str) -> None:
        """Rename an interface at home."""
        self._at(None, Rtnl.rename, ifindex, ifname)

    # -- processes -------------------------------------------------------------------------------------------------

    def foreign_netns(self, known: Collection[int]) -> Iterator[str]:
        """A path to each netns that some process is in, but for home and those whose inode is in `known`."""
        seen = {netns.netns_id(netns.OWN)[1], *known}
        for pid, ino in _netns_of_processes():
            if ino not in seen:
                seen.add(ino)
                yield str(_PROC / str(pid) / "ns/net")

    def has_processes(self, target: Netns) -> bool:
        """Whether any process is in a netns."""
        return any(ino == target.ino for _, ino in _netns_of_processes())

    def is_alive(self, pid: int) -> bool:
        """Whether a process runs: it exists, and is no zombie."""
        try:
            stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return pid > 0 and stat.rpartition(") ")[2][:1] not in {"Z", "X"}

    def _at(self, netns_path: str | None, function: Callable[..., T], *args: object) -> T:
        """Call `function(rtnl, *args)` with a socket in a netns."""
        if netns_path is None:
            return self._home.call(function, *args)
        with netns.open_netns(netns_path) as netns_fd:
            return with_rtnl(netns_fd, function, *args)


class _Listened:
    """A pod's netns that is listened to, for its links and for whether it has IPv6. It keeps the netns alive."""

    def __init__(self, path: Path) -> None:
        with netns.open_netns(path) as netns_fd:
            self._events, self._ipv6 = netns.call_in_netns(netns_fd, lambda: (link_events(), sysctls.Ipv6()))
        self._had_ipv6 = self._ipv6.is_there()
        self._news = 0

    def news(self) -> int:
        """How often something has changed."""
        has_ipv6 = self._ipv6.is_there()
        if self._events.read() != [] or has_ipv6 != self._had_ipv6:
            self._news += 1
        self._had_ipv6 = has_ipv6
        return self._news

    def last_news(self) -> int | None:
        """The same, if nothing has changed since."""
        return None if self._events.is_told or self._ipv6.is_there() != self._had_ipv6 else self._news

    def close(self) -> None:
        """Listen no more."""
        self._events.close()
        self._ipv6.close()


class _Home:
    """What is kept open of the host's netns, for as long as nothing fails on it."""

    def __init__(self) -> None:
        self._rtnl: Rtnl | None = None
        self._mirror: Mirror | None = None
        self._sysctls: sysctls.Sysctls | None = None
        self._netns_id: tuple[int, int] | None = None

    def netns_id(self) -> tuple[int, int]:
        """What tells it from another."""
        if self._netns_id is None:
            self._netns_id = netns.netns_id(netns.OWN)
        return self._netns_id

    def call(self, function: Callable[..., T], *args: object) -> T:
        """Call `function(rtnl, *args)`; whatever fails, the next call begins with a new socket."""
        if self._rtnl is None:
            self._rtnl = Rtnl()
        try:
            return function(self._rtnl, *args)
        except BaseException:
            self._rtnl.close()
            self._rtnl = None
            raise

    def mirror(self) -> Mirror:
        """The mirror of the host."""
        if self._mirror is None:
            self._mirror = Mirror()
        return self._mirror

    def sysctls(self) -> sysctls.Sysctls:
        """The sysctls of the host's interfaces."""
        if self._sysctls is None:
            self._sysctls = sysctls.Sysctls()
        return self._sysctls


def _has_ipv6() -> bool:
    with contextlib.closing(sysctls.Ipv6()) as ipv6:
        return ipv6.is_there()


@functools.cache
def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def kill_in_netns(pid: int, netns_path: str) -> bool:
    """Kill a process that is in a netns, and wait until it is dead; one that is elsewhere by now is another's.

    Returns:
        Whether it is dead.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        return error.errno == errno.ESRCH
    try:
        if netns.netns_id(_PROC / str(pid) / "ns/net") != netns.netns_id(netns_path):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return bool(select.select([pidfd], [], [], _DEATH_S)[0])
    except (OSError, KernelError):
        return False
    finally:
        os.close(pidfd)


def _netns_of_processes() -> Iterator[tuple[int, int]]:
    """Pid and netns inode of every process that can be seen."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "ns/net").stat().st_ino
