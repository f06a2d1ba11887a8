"""Homing: fetch an interface out of a pod's netns, and make it what its snapshot says.

Can be cut short anywhere and begun again: each step reads what is there and changes only what differs. What cannot be
put back is reported and stops nothing; only what keeps the interface from coming home at all is raised.
"""

from __future__ import annotations

import contextlib
import errno
import struct
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace

from nri_netdev.domain.claim import MARK_PREFIX
from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.snapshot import HomeReport, Master, Message, Shortfall, Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.faults import step
from nri_netdev.shells.kernel import capture
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, change, from_text, pack, u32, walk
from nri_netdev.shells.kernel.capture import AF_BRIDGE, IFLA_BRIDGE_VLAN_INFO, NDMSG, SETTINGS, TCMSG
from nri_netdev.shells.kernel.rtnetlink import (
    ADMIN_FLAGS,
    AF_INET,
    AF_INET6,
    IFA_F_NODAD,
    IFA_F_PERMANENT,
    IFA_F_TEMPORARY,
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
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RTA_MULTIPATH,
    RTA_OIF,
    RTM_DELLINK,
    RTM_NEWNEIGH,
    RTM_NEWQDISC,
    RTM_NEWROUTE,
    RTM_SETLINK,
    RTMSG,
    Rtnl,
    link_attributes,
    link_header,
    nexthops,
    with_rtnl,
)
from nri_netdev.shells.kernel.sysctls import read_sysctl, write_sysctl

_FALLBACK_NAMES = 1000
_IFA_PROTO_KERNEL_RA = 2
_RT_SCOPE_UNIVERSE = 0
_BRIDGE_VLAN_INFO_FLAGS = 0x2 | 0x4  # pvid, untagged


# -- before it goes ----------------------------------------------------------------------------------------------------


def mark(rtnl: Rtnl, ifindex: int, altname: str) -> None:
    """Give an interface its mark, if it does not have it; a mark of a claim before is taken off."""
    altnames = rtnl.link(ifindex).altnames
    for old in altnames:
        if old.startswith(MARK_PREFIX) and old != altname:
            rtnl.del_altname(ifindex, old)
    if altname not in altnames:
        rtnl.add_altname(ifindex, altname)


def unmark(rtnl: Rtnl, ifindex: int, altname: str) -> None:
    """Take the mark off an interface, if it has it."""
    if altname in rtnl.link(ifindex).altnames:
        rtnl.del_altname(ifindex, altname)


# -- in the pod --------------------------------------------------------------------------------------------------------


def complete(rtnl: Rtnl, ifindex: int, ifname: str, addresses: Iterable[Address]) -> None:
    """Do what a runtime has left undone in the pod: the name, up, and the permanent global addresses.

    IPv6 addresses are left out where the pod has IPv6 turned off.

    Raises:
        KernelError: The interface would not be as it was asked for.
    """
    link = rtnl.link(ifindex)
    if link.ifname != ifname:
        if link.is_up:
            rtnl.set_down(ifindex)
        _free_own_altname(rtnl, link, ifname)
        rtnl.rename(ifindex, ifname)
    there = rtnl.addresses(ifindex).get(ifindex, ())
    has_ipv6 = read_sysctl(ifname, "ipv6/conf/disable_ipv6") == "0"
    for address in _missing(addresses, there):
        if address.family == AF_INET6 and not has_ipv6:
            continue
        if address.flags & IFA_F_PERMANENT and address.scope == _RT_SCOPE_UNIVERSE:
            label = address.label and ifname + address.label.removeprefix(address.label.partition(":")[0])
            rtnl.put_address(ifindex, _without_dad(replace(address, label=label)))
    if not rtnl.link(ifindex).is_up:
        rtnl.set_up(ifindex)


def bring_home(pod_fd: int, ifindex: int, snapshot: Snapshot, altname: str, home_fd: int) -> HomeReport:
    """Fetch an interface and restore it.

    Args:
        pod_fd: the netns that it is in.
        ifindex: its index there.
        snapshot: what it was at home.
        altname: its mark, by which it is found at home, where its index may be another.
        home_fd: the netns that it belongs to.

    Raises:
        KernelError: It cannot leave; it is where it was.
    """
    with_rtnl(pod_fd, _leave, ifindex, snapshot, altname, home_fd)
    return with_rtnl(home_fd, _arrive, snapshot, altname)


def _leave(rtnl: Rtnl, ifindex: int, snapshot: Snapshot, altname: str, home_fd: int) -> None:
    link = rtnl.link(ifindex)
    if link.is_up:
        rtnl.set_down(ifindex)
        step("homing.down")
    if link.master is not None:
        rtnl.set_master(ifindex, None)
        step("homing.released")
    mark(rtnl, ifindex, altname)
    step("homing.marked")
    taken = with_rtnl(home_fd, _names)
    for name in link.altnames:
        if name != altname and (name in taken or name not in snapshot.link.altnames):
            with contextlib.suppress(KernelError):
                rtnl.del_altname(ifindex, name)
    step("homing.altnames")
    here = _names(rtnl) - {link.ifname}
    wanted = snapshot.link.ifname
    if wanted in taken | here:
        wanted = link.ifname if link.ifname not in taken else _free_name(ifindex, taken | here)
    if link.ifname != wanted:
        rtnl.rename(ifindex, wanted)
        step("homing.named")
    rtnl.move(ifindex, home_fd)
    step("homing.moved")


def _arrive(rtnl: Rtnl, snapshot: Snapshot, altname: str) -> HomeReport:
    link = rtnl.link_called(altname)
    if link is None:
        raise KernelError(action=f"find {snapshot.link.ifname} by its mark {altname} at home", errno=errno.ENODEV)
    return restore(rtnl, snapshot, link.ifindex, altname)


def _names(rtnl: Rtnl) -> set[str]:
    return {name for link in rtnl.links() for name in (link.ifname, *link.altnames)}


def _free_name(ifindex: int, taken: Collection[str]) -> str:
    candidates = (f"nnd{number}" for number in range(ifindex, ifindex + _FALLBACK_NAMES))
    return next(name for name in candidates if name not in taken)


def _free_own_altname(rtnl: Rtnl, link: Link, ifname: str) -> None:
    """A name that is an alternative one of the same interface cannot become its primary one."""
    if ifname in link.altnames:
        rtnl.del_altname(link.ifindex, ifname)


# -- at home -----------------------------------------------------------------------------------------------------------


def restore(rtnl: Rtnl, snapshot: Snapshot, ifindex: int, altname: str) -> HomeReport:
    """Make an interface at home what its snapshot says.

    Raises:
        KernelError: It is not there.
    """
    shortfalls = [Shortfall(what=loss, why="it is of a kind that cannot be put back") for loss in snapshot.losses]

    def attempt(what: str, function: Callable[..., object], *args: object) -> None:
        try:
            function(rtnl, ifindex, *args)
        except KernelError as error:
            shortfalls.append(Shortfall(what=what, why=str(error)))

    rival = _settle_name(rtnl, ifindex, snapshot.link.ifname)
    step("homing.renamed")
    for what, function in _STEPS.items():
        attempt(what, function, snapshot)
        step(f"homing.{what.replace(' ', '_')}")
    attempt("its alternative names", _restore_altnames, snapshot.link, altname)
    step("homing.altnames_back")
    for sysctl, value in snapshot.sysctls.items():
        attempt(f"sysctl {sysctl}", _restore_sysctl, sysctl, value)
    step("homing.sysctls")
    if snapshot.master is not None:
        attempt(f"its place in {snapshot.master.ifname}", _restore_master, snapshot.master)
        step("homing.master")
    wanted = tuple(_still_valid(snapshot))
    for address in _missing(wanted, rtnl.addresses(ifindex).get(ifindex, ())):
        attempt(f"address {address}", Rtnl.put_address, _without_dad(address))
    step("homing.addresses")
    attempt("up" if snapshot.link.is_up else "down", _restore_up, snapshot.link.is_up)
    step("homing.up")
    added = {_identity(address): address.flags for address in rtnl.addresses(ifindex).get(ifindex, ())}
    for address in wanted:
        if added.get(_identity(address), 0) & ~address.flags & IFA_F_NODAD and address.family == AF_INET6:
            attempt(f"flags of address {address}", Rtnl.put_address, address)
    shortfalls += _put_back(rtnl, ifindex, snapshot.neighbours, capture.neighbours(rtnl, ifindex), _put_neighbour)
    step("homing.neighbours")
    shortfalls += _put_back(rtnl, ifindex, snapshot.routes, capture.routes(rtnl, ifindex, wanted), _put_route)
    step("homing.routes")
    shortfalls += _put_back(rtnl, ifindex, snapshot.qdiscs, capture.qdiscs(rtnl, ifindex), _put_qdisc)
    step("homing.qdiscs")
    return HomeReport(
        ifindex=ifindex,
        ifname=rtnl.link(ifindex).ifname,
        name_taken_by=rival,
        shortfalls=tuple(shortfalls),
    )


def _settle_name(rtnl: Rtnl, ifindex: int, wanted: str) -> Link | None:
    """Give it its name. Returns who has that meanwhile."""
    link = rtnl.link(ifindex)
    if link.ifname == wanted:
        return None
    _free_own_altname(rtnl, link, wanted)
    rival = rtnl.link_called(wanted)
    if rival is not None and rival.ifindex != ifindex:
        return rival
    if link.is_up:
        rtnl.set_down(ifindex)
    try:
        rtnl.rename(ifindex, wanted)
    except KernelError as error:
        rival = rtnl.link_called(wanted)
        if error.errno != errno.EEXIST or rival is None:
            raise
        return rival
    return None


def _restore_mac(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    link = rtnl.link(ifindex)
    if snapshot.link.mac is not None and link.mac != snapshot.link.mac:
        if link.is_up:  # which many drivers insist on
            rtnl.set_down(ifindex)
        rtnl.set_link(
            f"set the MAC address of interface {ifindex} to {snapshot.link.mac}",
            ifindex,
            {IFLA_ADDRESS: bytes.fromhex(snapshot.link.mac.replace(":", ""))},
        )


def _restore_mtu(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    if rtnl.link(ifindex).mtu != snapshot.link.mtu:
        action = f"set the MTU of interface {ifindex} to {snapshot.link.mtu}"
        rtnl.set_link(action, ifindex, {IFLA_MTU: u32(snapshot.link.mtu)})


def _restore_queue(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    length = snapshot.link.txqueuelen
    if length is not None and rtnl.link(ifindex).txqueuelen != length:
        rtnl.set_link(f"set the queue length of interface {ifindex} to {length}", ifindex, {IFLA_TXQLEN: u32(length)})


def _restore_group(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    group = snapshot.link.group
    if rtnl.link(ifindex).group != group:
        rtnl.set_link(f"set the group of interface {ifindex} to {group}", ifindex, {IFLA_GROUP: u32(group)})


def _restore_alias(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    alias = snapshot.link.alias or ""
    if (rtnl.link(ifindex).alias or "") != alias:
        value = from_text(alias) if alias else b""
        rtnl.set_link(f"set the alias of interface {ifindex} to {alias!r}", ifindex, {IFLA_IFALIAS: value})


def _restore_flags(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    _, now = link_header(rtnl.raw_link(ifindex))
    differing = (now ^ snapshot.flags) & ADMIN_FLAGS
    if differing:
        action = f"set the flags of interface {ifindex} to {snapshot.flags:#x}"
        rtnl.set_link(action, ifindex, flags=snapshot.flags, change=differing)


def _restore_settings(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    now = link_attributes(rtnl.raw_link(ifindex))
    refused: list[KernelError] = []
    for number, value in snapshot.settings.items():
        if number in now and now[number].hex() != value:
            action = f"set {SETTINGS.get(number, number)} of interface {ifindex} to {value}"
            try:
                rtnl.set_link(action, ifindex, {number: bytes.fromhex(value)})
            except KernelError as error:
                refused.append(error)
    if refused:
        raise refused[0]


def _restore_xdp(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    """Take off a program that the container has left; one of the host's own cannot be loaded again."""
    now = capture.xdp_id(link_attributes(rtnl.raw_link(ifindex)))
    if now == snapshot.xdp_id:
        return
    if now is not None:
        detach = pack(1, struct.pack("=i", -1))  # IFLA_XDP_FD
        rtnl.set_link(f"detach XDP program {now} from interface {ifindex}", ifindex, {IFLA_XDP | NLA_F_NESTED: detach})
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
"""What can be put back before the interface is up, in this order, and what it is called when that fails."""


def _restore_altnames(rtnl: Rtnl, ifindex: int, was: Link, altname: str) -> None:
    now = rtnl.link(ifindex).altnames
    for name in now:
        if name != altname and name not in was.altnames:
            rtnl.del_altname(ifindex, name)
    for name in was.altnames:
        if name not in now:
            rtnl.add_altname(ifindex, name)


def _restore_sysctl(rtnl: Rtnl, ifindex: int, key: str, value: str) -> None:
    ifname = rtnl.link(ifindex).ifname
    if read_sysctl(ifname, key) != value:
        write_sysctl(ifname, key, value)


def _restore_up(rtnl: Rtnl, ifindex: int, is_up: bool) -> None:
    if rtnl.link(ifindex).is_up is not is_up:
        (rtnl.set_up if is_up else rtnl.set_down)(ifindex)


def _restore_master(rtnl: Rtnl, ifindex: int, was: Master) -> None:
    master = rtnl.link_called(was.ifname)
    if master is None:
        raise KernelError(action=f"enslave interface {ifindex} to {was.ifname}", errno=errno.ENODEV)
    if rtnl.link(ifindex).master != master.ifindex:
        rtnl.set_master(ifindex, master.ifindex)
    if was.kind != "bridge":
        return
    port = bytes.fromhex(was.port)
    if capture.port_settings(rtnl, ifindex) != port:
        info = pack(IFLA_INFO_SLAVE_KIND, from_text(was.kind)) + pack(IFLA_INFO_SLAVE_DATA | NLA_F_NESTED, port)
        rtnl.set_link(f"set up interface {ifindex} as bridge port", ifindex, {IFLA_LINKINFO | NLA_F_NESTED: info})
    wanted = {value for _, value in walk(bytes.fromhex(was.vlans))}
    now = set(capture.port_vlans(rtnl, ifindex))
    for action, kind, vlans in (("remove", RTM_DELLINK, now - wanted), ("add", RTM_SETLINK, wanted - now)):
        for vlan in sorted(vlans):
            flags, vid = struct.unpack("=HH", vlan)
            info = pack(IFLA_BRIDGE_VLAN_INFO, struct.pack("=HH", flags & _BRIDGE_VLAN_INFO_FLAGS, vid))
            header = struct.pack("=BxHiII", AF_BRIDGE, 0, ifindex, 0, 0)
            rtnl.change(f"{action} VLAN {vid}", kind, header + pack(IFLA_AF_SPEC | NLA_F_NESTED, info))
    missing = _put_back(rtnl, ifindex, was.fdb, capture.fdb(rtnl, rtnl.link(ifindex)), _put_neighbour)
    for shortfall in missing:
        raise KernelError(action=f"add {shortfall.what}", errno=errno.EINVAL, reason=shortfall.why)


# -- addresses ---------------------------------------------------------------------------------------------------------


def _still_valid(snapshot: Snapshot) -> Iterator[Address]:
    """The addresses that it would still have; a router gives the others anew."""
    passed_s = max(0, int(time.clock_gettime(time.CLOCK_BOOTTIME)) - snapshot.taken_s) if snapshot.taken_s else 0

    def left(seconds: int | None) -> int | None:
        return None if seconds is None else max(0, seconds - passed_s)

    for address in snapshot.addresses:
        is_temporary = address.family == AF_INET6 and address.flags & IFA_F_TEMPORARY
        if address.proto == _IFA_PROTO_KERNEL_RA or is_temporary:
            continue
        valid_s = left(address.valid_lft_s)
        if valid_s is None or valid_s > 0:
            yield replace(address, valid_lft_s=valid_s, preferred_lft_s=left(address.preferred_lft_s))


def _missing(wanted: Iterable[Address], there: Iterable[Address]) -> list[Address]:
    """In an order in which adding them gives the kernel's order again: it lists IPv6 addresses latest first."""
    known = {_identity(address) for address in there}
    missing = [address for address in wanted if _identity(address) not in known]
    return [a for a in missing if a.family == AF_INET] + [a for a in reversed(missing) if a.family == AF_INET6]


def _identity(address: Address) -> tuple[int, str, int, str | None]:
    return address.family, address.address, address.prefixlen, address.peer


def _without_dad(address: Address) -> Address:
    """An IPv6 address is ours already: no need to ask the network for it, and to wait."""
    return replace(address, flags=address.flags | IFA_F_NODAD) if address.family == AF_INET6 else address


# -- objects as the kernel wrote them ----------------------------------------------------------------------------------


def _put_back(
    rtnl: Rtnl,
    ifindex: int,
    wanted: Iterable[Message],
    there: Iterable[Message],
    put: Callable[[Rtnl, int, bytes], None],
) -> list[Shortfall]:
    """Put what is missing; as one may need another, as a gateway its network, as long as any of them succeeds."""
    known = {message.payload for message in there}
    left = [message for message in wanted if message.payload not in known]
    why: dict[str, KernelError] = {}
    progress = True
    while left and progress:
        still: list[Message] = []
        for message in left:
            try:
                put(rtnl, ifindex, bytes.fromhex(message.payload))
            except KernelError as error:
                why[message.payload] = error
                still.append(message)
        progress = len(still) < len(left)
        left = still
    return [
        Shortfall(what=message.text, why=str(why[message.payload])) for message in left if not message.is_expendable
    ]


def _put_route(rtnl: Rtnl, ifindex: int, payload: bytes) -> None:
    is_shared = RTA_MULTIPATH in attributes(payload, RTMSG.size)

    def patch(number: int, value: bytes) -> bytes:
        if number == RTA_OIF:
            return u32(ifindex)
        if number == RTA_MULTIPATH:
            hops = (value[offset : offset + length] for _, offset, length in nexthops(value))
            return b"".join(capture.with_hop(hop, 0, ifindex) + bytes(-len(hop) % 4) for hop in hops)
        return value

    # An IPv6 route that is appended to another of its metric shares the traffic with it, an IPv4 one comes after it.
    beside = NLM_F_APPEND if payload[0] == AF_INET or is_shared else NLM_F_EXCL
    rtnl.change("add it", RTM_NEWROUTE, change(payload, RTMSG.size, patch), NLM_F_CREATE | beside)


def _put_neighbour(rtnl: Rtnl, ifindex: int, payload: bytes) -> None:
    family, _, state, flags, kind = NDMSG.unpack_from(payload)
    header = NDMSG.pack(family, ifindex, state, flags, kind)
    rtnl.change("add it", RTM_NEWNEIGH, header + payload[NDMSG.size :], NLM_F_CREATE | NLM_F_REPLACE)


def _put_qdisc(rtnl: Rtnl, ifindex: int, payload: bytes) -> None:
    family, _, handle, parent, info = TCMSG.unpack_from(payload)
    header = TCMSG.pack(family, ifindex, handle, parent, info)
    rtnl.change("add it", RTM_NEWQDISC, header + payload[TCMSG.size :], NLM_F_CREATE | NLM_F_REPLACE)
