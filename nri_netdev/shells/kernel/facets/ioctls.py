"""What ioctls set: n-tuple rules, hashed fields, the indirection table and its key, time stamping, tunables.

Netlink has no n-tuple rules, sets the hash only from Linux 6.17 on, and has time stamping from Linux 6.14 on.
Structures are those of `linux/ethtool.h` and `linux/net_tstamp.h`.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable, Iterator

from nri_netdev.domain.snapshot import Messages
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Key, Recorded, Refusals, Site, if_supported
from nri_netdev.shells.kernel.facets.objects import at_once, one_by_one

_SIOCETHTOOL, _SIOCSHWTSTAMP, _SIOCGHWTSTAMP = 0x8946, 0x89B0, 0x89B1
_RXNFC_BYTES = 192
_LOCATION = 176  # fs.location in struct ethtool_rxnfc
_RULE_COUNT, _RULE_LOCATIONS = 184, 188
_GRXCLSRLCNT, _GRXCLSRULE, _GRXCLSRLALL, _SRXCLSRLDEL, _SRXCLSRLINS = 0x2E, 0x2F, 0x30, 0x31, 0x32
_GRXFH, _SRXFH = 0x29, 0x2A
_GRSSH, _SRSSH = 0x46, 0x47
_RSS_BYTES = 24  # struct ethtool_rxfh without what follows
_FLOW_TYPES = {
    1: "tcp4",
    2: "udp4",
    3: "sctp4",
    4: "ah4",
    5: "tcp6",
    6: "udp6",
    7: "sctp6",
    8: "ah6",
    9: "esp4",
    10: "esp6",
}
_MAX_RULES = 1 << 16

# -- the ioctl ---------------------------------------------------------------------------------------------------------


def _ioctl(site: Site, action: str, request: bytes, number: int = _SIOCETHTOOL) -> bytes:
    """One request; what the kernel made of it.

    Raises:
        KernelError: The kernel refuses.
    """
    buffer = ctypes.create_string_buffer(request, len(request))
    site.ioctl(f"{action} of interface {site.ifindex}", number, struct.pack("P", ctypes.addressof(buffer)))
    return buffer.raw


def _rxnfc(command: int, *, flow_type: int = 0, room: int = 0, rules: int = 0) -> bytes:
    head = struct.pack("=IIQ", command, flow_type, 0)
    return head + bytes(_RULE_COUNT - len(head)) + struct.pack("=I", rules) + bytes(room + 4)


# -- n-tuple rules -----------------------------------------------------------------------------------------------------


def _read_rules(site: Site) -> Messages:
    counted = if_supported(_ioctl, site, "count the n-tuple rules", _rxnfc(_GRXCLSRLCNT))
    count = 0 if counted is None else min(struct.unpack_from("=I", counted, _RULE_COUNT)[0], _MAX_RULES)
    if not count:
        return ()
    listed = _ioctl(site, "list the n-tuple rules", _rxnfc(_GRXCLSRLALL, room=4 * count, rules=count))
    return tuple(_rule(site, n) for n in struct.unpack_from(f"={count}I", listed, _RULE_LOCATIONS))


def _rule(site: Site, location: int) -> bytes:
    return _ioctl(site, f"read n-tuple rule {location}", _of_rule(_GRXCLSRULE, location))


def _of_rule(command: int, location: int) -> bytes:
    request = bytearray(_rxnfc(command))
    struct.pack_into("=I", request, _LOCATION, location)
    return bytes(request)


def _rule_items(recorded: Recorded) -> Items:
    return {struct.unpack_from("=I", rule, _LOCATION)[0]: rule[16 : _LOCATION + 4] for rule in recorded.messages}


def _put_rules(site: Site, was: Recorded, change: Change) -> Refusals:
    by_location = {struct.unpack_from("=I", rule, _LOCATION)[0]: rule for rule in was.messages}

    def take_off(site: Site, key: Key) -> None:
        _ioctl(site, f"change n-tuple rule {key}", _of_rule(_SRXCLSRLDEL, key))

    def add(site: Site, key: Key) -> None:
        _ioctl(site, f"change n-tuple rule {key}", struct.pack("=I", _SRXCLSRLINS) + by_location[key][4:])

    off = one_by_one(site, (*change.extra, *change.differing), take_off)
    return off | one_by_one(site, (*change.missing, *change.differing), add)


RULES = Facet(
    name="ntuple",
    title="n-tuple rules (`ethtool -N`)",
    read=_read_rules,
    items=_rule_items,
    what=lambda _site, key: f"n-tuple rule {key}",
    put=_put_rules,
    withholds=True,
    is_list=True,
    advice="set it with ethtool -N, then `nri-netdev release` forgets the claim",
)

# -- hashing -----------------------------------------------------------------------------------------------------------


def _read_fields(site: Site) -> Messages:
    return tuple(_each(site, "read hashed fields", (_rxnfc(_GRXFH, flow_type=flow) for flow in _FLOW_TYPES)))


def _each(site: Site, action: str, requests: Iterator[bytes]) -> Iterator[bytes]:
    """The replies to several requests; none if the first is not supported."""
    for request in requests:
        reply = if_supported(_ioctl, site, action, request)
        if reply is None:
            return
        yield reply[:16]


def _field_items(recorded: Recorded) -> Items:
    return {struct.unpack_from("=I", message, 4)[0]: message[8:16] for message in recorded.messages}


def _read_hash(site: Site) -> Messages:
    sizes = if_supported(
        _ioctl, site, "read the size of the RSS table", struct.pack("=I", _GRSSH) + bytes(_RSS_BYTES - 4)
    )
    if sizes is None:
        return ()
    table, key = struct.unpack_from("=II", sizes, 8)
    if not table and not key:
        return ()
    request = struct.pack("=IIII", _GRSSH, 0, table, key) + bytes(_RSS_BYTES - 16 + 4 * table + key)
    reply = if_supported(_ioctl, site, "read the RSS table", request)
    return () if reply is None else (reply,)


def _hash_items(recorded: Recorded) -> Items:
    if not recorded.messages:
        return {}
    [message] = recorded.messages
    (table,) = struct.unpack_from("=I", message, 8)
    end = _RSS_BYTES + 4 * table
    return {"function": message[16:18], "table": message[_RSS_BYTES:end], "key": message[end:]}


def _set(command: int) -> Callable[[Site, Recorded, Change], Refusals]:
    def put(site: Site, was: Recorded, change: Change) -> Refusals:
        def set_all(site: Site) -> None:
            for message in was.messages:
                _ioctl(site, "set receive hashing", struct.pack("=I", command) + message[4:])

        return at_once(site, change.every, set_all)

    return put


FIELDS = Facet(
    name="hashed_fields",
    title="fields that receive hashing uses, by flow type (`ethtool -N … rx-flow-hash`)",
    read=_read_fields,
    items=_field_items,
    what=lambda _site, key: f"hashed fields of {_FLOW_TYPES.get(key, key)}",
    put=lambda site, was, change: _set(_SRXFH)(site, _padded(was), change),
    advice="set it with ethtool -N, then `nri-netdev release` forgets the claim",
)


def _padded(recorded: Recorded) -> Recorded:
    messages = tuple(message + bytes(_RXNFC_BYTES - len(message)) for message in recorded.messages)
    return Recorded(messages=messages, ifindex=recorded.ifindex)


RSS = Facet(
    name="rss",
    title="receive hashing: function, indirection table, key (`ethtool -X`)",
    read=_read_hash,
    items=_hash_items,
    what=lambda _site, key: f"RSS {key}",
    put=_set(_SRSSH),
    advice="set it with ethtool -X, then `nri-netdev release` forgets the claim",
)

# -- time stamping -----------------------------------------------------------------------------------------------------

_STAMPING = struct.Struct("=III")  # struct hwtstamp_config: flags, tx_type, rx_filter


def _read_stamping(site: Site) -> Messages | None:
    if site.is_on_another:
        return None
    reply = if_supported(_ioctl, site, "read the time stamping", bytes(_STAMPING.size), _SIOCGHWTSTAMP)
    return () if reply is None else (reply,)


def _put_stamping(site: Site, was: Recorded, change: Change) -> Refusals:
    def set_all(site: Site) -> None:
        for message in was.messages:
            _ioctl(site, "set the time stamping", message, _SIOCSHWTSTAMP)

    return at_once(site, change.every, set_all)


STAMPING = Facet(
    name="stamping",
    title="hardware time stamping, before Linux 6.14 (`hwstamp_ctl`)",
    read=_read_stamping,
    items=lambda recorded: dict.fromkeys(recorded.messages and ["setting"], b"".join(recorded.messages)),
    what=lambda _site, _key: "hardware time stamping",
    show=lambda _site, _key, value: "flags {}, tx_type {}, rx_filter {}".format(*_STAMPING.unpack(value)),
    put=_put_stamping,
    advice="set it with hwstamp_ctl, then `nri-netdev release` forgets the claim",
)

# -- tunables ----------------------------------------------------------------------------------------------------------

_GTUNABLE, _STUNABLE = 0x48, 0x49
_TUNABLE = struct.Struct("=IIII")  # struct ethtool_tunable: cmd, id, type_id, len; the value follows
_TUNABLES = {
    1: ("rx-copybreak", 3, 4),
    2: ("tx-copybreak", 3, 4),
    3: ("pfc-prevention-tout", 2, 2),
    4: ("tx-buf-size", 3, 4),
}
"""`ETHTOOL_*` tunables: name, type (`enum tunable_type_id`), bytes."""


def _read_tunables(site: Site) -> Messages:
    requests = (
        _TUNABLE.pack(_GTUNABLE, number, kind, size) + bytes(size) for number, (_, kind, size) in _TUNABLES.items()
    )
    replies = (if_supported(_ioctl, site, "read a tunable", request) for request in requests)
    return tuple(reply for reply in replies if reply is not None)


def _tunable_items(recorded: Recorded) -> Items:
    return {_TUNABLE.unpack_from(message)[1]: message[_TUNABLE.size :] for message in recorded.messages}


def _put_tunables(site: Site, was: Recorded, change: Change) -> Refusals:
    by_number = {_TUNABLE.unpack_from(message)[1]: message for message in was.messages}

    def set_one(site: Site, key: Key) -> None:
        _ioctl(site, f"set tunable {_TUNABLES[key][0]}", struct.pack("=I", _STUNABLE) + by_number[key][4:])

    return one_by_one(site, change.differing, set_one)


TUNABLES = Facet(
    name="tunables",
    title="tunables (`ethtool --set-tunable`)",
    read=_read_tunables,
    items=_tunable_items,
    what=lambda _site, key: f"tunable {_TUNABLES[key][0]}",
    show=lambda _site, _key, value: str(int.from_bytes(value, sys.byteorder)),
    put=_put_tunables,
    advice="set it with ethtool --set-tunable, then `nri-netdev release` forgets the claim",
)

IOCTLS: tuple[Facet, ...] = (RSS, FIELDS, RULES, STAMPING, TUNABLES)
