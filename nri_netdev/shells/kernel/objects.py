"""Routes, neighbours and qdiscs of an interface, added again as the kernel wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nri_netdev.domain.snapshot import KernelObject, Shortfall
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import attributes, change, u32
from nri_netdev.shells.kernel.capture import NDMSG, TCMSG, with_hop
from nri_netdev.shells.kernel.messages import (
    AF_INET,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RTA_MULTIPATH,
    RTA_OIF,
    RTM_NEWNEIGH,
    RTM_NEWQDISC,
    RTM_NEWROUTE,
    RTMSG,
    nexthops,
)
from nri_netdev.shells.kernel.rtnetlink import Rtnl

Put = Callable[[Rtnl, int, bytes], None]
"""Adds one object to an interface: socket, ifindex, payload."""


def put_back(
    rtnl: Rtnl, ifindex: int, wanted: Iterable[KernelObject], there: Iterable[KernelObject], put: Put
) -> list[Shortfall]:
    """Add the objects that are missing.

    One may need another, as a route through a gateway needs the route to it: so those that the kernel refuses are
    tried again for as long as any of them succeeds.

    Returns:
        One shortfall for each that could not be added, except the expendable ones.
    """
    known = {each.payload for each in there}
    left = [each for each in wanted if each.payload not in known]
    why: dict[str, KernelError] = {}
    progress = True
    while left and progress:
        still: list[KernelObject] = []
        for each in left:
            try:
                put(rtnl, ifindex, bytes.fromhex(each.payload))
            except KernelError as error:
                why[each.payload] = error
                still.append(each)
        progress = len(still) < len(left)
        left = still
    return [Shortfall(what=each.text, why=str(why[each.payload])) for each in left if not each.is_expendable]


def put_route(rtnl: Rtnl, ifindex: int, payload: bytes) -> None:
    """Add a route that leaves by an interface."""
    is_shared = RTA_MULTIPATH in attributes(payload, RTMSG.size)

    def patch(number: int, value: bytes) -> bytes:
        if number == RTA_OIF:
            return u32(ifindex)
        if number == RTA_MULTIPATH:
            hops = (value[offset : offset + length] for _, offset, length in nexthops(value))
            return b"".join(with_hop(hop, 0, ifindex) + bytes(-len(hop) % 4) for hop in hops)
        return value

    # An IPv6 route that is appended to another of its metric shares the traffic with it, an IPv4 one comes after it.
    beside = NLM_F_APPEND if payload[0] == AF_INET or is_shared else NLM_F_EXCL
    rtnl.change("add it", RTM_NEWROUTE, change(payload, RTMSG.size, patch), NLM_F_CREATE | beside)


def put_neighbour(rtnl: Rtnl, ifindex: int, payload: bytes) -> None:
    """Add a neighbour of an interface, or an entry of a bridge's table for a port."""
    family, _, state, flags, kind = NDMSG.unpack_from(payload)
    header = NDMSG.pack(family, ifindex, state, flags, kind)
    rtnl.change("add it", RTM_NEWNEIGH, header + payload[NDMSG.size :], NLM_F_CREATE | NLM_F_REPLACE)


def put_qdisc(rtnl: Rtnl, ifindex: int, payload: bytes) -> None:
    """Add a qdisc of an interface."""
    family, _, handle, parent, info = TCMSG.unpack_from(payload)
    header = TCMSG.pack(family, ifindex, handle, parent, info)
    rtnl.change("add it", RTM_NEWQDISC, header + payload[TCMSG.size :], NLM_F_CREATE | NLM_F_REPLACE)
