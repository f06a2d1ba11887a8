"""Snapshots: everything about an interface that a move destroys, read before the interface is given away.

Routes, neighbours, qdiscs and entries of a bridge's table are kept as the kernel wrote them, without the attributes
that it computes, and with ifindex 0 for the interface, whose index may be another when it comes home.
`nri_netdev.shells.kernel.restore` reads present objects in the same way and compares.
"""

from __future__ import annotations

import ipaddress
import itertools
import socket
import struct
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from nri_netdev.domain.claim import MARK_PREFIX
from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.snapshot import KernelObject, Master, Snapshot
from nri_netdev.shells.kernel.attributes import attributes, change, pack, to_int, to_text, u32, walk
from nri_netdev.shells.kernel.messages import (
    ADMIN_FLAGS,
    AF_INET,
    AF_INET6,
    IFA_F_NOPREFIXROUTE,
    IFLA_AF_SPEC,
    IFLA_EXT_MASK,
    IFLA_INFO_SLAVE_DATA,
    IFLA_LINKINFO,
    IFLA_XDP,
    RTA_CACHEINFO,
    RTA_DST,
    RTA_EXPIRES,
    RTA_GATEWAY,
    RTA_MULTIPATH,
    RTA_NH_ID,
    RTA_OIF,
    RTA_PRIORITY,
    RTA_TABLE,
    RTA_VIA,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETQDISC,
    RTM_GETTFILTER,
    RTMSG,
    RTN_UNICAST,
    ip_text,
    link_attributes,
    link_header,
    nexthops,
    parse_link,
)
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.sysctls import Sysctls

SETTINGS = {
    2: "broadcast address",
    17: "link mode",
    39: "protocol down",
    40: "gso_max_segs",
    41: "gso_max_size",
    58: "gro_max_size",
    63: "gso_ipv4_max_size",
    64: "gro_ipv4_max_size",
}
"""`IFLA_*` that a move keeps and a container can change; each can be set to the bytes that were read."""

AF_BRIDGE = int(socket.AF_BRIDGE)
NDMSG = struct.Struct("=BxxxiHBB")
"""`struct ndmsg`: family, ifindex, state, flags, type."""
TCMSG = struct.Struct("=BxxxiIII")
"""`struct tcmsg`: family, ifindex, handle, parent, info."""
TC_H_ROOT = 0xFFFFFFFF
IFLA_BRIDGE_VLAN_INFO = 2

_RT_TABLE_MAIN, _RT_TABLE_LOCAL = 254, 255
_RTPROT_KERNEL, _RTPROT_RA = 2, 9
_RTM_F_CLONED = 0x200
_RTNH_F_ONLINK = 0x4  # the rest of rtm_flags is state
_NUD_NOARP, _NUD_PERMANENT = 0x40, 0x80
_NTF_PROXY = 0x8
_NDA_DST, _NDA_LLADDR, _NDA_CACHEINFO, _NDA_PROBES, _NDA_IFINDEX, _NDA_MASTER = 1, 2, 3, 4, 8, 9
_CONFS = {AF_INET: 1, AF_INET6: 2}
"""`IFLA_INET_CONF` and `IFLA_INET6_CONF`."""
_TCA_KIND = 1
_TCA_KEPT = {_TCA_KIND, 2, 5, 13, 14}  # options, rate, ingress and egress block
_CLASSFUL = frozenset({"htb", "hfsc", "drr", "qfq", "cbq"})
"""Kinds of qdisc whose classes somebody configured; these are reported as losses, and not restored."""
_WITHOUT_FILTERS = frozenset({"noqueue", "pfifo_fast", "pfifo", "bfifo", "mq", "fq", "codel"})
"""Kinds of qdisc that have no filters; an interface with no other kind needs no search for filters."""
_TC_FILTER_PARENTS = (0, 0xFFFFFFF2, 0xFFFFFFF3)  # root, and ingress and egress of clsact
_RTEXT_FILTER_BRVLAN = 2
_BRIDGE_PORT_SETTABLE = frozenset(
    {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 25, 27, 28, 29, 30, 31, 32, 33, 34, 39, 40, 42, 43}
)
"""`IFLA_BRPORT_*` that an administrator sets; all others are state, timers and counters."""


def snapshot(rtnl: Rtnl, ifindex: int, sysctls: Sysctls) -> Snapshot:
    """Read a snapshot of an interface.

    Args:
        rtnl: a socket of the netns that the calling thread is in.
        ifindex: the interface.
        sysctls: reads the sysctls of that netns.

    Raises:
        KernelError: There is no such interface, or it cannot be read.
    """
    raw = rtnl.raw_link(ifindex)
    link, attrs = parse_link(raw), link_attributes(raw)
    _, flags = link_header(raw)
    addresses = rtnl.addresses(ifindex).get(ifindex, ())
    every_route = list(_raw_routes(rtnl, ifindex, addresses))
    every_qdisc = _raw_qdiscs(rtnl, ifindex)
    return Snapshot(
        link=replace(link, altnames=tuple(name for name in link.altnames if not name.startswith(MARK_PREFIX))),
        taken_s=int(time.clock_gettime(time.CLOCK_BOOTTIME)),
        flags=flags & ADMIN_FLAGS,
        settings={number: attrs[number].hex() for number in SETTINGS if number in attrs},
        xdp_id=xdp_id(attrs),
        master=_master(rtnl, link),
        addresses=addresses,
        routes=tuple(itertools.chain.from_iterable(_clean_routes(raw_route, ifindex) for raw_route in every_route)),
        neighbours=neighbours(rtnl, ifindex),
        qdiscs=_clean_qdiscs(every_qdisc),
        sysctls=sysctls.differing(link.ifname, conf_of(attrs)),
        losses=tuple(_losses(rtnl, ifindex, every_route, every_qdisc)),
    )


def conf_of(attrs: dict[int, bytes]) -> bytes:
    """The sysctls in the `IFLA_*` of a link, for `Sysctls.differing`; empty if those of a family are missing."""
    spec = attributes(attrs.get(IFLA_AF_SPEC, b""))
    confs = [attributes(spec.get(family, b"")).get(number) for family, number in _CONFS.items()]
    return b"" if None in confs else b"".join(filter(None, confs))


def xdp_id(attrs: dict[int, bytes]) -> int | None:
    """The id of the XDP program in the `IFLA_*` of a link; None if there is none."""
    return to_int(attributes(attrs.get(IFLA_XDP, b"")).get(4)) or None  # IFLA_XDP_PROG_ID


# -- routes ------------------------------------------------------------------------------------------------------------


def routes(rtnl: Rtnl, ifindex: int, addresses: Iterable[Address]) -> tuple[KernelObject, ...]:
    """Routes in every table that leave by an interface, except those that the kernel makes from its addresses."""
    found = _raw_routes(rtnl, ifindex, addresses)
    return tuple(itertools.chain.from_iterable(_clean_routes(payload, ifindex) for payload in found))


def _raw_routes(rtnl: Rtnl, ifindex: int, addresses: Iterable[Address]) -> Iterator[bytes]:
    made_by_kernel = _MADE_FOR_ALL | {
        _prefix(address.family, socket.inet_pton(address.family, address.peer or address.address), address.prefixlen)
        for address in addresses
        if not address.flags & IFA_F_NOPREFIXROUTE
    }
    for family in (AF_INET, AF_INET6):
        for payload in rtnl.routes(family, oif=ifindex):
            _, dst_len, _, _, table, protocol, _, kind, flags = RTMSG.unpack_from(payload)
            is_kernels = protocol == _RTPROT_KERNEL
            if flags & _RTM_F_CLONED or (is_kernels and (kind != RTN_UNICAST or table == _RT_TABLE_LOCAL)):
                continue
            attrs = attributes(payload, RTMSG.size)
            leaves_by = {to_int(attrs.get(RTA_OIF)), *(hop for hop, _, _ in nexthops(attrs.get(RTA_MULTIPATH, b"")))}
            is_made = is_kernels and _prefix(family, attrs.get(RTA_DST, b""), dst_len) in made_by_kernel
            if ifindex in leaves_by and not is_made:
                yield payload


def _prefix(family: int, packed: bytes, length: int) -> tuple[int, int, int]:
    """The identity of a network: family, length, and that many bits of the address."""
    return family, length, int.from_bytes(packed, "big") >> (len(packed) * 8 - length) if packed else 0


_MADE_FOR_ALL = frozenset({_prefix(AF_INET6, b"\xfe\x80" + bytes(14), 64), _prefix(AF_INET6, b"\xff" + bytes(15), 8)})
"""The networks that the kernel routes to every interface with IPv6."""


def _clean_routes(payload: bytes, ifindex: int) -> Iterator[KernelObject]:
    """The route to restore, if any. Of several IPv6 next hops only the interface's own are kept; the others stay."""
    family, dst_len, src_len, tos, table, protocol, scope, kind, flags = RTMSG.unpack_from(payload)
    attrs = attributes(payload, RTMSG.size)
    if RTA_NH_ID in attrs:
        return
    expires = struct.unpack_from("=IIi", attrs[RTA_CACHEINFO])[2] if RTA_CACHEINFO in attrs else 0
    hops = attrs.get(RTA_MULTIPATH)
    if hops is not None:
        parts = [hops[offset : offset + length] for hop, offset, length in nexthops(hops)]
        own = [with_hop(part, ifindex, 0) for part in parts]
        if family == AF_INET6:
            own = [part for part, raw in zip(own, parts, strict=True) if part != raw]
        hops = b"".join(part + bytes(-len(part) % 4) for part in own)

    def clean(number: int, value: bytes) -> bytes | None:
        if number in {RTA_CACHEINFO, RTA_EXPIRES}:
            return None
        if number == RTA_OIF:
            return u32(0)
        return hops if number == RTA_MULTIPATH else value

    header = RTMSG.pack(family, dst_len, src_len, tos, table, protocol, scope, kind, flags & _RTNH_F_ONLINK)
    yield KernelObject(
        text=_route_text(family, dst_len, attrs),
        payload=change(header + payload[RTMSG.size :], RTMSG.size, clean).hex(),
        is_expendable=protocol == _RTPROT_RA or bool(expires),
    )


def with_hop(hop: bytes, old: int, new: int) -> bytes:
    """A `struct rtnexthop` with ifindex `new` in place of `old`, and without its state."""
    length, flags, weight, ifindex = struct.unpack_from("=HBBi", hop)
    header = struct.pack("=HBBi", length, flags & _RTNH_F_ONLINK, weight, new if ifindex == old else ifindex)
    return header + hop[len(header) :]


def _network(family: int, dst_len: int, attrs: dict[int, bytes]) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    packed = attrs.get(RTA_DST, bytes(4 if family == AF_INET else 16))
    return ipaddress.ip_network((packed, dst_len), strict=False)


def _route_text(family: int, dst_len: int, attrs: dict[int, bytes]) -> str:
    via = attrs.get(RTA_GATEWAY) or attrs.get(RTA_VIA, b"")[2:]
    metric, table = to_int(attrs.get(RTA_PRIORITY)), to_int(attrs.get(RTA_TABLE))
    parts = (
        "default" if dst_len == 0 else str(_network(family, dst_len, attrs)),
        f"via {ip_text(via)}" if len(via) in {4, 16} else "",
        f"metric {metric}" if metric else "",
        f"table {table}" if table not in {None, _RT_TABLE_MAIN} else "",
    )
    return "route " + " ".join(filter(None, parts))


# -- neighbours, queueing ----------------------------------------------------------------------------------------------


def neighbours(rtnl: Rtnl, ifindex: int) -> tuple[KernelObject, ...]:
    """Permanent and proxy neighbours of an interface."""
    found: list[KernelObject] = []
    for flags in (0, _NTF_PROXY):
        header = NDMSG.pack(0, 0, 0, flags, 0)  # of every family
        for payload in rtnl.dump("list neighbours", RTM_GETNEIGH, header + pack(_NDA_IFINDEX, u32(ifindex))):
            _, index, state, entry_flags, _ = NDMSG.unpack_from(payload)
            if index == ifindex and (entry_flags & _NTF_PROXY or state & _NUD_PERMANENT):
                found.append(_neighbour(payload))
    return tuple(found)


def _neighbour(payload: bytes) -> KernelObject:
    family, _, state, flags, kind = NDMSG.unpack_from(payload)
    attrs = attributes(payload, NDMSG.size)
    dst, mac = attrs.get(_NDA_DST, b""), attrs.get(_NDA_LLADDR, b"").hex(":")
    text = f"neighbour {ip_text(dst)}" if len(dst) in {4, 16} else "entry"
    dropped = {_NDA_CACHEINFO, _NDA_PROBES, _NDA_IFINDEX, _NDA_MASTER}
    cleaned = change(payload, NDMSG.size, lambda number, value: None if number in dropped else value)
    header = NDMSG.pack(family, 0, state, flags, kind)
    return KernelObject(text=f"{text} {mac}".rstrip(), payload=(header + cleaned[NDMSG.size :]).hex())


def qdiscs(rtnl: Rtnl, ifindex: int) -> tuple[KernelObject, ...]:
    """Qdiscs that somebody set, parents first, except those whose classes cannot be restored."""
    return _clean_qdiscs(_raw_qdiscs(rtnl, ifindex))


def _raw_qdiscs(rtnl: Rtnl, ifindex: int) -> list[tuple[str, bytes]]:
    """Every qdisc of an interface, as (kind, payload)."""
    found = rtnl.dump("list qdiscs", RTM_GETQDISC, TCMSG.pack(0, ifindex, 0, 0, 0))
    return [
        (to_text(attributes(payload, TCMSG.size).get(_TCA_KIND)) or "", payload)
        for payload in found
        if TCMSG.unpack_from(payload)[1] == ifindex
    ]


def _clean_qdiscs(found: Iterable[tuple[str, bytes]]) -> tuple[KernelObject, ...]:
    """The qdiscs that somebody set and that can be restored, parents first; the kernel's own have no handle."""
    cleaned = []
    for kind, payload in found:
        family, _, handle, parent, _ = TCMSG.unpack_from(payload)
        if handle and kind not in _CLASSFUL:
            kept = change(payload, TCMSG.size, lambda number, value: value if number in _TCA_KEPT else None)
            header = TCMSG.pack(family, 0, handle, parent, 0)
            qdisc = KernelObject(text=_qdisc_text(kind, handle), payload=(header + kept[TCMSG.size :]).hex())
            cleaned.append((parent != TC_H_ROOT, qdisc))
    return tuple(qdisc for _, qdisc in sorted(cleaned, key=lambda pair: pair[0]))


def _qdisc_text(kind: str, handle: int) -> str:
    return f"qdisc {kind} {handle >> 16:x}:"


# -- master ------------------------------------------------------------------------------------------------------------


def _master(rtnl: Rtnl, link: Link) -> Master | None:
    if link.master is None:
        return None
    master = rtnl.link(link.master)
    if master.kind != "bridge":
        return Master(ifname=master.ifname, kind=master.kind)
    return Master(
        ifname=master.ifname,
        kind=master.kind,
        port=port_settings(rtnl, link.ifindex).hex(),
        vlans=b"".join(pack(IFLA_BRIDGE_VLAN_INFO, vlan) for vlan in port_vlans(rtnl, link.ifindex)).hex(),
        fdb=fdb(rtnl, link),
    )


def port_settings(rtnl: Rtnl, ifindex: int) -> bytes:
    """The settable `IFLA_BRPORT_*` of a bridge's port."""
    info = attributes(link_attributes(rtnl.raw_link(ifindex)).get(IFLA_LINKINFO, b""))
    settable = (pair for pair in walk(info.get(IFLA_INFO_SLAVE_DATA, b"")) if pair[0] in _BRIDGE_PORT_SETTABLE)
    return b"".join(pack(number, value) for number, value in settable)


def port_vlans(rtnl: Rtnl, ifindex: int) -> tuple[bytes, ...]:
    """The `struct bridge_vlan_info` (flags, id) of each VLAN of a bridge's port."""
    header = struct.pack("=BxHiII", AF_BRIDGE, 0, 0, 0, 0) + pack(IFLA_EXT_MASK, u32(_RTEXT_FILTER_BRVLAN))
    found: list[bytes] = []
    for payload in rtnl.dump("list VLANs of bridge ports", RTM_GETLINK, header):
        if link_header(payload)[0] == ifindex:
            spec = link_attributes(payload).get(IFLA_AF_SPEC, b"")
            found += [value for number, value in walk(spec) if number == IFLA_BRIDGE_VLAN_INFO]
    return tuple(found)


def fdb(rtnl: Rtnl, link: Link) -> tuple[KernelObject, ...]:
    """Entries of a bridge's forwarding table that somebody added for a port."""
    found: list[KernelObject] = []
    for payload in rtnl.dump("list a bridge's table", RTM_GETNEIGH, NDMSG.pack(AF_BRIDGE, 0, 0, 0, 0)):
        _, index, state, _, _ = NDMSG.unpack_from(payload)
        attrs = attributes(payload, NDMSG.size)
        is_own = attrs.get(_NDA_LLADDR, b"").hex(":") == link.mac
        if index == link.ifindex and _NDA_MASTER in attrs and state & (_NUD_NOARP | _NUD_PERMANENT) and not is_own:
            found.append(_neighbour(payload))
    return tuple(found)


# -- losses ------------------------------------------------------------------------------------------------------------


def _losses(
    rtnl: Rtnl, ifindex: int, raw_routes: Iterable[bytes], raw_qdiscs: Collection[tuple[str, bytes]]
) -> Iterator[str]:
    """What cannot be restored, for people."""
    for payload in raw_routes:
        attrs = attributes(payload, RTMSG.size)
        if RTA_NH_ID in attrs:
            yield f"{_route_text(payload[0], payload[1], attrs)} by nexthop object {to_int(attrs[RTA_NH_ID])}"
    for kind, payload in raw_qdiscs:
        if kind in _CLASSFUL:
            yield f"{_qdisc_text(kind, TCMSG.unpack_from(payload)[2])} and its classes"
    if all(kind in _WITHOUT_FILTERS for kind, _ in raw_qdiscs):
        return
    for parent in _TC_FILTER_PARENTS:
        found = rtnl.dump("list filters", RTM_GETTFILTER, TCMSG.pack(0, ifindex, 0, parent, 0))
        if any(TCMSG.unpack_from(payload)[1] == ifindex for payload in found):
            yield "traffic filters (tc filter)"
            return
