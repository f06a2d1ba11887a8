"""What ethtool sets, by generic netlink: features, rings, channels, coalescing, pause, wake-on-LAN and the rest.

Each is the kernel's reply, and is put back by sending its settable attributes again: a request to set has the numbers
of the reply to get (`linux/ethtool_netlink_generated.h`).
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nri_netdev.domain.snapshot import Messages
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, from_text, pack, to_int, to_text, u32, walk
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Key, Recorded, Refusals, Site, if_supported
from nri_netdev.shells.kernel.facets.objects import at_once
from nri_netdev.shells.kernel.rtnetlink import Rtnl

_GENL = struct.Struct("=BBH")  # struct genlmsghdr: cmd, version, reserved
_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, _CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
_HEADER, _HEADER_DEV_INDEX, _HEADER_FLAGS, _COMPACT_BITSETS = 1, 1, 3, 1
_BITSET_SIZE, _BITSET_VALUE, _BITSET_MASK = 2, 4, 5


@functools.cache
def _family(name: str) -> int | None:
    """The number of a family of generic netlink, which all netns share; None if the kernel lacks it."""
    with Rtnl() as rtnl:
        request = _GENL.pack(_CTRL_CMD_GETFAMILY, 1, 0) + pack(_CTRL_ATTR_FAMILY_NAME, from_text(name))
        replies = if_supported(rtnl.generic, f"find {name} in generic netlink", _GENL_ID_CTRL, request)
    if replies is None:
        return None
    [reply] = replies
    return to_int(attributes(reply, _GENL.size)[_CTRL_ATTR_FAMILY_ID])


def ask(site: Site, action: str, command: int, attrs: bytes = b"", flags: int = _COMPACT_BITSETS) -> list[bytes]:
    """Send one command of ethtool about an interface; the attributes of each reply.

    Raises:
        KernelError: The kernel refuses.
    """
    family = _family("ethtool")
    if family is None:
        return []
    device = pack(_HEADER_DEV_INDEX, u32(site.ifindex)) + pack(_HEADER_FLAGS, u32(flags))
    request = _GENL.pack(command, 1, 0) + pack(_HEADER | NLA_F_NESTED, device) + attrs
    return [reply[_GENL.size :] for reply in site.rtnl.generic(action, family, request)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EthtoolSet:
    """A set of settings, with the commands that get and set it (`ETHTOOL_MSG_*`)."""

    name: str
    title: str
    get: int
    set: int | None
    settable: frozenset[int]
    """The attributes to send back."""
    state: frozenset[int] = frozenset()
    """Attributes that are limits of the hardware or state of the link."""
    bitsets: Mapping[int, int] = field(default_factory=dict)
    """Attributes that are bitsets, with the set of strings (`ETH_SS_*`) that names their bits."""
    words: Mapping[int, str] = field(default_factory=dict)
    """Attributes in words."""


def bits(value: bytes) -> int:
    """The bits of a compact bitset that are on, as a number."""
    return to_int(attributes(value).get(_BITSET_VALUE, b"")) or 0


def pack_bits(template: bytes, value: int, mask: int) -> bytes:
    """A compact bitset of the size of another."""
    parts = attributes(template)
    length = len(parts.get(_BITSET_VALUE, b""))

    def number(of: int) -> bytes:
        return of.to_bytes(length, "little")

    return b"".join(
        (pack(_BITSET_SIZE, parts[_BITSET_SIZE]), pack(_BITSET_VALUE, number(value)), pack(_BITSET_MASK, number(mask)))
    )


def _indexes(number: int) -> Iterable[int]:
    return (bit for bit in range(number.bit_length()) if number >> bit & 1)


_OF_DEVICE_BELOW = frozenset({"linkmodes", "tsconfig"})
"""What an interface on another answers with the settings of that one."""


def _read(command: EthtoolSet, site: Site) -> Messages | None:
    if command.name in _OF_DEVICE_BELOW and site.is_on_another:
        return None
    action = f"read the {command.title} of interface {site.ifindex}"
    return tuple(if_supported(ask, site, action, command.get) or ())


def _items(command: EthtoolSet, recorded: Recorded) -> Items:
    found: dict[Key, bytes] = {}
    for reply in recorded.messages:
        attrs = attributes(reply)
        ignored = command.state | _ignored(command, attrs)
        for number, value in attrs.items():
            if number == _HEADER or number in ignored:
                continue
            if number not in command.bitsets:
                found[number] = value
                continue
            found |= {(number, bit): b"\1" for bit in _indexes(bits(value))}  # what is off need not be supported
    return found


def _ignored(command: EthtoolSet, attrs: Mapping[int, bytes]) -> frozenset[int]:
    """Speed and duplex are state while they are negotiated."""
    return frozenset({5, 6}) if command.name == "linkmodes" and any(attrs.get(2, b"")) else frozenset()


def _what(command: EthtoolSet, site: Site, key: Key) -> str:
    if not isinstance(key, tuple):
        return f"{command.title} {command.words.get(key, key)}"
    number, bit = key
    return f"{command.title} {_string(site, command.bitsets[number], bit)}"


def _show(site: Site, key: Key, value: bytes) -> str:
    del site, key
    return str(to_int(value)) if len(value) <= 8 else value.hex()


def _string(site: Site, strings: int, bit: int) -> str:
    """The name of a bit in a set of strings; its number if it has none."""
    wanted = pack(1 | NLA_F_NESTED, pack(1, u32(strings)))  # a list of sets, of which one: its id
    try:
        replies = ask(site, "read the names of settings", 1, pack(2 | NLA_F_NESTED, wanted))
    except KernelError:
        return f"bit {bit}"
    for reply in replies:
        for _, every_set in walk(attributes(reply).get(2, b"")):
            for _, string in walk(attributes(every_set).get(3, b"")):
                parts = attributes(string)
                if to_int(parts.get(1)) == bit:
                    return to_text(parts.get(2)) or f"bit {bit}"
    return f"bit {bit}"


def _put(command: EthtoolSet, site: Site, was: Recorded, change: Change) -> Refusals:
    """Set at once what differs; if the kernel refuses, one setting after the other."""
    if command.set is None or not was.messages:
        return {}
    attrs = attributes(was.messages[0])
    numbers = {key[0] if isinstance(key, tuple) else key: key for key in change.every}
    requests = [
        (number, _request(number, attrs[number], change, is_bitset=number in command.bitsets))
        for number in sorted(numbers.keys() & attrs.keys() & command.settable)
    ]
    action = f"set the {command.title} of interface {site.ifindex}"
    refusals: Refusals = {}
    try:
        if requests:
            ask(site, action, command.set, b"".join(request for _, request in requests))
    except KernelError:
        for number, request in requests:
            try:
                ask(site, action, command.set, request)
            except KernelError as error:
                keys = (key for key in change.every if key == number or (isinstance(key, tuple) and key[0] == number))
                refusals |= dict.fromkeys(keys, error)
    return refusals


def _request(number: int, value: bytes, change: Change, *, is_bitset: bool) -> bytes:
    if not is_bitset:
        return pack(number, value)
    mask = sum(1 << key[1] for key in change.every if isinstance(key, tuple) and key[0] == number)
    return pack(number | NLA_F_NESTED, pack_bits(value, bits(value) & mask, mask))


def _facet(command: EthtoolSet) -> Facet:
    return Facet(
        name=command.name,
        title=f"{command.title} (ethtool)",
        read=functools.partial(_read, command),
        items=functools.partial(_items, command),
        what=functools.partial(_what, command),
        show=_show,
        put=None if command.set is None else functools.partial(_put, command),
        advice="set it again with ethtool, then `nri-netdev release` forgets the claim",
    )


# -- features ----------------------------------------------------------------------------------------------------------

_WANTED, _ACTIVE, _STRINGS_OF_FEATURES = 3, 4, 4


def _feature_items(recorded: Recorded) -> Items:
    """By feature, whether it is active and whether it is wanted."""
    found: dict[Key, bytes] = {}
    for reply in recorded.messages:
        attrs = attributes(reply)
        active, wanted = (bits(attrs.get(number, b"")) for number in (_ACTIVE, _WANTED))
        length = (attrs.get(_ACTIVE) and to_int(attributes(attrs[_ACTIVE])[_BITSET_SIZE])) or 0
        found |= {bit: bytes([active >> bit & 1, wanted >> bit & 1]) for bit in range(length)}
    return found


def _put_features(site: Site, was: Recorded, change: Change) -> Refusals:
    attrs = attributes(was.messages[0]) if was.messages else {}
    if _WANTED not in attrs:
        return {}
    mask = sum(1 << bit for bit in change.differing if isinstance(bit, int))
    wanted = bits(attrs[_WANTED])
    action = f"set the features of interface {site.ifindex}"
    request = pack(_WANTED | NLA_F_NESTED, pack_bits(attrs[_WANTED], wanted & mask, mask))
    return at_once(site, change.differing, lambda site: ask(site, action, _FEATURES.set or 0, request))


_FEATURES = EthtoolSet(name="features", title="feature", get=11, set=12, settable=frozenset({_WANTED}))
FEATURES = Facet(
    name="features",
    title="features: checksum and segmentation offloads, VLAN acceleration and the rest (ethtool)",
    read=functools.partial(_read, _FEATURES),
    items=_feature_items,
    what=lambda site, bit: f"feature {_string(site, _STRINGS_OF_FEATURES, bit)}",
    show=lambda _site, _bit, value: ("on" if value[0] else "off") + (" as wanted" if value[0] == value[1] else ""),
    put=_put_features,
    advice="set it again with ethtool -K, then `nri-netdev release` forgets the claim",
)

# -- the rest ----------------------------------------------------------------------------------------------------------

_COMMANDS = (
    EthtoolSet(
        name="channels",
        title="channels",
        get=17,
        set=18,
        settable=frozenset({6, 7, 8, 9}),
        state=frozenset({2, 3, 4, 5}),
        words={6: "rx", 7: "tx", 8: "other", 9: "combined"},
    ),
    EthtoolSet(
        name="rings",
        title="rings",
        get=15,
        set=16,
        settable=frozenset({6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17}),
        state=frozenset({2, 3, 4, 5, 16, 18}),
        words={6: "rx", 7: "rx-mini", 8: "rx-jumbo", 9: "tx", 10: "rx-buf-len", 11: "tcp-data-split"},
    ),
    EthtoolSet(name="coalesce", title="coalescing", get=19, set=20, settable=frozenset(range(2, 40))),
    EthtoolSet(name="privflags", title="private flag", get=13, set=14, settable=frozenset({2}), bitsets={2: 2}),
    EthtoolSet(
        name="linkmodes",
        title="link mode",
        get=4,
        set=5,
        settable=frozenset({2, 3, 5, 6, 7, 9}),
        state=frozenset({4, 8, 10}),
        bitsets={3: 9},
        words={2: "autoneg", 5: "speed", 6: "duplex", 7: "master-slave", 9: "lanes"},
    ),
    EthtoolSet(
        name="linkinfo",
        title="port setting",
        get=2,
        set=3,
        settable=frozenset({2, 3, 5}),
        state=frozenset({4, 6}),
        words={2: "port", 3: "phyad", 5: "mdix"},
    ),
    EthtoolSet(
        name="pause",
        title="pause parameter",
        get=21,
        set=22,
        settable=frozenset({2, 3, 4}),
        state=frozenset({5, 6}),
        words={2: "autoneg", 3: "rx", 4: "tx"},
    ),
    EthtoolSet(
        name="eee",
        title="EEE parameter",
        get=23,
        set=24,
        settable=frozenset({2, 5, 6, 7}),
        state=frozenset({3, 4}),
        bitsets={2: 9},
        words={5: "enabled", 6: "tx-lpi", 7: "tx-timer"},
    ),
    EthtoolSet(
        name="fec",
        title="FEC mode",
        get=29,
        set=30,
        settable=frozenset({2, 3}),
        state=frozenset({4, 5}),
        bitsets={2: 9},
        words={3: "auto"},
    ),
    EthtoolSet(
        name="wol",
        title="wake-on-LAN mode",
        get=9,
        set=10,
        settable=frozenset({2, 3}),
        bitsets={2: 11},
        words={3: "password"},
    ),
    EthtoolSet(name="debug", title="message level", get=7, set=8, settable=frozenset({2}), bitsets={2: 10}),
    EthtoolSet(
        name="module",
        title="power mode of the module",
        get=34,
        set=35,
        settable=frozenset({2}),
        state=frozenset({3}),
        words={2: "policy"},
    ),
    EthtoolSet(
        name="plca",
        title="PLCA parameter",
        get=39,
        set=40,
        settable=frozenset({3, 5, 6, 7, 8, 9}),
        state=frozenset({2, 4}),
    ),
    EthtoolSet(
        name="mm",
        title="MAC merge parameter",
        get=42,
        set=43,
        settable=frozenset({2, 3, 5, 7, 9}),
        state=frozenset({4, 6, 8, 10, 11}),
    ),
    EthtoolSet(
        name="tsconfig",
        title="hardware time stamping",
        get=46,
        set=47,
        settable=frozenset({3, 4, 5}),
        state=frozenset({2}),
        bitsets={3: 17, 4: 18, 5: 22},
    ),
)
"""Each set of settings beside features, in the order in which they are put back: what resizes queues comes first."""

ETHTOOL: tuple[Facet, ...] = (FEATURES, *map(_facet, _COMMANDS))
