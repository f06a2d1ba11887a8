"""Neighbours, entries of forwarding tables and multicast addresses that somebody has set."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from pathlib import Path

from nri_netdev.domain.snapshot import Messages
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import attributes, change, pack, u32
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Key, Recorded, Refusals, Site
from nri_netdev.shells.kernel.facets.objects import one_by_one, putter
from nri_netdev.shells.kernel.messages import (
    AF_BRIDGE,
    NDMSG,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    RTM_DELNEIGH,
    RTM_GETNEIGH,
    RTM_NEWNEIGH,
    ip_text,
)

_NUD_REACHABLE, _NUD_NOARP, _NUD_PERMANENT = 0x2, 0x40, 0x80
_NTF_PROXY, _NTF_EXT_LEARNED = 0x8, 0x10
_RTN_UNICAST = 1
_NDA_DST, _NDA_LLADDR, _NDA_CACHEINFO, _NDA_PROBES, _NDA_IFINDEX, _NDA_MASTER, _NDA_LINK_NETNSID = 1, 2, 3, 4, 8, 9, 10
_COMPUTED = {_NDA_CACHEINFO, _NDA_PROBES, _NDA_MASTER, _NDA_LINK_NETNSID}
ADD, DELETE = (RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE), (RTM_DELNEIGH, 0)
_APPEND = RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND  # several remotes of VXLAN may have one MAC address


def with_ifindex(site: Site, payload: bytes) -> bytes:
    """An entry's payload for the interface.

    Of a proxy entry the kernel does not tell whether it is to stay while there is no carrier (Linux 6.12); those of
    `ip neigh add proxy` are.
    """
    family, _, state, flags, kind = NDMSG.unpack_from(payload)
    if flags & _NTF_PROXY:
        state |= _NUD_PERMANENT
    return NDMSG.pack(family, site.ifindex, state, flags, kind) + payload[NDMSG.size :]


def entry(payload: bytes) -> bytes:
    """An entry without its ifindex and what the kernel computes."""
    family, _, state, flags, kind = NDMSG.unpack_from(payload)
    if flags & _NTF_EXT_LEARNED and not state & _NUD_PERMANENT:
        state = _NUD_REACHABLE  # the kernel takes it on from there
    kept = change(payload, NDMSG.size, lambda number, value: None if number in _COMPUTED else value)
    return NDMSG.pack(family, 0, state, flags, kind) + kept[NDMSG.size :]


def lladdr(payload: bytes) -> bytes:
    """The MAC address of an entry; empty if it has none."""
    return attributes(payload, NDMSG.size).get(_NDA_LLADDR, b"")


def entry_text(_: Site, key: Key) -> str:
    """An entry in words, as iproute2 writes them."""
    payload = key
    attrs = attributes(payload, NDMSG.size)
    dst, mac = attrs.get(_NDA_DST, b""), attrs.get(_NDA_LLADDR, b"").hex(":")
    remote = ip_text(dst) if len(dst) in {4, 16} else ""
    if payload[0] == AF_BRIDGE:
        return f"forwarding entry {mac}" + (f" dst {remote}" if remote else "")
    return f"neighbour {remote} {mac}".rstrip()


# -- neighbours --------------------------------------------------------------------------------------------------------


def _read_neighbours(site: Site) -> Messages:
    found: list[bytes] = []
    for flags in (0, _NTF_PROXY):
        header = NDMSG.pack(0, 0, 0, flags, 0)  # of every family
        every = site.rtnl.dump("list neighbours", RTM_GETNEIGH, header + pack(_NDA_IFINDEX, u32(site.ifindex)))
        for payload in every:
            _, ifindex, state, its_flags, _ = NDMSG.unpack_from(payload)
            is_set = its_flags & (_NTF_PROXY | _NTF_EXT_LEARNED) or state & (_NUD_PERMANENT | _NUD_NOARP)
            if ifindex == site.ifindex and is_set and not _is_kernels(payload):
                found.append(payload)
    return tuple(found)


def _is_kernels(payload: bytes) -> bool:
    """Whether the kernel has made a neighbour of its own accord, as of groups."""
    _, _, state, _, kind = NDMSG.unpack_from(payload)
    return bool(state & _NUD_NOARP) and kind != _RTN_UNICAST


def _entries(recorded: Recorded) -> Items:
    return dict.fromkeys(map(entry, recorded.messages), b"")


NEIGHBOURS = Facet(
    name="neighbours",
    title="neighbours that somebody has set: permanent, proxy, learned by a routing daemon",
    read=_read_neighbours,
    items=_entries,
    what=entry_text,
    put=putter(ADD, DELETE, with_ifindex),
    expected={"neighbours that were found out": "found out again"},
    is_list=True,
    is_flushed=True,
    advice="add it with `ip neigh`, then `nri-netdev release` forgets the claim",
)

# -- forwarding table --------------------------------------------------------------------------------------------------


def _read_fdb(site: Site) -> Messages:
    return tuple(payload for payload in site.forwarding if _is_own(payload, site.ifindex))


def _is_own(payload: bytes, ifindex: int) -> bool:
    """Whether somebody has set an entry of the device's own table. Multicast addresses are another facet."""
    _, index, state, _, _ = NDMSG.unpack_from(payload)
    attrs = attributes(payload, NDMSG.size)
    mac = attrs.get(_NDA_LLADDR, b"\1")
    is_set = state & (_NUD_NOARP | _NUD_PERMANENT)
    return bool(index == ifindex and _NDA_MASTER not in attrs and is_set and not mac[0] & 1)


FDB = Facet(
    name="fdb",
    title="entries of the device's own forwarding table (`bridge fdb … self`): further MAC addresses, remotes of VXLAN",
    read=_read_fdb,
    items=_entries,
    what=entry_text,
    put=putter(_APPEND, DELETE, with_ifindex),
    expected={"entries that were learned": "learned again"},
    withholds=True,
    is_list=True,
    advice="change it with `bridge fdb`, then `nri-netdev release` forgets the claim",
)

# -- multicast ---------------------------------------------------------------------------------------------------------

_SIOCADDMULTI, _NTF_SELF = 0x8931, 0x2
_DEV_MCAST = Path("/proc/thread-self/net/dev_mcast")
_OF_VLANS = bytes.fromhex("0180c2000021")
"""The group in which VLANs are registered: the kernel joins it when the first VLAN is made, and not after a move."""


def _read_multicast(site: Site) -> Messages:
    return tuple(listed_multicast(_DEV_MCAST.read_text("ascii", "replace").splitlines(), site.ifindex))


def listed_multicast(lines: Iterable[str], ifindex: int) -> Iterable[bytes]:
    """The addresses that nothing adds again, of lines of ifindex, name, users, whether somebody added it, address."""
    for line in lines:
        fields = line.split()
        if len(fields) == 5 and fields[0] == str(ifindex):
            address = bytes.fromhex(fields[4])
            if fields[3] != "0" or address == _OF_VLANS:
                yield address


def add_multicast(site: Site, address: Key) -> None:
    """Add a multicast address to those that an interface listens to.

    By the ioctl, or, where the device has no filter for that, as an entry of its own forwarding table.

    Raises:
        KernelError: The kernel refuses.
    """
    action = f"add multicast address {address.hex(':')} to interface {site.ifindex}"
    try:
        site.ioctl(action, _SIOCADDMULTI, struct.pack("H14s", 0, address[:14]))
    except KernelError as error:
        if error.errno != errno.EINVAL:
            raise
        header = NDMSG.pack(AF_BRIDGE, site.ifindex, _NUD_PERMANENT, _NTF_SELF, 0)
        site.rtnl.change(action, RTM_NEWNEIGH, header + pack(_NDA_LLADDR, address), NLM_F_CREATE)


def _put_multicast(site: Site, _: Recorded, difference: Change) -> Refusals:
    return one_by_one(site, difference.missing, add_multicast)


MULTICAST = Facet(
    name="multicast",
    title="static multicast addresses (`ip maddr add`), the group in which VLANs are registered",
    read=_read_multicast,
    items=lambda recorded: dict.fromkeys(recorded.messages, b""),
    what=lambda _site, key: f"multicast address {key.hex(':') if isinstance(key, bytes) else key}",
    put=_put_multicast,
    expected={"groups that sockets have joined": "they belong to the sockets"},
    is_list=True,
    is_flushed=True,
    advice="change it with `ip maddr`, then `nri-netdev release` forgets the claim",
)
