"""The ports of custody: the ledger and the kernel as it needs them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from nri_netdev.domain.claim import Claim, Netns
from nri_netdev.domain.effects import Attached
from nri_netdev.domain.links import Address, Inventory, Link, PodNetnsView
from nri_netdev.domain.pci import PciOf
from nri_netdev.domain.policy.selectors import FactsOf
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.domain.setup.leases import Lease, LeaseResult
from nri_netdev.domain.setup.values import NewShare, Setup, VfSetup
from nri_netdev.domain.snapshot import Away, HomeReport, Snapshot
from nri_netdev.errors import KernelError

T = TypeVar("T")


class LeaseStore(Protocol):
    """The ledger of leases: see `nri_netdev.shells.store.ledger.Ledger`. Every method may raise `StateError`."""

    def leases(self) -> tuple[Lease, ...]:
        """Every lease, oldest first."""

    def put_lease(self, lease: Lease) -> None:
        """Put a lease so that it outlives even a loss of power."""

    def drop_lease(self, mark: str) -> None:
        """Drop the lease of a claim, if there is one."""


class Store(LeaseStore, Protocol):
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

    def addresses(self, netns_path: str, ifindex: int) -> tuple[Address, ...]:
        """The addresses of an interface in a netns."""

    def revision(self, netns: Netns) -> int:
        """Revision of a pinned netns; its events are read from the first call until it is unpinned."""

    def cached_revision(self, netns: Netns) -> int | None:
        """What `revision` would return, if that is known without reading anything; else None. Waits for nothing."""

    def send(self, ifindex: int, netns_path: str, ifname: str) -> None:
        """Move an interface from home into a netns, as an OCI runtime would."""

    def complete(
        self, netns_path: str, ifindex: int, ifname: str, addresses: Iterable[Address], *, is_up: bool
    ) -> None:
        """Give an interface in a pod its name there and these addresses, and set it up if it is to be."""

    def bring_home(self, netns_path: str, ifindex: int, away: Away) -> HomeReport:
        """Move an interface home and restore it."""


class Setups(Protocol):
    """What is set on interfaces for pods. Every method may raise `KernelError`."""

    def apply(self, netns_path: str, ifindex: int, setup: Setup, kept: Sequence[Address]) -> None:
        """Set on an interface in a pod what was asked for; `kept`: the addresses of home that it is to have besides."""

    def give_rdma(self, netns_path: str, ifindex: int, was: Snapshot) -> None:
        """Have the RDMA devices of an interface in its pod; `was`: what it was at home."""

    def duplicates(self, netns_path: str, ifindex: int) -> tuple[str, ...]:
        """The IPv6 addresses of an interface in a pod that another host of its network has."""

    def share(self, parent: int, netns_path: str, new: NewShare) -> int:
        """Make a device on an interface at home, in a netns, if it is not there yet; its ifindex there."""

    def unshare(
        self,
        netns_path: str,
        ifindex: int,
        setup: Setup,
        others: Sequence[Setup] = (),
        pod_path: str | None = None,
    ) -> None:
        """Delete a device on an interface at home, and what was set for it, but what `others` in its netns ask for.

        Args:
            netns_path: where it is.
            ifindex: its index there.
            setup: what was asked for.
            others: what is set in the same netns for others.
            pod_path: the netns that it was made in, if it is in another.
        """

    def set_vf(self, link: Link, vf: VfSetup) -> None:
        """Have the physical function set what is asked for a virtual function at home."""

    def char_devices(self, link: Link) -> tuple[CharDevice, ...]:
        """The character devices of the RDMA devices of an interface at home."""


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
    """Ways home, and whatever else may take long and is no job of custody's: IPAM plugins."""

    def begin(self, way: Callable[[], T], then: Callable[[T | KernelError], None]) -> None:
        """Go a way, now or beside other jobs; then call `then`, as a job of custody, with what came of it."""


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
    def setups(self) -> Setups:
        """What is set on interfaces."""

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


class HandoutStore(Protocol):
    """Directories of pods: see `nri_netdev.shells.store.handouts.Handouts`. Every method may raise `StateError`."""

    def make(self, pod_id: str) -> str:
        """Make the directory of a pod; its path on the host."""

    def has(self, pod_id: str) -> bool:
        """Whether a pod has a directory."""

    def write(self, pod_id: str, documents: Mapping[str, str]) -> None:
        """Write files of a pod, each at once."""

    def keep(self, pod_ids: Collection[str]) -> None:
        """Remove the directories of all other pods."""


class Leasing(Protocol):
    """The IPAM plugins of the node, on any thread; they may take long. Every method may raise `PluginError`."""

    def add(self, lease: Lease) -> LeaseResult:
        """Have a plugin give what a lease is for."""

    def delete(self, lease: Lease) -> None:
        """Have a plugin take back what it gave; nothing if it gave nothing."""
