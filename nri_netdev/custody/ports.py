"""The ports of custody: ledger and kernel as it needs them, and where an interface is by what they say."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from nri_netdev.domain.claim import Claim, Netns, Place, find
from nri_netdev.domain.links import Inside, Inventory, Link
from nri_netdev.domain.policy.selectors import FactsOf
from nri_netdev.domain.snapshot import HomeReport, Snapshot
from nri_netdev.errors import KernelError


class Store(Protocol):
    """The ledger, as custody needs it: see `nri_netdev.shells.store.ledger.Ledger`."""

    def claims(self) -> tuple[Claim, ...]:
        """Every claim."""

    def drafts(self) -> tuple[Claim, ...]:
        """Every draft."""

    def write(self, *, put: Iterable[Claim] = (), drop: Iterable[Claim] = (), draft: Iterable[Claim] = ()) -> None:
        """Put, drop and draft in one commit."""

    def releases(self) -> frozenset[str]:
        """Marks of claims that another process wants released."""


class Kernel(Protocol):
    """The node's kernel, as custody needs it: see `nri_netdev.shells.kernel.host.HostKernel`.

    A netns is named by path, None being home. Every method may raise `KernelError`.
    """

    def boot_id(self) -> str:
        """An id that changes with each boot."""

    def inventory(self, *, is_fresh: bool = False) -> Inventory:
        """The host; all of it read anew, or as the kernel has told it up to now, which may lack some changes."""

    def news(self, netns: Netns | None = None) -> int:
        """A number that is another once something is no longer as it was that a verdict rests on.

        At home, or in a pinned netns, which is listened to from the first time that this is asked until it is unpinned.
        """

    def last_news(self, netns: Netns | None = None) -> int | None:
        """What `news` would say, if that can be said without reading anything; else None. Waits for nothing."""

    def is_called(self, ifindex: int, ifname: str) -> bool:
        """Whether an interface at home has this name. Waits for nothing."""

    def facts(self) -> FactsOf:
        """A reader of what rtnetlink does not tell of interfaces at home, for one decision."""

    def links(self, netns_path: str | None) -> tuple[Link, ...]:
        """Every link in a netns."""

    def link(self, ifindex: int) -> Link:
        """One interface at home."""

    def marked(self, mark: str) -> Link | None:
        """The interface at home that has this mark."""

    def snapshot(self, ifindex: int) -> Snapshot:
        """All that a move would destroy of an interface at home."""

    def netns(self, path: str) -> Netns:
        """Which netns a path leads to."""

    def is_home(self, netns: Netns) -> bool:
        """Whether it is the host's own."""

    def pin(self, netns: Netns) -> None:
        """Keep a netns alive."""

    def pinned(self, netns: Netns) -> str | None:
        """The path of the pin of a netns, if it stands."""

    def unpin(self, name: str) -> None:
        """Let a netns die, if nobody else keeps it."""

    def pins(self) -> frozenset[str]:
        """The names of the pins that stand."""

    def mark(self, ifindex: int, mark: str) -> None:
        """Give an interface at home its mark."""

    def unmark(self, ifindex: int, mark: str) -> None:
        """Take the mark off an interface at home."""

    def send(self, ifindex: int, netns_path: str, ifname: str) -> None:
        """Move an interface from home into a netns, as an OCI runtime would."""

    def inside(self, netns_path: str) -> Inside:
        """What a netns has, for who is to come into it."""

    def complete(self, netns_path: str, ifindex: int, ifname: str, snapshot: Snapshot) -> None:
        """Give an interface in a pod its name there and the addresses that it had, and set it up."""

    def bring_home(self, netns_path: str, ifindex: int, snapshot: Snapshot, mark: str) -> HomeReport:
        """Fetch an interface and restore it."""

    def restore(self, snapshot: Snapshot, ifindex: int, mark: str) -> HomeReport:
        """Restore an interface that is at home."""

    def rename(self, ifindex: int, ifname: str) -> None:
        """Rename an interface at home."""

    def foreign_netns(self, known: Collection[int]) -> Iterator[str]:
        """A path to each netns that some process is in, but for home and those whose inode is in `known`."""

    def has_processes(self, netns: Netns) -> bool:
        """Whether any process is in a netns."""

    def is_alive(self, pid: int) -> bool:
        """Whether a process runs."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where an interface is."""

    place: Place
    netns_path: str | None = None
    link: Link | None = None


def locate(kernel: Kernel, claim: Claim) -> Found:
    """Find a claim's interface: at home, in its pod, or in whatever netns can be seen.

    The mark tells it at once; only where neither home nor the pod has that is anything else looked at.
    """
    marked = find(filter(None, [kernel.marked(claim.mark)]), claim, at_home=True)
    if marked is not None:
        return Found(Place.HOST, None, marked)
    pod = pod_path(kernel, claim.netns)
    inside = kernel.links(pod) if pod is not None else ()
    marked = find((link for link in inside if claim.mark in link.altnames), claim, at_home=False)
    if marked is not None:
        return Found(Place.POD, pod, marked)
    at_home = find(kernel.links(None), claim, at_home=True)
    if at_home is not None:
        return Found(Place.HOST, None, at_home)
    link = find(inside, claim, at_home=False)
    if link is not None:
        return Found(Place.POD, pod, link)
    for path in kernel.foreign_netns({claim.netns.ino}):
        try:
            away = find(kernel.links(path), claim, at_home=True)
        except KernelError:
            continue  # it went away while we looked
        if away is not None:
            return Found(Place.AWAY, path, away)
    return Found(Place.NOWHERE)


def pod_path(kernel: Kernel, netns: Netns) -> str | None:
    """A path that leads to a claim's netns now: its pin, or the engine's own."""
    pinned = kernel.pinned(netns)
    if pinned is not None:
        return pinned
    return netns.path if is_mounted(kernel, netns) else None


def is_mounted(kernel: Kernel, netns: Netns) -> bool:
    """Whether the engine's path still leads to a claim's netns."""
    with contextlib.suppress(KernelError):
        return kernel.netns(netns.path) == netns
    return False
