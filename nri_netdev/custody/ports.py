"""The ports of custody: the ledger and the kernel as it needs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol

from nri_netdev.domain.claim import Claim, Netns
from nri_netdev.domain.effects import Attached
from nri_netdev.domain.links import Inventory, Link, PodNetnsView
from nri_netdev.domain.pci import PciOf
from nri_netdev.domain.policy.selectors import FactsOf
from nri_netdev.domain.snapshot import HomeReport, Snapshot
from nri_netdev.errors import KernelError


class Store(Protocol):
    """The ledger: see `nri_netdev.shells.store.ledger.Ledger`. Every method may raise `StateError`."""

    def claims(self) -> tuple[Claim, ...]:
        """Every claim, prepared ones included, oldest first."""

    def write(self, *, put: Iterable[Claim] = (), drop: Iterable[Claim] = ()) -> None:
        """Put and drop claims in one commit."""

    def releases(self) -> frozenset[str]:
        """Marks of claims that another process asks to release."""


class Host(Protocol):
    """The host's own netns, called home. Every method may raise `KernelError`, except those that wait for nothing."""

    def boot_id(self) -> str:
        """An id that changes with each boot."""

    def inventory(self, *, is_fresh: bool = False) -> Inventory:
        """Every interface: read again if `is_fresh`, else as cached from events, which lack some changes."""

    def revision(self) -> int:
        """Revision of everything an evaluation depends on. It grows with each change."""

    def cached_revision(self) -> int | None:
        """What `revision` would return, if that is known without reading anything; else None. Waits for nothing."""

    def is_called(self, ifindex: int, ifname: str) -> bool:
        """Whether an interface has this name. Waits for nothing."""

    def facts(self) -> FactsOf:
        """A reader of what rtnetlink lacks about interfaces, for one decision."""

    def links(self) -> tuple[Link, ...]:
        """Every link."""

    def link(self, ifindex: int) -> Link:
        """One link."""

    def marked(self, mark: str) -> Link | None:
        """The link that has this mark."""

    def snapshot(self, ifindex: int) -> Snapshot:
        """Everything about an interface that a move would destroy."""

    def mark(self, ifindex: int, mark: str) -> None:
        """Give an interface its mark."""

    def unmark(self, ifindex: int, mark: str) -> None:
        """Remove a mark from an interface."""

    def restore(self, snapshot: Snapshot, ifindex: int, mark: str) -> HomeReport:
        """Make an interface at home what its snapshot says."""

    def rename(self, ifindex: int, ifname: str) -> None:
        """Rename an interface."""


class Pods(Protocol):
    """The pods' netns, by path or identity. Every method may raise `KernelError`, except `cached_revision`."""

    def netns(self, path: str) -> Netns:
        """Which netns a path leads to."""

    def is_home(self, netns: Netns) -> bool:
        """Whether a netns is the host's own."""

    def pin(self, netns: Netns) -> None:
        """Keep a netns alive."""

    def pinned(self, netns: Netns) -> str | None:
        """The path of the pin of a netns; None if it has none."""

    def unpin(self, name: str) -> None:
        """Remove a pin: the netns dies if nobody else keeps it."""

    def pins(self) -> frozenset[str]:
        """The names of all pins."""

    def links(self, netns_path: str) -> tuple[Link, ...]:
        """Every link in a netns."""

    def view(self, netns_path: str) -> PodNetnsView:
        """What an interface that comes into a netns finds there."""

    def revision(self, netns: Netns) -> int:
        """Revision of a pinned netns; its events are read from the first call until it is unpinned."""

    def cached_revision(self, netns: Netns) -> int | None:
        """What `revision` would return, if that is known without reading anything; else None. Waits for nothing."""

    def send(self, ifindex: int, netns_path: str, ifname: str) -> None:
        """Move an interface from home into a netns, as an OCI runtime would."""

    def complete(self, netns_path: str, ifindex: int, ifname: str, snapshot: Snapshot) -> None:
        """Give an interface in a pod its name there and the addresses that it had, and set it up."""

    def bring_home(
        self, netns_path: str, ifindex: int, snapshot: Snapshot, mark: str, pod_path: str | None = None
    ) -> HomeReport:
        """Move an interface home and restore it; `pod_path`: the netns that it was given to, if it is in another."""


class Processes(Protocol):
    """The processes of the node."""

    def foreign_netns(self, known: Collection[int]) -> Iterator[str]:
        """A path to each netns that a process is in, except home and those whose inode is in `known`."""

    def has_processes(self, netns: Netns) -> bool:
        """Whether a process is in a netns."""

    def is_alive(self, pid: int) -> bool:
        """Whether a process runs, or may run."""

    def names(self, pid: int, netns: Netns) -> frozenset[str]:
        """What a process is called: its program, and what it calls itself; empty if it is not in this netns."""


class Pidfds(Protocol):
    """Processes whose end is waited for, each under a name."""

    def fileno(self) -> int:
        """An fd that is readable while a watched process has ended; on any thread."""

    def watch(self, name: str, pid: int, target: Netns) -> bool:
        """Watch a process from now on if it is in a netns; returns whether the name is watched."""

    def ended(self) -> frozenset[str]:
        """The names of watched processes that have ended."""

    def keep(self, names: Collection[str]) -> None:
        """Watch no process but those of these names any more."""

    def close(self) -> None:
        """Watch nothing any more."""


class Returns(Protocol):
    """Ways home, which may take long."""

    def begin(self, way: Callable[[], HomeReport], then: Callable[[HomeReport | KernelError], None]) -> None:
        """Go a way home, now or beside other jobs; then call `then`, as a job of custody, with what came of it."""


class Watch(Protocol):
    """Changes of interfaces at home, in whatever way the kernel reports. Every method may raise `KernelError`."""

    def begin(self) -> None:
        """Listen, if that is not done yet."""

    def touched(self, ifindexes: Collection[int]) -> frozenset[int]:
        """Which of these interfaces may have changed since the last call; to ask for none ends the listening."""


class Kernel(Protocol):
    """The node's kernel: see `nri_netdev.shells.kernel.node`."""

    @property
    def host(self) -> Host:
        """The host's own netns."""

    @property
    def pods(self) -> Pods:
        """The pods' netns."""

    @property
    def processes(self) -> Processes:
        """The processes."""

    @property
    def watch(self) -> Watch:
        """Changes of interfaces at home."""

    @property
    def pci_of(self) -> PciOf:
        """Reads what is at a PCI address."""

    @property
    def pidfds(self) -> Pidfds:
        """The processes whose end is waited for."""

    def attached(self, link: Link) -> Attached:
        """What is attached to an interface at home; nothing if it has gone."""

    def is_unplugged(self, link: Link) -> bool:
        """Whether the device that an interface was on is no longer on its bus; False for one that was on none."""
