"""What belongs to the kind of a device (`IFLA_INFO_DATA`), and the settings of address families and virtual functions.

The mode of a macvlan, the remote of a tunnel, the token of IPv6, the VLAN of a virtual function: set by link messages.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

from nri_netdev.domain.snapshot import Messages
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, pack, pack_all, to_int, to_text, u32, walk
from nri_netdev.shells.kernel.changes import set_down, set_link, set_up
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Key, Recorded, Refusals, Site
from nri_netdev.shells.kernel.facets.objects import at_once, one_by_one
from nri_netdev.shells.kernel.messages import (
    AF_INET6,
    IFLA_AF_SPEC,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    RTM_SETLINK,
    link_attributes,
    link_info,
    pack_link,
)
from nri_netdev.shells.kernel.sysfs import physical_function

_INFO_DATA = 2
_STATE_OF_KINDS = {"can": {4, 8}, "hsr": {5}, "macvlan": {6, 8}, "macvtap": {6, 8}}
"""Attributes that are state, by kind: a bus's condition and error counters, sequence numbers, a queue in use, and how
many sources there are."""
_DEFAULTS = {("macvlan", 9): u32(1), ("macvtap", 9): u32(1)}
"""What attributes are set to that the kernel tells only if they are something else: when broadcasts are queued."""
_MACVLAN_SOURCES, _MACVLAN_SOURCES_DO, _MACVLAN_SOURCES_SET = 5, 3, 3
"""`IFLA_MACVLAN_MACADDR_DATA` replaces the list of sources if `IFLA_MACVLAN_MACADDR_MODE` says so."""

_VLAN_FLAGS, _VLAN_MAPS = 2, {3, 4}
_MAPPING = struct.Struct("=II")  # struct ifla_vlan_qos_mapping: from, to

# -- kind --------------------------------------------------------------------------------------------------------------


def _read_kind(site: Site) -> Messages:
    info = link_info(site.raw)
    return (pack_all({n: info[n] for n in (IFLA_INFO_KIND, _INFO_DATA) if n in info}),)


def _kind_items(recorded: Recorded) -> Items:
    info = attributes(b"".join(recorded.messages))
    kind = to_text(info.get(IFLA_INFO_KIND)) or ""
    data = attributes(info.get(_INFO_DATA, b""))
    state = _STATE_OF_KINDS.get(kind, set())
    return {(kind, number): value for number, value in data.items() if number not in state}


def _kind_what(_: Site, key: Key) -> str:
    kind, number = key
    return f"attribute {number} of its kind {kind}"


def _put_kind(site: Site, was: Recorded, change: Change) -> Refusals:
    """Set all of it, as some kinds take what is absent as zero; if that is refused, only what differs, one by one."""
    info = attributes(b"".join(was.messages))
    kind = info.get(IFLA_INFO_KIND, b"")

    def set_data(data: bytes) -> None:
        if any(number == _MACVLAN_SOURCES for number, _ in walk(data)) and to_text(kind) in {"macvlan", "macvtap"}:
            data += pack(_MACVLAN_SOURCES_DO, u32(_MACVLAN_SOURCES_SET))
        both = pack(IFLA_INFO_KIND, kind) + pack(_INFO_DATA | NLA_F_NESTED, data)
        action = f"set up interface {site.ifindex} as {to_text(kind)}"
        set_link(site.rtnl, action, site.ifindex, {IFLA_LINKINFO | NLA_F_NESTED: both})

    differing = _wanted(change)
    every = dict(walk(info.get(_INFO_DATA, b""))) if to_text(kind) != "vlan" else {}
    try:
        set_data(pack_all(every | {number: value for (_, number), value in differing.items()}))
    except KernelError:
        return one_by_one(site, differing, lambda _, key: set_data(pack(key[1], differing[key])))
    return {}


def _wanted(change: Change) -> dict[Key, bytes]:
    """What to set of what differs."""
    wanted = {key: change.was[key] for key in (*change.missing, *change.differing)}
    wanted |= {key: _DEFAULTS[key] for key in change.extra if key in _DEFAULTS}
    of_vlans = {key: of_vlan(key[1], change.was.get(key, b""), change.now.get(key, b"")) for key in change.every}
    return wanted | {key: value for key, value in of_vlans.items() if key[0] == "vlan"}


def of_vlan(number: int, was: bytes, now: bytes) -> bytes:
    """What sets an attribute of a VLAN: flags with those that change, maps with 0 for what they did not have."""
    if number == _VLAN_FLAGS:  # struct ifla_vlan_flags; a mask with unknown flags, as the kernel tells it, is refused
        flags, present = (to_int(side[:4]) or 0 for side in (was, now))
        return u32(flags) + u32(flags ^ present)
    if number in _VLAN_MAPS:
        before, since = (dict(_MAPPING.unpack(each) for _, each in walk(side)) for side in (was, now))
        return b"".join(pack(1, _MAPPING.pack(*each)) for each in (dict.fromkeys(since, 0) | before).items())
    return was


KIND = Facet(
    name="kind",
    title="what belongs to its kind: a macvlan's mode, a VXLAN's remote, TTL and ports, a tunnel's ends, a VLAN's maps",
    read=_read_kind,
    items=_kind_items,
    what=_kind_what,
    put=_put_kind,
    expected={"state of a CAN bus, sequence numbers of HSR, queue of a macvlan": "counted by the kernel"},
    withholds=True,
    advice="delete the device and make it again, then `nri-netdev release` forgets the claim",
)

# -- IPv6 token --------------------------------------------------------------------------------------------------------

_TOKEN = 7  # IFLA_INET6_TOKEN


def _read_token(site: Site) -> Messages:
    inet6 = attributes(attributes(link_attributes(site.raw).get(IFLA_AF_SPEC, b"")).get(AF_INET6, b""))
    token = inet6.get(_TOKEN, b"")
    return (token,) if any(token) else ()


def _token_items(recorded: Recorded) -> Items:
    return {"token": recorded.messages[0] if recorded.messages else bytes(16)}


def _put_token(site: Site, _: Recorded, change: Change) -> Refusals:
    spec = pack(AF_INET6 | NLA_F_NESTED, pack(_TOKEN, change.was["token"]))
    payload = pack_link(site.ifindex, {IFLA_AF_SPEC | NLA_F_NESTED: spec})
    action = f"set the IPv6 token of interface {site.ifindex}"
    return at_once(site, change.every, lambda site: site.rtnl.change(action, RTM_SETLINK, payload))


TOKEN = Facet(
    name="token",
    title="IPv6 token (`ip token`)",
    read=_read_token,
    items=_token_items,
    what=lambda _site, _key: "its IPv6 token",
    put=_put_token,
    expected={"other settings of IPv4 and IPv6": "compared as sysctls"},
)

# -- virtual functions -------------------------------------------------------------------------------------------------

_VFINFO_LIST, _VF_INFO, _VF_MAC = 22, 1, 1
_VF_STATE = {8, 13}  # statistics, broadcast address
_VF_ATTRIBUTES = {
    1: "MAC address",
    2: "VLAN",
    3: "transmit rate",
    4: "spoof check",
    5: "link state",
    6: "rates",
    7: "RSS query",
    9: "trust",
    10: "node GUID",
    11: "port GUID",
    12: "VLANs",
}


def _read_vfs(site: Site) -> Messages:
    table = link_attributes(site.raw).get(_VFINFO_LIST, b"")
    return tuple(value for number, value in walk(table) if number == _VF_INFO)


def _vf_items(recorded: Recorded) -> Items:
    return {key: value for message in recorded.messages for key, value in _of_vf(message)}


def _of_vf(message: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    settings = attributes(message)
    vf = to_int(settings.get(1, bytes(4))[:4]) or 0  # each begins with the number of the function
    for number, value in settings.items():
        if number not in _VF_STATE:
            yield (vf, number), value


def _vf_what(_: Site, key: Key) -> str:
    vf, number = key
    return f"{_VF_ATTRIBUTES.get(number, f'attribute {number}')} of its virtual function {vf}"


def _put_vfs(site: Site, _: Recorded, change: Change) -> Refusals:
    return _put_vf_table(site, site.ifindex, change)


def _put_vf_table(site: Site, pf: int, change: Change) -> Refusals:
    """Put back what a physical function has of its virtual functions."""

    def set_one(site: Site, key: Key) -> None:
        set_vf(site, pf, key, change.was[key])

    return one_by_one(site, (*change.missing, *change.differing), set_one)


def set_vf(site: Site, ifindex: int, key: Key, value: bytes) -> None:
    """Set what a physical function has of one of its virtual functions.

    Args:
        site: of its netns.
        ifindex: the physical function.
        key: the number of the virtual function, and `IFLA_VF_*`.
        value: as `linux/if_link.h` has it, which begins with the number of the virtual function again.

    Raises:
        KernelError: The kernel refuses.
    """
    vf, number = key
    nested = NLA_F_NESTED if number == 12 else 0  # IFLA_VF_VLAN_LIST
    info = pack(_VF_INFO | NLA_F_NESTED, pack(number | nested, value))
    action = f"set {_VF_ATTRIBUTES.get(number, number)} of virtual function {vf} of interface {ifindex}"
    set_link(site.rtnl, action, ifindex, {_VFINFO_LIST | NLA_F_NESTED: info})


VFS = Facet(
    name="vfs",
    title="table of virtual functions: MAC address, VLAN, rates, trust, spoof check, link state",
    read=_read_vfs,
    items=_vf_items,
    what=_vf_what,
    put=_put_vfs,
    expected={"statistics of virtual functions": "counters"},
    withholds=True,
    advice="set it with `ip link set … vf`, then `nri-netdev release` forgets the claim",
)


def own_vf(site: Site) -> tuple[int, int] | None:
    """The ifindex of a virtual function's physical function and the number there; None for everything else."""
    found = physical_function(site.link)
    pf = found and site.rtnl.link_called(found[0])
    return (pf.ifindex, found[1]) if found and pf else None


def read_own_vf(site: Site) -> Messages:
    """What the physical function of a virtual function has of it (`IFLA_VF_INFO`); nothing for everything else."""
    own = own_vf(site)
    if own is None:
        return ()
    pf, number = own
    table = _read_vfs(Site(site.rtnl, pf))
    return tuple(message for message in table if any(vf == number for (vf, _), _value in _of_vf(message)))


def _put_own_vf(site: Site, _: Recorded, change: Change) -> Refusals:
    own = own_vf(site)
    if own is None:
        return {}
    refusals = _put_vf_table(site, own[0], change)
    _take_over(site.again(), change.was.get((own[1], _VF_MAC), b""))
    return refusals


def _take_over(site: Site, packed: bytes) -> None:
    """Have a driver take its permanent address from the physical function again, as igbvf does when it is set down."""
    mac = packed[4:10].hex(":")
    if site.link.permanent_mac in {None, mac} or not any(packed[4:]) or site.link.is_up:
        return
    with contextlib.suppress(KernelError):
        set_up(site.rtnl, site.ifindex)
        set_down(site.rtnl, site.ifindex)


OWN_VF = Facet(
    name="own_vf",
    title="of a virtual function, what its physical function has of it: MAC address, VLAN, rates, trust, spoof check",
    read=read_own_vf,
    items=_vf_items,
    what=lambda _, key: f"{_VF_ATTRIBUTES.get(key[1], f'attribute {key[1]}')} that its physical function sets",
    put=_put_own_vf,
    expected={"statistics of virtual functions": "counters"},
    withholds=True,
    advice="set it with `ip link set PF vf`, then `nri-netdev release` forgets the claim",
)
