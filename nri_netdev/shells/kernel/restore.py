"""Restores an interface at home to what its snapshot says.

`restore` may be interrupted anywhere and repeated: each step reads the present state and changes only what differs.
What the kernel refuses is reported and stops nothing.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterable

from nri_netdev.domain.links import Address
from nri_netdev.domain.snapshot import HomeReport, KernelObject, Master, Shortfall, Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.faults import step
from nri_netdev.shells.kernel import capture
from nri_netdev.shells.kernel.addresses import identity, missing, still_valid, without_dad
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, from_text, pack, u32, walk
from nri_netdev.shells.kernel.capture import AF_BRIDGE, IFLA_BRIDGE_VLAN_INFO, SETTINGS
from nri_netdev.shells.kernel.changes import put_address, set_down, set_flags, set_link, set_master, set_up
from nri_netdev.shells.kernel.messages import (
    ADMIN_FLAGS,
    AF_INET6,
    IFA_F_NODAD,
    IFLA_ADDRESS,
    IFLA_AF_SPEC,
    IFLA_GROUP,
    IFLA_IFALIAS,
    IFLA_INFO_SLAVE_DATA,
    IFLA_INFO_SLAVE_KIND,
    IFLA_LINKINFO,
    IFLA_MTU,
    IFLA_TXQLEN,
    IFLA_XDP,
    RTM_DELLINK,
    RTM_SETLINK,
    link_attributes,
    link_header,
)
from nri_netdev.shells.kernel.naming import restore_altnames, settle_name
from nri_netdev.shells.kernel.objects import Put, put_back, put_neighbour, put_qdisc, put_route
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.sysctls import read_sysctl, write_sysctl

_BRIDGE_VLAN_INFO_FLAGS = 0x2 | 0x4  # pvid, untagged


def restore(rtnl: Rtnl, snapshot: Snapshot, ifindex: int, altname: str) -> HomeReport:
    """Make an interface at home what its snapshot says.

    Args:
        rtnl: a socket of the home netns, which the calling thread is in.
        snapshot: what the interface was.
        ifindex: its index now.
        altname: its mark, which it keeps.

    Raises:
        KernelError: There is no such interface.
    """
    work = _Work(rtnl, ifindex, snapshot.losses)
    rival = settle_name(rtnl, ifindex, snapshot.link.ifname)
    step("homing.renamed")
    _restore_link(work, snapshot, altname)
    addresses = tuple(still_valid(snapshot))
    _restore_addresses(work, addresses, is_up=snapshot.link.is_up)
    work.put_back(snapshot.neighbours, capture.neighbours(rtnl, ifindex), put_neighbour)
    step("homing.neighbours")
    work.put_back(snapshot.routes, capture.routes(rtnl, ifindex, addresses), put_route)
    step("homing.routes")
    work.put_back(snapshot.qdiscs, capture.qdiscs(rtnl, ifindex), put_qdisc)
    step("homing.qdiscs")
    return HomeReport(
        ifindex=ifindex,
        ifname=rtnl.link(ifindex).ifname,
        name_taken_by=rival,
        shortfalls=tuple(work.shortfalls),
    )


class _Work:
    """One interface that is being restored, and what could not be."""

    def __init__(self, rtnl: Rtnl, ifindex: int, losses: Iterable[str]) -> None:
        self.rtnl = rtnl
        self.ifindex = ifindex
        self.shortfalls = [Shortfall(what=loss, why="it is of a kind that cannot be put back") for loss in losses]

    def attempt(self, what: str, function: Callable[..., object], *args: object) -> None:
        """Call `function(rtnl, ifindex, *args)`; a refusal becomes a shortfall of `what`."""
        try:
            function(self.rtnl, self.ifindex, *args)
        except KernelError as error:
            self.shortfalls.append(Shortfall(what=what, why=str(error)))

    def put_back(self, wanted: Iterable[KernelObject], there: Iterable[KernelObject], put: Put) -> None:
        """Add the objects that are missing."""
        self.shortfalls += put_back(self.rtnl, self.ifindex, wanted, there, put)


def _restore_link(work: _Work, snapshot: Snapshot, altname: str) -> None:
    """Everything but addresses and what depends on them."""
    for what, function in _STEPS.items():
        work.attempt(what, function, snapshot)
        step(f"homing.{what.replace(' ', '_')}")
    work.attempt("its alternative names", restore_altnames, snapshot.link.altnames, altname)
    step("homing.altnames_back")
    for sysctl, value in snapshot.sysctls.items():
        work.attempt(f"sysctl {sysctl}", _restore_sysctl, sysctl, value)
    step("homing.sysctls")
    if snapshot.master is not None:
        work.attempt(f"its place in {snapshot.master.ifname}", _restore_master, snapshot.master)
        step("homing.master")


def _restore_addresses(work: _Work, wanted: tuple[Address, ...], *, is_up: bool) -> None:
    """Addresses, and the interface up or down; flags of IPv6 addresses last, as they were added without detection."""
    for address in missing(wanted, _addresses(work)):
        work.attempt(f"address {address}", put_address, without_dad(address))
    step("homing.addresses")
    work.attempt("up" if is_up else "down", _restore_up, is_up)
    step("homing.up")
    added = {identity(address): address.flags for address in _addresses(work)}
    for address in wanted:
        if added.get(identity(address), 0) & ~address.flags & IFA_F_NODAD and address.family == AF_INET6:
            work.attempt(f"flags of address {address}", put_address, address)


def _addresses(work: _Work) -> tuple[Address, ...]:
    return work.rtnl.addresses(work.ifindex).get(work.ifindex, ())


def _restore_mac(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    link = rtnl.link(ifindex)
    if snapshot.link.mac is not None and link.mac != snapshot.link.mac:
        if link.is_up:  # many drivers refuse a new MAC address while up
            set_down(rtnl, ifindex)
        set_link(
            rtnl,
            f"set the MAC address of interface {ifindex} to {snapshot.link.mac}",
            ifindex,
            {IFLA_ADDRESS: bytes.fromhex(snapshot.link.mac.replace(":", ""))},
        )


def _restore_mtu(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    if rtnl.link(ifindex).mtu != snapshot.link.mtu:
        action = f"set the MTU of interface {ifindex} to {snapshot.link.mtu}"
        set_link(rtnl, action, ifindex, {IFLA_MTU: u32(snapshot.link.mtu)})


def _restore_queue(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    length = snapshot.link.txqueuelen
    if length is not None and rtnl.link(ifindex).txqueuelen != length:
        set_link(rtnl, f"set the queue length of interface {ifindex} to {length}", ifindex, {IFLA_TXQLEN: u32(length)})


def _restore_group(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    group = snapshot.link.group
    if rtnl.link(ifindex).group != group:
        set_link(rtnl, f"set the group of interface {ifindex} to {group}", ifindex, {IFLA_GROUP: u32(group)})


def _restore_alias(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    alias = snapshot.link.alias or ""
    if (rtnl.link(ifindex).alias or "") != alias:
        value = from_text(alias) if alias else b""
        set_link(rtnl, f"set the alias of interface {ifindex} to {alias!r}", ifindex, {IFLA_IFALIAS: value})


def _restore_flags(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    _, now = link_header(rtnl.raw_link(ifindex))
    differing = (now ^ snapshot.flags) & ADMIN_FLAGS
    if differing:
        action = f"set the flags of interface {ifindex} to {snapshot.flags:#x}"
        set_flags(rtnl, action, ifindex, snapshot.flags, differing)


def _restore_settings(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    now = link_attributes(rtnl.raw_link(ifindex))
    refused: list[KernelError] = []
    for number, value in snapshot.settings.items():
        if number in now and now[number].hex() != value:
            action = f"set {SETTINGS.get(number, number)} of interface {ifindex} to {value}"
            try:
                set_link(rtnl, action, ifindex, {number: bytes.fromhex(value)})
            except KernelError as error:
                refused.append(error)
    if refused:
        raise refused[0]


def _restore_xdp(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    """Detach a program that the container has left. One of the host that is gone cannot be loaded again."""
    now = capture.xdp_id(link_attributes(rtnl.raw_link(ifindex)))
    if now == snapshot.xdp_id:
        return
    if now is not None:
        detach = pack(1, struct.pack("=i", -1))  # IFLA_XDP_FD
        set_link(rtnl, f"detach XDP program {now} from interface {ifindex}", ifindex, {IFLA_XDP | NLA_F_NESTED: detach})
    if snapshot.xdp_id is not None:
        raise KernelError(
            action=f"attach XDP program {snapshot.xdp_id} to interface {ifindex}",
            errno=errno.ENOENT,
            reason="the container has taken it off",
            hint="attach it again",
        )


_STEPS: dict[str, Callable[[Rtnl, int, Snapshot], None]] = {
    "its MAC address": _restore_mac,
    "its MTU": _restore_mtu,
    "its queue length": _restore_queue,
    "its group": _restore_group,
    "its alias": _restore_alias,
    "its flags": _restore_flags,
    "its settings": _restore_settings,
    "its XDP program": _restore_xdp,
}
"""What is restored before the interface is up, in this order, by its name in a shortfall."""


def _restore_sysctl(rtnl: Rtnl, ifindex: int, key: str, value: str) -> None:
    ifname = rtnl.link(ifindex).ifname
    if read_sysctl(ifname, key) != value:
        write_sysctl(ifname, key, value)


def _restore_up(rtnl: Rtnl, ifindex: int, is_up: bool) -> None:
    if rtnl.link(ifindex).is_up is not is_up:
        (set_up if is_up else set_down)(rtnl, ifindex)


def _restore_master(rtnl: Rtnl, ifindex: int, was: Master) -> None:
    master = rtnl.link_called(was.ifname)
    if master is None:
        raise KernelError(action=f"enslave interface {ifindex} to {was.ifname}", errno=errno.ENODEV)
    if rtnl.link(ifindex).master != master.ifindex:
        set_master(rtnl, ifindex, master.ifindex)
    if was.kind == "bridge":
        _restore_port(rtnl, ifindex, was)


def _restore_port(rtnl: Rtnl, ifindex: int, was: Master) -> None:
    """Settings, VLANs and static entries of a bridge's port."""
    port = bytes.fromhex(was.port)
    if capture.port_settings(rtnl, ifindex) != port:
        info = pack(IFLA_INFO_SLAVE_KIND, from_text("bridge")) + pack(IFLA_INFO_SLAVE_DATA | NLA_F_NESTED, port)
        set_link(rtnl, f"set up interface {ifindex} as bridge port", ifindex, {IFLA_LINKINFO | NLA_F_NESTED: info})
    wanted = {value for _, value in walk(bytes.fromhex(was.vlans))}
    now = set(capture.port_vlans(rtnl, ifindex))
    for action, kind, vlans in (("remove", RTM_DELLINK, now - wanted), ("add", RTM_SETLINK, wanted - now)):
        for vlan in sorted(vlans):
            flags, vid = struct.unpack("=HH", vlan)
            info = pack(IFLA_BRIDGE_VLAN_INFO, struct.pack("=HH", flags & _BRIDGE_VLAN_INFO_FLAGS, vid))
            header = struct.pack("=BxHiII", AF_BRIDGE, 0, ifindex, 0, 0)
            rtnl.change(f"{action} VLAN {vid}", kind, header + pack(IFLA_AF_SPEC | NLA_F_NESTED, info))
    for shortfall in put_back(rtnl, ifindex, was.fdb, capture.fdb(rtnl, rtnl.link(ifindex)), put_neighbour):
        raise KernelError(action=f"add {shortfall.what}", errno=errno.EINVAL, reason=shortfall.why)
