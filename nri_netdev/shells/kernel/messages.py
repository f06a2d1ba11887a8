"""Messages of rtnetlink as bytes: their numbers, read and packed. Pure but for the driver's name, which is in sysfs.

Numbers are those of `linux/if_link.h`, `linux/if_addr.h`, `linux/rtnetlink.h`. Most attributes of a link are of no
interest, and what is restored after a move must be what the kernel wrote, so no library decodes them
(docs/adr/0007, 0008).
"""

from __future__ import annotations

import functools
import os
import socket
import struct
from collections.abc import Iterator, Mapping

from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.routing import RoutingRule
from nri_netdev.shells.kernel.attributes import attributes, from_text, pack_all, to_int, to_text, u32, walk

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWTCLASS, RTM_DELTCLASS, RTM_GETTCLASS = 40, 41, 42
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46
RTM_GETNSID = 90
RTM_NEWMDB, RTM_DELMDB, RTM_GETMDB = 84, 85, 86
RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_GETNEXTHOP = 104, 105, 106
RTM_NEWLINKPROP, RTM_DELLINKPROP = 108, 109

NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 3, 4, 5, 10
IFLA_TXQLEN, IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_AF_SPEC, IFLA_GROUP = 13, 16, 18, 20, 26, 27
IFLA_NET_NS_FD, IFLA_EXT_MASK, IFLA_LINK_NETNSID, IFLA_XDP, IFLA_PROP_LIST, IFLA_ALT_IFNAME = 28, 29, 37, 43, 52, 53
IFLA_MIN_MTU, IFLA_MAX_MTU = 50, 51
IFLA_PERM_ADDRESS, IFLA_PARENT_DEV_NAME, IFLA_PARENT_DEV_BUS_NAME, IFLA_NETNS_IMMUTABLE = 54, 56, 57, 67
IFLA_INFO_KIND, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 4, 5
IFF_UP, IFF_LOOPBACK, IFF_PROMISC, IFF_ALLMULTI, IFF_MULTICAST, IFF_LOWER_UP = 0x1, 0x8, 0x100, 0x200, 0x1000, 0x10000
ADMIN_FLAGS = 0x4 | 0x20 | 0x80 | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST
"""The `IFF_*` that an administrator sets and a move keeps: debug, notrailers, noarp, promisc, allmulti, multicast."""

_RTEXT_FILTER_SKIP_STATS = 8
_IFINFO = struct.Struct("=BxHiII")  # family, type, index, flags, change
IFADDR = struct.Struct("=BBBBI")
"""`struct ifaddrmsg`: family, prefixlen, flags, scope, index."""
RTMSG = struct.Struct("=BBBBBBBBI")
"""`struct rtmsg`: family, dst_len, src_len, tos, table, protocol, scope, type, flags."""
NDMSG = struct.Struct("=BxxxiHBB")
"""`struct ndmsg`: family, ifindex, state, flags, type."""
TCMSG = struct.Struct("=BxxxiIII")
"""`struct tcmsg`: family, ifindex, handle, parent, info."""

_RULE = struct.Struct("=BBBBBxxBI")
"""`struct fib_rule_hdr`: family, dst_len, src_len, tos, table, action, flags."""

IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO = 1, 2, 3, 4, 6
IFA_FLAGS, IFA_RT_PRIORITY, IFA_PROTO = 8, 9, 11
IFA_F_TEMPORARY, IFA_F_NODAD, IFA_F_PERMANENT, IFA_F_NOPREFIXROUTE, IFA_F_MCAUTOJOIN = 0x01, 0x02, 0x80, 0x200, 0x400
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_MULTIPATH = 1, 4, 5, 6, 7, 9
RTA_CACHEINFO, RTA_TABLE, RTA_VIA, RTA_EXPIRES, RTA_NH_ID = 12, 15, 18, 23, 30
RTN_UNICAST = 1
RT_TABLE_MAIN = 254

_OPERSTATES = ("UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP")
_FOREVER = 0xFFFFFFFF
_PARSED_LINKS = 256
"""How many parsed links are cached, some 2 KiB each: those of a host and of some pods. Each claim adds three entries
that are never read again."""
_IPV4_BYTES = 4
AF_INET, AF_INET6, AF_BRIDGE = int(socket.AF_INET), int(socket.AF_INET6), int(socket.AF_BRIDGE)

SKIP_STATS: Mapping[int, bytes] = {IFLA_EXT_MASK: u32(_RTEXT_FILTER_SKIP_STATS)}


def pack_link(ifindex: int, attrs: Mapping[int, bytes], flags: int = 0, change: int = 0) -> bytes:
    """The body of an `RTM_GETLINK` or `RTM_NEWLINK`.

    Args:
        ifindex: the link; 0 where `attrs` or nothing names it.
        attrs: `IFLA_*`.
        flags: `IFF_*`.
        change: the flags that are to be set.
    """
    return _IFINFO.pack(0, 0, ifindex, flags, change) + pack_all(attrs)


def link_header(payload: bytes) -> tuple[int, int]:
    """The ifindex and `IFF_*` of an `RTM_NEWLINK`."""
    _, _, ifindex, flags, _ = _IFINFO.unpack_from(payload)
    return ifindex, flags


def link_attributes(payload: bytes) -> dict[int, bytes]:
    """The `IFLA_*` of an `RTM_NEWLINK`."""
    return attributes(payload, _IFINFO.size)


def link_info(payload: bytes) -> dict[int, bytes]:
    """The `IFLA_INFO_*` of an `RTM_NEWLINK`: its kind, the kind of its master, and the data of both."""
    return attributes(link_attributes(payload).get(IFLA_LINKINFO, b""))


@functools.lru_cache(maxsize=_PARSED_LINKS)
def parse_link(payload: bytes) -> Link:
    """Read an `RTM_NEWLINK`. Results are cached: an equal message returns the same `Link`."""
    ifindex, flags = link_header(payload)
    attrs = link_attributes(payload)
    info = attributes(attrs.get(IFLA_LINKINFO, b""))
    kind = to_text(info.get(IFLA_INFO_KIND))
    parent_bus, parent_dev = to_text(attrs.get(IFLA_PARENT_DEV_BUS_NAME)), to_text(attrs.get(IFLA_PARENT_DEV_NAME))
    permanent = attrs.get(IFLA_PERM_ADDRESS, b"")
    immutable = attrs.get(IFLA_NETNS_IMMUTABLE)
    altnames = (to_text(v) or "" for k, v in walk(attrs.get(IFLA_PROP_LIST, b"")) if k == IFLA_ALT_IFNAME)
    return Link(
        ifindex=ifindex,
        ifname=to_text(attrs.get(IFLA_IFNAME)) or "",
        kind=kind,
        is_loopback=bool(flags & IFF_LOOPBACK),
        is_up=bool(flags & IFF_UP),
        has_carrier=bool(flags & IFF_LOWER_UP),
        operstate=_OPERSTATES[min(to_int(attrs.get(IFLA_OPERSTATE)) or 0, 6)],
        mac=attrs[IFLA_ADDRESS].hex(":") if IFLA_ADDRESS in attrs else None,
        permanent_mac=permanent.hex(":") if any(permanent) else None,
        mtu=to_int(attrs.get(IFLA_MTU)) or 0,
        min_mtu=to_int(attrs.get(IFLA_MIN_MTU)) or 0,
        max_mtu=to_int(attrs.get(IFLA_MAX_MTU)) or 0,
        txqueuelen=to_int(attrs.get(IFLA_TXQLEN)),
        group=to_int(attrs.get(IFLA_GROUP)) or 0,
        alias=to_text(attrs.get(IFLA_IFALIAS)),
        altnames=tuple(altnames),
        master=to_int(attrs.get(IFLA_MASTER)),
        link=_lower(kind, attrs, info),
        link_netnsid=to_int(attrs.get(IFLA_LINK_NETNSID)),
        parent_dev=parent_dev,
        parent_bus=parent_bus,
        driver=_driver(parent_bus, parent_dev),
        netns_immutable=None if immutable is None else any(immutable),
    )


def _lower(kind: str | None, attrs: Mapping[int, bytes], info: Mapping[int, bytes]) -> int | None:
    """The ifindex of the lower device or of the peer; a vxlan device has it in `IFLA_INFO_DATA`."""
    ifla_info_data, ifla_vxlan_link = 2, 3
    if IFLA_LINK not in attrs and kind == "vxlan":
        return to_int(attributes(info.get(ifla_info_data, b"")).get(ifla_vxlan_link)) or None
    return to_int(attrs.get(IFLA_LINK))


def _driver(bus: str | None, dev: str | None) -> str | None:
    """The driver of a parent device. `/sys/bus` is the same in every netns, which `/sys/class/net` is not."""
    if not bus or not dev or "/" in bus + dev:
        return None
    try:
        return os.path.basename(os.readlink(f"/sys/bus/{bus}/devices/{dev}/driver"))  # noqa: PTH115, PTH119 - hot
    except OSError:
        return None


def parse_address(payload: bytes) -> tuple[int, Address]:
    """Read an `RTM_NEWADDR`; return the ifindex and the address."""
    family, prefixlen, flags, scope, ifindex = IFADDR.unpack_from(payload)
    attrs = attributes(payload, IFADDR.size)
    local, other = attrs.get(IFA_LOCAL), attrs.get(IFA_ADDRESS)
    preferred, valid = struct.unpack_from("=II", attrs.get(IFA_CACHEINFO, b"\xff" * 8))
    return ifindex, Address(
        family=family,
        address=_ip(local or other or b"") or "",
        prefixlen=prefixlen,
        peer=_ip(other) if local and other and local != other else None,
        broadcast=_ip(attrs.get(IFA_BROADCAST)),
        label=to_text(attrs.get(IFA_LABEL)),
        scope=scope,
        flags=to_int(attrs.get(IFA_FLAGS)) or flags,
        metric=to_int(attrs.get(IFA_RT_PRIORITY)),
        valid_lft_s=None if valid == _FOREVER else valid,
        preferred_lft_s=None if preferred == _FOREVER else preferred,
        proto=to_int(attrs.get(IFA_PROTO)),
    )


def pack_address(ifindex: int, address: Address) -> bytes:
    """The body of an `RTM_NEWADDR`."""
    local = socket.inet_pton(address.family, address.address)
    attrs = {
        IFA_LOCAL: local,
        IFA_ADDRESS: socket.inet_pton(address.family, address.peer) if address.peer else local,
        IFA_FLAGS: u32(address.flags),
        IFA_CACHEINFO: struct.pack(
            "=IIII",
            _FOREVER if address.preferred_lft_s is None else address.preferred_lft_s,
            _FOREVER if address.valid_lft_s is None else address.valid_lft_s,
            0,
            0,
        ),
    }
    if address.broadcast:
        attrs[IFA_BROADCAST] = socket.inet_pton(address.family, address.broadcast)
    if address.label:
        attrs[IFA_LABEL] = from_text(address.label)
    if address.metric is not None:
        attrs[IFA_RT_PRIORITY] = u32(address.metric)
    if address.proto is not None:
        attrs[IFA_PROTO] = bytes([address.proto])
    header = IFADDR.pack(address.family, address.prefixlen, address.flags & 0xFF, address.scope, ifindex)
    return header + pack_all(attrs)


def pack_rule(family: int) -> bytes:
    """The body of an `RTM_GETRULE`."""
    return _RULE.pack(family, 0, 0, 0, 0, 0, 0)


def parse_rule(payload: bytes) -> RoutingRule | None:
    """Read an `RTM_NEWRULE`; None if it does not lead to a table."""
    fra_src, fra_table, fra_l3mdev = 2, 15, 19
    fr_act_to_tbl, fib_rule_invert = 1, 0x2
    family, _, src_len, _, table, action, flags = _RULE.unpack_from(payload)
    if action != fr_act_to_tbl:
        return None
    attrs = attributes(payload, _RULE.size)
    is_by_source = src_len and fra_src in attrs and not flags & fib_rule_invert
    return RoutingRule(
        family=family,
        table=to_int(attrs.get(fra_table)) or table,
        sources=f"{ip_text(attrs[fra_src])}/{src_len}" if is_by_source else None,
        is_l3mdev=any(attrs.get(fra_l3mdev, b"")),
    )


_PREFSRC_MARKS = (struct.pack("=HH", 8, RTA_PREFSRC), struct.pack("=HH", 20, RTA_PREFSRC))
_RTPROT_KERNEL = 2


def preferred_source(payload: bytes) -> str | None:
    """The preferred source of a route (`RTA_PREFSRC`); None if it has none, or the kernel has made the route."""
    if payload[5] == _RTPROT_KERNEL or not any(mark in payload for mark in _PREFSRC_MARKS):
        return None
    return _ip(attributes(payload, RTMSG.size).get(RTA_PREFSRC))


def ip_text(packed: bytes) -> str:
    """An IP address as text; `ipaddress` takes ten times as long."""
    return socket.inet_ntop(AF_INET if len(packed) == _IPV4_BYTES else AF_INET6, packed)


def _ip(packed: bytes | None) -> str | None:
    return ip_text(packed) if packed else None


def nexthops(multipath: bytes) -> Iterator[tuple[int, int, int]]:
    """The `struct rtnexthop` of `RTA_MULTIPATH`, as (ifindex, offset, length)."""
    offset = 0
    while offset + 8 <= len(multipath):
        length, _, _, ifindex = struct.unpack_from("=HBBi", multipath, offset)
        if length < 8:
            return
        yield ifindex, offset, length
        offset += (length + 3) & ~3
