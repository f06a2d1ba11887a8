"""The link message: what `ip link` sets, compared attribute by attribute, those that nobody knows yet as bytes."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from nri_netdev.domain.snapshot import Messages
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, pack, to_int, to_text, u32
from nri_netdev.shells.kernel.changes import set_down, set_flags, set_link
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Key, Recorded, Refusals, Site
from nri_netdev.shells.kernel.messages import (
    ADMIN_FLAGS,
    IFLA_ADDRESS,
    IFLA_GROUP,
    IFLA_IFALIAS,
    IFLA_MTU,
    IFLA_TXQLEN,
    link_attributes,
    link_header,
)

_FLAGS = "flags"
_PROTO_DOWN_REASON = 55
_OPERSTATE, _LINKMODE, _PROTO_DOWN = 16, 17, 39
_DORMANT = b"\1"  # IF_LINK_MODE_DORMANT

SETTABLE = {
    _PROTO_DOWN_REASON: "reasons of protocol down",
    _PROTO_DOWN: "protocol down",
    IFLA_ADDRESS: "MAC address",
    2: "broadcast address",
    IFLA_MTU: "MTU",
    IFLA_TXQLEN: "queue length",
    IFLA_GROUP: "group",
    IFLA_IFALIAS: "alias",
    _LINKMODE: "link mode",
    _OPERSTATE: "operational state",
    40: "gso_max_segs",
    41: "gso_max_size",
    58: "gro_max_size",
    63: "gso_ipv4_max_size",
    64: "gro_ipv4_max_size",
}
"""`IFLA_*` that an administrator sets to the bytes that were read, in the order in which they are put back."""

_ELSEWHERE = "compared by itself"
_COUNTER = "a counter"
_DRIVER = "fixed by the driver"
_LINK_STATE = "the state of the link"
_NAMES_OTHERS = "names another device or netns, whose numbers change"
EXPECTED: Mapping[int, tuple[str, str]] = {
    3: ("name", _ELSEWHERE),
    5: ("IFLA_LINK", _NAMES_OTHERS),
    6: ("qdisc", _ELSEWHERE),
    7: ("statistics", _COUNTER),
    10: ("master", _ELSEWHERE),
    12: ("settings of a bridge's port", _ELSEWHERE),
    14: ("I/O map", _DRIVER),
    _OPERSTATE: ("operational state", _LINK_STATE),
    18: ("data of its kind and of its master's", _ELSEWHERE),
    21: ("number of virtual functions", "set in sysfs, which a pod's netns does not lead to"),
    22: ("table of virtual functions", _ELSEWHERE),
    23: ("statistics", _COUNTER),
    26: ("settings by address family", _ELSEWHERE),
    30: ("users of promiscuous mode", _COUNTER),
    31: ("number of transmit queues", "fixed when it is made"),
    32: ("number of receive queues", "fixed when it is made"),
    33: ("carrier", _LINK_STATE),
    34: ("physical port id", _DRIVER),
    35: ("changes of the carrier", _COUNTER),
    36: ("physical switch id", _DRIVER),
    37: ("IFLA_LINK_NETNSID", _NAMES_OTHERS),
    38: ("physical port name", _DRIVER),
    42: ("padding", "no content"),
    43: ("XDP programs", _ELSEWHERE),
    44: ("event", _LINK_STATE),
    47: ("times that the carrier came", _COUNTER),
    48: ("times that the carrier went", _COUNTER),
    50: ("least MTU", _DRIVER),
    51: ("greatest MTU", _DRIVER),
    52: ("alternative names", _ELSEWHERE),
    54: ("permanent MAC address", _DRIVER),
    56: ("parent device", _DRIVER),
    57: ("bus of the parent device", _DRIVER),
    59: ("greatest TSO size", _DRIVER),
    60: ("greatest number of TSO segments", _DRIVER),
    61: ("users of all-multicast mode", _COUNTER),
    62: ("devlink port", _DRIVER),
    65: ("DPLL pin", _DRIVER),
    66: ("pacing horizon", _DRIVER),
    67: ("whether it may leave its netns", _DRIVER),
    68: ("headroom", _DRIVER),
    69: ("tailroom", _DRIVER),
}
"""`IFLA_*` that may differ at home, with what each is and why."""

_NEUTRAL = {_LINKMODE: b"\0", _PROTO_DOWN: b"\0"}
_QDISC, _NOQUEUE, _SOME_LENGTH = 6, b"noqueue\0", 1000
"""What the kernel acts on when an interface is set up: one that is dormant or held down has no carrier, and one with no
queue length gets no queue. An administrator set it afterwards."""


def _read(site: Site) -> Messages:
    return (site.raw,)


def _items(recorded: Recorded) -> Items:
    if not recorded.messages:
        return {}
    [raw] = recorded.messages
    attrs = link_attributes(raw)
    kept = {n: v for n, v in attrs.items() if n not in EXPECTED and n not in recorded.of_master}
    alias = attrs.get(IFLA_IFALIAS, b"").rstrip(b"\0")
    flags = link_header(raw)[1] & ADMIN_FLAGS
    if recorded.is_early:
        kept |= {number: neutral for number, neutral in _NEUTRAL.items() if number in kept}
        kept.pop(_PROTO_DOWN_REASON, None)
        if not any(kept.get(IFLA_TXQLEN, b"\1")) and attrs.get(_QDISC) != _NOQUEUE:
            kept[IFLA_TXQLEN] = u32(_SOME_LENGTH)
        return {_FLAGS: u32(flags), **kept, IFLA_IFALIAS: alias}
    if attrs.get(_LINKMODE) == _DORMANT:  # then somebody sets the state of the link, as supplicants do
        kept[_OPERSTATE] = attrs.get(_OPERSTATE, b"")
    return {_FLAGS: u32(flags), **kept, IFLA_IFALIAS: alias}


def _what(_: Site, key: Key) -> str:
    if key == _FLAGS:
        return "its flags"
    return f"its {SETTABLE[key]}" if key in SETTABLE else f"its attribute IFLA_{key}"


def _show(_: Site, key: Key, value: bytes) -> str:
    if key == IFLA_IFALIAS:
        return repr(to_text(value))
    if key in {IFLA_ADDRESS, 2}:
        return value.hex(":")
    return f"{to_int(value):#x}" if key == _FLAGS else str(to_int(value)) if len(value) <= 4 else value.hex()


def _put(site: Site, was: Recorded, change: Change) -> Refusals:
    refusals: Refusals = {}
    order = [_FLAGS, *SETTABLE]
    for key in sorted((key for key in change.every if key in order), key=order.index):
        try:
            if key == IFLA_ADDRESS and was.is_early and site.link.is_up:  # many drivers refuse a new one while up
                set_down(site.rtnl, site.ifindex)
            _set(site, key, change)
        except KernelError as error:
            if key == IFLA_ADDRESS and error.errno == errno.EADDRNOTAVAIL:
                error.hint = "the physical function administers it: `ip link set PF vf NUMBER mac ADDRESS`"
            refusals[key] = error
    return refusals


def _set(site: Site, key: Key, change: Change) -> None:
    was = change.was.get(key, b"")
    if key == _FLAGS:
        flags, now = to_int(was) or 0, to_int(change.now[key]) or 0
        set_flags(
            site.rtnl, f"set the flags of interface {site.ifindex} to {flags:#x}", site.ifindex, flags, flags ^ now
        )
        return
    number = key
    if key == _PROTO_DOWN_REASON:
        reasons = attributes(was).get(2, u32(0))  # IFLA_PROTO_DOWN_REASON_VALUE
        number, was = key | NLA_F_NESTED, pack(1, u32(0xFFFFFFFF)) + pack(2, reasons)
    if key == IFLA_IFALIAS:
        was = was and was + b"\0"
    action = f"set the {SETTABLE[key]} of interface {site.ifindex} to {_show(site, key, was)}"
    set_link(site.rtnl, action, site.ifindex, {number: was})


LINK = Facet(
    name="link",
    title="MAC address, MTU, queue length, group, alias, flags, GSO and GRO limits, and every attribute not known yet",
    read=_read,
    items=_items,
    what=_what,
    show=_show,
    put=_put,
    expected=dict(EXPECTED.values()),
)
