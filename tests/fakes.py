"""A node in memory, for the tests of custody: devices, network namespaces, an OCI runtime and a ledger.

It keeps the kernel's rules that custody depends on (facts of `docs/custody.md`): a move brings an interface down and
without addresses, a netns dies with its last reference, virtual devices die with it and hardware comes back to the
host under whatever name is free.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from nri_netdev.domain.claim import MARK_PREFIX, Claim, Netns, lasting, steady
from nri_netdev.domain.effects import Attached
from nri_netdev.domain.links import Address, Inventory, Link, PodNetnsView
from nri_netdev.domain.pci import PciFunction
from nri_netdev.domain.policy.selectors import FactsOf, no_facts
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.domain.setup.leases import Lease, LeaseResult
from nri_netdev.domain.setup.values import AddressSetup, NewShare, Setup, VfSetup
from nri_netdev.domain.snapshot import Away, HomeReport, Shortfall, Snapshot
from nri_netdev.errors import KernelError, PluginError, StateError
from nri_netdev.faults import step

HOME = 1


@dataclass
class Device:
    """One network device; `link` is how it looks now."""

    link: Link
    netns: int
    addresses: tuple[Address, ...] = ()


@dataclass
class Namespace:
    """One netns and what keeps it alive."""

    ino: int
    path: str | None
    processes: set[int] = field(default_factory=set)
    is_pinned: bool = False

    @property
    def is_referenced(self) -> bool:
        return bool(self.path or self.processes or self.is_pinned)


class FakeKernel:
    """The port `nri_netdev.custody.ports.Kernel`: a node in memory, and what tests do to it."""

    def __init__(self) -> None:
        self.boot = "boot-1"
        self.devices: list[Device] = []
        self.namespaces = {HOME: Namespace(HOME, "/home", {1})}
        self.next_index = 10
        self.next_ino = 100
        self.refused: set[str] = set()
        self.functions: dict[str, PciFunction] = {}
        self.pci_of = self.functions.get
        self.unplugged: set[str | None] = set()
        self.vfs: dict[str, VfSetup] = {}
        """What was set for virtual functions, by interface."""
        self.process_names: dict[int, frozenset[str]] = {}
        self.revisions: dict[int, tuple[object, int]] = {}
        self.host = FakeHost(self)
        self.pods = FakePods(self)
        self.setups = FakeSetups(self)
        self.processes = FakeProcesses(self)
        self.watch = FakeWatch(self)
        self.pidfds = FakePidfds(self)

    def attached(self, _: Link) -> Attached:
        return Attached()

    def is_unplugged(self, link: Link) -> bool:
        return link.parent_dev in self.unplugged

    # -- what tests do to the node ---------------------------------------------------------------------------------

    def add(self, ifname: str, *, kind: str | None = "veth", addresses: Iterable[str] = ("192.0.2.1",)) -> Device:
        """Plug in a device: hardware when it has no kind."""
        self.next_index += 1
        hardware = {} if kind else {"parent_bus": "pci", "parent_dev": f"0000:00:{self.next_index:02x}.0"}
        mac = f"02:00:00:00:00:{self.next_index:02x}"
        link = Link(
            ifindex=self.next_index,
            ifname=ifname,
            kind=kind,
            mac=mac,
            permanent_mac=None if kind else mac,
            mtu=1500,
            is_up=True,
            **hardware,
        )
        device = Device(link, HOME, tuple(Address(family=2, address=a, prefixlen=24, flags=0x80) for a in addresses))
        self.devices.append(device)
        return device

    def new_netns(self, *, path: str | None = None, processes: Iterable[int] = ()) -> Namespace:
        """Make a netns with a path of its own unless processes keep it."""
        self.next_ino += 1
        processes = set(processes)
        named = path or (None if processes else f"/run/netns/{self.next_ino}")
        namespace = Namespace(self.next_ino, named, processes)
        self.namespaces[namespace.ino] = namespace
        return namespace

    def runtime_create(self, netns: Namespace, net_devices: dict[str, str]) -> None:
        """Do what runc does at create."""
        for ifname, inside in net_devices.items():
            device = self.find(HOME, ifname)
            if device is None:
                raise AssertionError(f"link not found: {ifname}")
            self.move(device, netns.ino, inside)
            self.change(device, is_up=True)

    def move(self, device: Device, ino: int, ifname: str | None = None) -> None:
        """Move a device as the kernel does: index kept if free, down, without addresses."""
        there = [d for d in self.devices if d.netns == ino]
        taken = {d.link.ifindex for d in there}
        index = device.link.ifindex
        if index in taken:
            self.next_index += 1
            index = self.next_index
        name = ifname or device.link.ifname
        if name in {n for d in there for n in (d.link.ifname, *d.link.altnames)}:
            raise KernelError(action=f"move {name}", errno=errno.EEXIST)
        device.netns = ino
        device.addresses = ()
        device.link = replace(device.link, ifindex=index, ifname=name, is_up=False, master=None)

    def change(self, device: Device, **fields: object) -> None:
        """Change how a device looks."""
        device.link = dataclasses.replace(device.link, **fields)

    def exit(self, pid: int) -> None:
        """A process ends; its netns lives on while something else keeps it."""
        for namespace in self.namespaces.values():
            namespace.processes.discard(pid)
        self.pidfds.exited(pid)
        self.reap()

    def unmount(self, namespace: Namespace) -> None:
        """The engine removes its mount of a pod's netns."""
        namespace.path = None
        self.reap()

    def reap(self) -> None:
        """Let every netns die that nothing refers to."""
        for namespace in [n for n in self.namespaces.values() if not n.is_referenced]:
            del self.namespaces[namespace.ino]
            for device in [d for d in self.devices if d.netns == namespace.ino]:
                if device.link.is_virtual:
                    self.devices.remove(device)
                    continue
                names = {d.link.ifname for d in self.devices if d.netns == HOME}
                name = device.link.ifname if device.link.ifname not in names else f"dev{device.link.ifindex}"
                self.move(device, HOME, name)

    def reboot(self) -> None:
        """Hardware comes up at home under the names it had; whatever was virtual is gone."""
        self.boot = f"{self.boot}+"
        self.devices = [d for d in self.devices if not d.link.is_virtual]
        for device in self.devices:
            device.netns = HOME
            self.change(device, altnames=())
        self.namespaces = {HOME: self.namespaces[HOME]}

    # -- for the ports ---------------------------------------------------------------------------------------------

    def links(self, ino: int) -> tuple[Link, ...]:
        return tuple(d.link for d in self.devices if d.netns == ino)

    def revision(self, ino: int) -> int:
        now = [(steady(d.link), d.addresses) for d in self.devices if d.netns == ino]
        before, number = self.revisions.get(ino, (now, 0))
        self.revisions[ino] = (now, number if now == before else number + 1)
        return self.revisions[ino][1]

    def cached_revision(self, ino: int) -> int | None:
        _, before = self.revisions.get(ino, (None, None))
        return before if before == self.revision(ino) else None

    def maybe_refuse(self, what: str) -> None:
        if what in self.refused:
            raise KernelError(action=what, errno=errno.EBUSY)

    def ino(self, path: str) -> int:
        if path.startswith(("pin:", "proc:")):
            ino = int(path.partition(":")[2])
            if ino in self.namespaces:
                return ino
        for namespace in self.namespaces.values():
            if namespace.path == path:
                return namespace.ino
        raise KernelError(action=f"open {path}", errno=errno.ENOENT)

    def find(self, ino: int, ifname: str) -> Device | None:
        return next((d for d in self.devices if d.netns == ino and d.link.ifname == ifname), None)

    def at(self, ino: int, ifindex: int) -> Device:
        for device in self.devices:
            if (device.netns, device.link.ifindex) == (ino, ifindex):
                return device
        raise KernelError(action=f"find {ifindex}", errno=errno.ENODEV)


class FakeHost:
    """The port `nri_netdev.custody.ports.Host` over a node in memory."""

    def __init__(self, node: FakeKernel) -> None:
        self._node = node

    def boot_id(self) -> str:
        return self._node.boot

    def inventory(self, *, is_fresh: bool = False) -> Inventory:
        del is_fresh
        at_home = [d for d in self._node.devices if d.netns == HOME]
        return Inventory(links=tuple(d.link for d in at_home), addresses={d.link.ifindex: d.addresses for d in at_home})

    def revision(self) -> int:
        return self._node.revision(HOME)

    def cached_revision(self) -> int | None:
        return self._node.cached_revision(HOME)

    def is_called(self, ifindex: int, ifname: str) -> bool:
        return self._node.at(HOME, ifindex).link.ifname == ifname

    def facts(self) -> FactsOf:
        return no_facts

    def links(self) -> tuple[Link, ...]:
        return self._node.links(HOME)

    def link(self, ifindex: int) -> Link:
        return self._node.at(HOME, ifindex).link

    def marked(self, mark: str) -> Link | None:
        return next((link for link in self.links() if mark in link.altnames), None)

    def snapshot(self, ifindex: int) -> Snapshot:
        device = self._node.at(HOME, ifindex)
        altnames = tuple(name for name in device.link.altnames if not name.startswith(MARK_PREFIX))
        return Snapshot(link=replace(device.link, altnames=altnames), addresses=device.addresses, ifindex=ifindex)

    def mark(self, ifindex: int, mark: str) -> None:
        self._node.maybe_refuse("mark")
        device = self._node.at(HOME, ifindex)
        self._node.change(device, altnames=(*(n for n in device.link.altnames if n != mark), mark))

    def unmark(self, ifindex: int, mark: str) -> None:
        device = self._node.at(HOME, ifindex)
        self._node.change(device, altnames=tuple(n for n in device.link.altnames if n != mark))

    def restore(self, snapshot: Snapshot, ifindex: int, mark: str) -> HomeReport:
        self._node.maybe_refuse("restore")
        device = self._node.at(HOME, ifindex)
        was = snapshot.link
        taken = {d.link.ifname: d.link for d in self._node.devices if d.netns == HOME and d is not device}
        self._node.change(device, mac=was.mac, mtu=was.mtu, altnames=(*was.altnames, mark))
        step("fake.halfway")
        rival = taken.get(was.ifname)
        if rival is None:
            self._node.change(device, ifname=was.ifname)
        self._node.change(device, is_up=was.is_up)
        device.addresses = snapshot.addresses
        missing = (Shortfall(what="its route", why="no gateway"),) if "routes" in self._node.refused else ()
        if "programs" in self._node.refused:
            missing = (Shortfall(what="tcx program 7", why="busy", is_extra=True, is_left=True),)
        return HomeReport(
            ifindex=device.link.ifindex, ifname=device.link.ifname, name_taken_by=rival, shortfalls=missing
        )

    def rename(self, ifindex: int, ifname: str) -> None:
        if self._node.find(HOME, ifname):
            raise KernelError(action=f"rename to {ifname}", errno=errno.EEXIST)
        self._node.change(self._node.at(HOME, ifindex), ifname=ifname)


class FakePods:
    """The port `nri_netdev.custody.ports.Pods` over a node in memory."""

    def __init__(self, node: FakeKernel) -> None:
        self._node = node

    def netns(self, path: str) -> Netns:
        return Netns(path=path, dev=4, ino=self._node.ino(path))

    def is_home(self, netns: Netns) -> bool:
        return netns.ino == HOME

    def pin(self, netns: Netns) -> None:
        self._node.maybe_refuse("pin")
        self._node.namespaces[netns.ino].is_pinned = True

    def pinned(self, netns: Netns) -> str | None:
        namespace = self._node.namespaces.get(netns.ino)
        return f"pin:{netns.ino}" if namespace and namespace.is_pinned else None

    def unpin(self, name: str) -> None:
        namespace = self._node.namespaces.get(int(name.removeprefix("net-")))
        if namespace:
            namespace.is_pinned = False
            self._node.reap()

    def pins(self) -> frozenset[str]:
        return frozenset(f"net-{n.ino}" for n in self._node.namespaces.values() if n.is_pinned)

    def links(self, netns_path: str) -> tuple[Link, ...]:
        return self._node.links(self._node.ino(netns_path))

    def view(self, netns_path: str) -> PodNetnsView:
        return PodNetnsView(links=self.links(netns_path))

    def revision(self, netns: Netns) -> int:
        return self._node.revision(netns.ino)

    def cached_revision(self, netns: Netns) -> int | None:
        return self._node.cached_revision(netns.ino)

    def send(self, ifindex: int, netns_path: str, ifname: str) -> None:
        self._node.maybe_refuse("send")
        self._node.move(self._node.at(HOME, ifindex), self._node.ino(netns_path), ifname)

    def addresses(self, netns_path: str, ifindex: int) -> tuple[Address, ...]:
        return self._node.at(self._node.ino(netns_path), ifindex).addresses

    def complete(
        self, netns_path: str, ifindex: int, ifname: str, addresses: Iterable[Address], *, is_up: bool
    ) -> None:
        self._node.maybe_refuse("complete")
        device = self._node.at(self._node.ino(netns_path), ifindex)
        device.addresses = (*device.addresses, *(one for one in addresses if one not in device.addresses))
        self._node.change(device, ifname=ifname, is_up=device.link.is_up or is_up)

    def bring_home(self, netns_path: str, ifindex: int, away: Away) -> HomeReport:
        snapshot, mark = away.snapshot, away.mark
        self._node.maybe_refuse("bring_home")
        device = self._node.at(self._node.ino(netns_path), ifindex)
        step("fake.marking")
        if mark not in device.link.altnames:
            self._node.change(device, altnames=(*device.link.altnames, mark))
        step("fake.renaming")
        taken = {n for d in self._node.devices if d.netns == HOME for n in (d.link.ifname, *d.link.altnames)}
        name = snapshot.link.ifname if snapshot.link.ifname not in taken else f"nnd{device.link.ifindex}"
        self._node.change(device, ifname=name)
        step("fake.moving")
        self._node.move(device, HOME)
        step("fake.restoring")
        return self._node.host.restore(snapshot, device.link.ifindex, mark)


class FakeSetups:
    """The port `nri_netdev.custody.ports.Setups` over a node in memory."""

    def __init__(self, node: FakeKernel) -> None:
        self._node = node

    def apply(self, netns_path: str, ifindex: int, setup: Setup, kept: Sequence[Address]) -> None:
        self._node.maybe_refuse("apply")
        device = self._node.at(self._node.ino(netns_path), ifindex)
        if setup.mtu is not None:
            self._node.change(device, mtu=setup.mtu)
        step("fake.applying")
        own = (Address(family=2, address=one.ip, prefixlen=24, flags=0x80) for one in setup.addresses or ())
        device.addresses = (*kept, *own)

    def give_rdma(self, netns_path: str, ifindex: int, was: Snapshot) -> None:
        del netns_path, ifindex, was
        self._node.maybe_refuse("give_rdma")

    def duplicates(self, netns_path: str, ifindex: int) -> tuple[str, ...]:
        del netns_path, ifindex
        return ()

    def share(self, parent: int, netns_path: str, new: NewShare) -> int:
        self._node.maybe_refuse("share")
        ino = self._node.ino(netns_path)
        known = next((d for d in self._node.devices if d.netns == ino and new.mark in d.link.altnames), None)
        if known is not None:
            return known.link.ifindex
        self._node.at(HOME, parent)
        device = self._node.add(new.ifname, kind=new.kind.value, addresses=())
        device.netns = ino
        self._node.change(device, altnames=(new.mark,), is_up=False)
        return device.link.ifindex

    def unshare(
        self,
        netns_path: str,
        ifindex: int,
        setup: Setup,
        others: Sequence[Setup] = (),
        pod_path: str | None = None,
    ) -> None:
        del setup, others, pod_path
        self._node.maybe_refuse("bring_home")
        self._node.devices.remove(self._node.at(self._node.ino(netns_path), ifindex))

    def set_vf(self, link: Link, vf: VfSetup) -> None:
        self._node.maybe_refuse("set_vf")
        self._node.vfs[link.ifname] = vf

    def char_devices(self, _: Link) -> tuple[CharDevice, ...]:
        return ()


class FakeWatch:
    """The port `nri_netdev.custody.ports.Watch` over a node in memory."""

    def __init__(self, node: FakeKernel) -> None:
        self._node = node
        self._seen: dict[int, object] | None = None

    def _now(self) -> dict[int, object]:
        return {d.link.ifindex: (lasting(d.link), d.addresses) for d in self._node.devices if d.netns == HOME}

    @property
    def is_listening(self) -> bool:
        return self._seen is not None

    def begin(self) -> None:
        self._seen = self._now() if self._seen is None else self._seen

    def touched(self, ifindexes: Collection[int]) -> frozenset[int]:
        before, now = self._seen, self._now()
        self._seen = now if ifindexes else None
        return frozenset(n for n in ifindexes if before is None or before.get(n) != now.get(n))


class FakeProcesses:
    """The port `nri_netdev.custody.ports.Processes` over a node in memory."""

    def __init__(self, node: FakeKernel) -> None:
        self._node = node

    def foreign_netns(self, known: Collection[int]) -> Iterator[str]:
        for namespace in list(self._node.namespaces.values()):
            if namespace.processes and namespace.ino not in {HOME, *known}:
                yield f"proc:{namespace.ino}"

    def has_processes(self, netns: Netns) -> bool:
        namespace = self._node.namespaces.get(netns.ino)
        return bool(namespace and namespace.processes)

    def is_alive(self, pid: int) -> bool:
        return any(pid in n.processes for n in self._node.namespaces.values())

    def names(self, pid: int, netns: Netns) -> frozenset[str]:
        namespace = self._node.namespaces.get(netns.ino)
        is_inside = namespace is not None and pid in namespace.processes
        return self._node.process_names.get(pid, frozenset()) if is_inside else frozenset()


class FakePidfds:
    """The port `nri_netdev.custody.ports.Pidfds` over a node in memory, for one daemon."""

    def __init__(self, node: FakeKernel) -> None:
        self._node = node
        self._readable: int | None = None
        self.watched: dict[str, int] = {}
        """Pids, by the names that they are watched under."""
        self._ended: set[str] = set()

    def exited(self, pid: int) -> None:
        """A process has ended; whoever gets its pid next is another."""
        self._ended |= {name for name, watched in self.watched.items() if watched == pid}
        if self._ended and self._readable is not None:
            os.eventfd_write(self._readable, 1)

    def fileno(self) -> int:
        if self._readable is None:
            self._readable = os.eventfd(0, os.EFD_NONBLOCK)
        return self._readable

    def watch(self, name: str, pid: int, target: Netns) -> bool:
        namespace = self._node.namespaces.get(target.ino)
        if name not in self.watched and namespace is not None and pid in namespace.processes:
            self.watched[name] = pid
        return name in self.watched

    def ended(self) -> frozenset[str]:
        return frozenset(self._ended)

    def keep(self, names: Collection[str]) -> None:
        self.watched = {name: pid for name, pid in self.watched.items() if name in names}
        self._ended &= set(self.watched)
        if not self._ended and self._readable is not None:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._readable)

    def close(self) -> None:
        self.keep(())
        if self._readable is not None:
            os.close(self._readable)
            self._readable = None


class FakeLedger:
    """The port `nri_netdev.custody.ports.Store`: rows in a dict that outlives its custody."""

    def __init__(self) -> None:
        self.kept: dict[str, Claim] = {}
        self.asked: set[str] = set()
        self.leased: dict[str, Lease] = {}
        self.is_full = False

    @property
    def rows(self) -> dict[str, Claim]:
        """The binding claims, by mark."""
        return {mark: claim for mark, claim in self.kept.items() if claim.state.is_binding}

    @property
    def prepared(self) -> dict[str, Claim]:
        """The prepared claims, by mark."""
        return {mark: claim for mark, claim in self.kept.items() if not claim.state.is_binding}

    def claims(self) -> tuple[Claim, ...]:
        return tuple(self.kept.values())

    def write(self, *, put: Iterable[Claim] = (), drop: Iterable[Claim] = ()) -> None:
        self._maybe_full()
        for claim in drop:
            self.kept.pop(claim.mark, None)
            self.asked.discard(claim.mark)
        self.kept |= {claim.mark: claim for claim in put}

    def releases(self) -> frozenset[str]:
        return frozenset(self.asked)

    def leases(self) -> tuple[Lease, ...]:
        return tuple(self.leased.values())

    def put_lease(self, lease: Lease) -> None:
        self._maybe_full()
        self.leased[lease.mark] = lease

    def drop_lease(self, mark: str) -> None:
        self._maybe_full()
        self.leased.pop(mark, None)

    def _maybe_full(self) -> None:
        if self.is_full:
            raise StateError("cannot write the ledger: database or disk is full", hint="make room on its disk")


class FakePlugins:
    """The port `nri_netdev.custody.ports.Leasing`: one plugin, and what it counts as given, by mark."""

    def __init__(self, first: int = 2) -> None:
        self.first = first
        self.given: dict[str, str] = {}
        self.calls: list[str] = []
        self.refused: dict[str, PluginError] = {}
        """Errors, by the command that they are the answer to."""

    def add(self, lease: Lease) -> LeaseResult:
        self.calls.append(f"ADD {lease.mark}")
        self._maybe_refuse("ADD")
        if lease.mark in self.given:
            raise PluginError(plugin=lease.plugin, command="ADD", reason="duplicate allocation", is_answer=True)
        address = next(one for n in range(self.first, 250) if (one := f"192.0.2.{n}/24") not in self.given.values())
        self.given[lease.mark] = address
        step("fake.given")
        return LeaseResult(addresses=(AddressSetup(address=address),), gateways=(None,))

    def delete(self, lease: Lease) -> None:
        self.calls.append(f"DEL {lease.mark}")
        self._maybe_refuse("DEL")
        self.given.pop(lease.mark, None)
        step("fake.taken")

    def _maybe_refuse(self, command: str) -> None:
        if command in self.refused:
            raise self.refused[command]
