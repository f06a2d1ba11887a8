"""Capture: read, before an interface is given away, everything about it that a move destroys.

Objects that are put back as they were - routes, neighbours, queueing, a bridge's table - are kept as the kernel wrote
them, cleaned of what it computes by itself and with ifindex 0 in place of the interface's own, which may be another
when it comes home. The same cleaning makes what is there now comparable with what was: see `nri_netdev.shells.homing`.
"""

from __future__ import annotations

import errno
import ipaddress
import struct
from collections.abc import Callable, Collection, Iterator

from nri_netdev.domain.claim import MARK_PREFIX
from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.snapshot import Master, Message, Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.shells.netns import sysctls
from nri_netdev.shells.rtattr import attributes, change, pack, to_int, to_text, u32, walk
from nri_netdev.shells.rtnetlink import (
    ADMIN_FLAGS,
    AF_INET,
    AF_INET6,
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
    RTA_PREFSRC,
    RTA_PRIORITY,
    RTA_TABLE,
    RTA_VIA,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETQDISC,
    RTM_GETTCLASS,
    RTM_GETTFILTER,
    RTMSG,
    Rtnl,
    link_attributes,
    link_header,
    nexthops,
    parse_link,
)

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
"""`IFLA_*` that a move keeps, a container can change, and that can be set as they are read."""

AF_BRIDGE = 7
NDMSG = struct.Struct("=BxxxiHBB")
"""`struct ndmsg`: family, ifindex, state, flags, type."""
TCMSG = struct.Struct("=BxxxiIII")
"""`struct tcmsg`: family, ifindex, handle, parent, info."""
TC_H_ROOT, TC_H_INGRESS = 0xFFFFFFFF, 0xFFFFFFF1

_RT_TABLE_LOCAL, _RTPROT_KERNEL, _RTPROT_RA = 255, 2, 9
_RTNH_F_KEPT = 0x2 | 0x4  # pervasive, onlink; the rest is state
_NUD_NOARP, _NUD_PERMANENT = 0x40, 0x80
_NTF_SELF, _NTF_PROXY = 0x2, 0x8
_NDA_DST, _NDA_LLADDR, _NDA_CACHEINFO, _NDA_PROBES, _NDA_VLAN, _NDA_IFINDEX, _NDA_MASTER = 1, 2, 3, 4, 5, 8, 9
_TCA_KIND, _TCA_OPTIONS, _TCA_RATE, _TCA_INGRESS_BLOCK, _TCA_EGRESS_BLOCK = 1, 2, 5, 13, 14
_TCA_KEPT = {_TCA_KIND, _TCA_OPTIONS, _TCA_RATE, _TCA_INGRESS_BLOCK, _TCA_EGRESS_BLOCK}
_CLASSFUL = {"htb", "hfsc", "drr", "qfq"}
_RTEXT_FILTER_BRVLAN = 2


def snapshot(rtnl: Rtnl, ifindex: int) -> Snapshot:
    """Read all that an interface is.

    Args:
        rtnl: A socket of the netns that the calling thread is in: sysctls are read from there too.
        ifindex: The interface.

    Raises:
        KernelError: There is no such interface, or it cannot be read.
    """
    raw = rtnl.raw_link(ifindex)
    link, attrs = parse_link(raw), link_attributes(raw)
    _, flags = link_header(raw)
    addresses = rtnl.addresses(ifindex).get(ifindex, ())
    return Snapshot(
        link=_without_marks(link),
        flags=flags & ADMIN_FLAGS,
        settings={number: attrs[number].hex() for number in SETTINGS if number in attrs},
        xdp_id=xdp_id(attrs.get(IFLA_XDP, b"")),
        master=_master(rtnl, link, attrs),
        addresses=addresses,
        routes=tuple(_routes(rtnl, ifindex, addresses)),
        neighbours=neighbours(rtnl, ifindex),
        qdiscs=qdiscs(rtnl, ifindex),
        sysctls=sysctls(link.ifname),
        losses=tuple(_losses(rtnl, ifindex)),
    )
