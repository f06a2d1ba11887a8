"""Routes by the interface.

A route is added so that it never takes the place of another: where the kernel has one to the same network with the same
metric in the same table, it is either what is asked for, or the request is refused. A default route of `eth0` stays.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nri_netdev.domain.children import listing
from nri_netdev.domain.setup.values import SCOPES, RouteSetup
from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, pack, pack_all, to_int, to_text, u32
from nri_netdev.shells.kernel.messages import (
    AF_INET,
    AF_INET6,
    IFLA_INFO_KIND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RT_TABLE_MAIN,
    RTA_DST,
    RTA_GATEWAY,
    RTA_MULTIPATH,
    RTA_OIF,
    RTA_PREFSRC,
    RTA_PRIORITY,
    RTA_TABLE,
    RTA_VIA,
    RTM_NEWROUTE,
    RTMSG,
    RTN_UNICAST,
    ip_text,
    link_info,
    nexthops,
)
from nri_netdev.shells.kernel.setup.target import Target, kind_data

IFLA_VRF_TABLE = 1
"""The table of a VRF, in the data of its kind (`linux/if_link.h`)."""

_RTA_METRICS, _RTAX_MTU = 8, 2
_RTNH_F_ONLINK, _RTM_F_CLONED = 0x4, 0x200
_RTPROT_STATIC = 4
_RT_TABLE_UNSPEC, _MAX_SHORT_TABLE = 0, 255
_IP6_RT_PRIO_USER = 1024
"""The metric of an IPv6 route that is given none, or 0 (`linux/ipv6_route.h`)."""


def set_routes(target: Target) -> None:
    """Add its routes: first those without a gateway, by which gateways are reached.

    Raises:
        KernelError: The kernel refuses one, or has another in its place.
    """
    routes = sorted(target.setup.routes, key=lambda one: one.via is not None)
    own_table = None if all(route.table for route in routes) else _table_of_vrf(target)
    for route in routes:
        _put(target, route, route.table or own_table or RT_TABLE_MAIN)


def _table_of_vrf(target: Target) -> int | None:
    """The table of the VRF that it is in; None if it is in none."""
    master = target.link.master
    if master is None:
        return None
    raw = target.rtnl.raw_link(master)
    if to_text(link_info(raw).get(IFLA_INFO_KIND)) != "vrf":
        return None
    return to_int(kind_data(raw).get(IFLA_VRF_TABLE))


def _put(target: Target, route: RouteSetup, table: int) -> None:
    action = f"add route {_text(route)} on {target.ifname}"
    payload = _pack(target.ifindex, route, table)
    try:
        target.rtnl.change(action, RTM_NEWROUTE, payload, NLM_F_CREATE | NLM_F_EXCL)
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
    else:
        return
    there = tuple(_in_place(target, route, table))
    ours = [one for one in there if one.hops == ((target.ifindex, route.via),)]
    if not ours:
        raise KernelError(
            action=action,
            errno=errno.EEXIST,
            reason=f"a route to {route.to} with this metric is there already{_by(target, there)}",
            hint="give another metric",
            refusal=Reason.POD,
        )
    if not ours[0].has(route):
        target.rtnl.change(action, RTM_NEWROUTE, payload, NLM_F_REPLACE)


def _text(route: RouteSetup) -> str:
    """A route in the annotation's words: `198.51.100.0/24 via 192.0.2.1 table 100`."""
    parts = [route.to]
    for word, value in (("via", route.via), ("metric", route.metric), ("table", route.table)):
        parts += [] if value is None else [word, str(value)]
    return " ".join(parts)


def _by(target: Target, there: Sequence[_There]) -> str:
    """Where routes lead: ", by eth0 via 192.0.2.1"; "" for one that leads nowhere."""
    hops = [
        target.name_of(ifindex) + (f" via {gateway}" if gateway else "")
        for one in there
        for ifindex, gateway in one.hops
    ]
    return f", by {listing(hops)}" if hops else ""


def _pack(ifindex: int, route: RouteSetup, table: int) -> bytes:
    """The body of an `RTM_NEWROUTE`."""
    family = AF_INET6 if route.is_ipv6 else AF_INET
    network, _, length = route.to.partition("/")
    has_own_scope = family == AF_INET6 or route.via is not None  # IPv6 has no scopes of routes
    scope = route.scope or ("global" if has_own_scope else "link")
    attrs = {RTA_OIF: u32(ifindex), RTA_TABLE: u32(table)}
    if int(length):
        attrs[RTA_DST] = socket.inet_pton(family, network)
    if route.via is not None:
        attrs |= _gateway(family, route.via)
    if route.src is not None:
        attrs[RTA_PREFSRC] = socket.inet_pton(family, route.src)
    if route.metric is not None:
        attrs[RTA_PRIORITY] = u32(route.metric)
    if route.mtu is not None:
        attrs[_RTA_METRICS | NLA_F_NESTED] = pack(_RTAX_MTU, u32(route.mtu))
    header = RTMSG.pack(
        family,
        int(length),
        0,
        0,
        table if table <= _MAX_SHORT_TABLE else _RT_TABLE_UNSPEC,
        _RTPROT_STATIC,
        SCOPES[scope],
        RTN_UNICAST,
        _RTNH_F_ONLINK if route.onlink else 0,
    )
    return header + pack_all(attrs)


def _gateway(family: int, via: str) -> dict[int, bytes]:
    """The attribute of a gateway, which may be of the other family (`struct rtvia`)."""
    its_family = AF_INET6 if ":" in via else AF_INET
    packed = socket.inet_pton(its_family, via)
    if its_family == family:
        return {RTA_GATEWAY: packed}
    return {RTA_VIA: struct.pack("=H", its_family) + packed}


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """A route that the kernel has."""

    hops: tuple[tuple[int, str | None], ...]
    """The interfaces that it leads by, with their gateways."""
    src: str | None
    mtu: int | None
    flags: int
    scope: int

    def has(self, route: RouteSetup) -> bool:
        """Whether it has what is asked for; what was not asked for may be as it is."""
        return (
            route.src in {None, self.src}
            and route.mtu in {None, self.mtu}
            and (not route.onlink or bool(self.flags & _RTNH_F_ONLINK))
            and (route.is_ipv6 or route.scope is None or SCOPES[route.scope] == self.scope)
        )


def _in_place(target: Target, route: RouteSetup, table: int) -> Iterator[_There]:
    """The routes to the same network with the same metric in the same table."""
    family = AF_INET6 if route.is_ipv6 else AF_INET
    network, _, length = route.to.partition("/")
    for payload in target.rtnl.routes(family):
        _, its_length, _, tos, its_table, _, scope, _, flags = RTMSG.unpack_from(payload)
        attrs = attributes(payload, RTMSG.size)
        if tos or flags & _RTM_F_CLONED or (to_int(attrs.get(RTA_TABLE)) or its_table) != table:
            continue
        is_same = its_length == int(length) and (RTA_DST not in attrs or ip_text(attrs[RTA_DST]) == network)
        if is_same and _metric(family, to_int(attrs.get(RTA_PRIORITY))) == _metric(family, route.metric):
            metrics = attributes(attrs.get(_RTA_METRICS, b""))
            yield _There(
                hops=tuple(_hops(attrs)),
                src=ip_text(attrs[RTA_PREFSRC]) if RTA_PREFSRC in attrs else None,
                mtu=to_int(metrics.get(_RTAX_MTU)),
                flags=flags,
                scope=scope,
            )


def _metric(family: int, metric: int | None) -> int:
    """The metric that a route has of which one was given."""
    return metric or (_IP6_RT_PRIO_USER if family == AF_INET6 else 0)


def _hops(attrs: dict[int, bytes]) -> Iterator[tuple[int, str | None]]:
    """The interfaces that a route leads by, with their gateways."""
    if RTA_OIF in attrs:
        yield to_int(attrs[RTA_OIF]) or 0, _gateway_of(attrs)
    multipath = attrs.get(RTA_MULTIPATH, b"")
    for ifindex, offset, length in nexthops(multipath):
        yield ifindex, _gateway_of(attributes(multipath[offset : offset + length], 8))


def _gateway_of(attrs: dict[int, bytes]) -> str | None:
    if RTA_GATEWAY in attrs:
        return ip_text(attrs[RTA_GATEWAY])
    return ip_text(attrs[RTA_VIA][2:]) if RTA_VIA in attrs else None
