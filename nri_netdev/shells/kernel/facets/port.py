"""A port of a bridge, bond or team: its settings there, its VLANs, the static entries that point to it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import partial

from nri_netdev.domain.snapshot import Messages
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, from_text, pack, pack_all, to_text, u32, walk
from nri_netdev.shells.kernel.changes import set_link
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Key, Recorded, Refusals, Site
from nri_netdev.shells.kernel.facets.neighbours import ADD, DELETE, entry, entry_text, with_ifindex
from nri_netdev.shells.kernel.facets.objects import one_by_one, put_objects, putter
from nri_netdev.shells.kernel.messages import (
    AF_BRIDGE,
    IFLA_AF_SPEC,
    IFLA_EXT_MASK,
    IFLA_INFO_SLAVE_DATA,
    IFLA_INFO_SLAVE_KIND,
    IFLA_LINKINFO,
    NDMSG,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    RTM_DELLINK,
    RTM_DELMDB,
    RTM_GETLINK,
    RTM_GETMDB,
    RTM_NEWMDB,
    RTM_SETLINK,
    link_attributes,
    link_header,
    link_info,
)

_SETTABLE: Mapping[str, frozenset[int]] = {
    "bridge": frozenset({2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 25, 27, 28, 29, 30, 31, 32, 33, 34, 39, 40, 42, 43}),
    "bond": frozenset({5, 7}),
}
"""Attributes of a port that an administrator sets, by kind of master (`IFLA_BRPORT_*`, `IFLA_BOND_SLAVE_*`); all others
are state, timers and counters."""
_ADVICE = "set it with `bridge` or `ip link`, then `nri-netdev release` forgets the claim"


def _read_port(site: Site) -> Messages:
    info = link_info(site.raw)
    return (pack_all({n: info[n] for n in (IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA) if n in info}),)


def _port_items(recorded: Recorded) -> Items:
    info = attributes(b"".join(recorded.messages))
    kind = to_text(info.get(IFLA_INFO_SLAVE_KIND)) or ""
    data = attributes(info.get(IFLA_INFO_SLAVE_DATA, b""))
    settable = _SETTABLE.get(kind, frozenset())
    return {(kind, number): value for number, value in data.items() if number in settable}


def _port_what(_: Site, key: Key) -> str:
    kind, number = key
    return f"attribute {number} of it as {kind} port"


def _put_port(site: Site, _: Recorded, change: Change) -> Refusals:
    def set_one(site: Site, key: Key) -> None:
        kind, number = key
        data = pack(IFLA_INFO_SLAVE_DATA | NLA_F_NESTED, pack(number, change.was[key]))
        info = pack(IFLA_INFO_SLAVE_KIND, from_text(kind)) + data
        action = f"set up interface {site.ifindex} as {kind} port"
        set_link(site.rtnl, action, site.ifindex, {IFLA_LINKINFO | NLA_F_NESTED: info})

    return one_by_one(site, (*change.missing, *change.differing), set_one)


# -- VLANs of a bridge's port ------------------------------------------------------------------------------------------

_VLAN_INFO, _VLAN_FLAGS, _RTEXT_FILTER_BRVLAN = 2, 0x2 | 0x4, 2


def _read_vlans(site: Site) -> Messages:
    """The `struct bridge_vlan_info` (flags, id) of each VLAN."""
    if site.link.master is None:
        return ()
    header = struct.pack("=BxHiII", AF_BRIDGE, 0, 0, 0, 0) + pack(IFLA_EXT_MASK, u32(_RTEXT_FILTER_BRVLAN))
    found: list[bytes] = []
    for payload in site.rtnl.dump("list VLANs of bridge ports", RTM_GETLINK, header):
        if link_header(payload)[0] == site.ifindex:
            spec = link_attributes(payload).get(IFLA_AF_SPEC, b"")
            found += [value for number, value in walk(spec) if number == _VLAN_INFO]
    return tuple(found)


def _vlan_items(recorded: Recorded) -> Items:
    vlans = (struct.unpack("=HH", message) for message in recorded.messages)
    return {vid: struct.pack("=H", flags & _VLAN_FLAGS) for flags, vid in vlans}


def _put_vlans(site: Site, _: Recorded, change: Change) -> Refusals:
    def send(site: Site, key: Key, kind: int, flags: Items) -> None:
        info = pack(_VLAN_INFO, flags[key] + struct.pack("=H", key))
        header = struct.pack("=BxHiII", AF_BRIDGE, 0, site.ifindex, 0, 0)
        site.rtnl.change(f"set VLAN {key}", kind, header + pack(IFLA_AF_SPEC | NLA_F_NESTED, info))

    off = one_by_one(site, change.extra, partial(send, kind=RTM_DELLINK, flags=change.now))
    changed = (*change.missing, *change.differing)
    return off | one_by_one(site, changed, partial(send, kind=RTM_SETLINK, flags=change.was))


# -- entries of a bridge's tables --------------------------------------------------------------------------------------

_NUD_NOARP, _NUD_PERMANENT, _NDA_LLADDR, _NDA_MASTER = 0x40, 0x80, 2, 9


def _read_entries(site: Site) -> Messages:
    mac = site.link.mac

    def is_set(payload: bytes) -> bool:
        _, ifindex, state, _, _ = NDMSG.unpack_from(payload)
        attrs = attributes(payload, NDMSG.size)
        is_own = attrs.get(_NDA_LLADDR, b"").hex(":") == mac
        is_static = bool(state & (_NUD_NOARP | _NUD_PERMANENT))
        return ifindex == site.ifindex and _NDA_MASTER in attrs and is_static and not is_own

    return tuple(filter(is_set, site.forwarding))


_BR_PORT_MSG = struct.Struct("=BxxxI")
_MDB_ENTRY = struct.Struct("=IBBH16sHxx")  # struct br_mdb_entry: ifindex, state, flags, vid, address, protocol
_MDB_PERMANENT = 1


def _read_groups(site: Site) -> Messages:
    """The permanent entries of a bridge's multicast table that point to it."""
    if site.link.master is None or not link_info(site.raw).get(IFLA_INFO_SLAVE_KIND, b"").startswith(b"bridge"):
        return ()
    found = site.rtnl.dump("list multicast groups of bridges", RTM_GETMDB, _BR_PORT_MSG.pack(AF_BRIDGE, 0))
    return tuple(entry for payload in found for entry in _groups(payload, site.ifindex))


def _groups(payload: bytes, ifindex: int) -> Iterator[bytes]:
    for number, database in walk(payload, _BR_PORT_MSG.size):
        for _, entries in walk(database) if number == 1 else ():
            for _, info in walk(entries):
                its_ifindex, state, flags, *rest = _MDB_ENTRY.unpack_from(info)
                if its_ifindex == ifindex and state == _MDB_PERMANENT:
                    yield _MDB_ENTRY.pack(0, state, flags & 0, *rest)


def _put_groups(site: Site, _: Recorded, change: Change) -> Refusals:
    master = site.link.master or 0

    def addressed(site: Site, entry: bytes) -> bytes:
        its_own = _MDB_ENTRY.pack(site.ifindex, *_MDB_ENTRY.unpack(entry)[1:])
        return _BR_PORT_MSG.pack(AF_BRIDGE, master) + pack(1, its_own)

    off = put_objects(site, change.extra, (RTM_DELMDB, 0), addressed, "take it off")
    return off | put_objects(site, change.missing, (RTM_NEWMDB, NLM_F_CREATE | NLM_F_REPLACE), addressed)


PORT: tuple[Facet, ...] = (
    Facet(
        name="port",
        title="settings of a port of a bridge or bond",
        read=_read_port,
        items=_port_items,
        what=_port_what,
        put=_put_port,
        expected={"state, timers and counters of a port": "the master's own"},
        is_flushed=True,
        advice=_ADVICE,
    ),
    Facet(
        name="port_vlans",
        title="VLANs of a bridge's port",
        read=_read_vlans,
        items=_vlan_items,
        what=lambda _site, key: f"VLAN {key} of the port",
        put=_put_vlans,
        is_list=True,
        advice=_ADVICE,
    ),
    Facet(
        name="port_fdb",
        title="static entries of a bridge's forwarding table that point to it",
        read=_read_entries,
        items=lambda recorded: dict.fromkeys(map(entry, recorded.messages), b""),
        what=entry_text,
        put=putter(ADD, DELETE, with_ifindex),
        is_list=True,
        is_flushed=True,
        advice=_ADVICE,
    ),
    Facet(
        name="port_mdb",
        title="permanent entries of a bridge's multicast table that point to it",
        read=_read_groups,
        items=lambda recorded: dict.fromkeys(recorded.messages, b""),
        what=lambda _site, key: f"multicast group {key.hex() if isinstance(key, bytes) else key}",
        put=_put_groups,
        is_list=True,
        is_flushed=True,
        advice=_ADVICE,
    ),
)
