"""The netns of pods; implements `nri_netdev.custody.ports.Pods`. For one thread at a time.

A call into a netns opens a socket there and closes it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from nri_netdev.domain.claim import Netns
from nri_netdev.domain.links import Address, Link, PodNetnsView
from nri_netdev.domain.snapshot import Away, HomeReport
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import changes, homing, netns
from nri_netdev.shells.kernel.host import Host
from nri_netdev.shells.kernel.mirror import link_events
from nri_netdev.shells.kernel.rtnetlink import Rtnl, awaited, with_rtnl
from nri_netdev.shells.kernel.setup.apply import undo
from nri_netdev.shells.kernel.setup.rdma import take_rdma
from nri_netdev.shells.kernel.sysctls import Ipv6, has_ipv6

T = TypeVar("T")

Timed = Callable[[str, str], AbstractContextManager[None]]
"""Measures a move, given its direction, `in` or `home`, and the interface's driver."""


class Pods:
    """The network namespaces of pods.

    Args:
        host: the netns that interfaces come from.
        run_dir: its directory `netns` holds the pins.
        timed: measures moves.
    """

    def __init__(self, host: Host, run_dir: Path, timed: Timed) -> None:
        self._host = host
        self._pins = run_dir / "netns"
        self._timed = timed
        self._watched: dict[str, _Watched] = {}
        """The netns whose events are read, by the names of their pins."""

    # -- identity and pins -----------------------------------------------------------------------------------------

    def netns(self, path: str) -> Netns:
        """Which netns a path leads to."""
        dev, ino = netns.netns_id(path)
        return Netns(path=path, dev=dev, ino=ino)

    def is_home(self, target: Netns) -> bool:
        """Whether a netns is the host's own."""
        return (target.dev, target.ino) == self._home_id

    @cached_property
    def _home_id(self) -> tuple[int, int]:
        return netns.netns_id(netns.OWN)

    def pin(self, target: Netns) -> None:
        """Pin a netns, which keeps it alive."""
        netns.pin(target.path, self._pins / target.pin)

    def pinned(self, target: Netns) -> str | None:
        """The path of a netns's pin; None if it has none."""
        path = f"{self._pins}/{target.pin}"
        return path if netns.is_same_netns(path, target.dev, target.ino) else None

    def unpin(self, name: str) -> None:
        """Remove a pin: the netns dies if nobody else keeps it."""
        watched = self._watched.pop(name, None)
        if watched is not None:
            watched.close()
        netns.unpin(self._pins / name)

    def pins(self) -> frozenset[str]:
        """The names of all pins."""
        return netns.pins(self._pins)

    # -- reading ---------------------------------------------------------------------------------------------------

    def links(self, netns_path: str) -> tuple[Link, ...]:
        """Every link in a netns."""
        return _at(netns_path, Rtnl.links)

    def view(self, netns_path: str) -> PodNetnsView:
        """What an interface that comes into a netns finds there."""
        return _at(netns_path, lambda rtnl: PodNetnsView(links=rtnl.links(), has_ipv6=has_ipv6()))

    def addresses(self, netns_path: str, ifindex: int) -> tuple[Address, ...]:
        """The addresses of an interface in a netns."""
        return _at(netns_path, Rtnl.addresses, ifindex).get(ifindex, ())

    def revision(self, target: Netns) -> int:
        """Revision of a pinned netns; its events are read from the first call until it is unpinned."""
        watched = self._watched.get(target.pin)
        if watched is None:
            watched = self._watched[target.pin] = _Watched(self._pins / target.pin)
        return watched.revision()

    def cached_revision(self, target: Netns) -> int | None:
        """What `revision` would return, if that is known without reading anything; else None. Waits for nothing."""
        watched = self._watched.get(target.pin)
        return None if watched is None else watched.cached_revision()

    # -- moving ----------------------------------------------------------------------------------------------------

    def send(self, ifindex: int, netns_path: str, ifname: str) -> None:
        """Move an interface from home into a netns under a name, as an OCI runtime would."""
        link = next((link for link in self._host.links() if link.ifindex == ifindex), None)
        with self._timed("in", _driver(link)), netns.open_netns(netns_path) as netns_fd:
            self._host.call(changes.move, ifindex, netns_fd, ifname)

    def complete(
        self, netns_path: str, ifindex: int, ifname: str, addresses: Iterable[Address], *, is_up: bool
    ) -> None:
        """Give an interface in a pod its name there and these addresses, and set it up if it is to be."""
        with netns.open_netns(netns_path) as netns_fd:
            awaited(netns_fd, homing.complete, ifindex, ifname, addresses, is_up=is_up)

    def bring_home(self, netns_path: str, ifindex: int, away: Away) -> HomeReport:
        """Move an interface home and restore it.

        Args:
            netns_path: where it is.
            ifindex: its index there.
            away: what it was at home, and what was done with it.
        """
        if away.pod_path is not None:
            with suppress(KernelError), netns.open_netns(netns_path) as away_fd:
                _at(away.pod_path, homing.delete_children_across, ifindex, away_fd)
            with suppress(KernelError):
                _at(away.pod_path, undo, 0, away.setup, away.others)
        with (
            self._timed("home", _driver(away.snapshot.link)),
            netns.open_netns(netns_path) as pod_fd,
            netns.open_netns() as home_fd,
        ):
            if away.setup.rdma:
                take_rdma(pod_fd, away.snapshot.link, home_fd)
            return homing.bring_home(pod_fd, ifindex, away, home_fd)


class _Watched:
    """The subscription to a pod's netns: its links, and whether it has IPv6. It keeps the netns alive."""

    def __init__(self, path: Path) -> None:
        with netns.open_netns(path) as netns_fd:
            self._events, self._ipv6 = netns.call_in_netns(netns_fd, lambda: (link_events(), Ipv6()))
        self._had_ipv6 = self._ipv6.is_on()
        self._revision = 0

    def revision(self) -> int:
        """Revision of the netns: how many changes were noticed."""
        has_ipv6 = self._ipv6.is_on()
        if self._events.read() != [] or has_ipv6 != self._had_ipv6:
            self._revision += 1
        self._had_ipv6 = has_ipv6
        return self._revision

    def cached_revision(self) -> int | None:
        """What `revision` would return, if nothing has changed since; else None."""
        return None if self._events.is_readable or self._ipv6.is_on() != self._had_ipv6 else self._revision

    def close(self) -> None:
        """End the subscription."""
        self._events.close()
        self._ipv6.close()


def _at(netns_path: str, function: Callable[..., T], *args: object) -> T:
    """Call `function(rtnl, *args)` with a socket in a netns."""
    with netns.open_netns(netns_path) as netns_fd:
        return with_rtnl(netns_fd, function, *args)


def _driver(link: Link | None) -> str:
    return (link and (link.driver or link.kind)) or "unknown"
