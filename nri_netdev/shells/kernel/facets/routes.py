"""Routes and nexthops that a move destroys, those of other interfaces too, and the rules that name the interface."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Collection, Iterable, Mapping
from functools import partial

from nri_netdev.domain.links import Address
from nri_netdev.domain.snapshot import Messages
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import attributes, change, to_int, to_text, u32
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Key, Recorded, Refusals, Site, if_supported
from nri_netdev.shells.kernel.facets.objects import put_objects, putter
from nri_netdev.shells.kernel.messages import (
    AF_INET,
    AF_INET6,
    IFA_F_NOPREFIXROUTE,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RTA_CACHEINFO,
    RTA_DST,
    RTA_EXPIRES,
    RTA_GATEWAY,
    RTA_MULTIPATH,
    RTA_NH_ID,
    RTA_OIF,
    RTA_PREFSRC,
    RTA_PRIORITY,
    RTA_TABLE,
    RTA_VIA,
    RTM_DELNEXTHOP,
    RTM_DELRULE,
    RTM_GETNEXTHOP,
    RTM_GETRULE,
    RTM_NEWNEXTHOP,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    RTMSG,
    RTN_UNICAST,
    ip_text,
    nexthops,
)

_RT_TABLE_MAIN, _RT_TABLE_LOCAL = 254, 255
_RTPROT_KERNEL, _RTPROT_RA = 2, 9
_USER_HZ = 100  # in which RTA_CACHEINFO tells times
_RTM_F_CLONED = 0x200
_RTNH_F_ONLINK = 0x4  # the rest of rtm_flags is state
_ADVICE = "add it with `ip route`, then `nri-netdev release` forgets the claim"

# -- own routes --------------------------------------------------------------------------------------------------------


def _read_own(site: Site) -> Messages:
    ifindex = u32(site.ifindex)
    return tuple(payload for payload in site.routes if ifindex in payload)


def _own_items(recorded: Recorded) -> Items:
    """Routes that leave by the interface, except those that the kernel makes from its addresses."""
    made = _MADE_FOR_ALL | {
        _prefix(address.family, socket.inet_pton(address.family, address.peer or address.address), address.prefixlen)
        for address in recorded.addresses
        if not address.flags & IFA_F_NOPREFIXROUTE
    }
    cleaned = (_clean(payload, recorded.ifindex, made) for payload in recorded.messages)
    return dict.fromkeys(filter(None, cleaned), b"")


def _prefix(family: int, packed: bytes, length: int) -> tuple[int, int, int]:
    """The identity of a network: family, length, and that many bits of the address."""
    return family, length, int.from_bytes(packed, "big") >> (len(packed) * 8 - length) if packed else 0


_MADE_FOR_ALL = frozenset({_prefix(AF_INET6, b"\xfe\x80" + bytes(14), 64), _prefix(AF_INET6, b"\xff" + bytes(15), 8)})
"""The networks that the kernel routes to every interface with IPv6."""


def _clean(payload: bytes, ifindex: int, made: Collection[tuple[int, int, int]]) -> bytes | None:
    """The route to restore; None if it is another's, or the kernel's. Of several IPv6 next hops its own are kept."""
    family, dst_len, src_len, tos, table, protocol, scope, kind, flags = RTMSG.unpack_from(payload)
    is_kernels = protocol == _RTPROT_KERNEL
    if flags & _RTM_F_CLONED or (is_kernels and (kind != RTN_UNICAST or table == _RT_TABLE_LOCAL)):
        return None
    attrs = attributes(payload, RTMSG.size)
    hops = attrs.get(RTA_MULTIPATH)
    if not _leaves_by(attrs) & {ifindex, 0} or (
        is_kernels and _prefix(family, attrs.get(RTA_DST, b""), dst_len) in made
    ):
        return None
    if hops is not None:
        hops = _own_hops(hops, family, ifindex)
    expires = _expires(attrs)
    is_by_nexthop = RTA_NH_ID in attrs

    def clean(number: int, value: bytes) -> bytes | None:
        if number == RTA_CACHEINFO or (is_by_nexthop and number in {RTA_OIF, RTA_GATEWAY, RTA_VIA, RTA_MULTIPATH}):
            return None
        if number == RTA_OIF:
            return u32(0)
        return hops if number == RTA_MULTIPATH else value

    header = RTMSG.pack(family, dst_len, src_len, tos, table, protocol, scope, kind, flags & _RTNH_F_ONLINK)
    cleaned = change(header + payload[RTMSG.size :], RTMSG.size, clean)
    return cleaned + struct.pack("=HHI", 8, RTA_EXPIRES, 0) if expires else cleaned


def _leaves_by(attrs: Mapping[int, bytes]) -> set[int | None]:
    """The ifindexes by which a route leaves: its own, None if it has none, and those of its next hops."""
    return {to_int(attrs.get(RTA_OIF)), *(hop for hop, _, _ in nexthops(attrs.get(RTA_MULTIPATH, b"")))}


def _expires(attrs: Mapping[int, bytes]) -> int:
    """For how long a route is still valid, in ticks of `_USER_HZ`; 0 if for good."""
    return int(struct.unpack_from("=IIi", attrs[RTA_CACHEINFO])[2]) if attrs.get(RTA_CACHEINFO) else 0


def _own_hops(hops: bytes, family: int, ifindex: int) -> bytes:
    parts = [hops[offset : offset + length] for hop, offset, length in nexthops(hops) if _is_kept(family, hop, ifindex)]
    return b"".join(with_hop(part, ifindex, 0) + bytes(-len(part) % 4) for part in parts)


def _is_kept(family: int, hop: int, ifindex: int) -> bool:
    return family == AF_INET or hop in {ifindex, 0}


def with_hop(hop: bytes, old: int, new: int) -> bytes:
    """A `struct rtnexthop` with ifindex `new` in place of `old`, and without its state."""
    length, flags, weight, ifindex = struct.unpack_from("=HBBi", hop)
    header = struct.pack("=HBBi", length, flags & _RTNH_F_ONLINK, weight, new if ifindex == old else ifindex)
    return header + hop[len(header) :]


def is_expendable(payload: bytes) -> bool:
    """Whether a route comes back by itself, as those do that a router advertises."""
    return payload[5] == _RTPROT_RA or RTA_EXPIRES in attributes(payload, RTMSG.size)


def _seconds_left(recorded: Recorded) -> dict[bytes, int]:
    """For how long each route that expires is still valid."""
    left: dict[bytes, int] = {}
    for payload in recorded.messages:
        expires = _expires(attributes(payload, RTMSG.size))
        if expires and (cleaned := _clean(payload, recorded.ifindex, frozenset())):
            left[cleaned] = max(0, expires // _USER_HZ - recorded.age_s)
    return left


def _addressed(site: Site, payload: bytes, left: Mapping[bytes, int]) -> bytes:
    def patch(number: int, value: bytes) -> bytes | None:
        if number == RTA_OIF:
            return u32(site.ifindex)
        if number == RTA_MULTIPATH:
            hops = (value[offset : offset + length] for _, offset, length in nexthops(value))
            return b"".join(with_hop(hop, 0, site.ifindex) + bytes(-len(hop) % 4) for hop in hops)
        return u32(left.get(payload, 0)) if number == RTA_EXPIRES else value

    return change(payload, RTMSG.size, patch)


def _put_own(site: Site, was: Recorded, difference: Change) -> Refusals:
    # An IPv6 route that is appended to another of its metric shares the traffic with it, an IPv4 one comes after it.
    by_flag: dict[int, list[Key]] = {NLM_F_EXCL: [], NLM_F_APPEND: []}
    left = _seconds_left(was)
    for key in difference.missing:
        if left.get(key) == 0:
            continue  # it has expired
        is_beside = key[0] == AF_INET or RTA_MULTIPATH in attributes(key, RTMSG.size)
        by_flag[NLM_F_APPEND if is_beside else NLM_F_EXCL].append(key)
    refusals: Refusals = {}
    for flag in (NLM_F_EXCL, NLM_F_APPEND, NLM_F_EXCL):
        keys = refusals.keys() & set(by_flag[flag]) if refusals and flag == NLM_F_EXCL else by_flag[flag]
        refusals = {key: why for key, why in refusals.items() if key not in set(by_flag[flag])}
        refusals |= put_objects(site, list(keys), (RTM_NEWROUTE, NLM_F_CREATE | flag), partial(_addressed, left=left))
    return refusals


def route_text(_: Site, key: Key) -> str:
    """A route in words, as iproute2 writes them."""
    payload = key
    family, dst_len = payload[0], payload[1]
    attrs = attributes(payload, RTMSG.size)
    via = attrs.get(RTA_GATEWAY) or attrs.get(RTA_VIA, b"")[2:]
    metric, table = to_int(attrs.get(RTA_PRIORITY)), to_int(attrs.get(RTA_TABLE))
    parts = (
        "default" if dst_len == 0 else str(_network(family, dst_len, attrs)),
        f"via {ip_text(via)}" if len(via) in {4, 16} else "",
        f"by nexthop {to_int(attrs[RTA_NH_ID])}" if RTA_NH_ID in attrs else "",
        f"metric {metric}" if metric else "",
        f"table {table}" if table not in {None, _RT_TABLE_MAIN} else "",
    )
    return "route " + " ".join(filter(None, parts))


def _network(family: int, dst_len: int, attrs: dict[int, bytes]) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    packed = attrs.get(RTA_DST, bytes(4 if family == AF_INET else 16))
    return ipaddress.ip_network((packed, dst_len), strict=False)


ROUTES = Facet(
    name="routes",
    title="routes in every table that leave by it",
    read=_read_own,
    items=_own_items,
    what=route_text,
    put=_put_own,
    expected={"routes that the kernel makes from addresses": "made again with them"},
    is_list=True,
    is_flushed=True,
    is_expendable=lambda key: isinstance(key, bytes) and is_expendable(key),
    advice=_ADVICE,
)

# -- others' routes ----------------------------------------------------------------------------------------------------


def _sources(addresses: Iterable[Address]) -> list[bytes]:
    return [socket.inet_pton(address.family, address.address) for address in addresses]


def _read_others(site: Site) -> Messages:
    sources = [struct.pack("=HH", 4 + len(source), RTA_PREFSRC) + source for source in _sources(site.addresses)]
    return tuple(payload for payload in site.every_route if any(source in payload for source in sources))


def _others_items(recorded: Recorded) -> Items:
    return dict.fromkeys(filter(None, (_others(payload, recorded) for payload in recorded.messages)), b"")


def _others(payload: bytes, recorded: Recorded) -> bytes | None:
    """A route that leaves by another interface and has its preferred source on this one; None if it is none."""
    family, dst_len, src_len, tos, table, protocol, scope, kind, flags = RTMSG.unpack_from(payload)
    attrs = attributes(payload, RTMSG.size)
    is_own = _leaves_by(attrs) & {recorded.ifindex, None}
    if protocol == _RTPROT_KERNEL or is_own or attrs.get(RTA_PREFSRC) not in _sources(recorded.addresses):
        return None
    header = RTMSG.pack(family, dst_len, src_len, tos, table, protocol, scope, kind, flags & _RTNH_F_ONLINK)
    return change(
        header + payload[RTMSG.size :], RTMSG.size, lambda number, value: None if number == RTA_CACHEINFO else value
    )


def _put_others(site: Site, _: Recorded, difference: Change) -> Refusals:
    """IPv4 routes are gone; IPv6 routes have lost their preferred source, and are replaced."""
    refusals: Refusals = {}
    for family, flag in ((AF_INET, NLM_F_APPEND), (AF_INET6, NLM_F_REPLACE)):
        keys = [key for key in difference.missing if isinstance(key, bytes) and key[0] == family]
        refusals |= put_objects(site, keys, (RTM_NEWROUTE, NLM_F_CREATE | flag), lambda _, payload: payload)
    return refusals


def _other_text(site: Site, key: Key) -> str:
    payload = key
    attrs = attributes(payload, RTMSG.size)
    source = f"from {ip_text(attrs[RTA_PREFSRC])}" if RTA_PREFSRC in attrs else ""
    try:
        other = site.rtnl.link(to_int(attrs.get(RTA_OIF)) or 0).ifname
    except KernelError:
        other = f"index {to_int(attrs.get(RTA_OIF))}"
    return f"{route_text(site, key)} of {other} {source}"


OTHERS_ROUTES = Facet(
    name="others_routes",
    title="routes of other interfaces whose preferred source is one of its addresses",
    read=_read_others,
    items=_others_items,
    what=_other_text,
    put=_put_others,
    is_list=True,
    is_flushed=True,
    advice=_ADVICE,
)

# -- nexthop objects ---------------------------------------------------------------------------------------------------

_NHMSG = struct.Struct("=BBBxI")  # family, scope, protocol, flags
_NHA_ID, _NHA_GROUP, _NHA_OIF = 1, 2, 5
_NHA_KEPT = {_NHA_ID, _NHA_GROUP, 3, 4, _NHA_OIF, 6, 7, 8, 11, 12}


def _read_nexthops(site: Site) -> Messages:
    """Nexthops that leave by it, and the groups that have one of them, nexthops first."""
    every = if_supported(site.rtnl.dump, "list nexthops", RTM_GETNEXTHOP, bytes(_NHMSG.size)) or ()
    own, groups, ids = [], [], set()
    for payload in every:
        attrs = attributes(payload, _NHMSG.size)
        if to_int(attrs.get(_NHA_OIF)) == site.ifindex:
            own.append(payload)
            ids.add(to_int(attrs[_NHA_ID]))
        elif _NHA_GROUP in attrs:
            groups.append((payload, {member for member, *_ in struct.iter_unpack("=IBBH", attrs[_NHA_GROUP])}))
    return (*own, *(payload for payload, members in groups if members & ids))


def _nexthop_items(recorded: Recorded) -> Items:
    def cleaned(payload: bytes) -> bytes:
        family, _, protocol, flags = _NHMSG.unpack_from(payload)
        header = _NHMSG.pack(family, 0, protocol, flags & _RTNH_F_ONLINK)

        def kept(number: int, value: bytes) -> bytes | None:
            return u32(0) if number == _NHA_OIF else value if number in _NHA_KEPT else None

        return change(header + payload[_NHMSG.size :], _NHMSG.size, kept)

    return dict.fromkeys(map(cleaned, recorded.messages), b"")


def _addressed_nexthop(site: Site, payload: bytes) -> bytes:
    return change(payload, _NHMSG.size, lambda number, value: u32(site.ifindex) if number == _NHA_OIF else value)


def _nexthop_text(_: Site, key: Key) -> str:
    attrs = attributes(key, _NHMSG.size)
    return f"nexthop {'group ' if _NHA_GROUP in attrs else ''}{to_int(attrs.get(_NHA_ID))}"


NEXTHOPS = Facet(
    name="nexthops",
    title="nexthop objects that leave by it, and the groups that have them",
    read=_read_nexthops,
    items=_nexthop_items,
    what=_nexthop_text,
    put=putter((RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_REPLACE), (RTM_DELNEXTHOP, 0), _addressed_nexthop),
    is_list=True,
    is_flushed=True,
    advice="add it with `ip nexthop`, then `nri-netdev release` forgets the claim",
)

# -- rules -------------------------------------------------------------------------------------------------------------

_FRA_IIFNAME, _FRA_OIFNAME = 3, 17
_DETACHED = 0x8 | 0x10  # FIB_RULE_IIF_DETACHED, FIB_RULE_OIF_DETACHED


def _read_rules(site: Site) -> Messages:
    name = site.link.ifname
    found: list[bytes] = []
    for family in (AF_INET, AF_INET6):
        for payload in site.rtnl.dump("list rules", RTM_GETRULE, RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            attrs = attributes(payload, RTMSG.size)
            if name in {to_text(attrs.get(_FRA_IIFNAME)), to_text(attrs.get(_FRA_OIFNAME))}:
                found.append(payload)
    return tuple(found)


def _rule_items(recorded: Recorded) -> Items:
    def cleaned(payload: bytes) -> bytes:
        *head, flags = RTMSG.unpack_from(payload)
        return RTMSG.pack(*head, flags & ~_DETACHED) + payload[RTMSG.size :]

    return dict.fromkeys(map(cleaned, recorded.messages), b"")


RULES_OF_IT = Facet(
    name="rules",
    title="rules that name it (`ip rule … iif`, `oif`)",
    read=_read_rules,
    items=_rule_items,
    what=lambda _site, key: (
        f"rule of priority {to_int(attributes(key, RTMSG.size).get(6)) if isinstance(key, bytes) else ''}"
    ),
    put=putter((RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL), (RTM_DELRULE, 0), lambda _, payload: payload),
    is_list=True,
    is_flushed=True,
    advice="add it with `ip rule`, then `nri-netdev release` forgets the claim",
)
