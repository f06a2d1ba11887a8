"""Routing rules of the pod's netns. They do not leave with the interface, so they are removed before it does."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence

from nri_netdev.domain.setup.values import RuleSetup
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import attributes, from_text, pack_all, to_int, u32
from nri_netdev.shells.kernel.messages import (
    AF_INET,
    AF_INET6,
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_DELRULE,
    RTM_GETRULE,
    RTM_NEWRULE,
    pack_rule,
)
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup.target import Target

_RULE = struct.Struct("=BBBBBxxBI")
"""`struct fib_rule_hdr`: family, dst_len, src_len, tos, table, action, flags."""
_FR_ACT_TO_TBL, _FIB_RULE_INVERT = 1, 0x2
_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_FWMARK = 1, 2, 3, 6, 10
_FRA_SUPPRESS_PREFIXLEN, _FRA_TABLE, _FRA_FWMASK, _FRA_OIFNAME, _FRA_PAD, _FRA_PROTOCOL = 14, 15, 16, 17, 18, 21
_RTPROT_STATIC = 4
_MAX_SHORT_TABLE = 255
_EVERY_BIT = 0xFFFFFFFF
_NOT_COMPARED = {_FRA_PRIORITY, _FRA_TABLE, _FRA_PROTOCOL, _FRA_PAD}


def set_rules(target: Target) -> None:
    """Add its rules that are not there yet. The kernel takes a rule without a priority as often as it is given.

    Raises:
        KernelError: The kernel refuses one.
    """
    for rule in target.setup.rules:
        if _found(target.rtnl, rule):
            continue
        action = f"add rule {_text(rule)} for {target.ifname}"
        try:
            target.rtnl.change(action, RTM_NEWRULE, _pack(rule), NLM_F_CREATE | NLM_F_EXCL)
        except KernelError as error:
            if error.errno == errno.EAFNOSUPPORT:
                error.reason = "this kernel has no routing rules for its family"
            raise


def remove_rules(rtnl: Rtnl, rules: Sequence[RuleSetup], kept: Sequence[RuleSetup] = ()) -> None:
    """Remove rules, if they are there just as asked for and as `set_rules` marks them (`proto static`).

    Args:
        rtnl: a socket of the netns.
        rules: the rules.
        kept: what others ask for: what is that too stays, and goes with the last of them.

    Raises:
        KernelError: They cannot be read, or the kernel refuses.
    """
    for rule in rules:
        for payload in _found(rtnl, rule):
            if attributes(payload, _RULE.size).get(_FRA_PROTOCOL) != bytes([_RTPROT_STATIC]):
                continue
            if any(_is(payload, one) for one in kept):
                continue
            try:
                rtnl.change(f"remove rule {_text(rule)}", RTM_DELRULE, payload)
            except KernelError as error:
                if error.errno != errno.ENOENT:  # it has gone meanwhile
                    raise


def _text(rule: RuleSetup) -> str:
    """A rule in the annotation's words: `from 192.0.2.0/24 table 100`."""
    mark = None if rule.fwmark is None else f"{rule.fwmark:#x}"
    named = (("from", rule.source), ("to", rule.to), ("iif", rule.iif), ("oif", rule.oif), ("fwmark", mark))
    parts = [f"{word} {value}" for word, value in named if value is not None]
    return " ".join([*parts, f"table {rule.table}", *([f"priority {rule.priority}"] if rule.priority else [])])


def _family(rule: RuleSetup) -> int:
    return AF_INET6 if rule.is_ipv6 else AF_INET


def _selectors(rule: RuleSetup) -> tuple[tuple[int, int], dict[int, bytes]]:
    """What packets a rule is for: the prefix lengths of destination and source, and attributes (`FRA_*`)."""
    lengths: list[int] = []
    attrs: dict[int, bytes] = {}
    for number, network in ((_FRA_DST, rule.to), (_FRA_SRC, rule.source)):
        address, _, length = (network or "/0").partition("/")
        lengths.append(int(length))
        if int(length):
            attrs[number] = socket.inet_pton(_family(rule), address)
    for number, ifname in ((_FRA_IIFNAME, rule.iif), (_FRA_OIFNAME, rule.oif)):
        if ifname is not None:
            attrs[number] = from_text(ifname)
    if rule.fwmark is not None:
        attrs |= {_FRA_FWMARK: u32(rule.fwmark), _FRA_FWMASK: u32(_EVERY_BIT)}
    return (lengths[0], lengths[1]), attrs


def _pack(rule: RuleSetup) -> bytes:
    """The body of an `RTM_NEWRULE`."""
    (to_length, from_length), attrs = _selectors(rule)
    attrs |= {_FRA_TABLE: u32(rule.table), _FRA_PROTOCOL: bytes([_RTPROT_STATIC])}
    if rule.priority is not None:
        attrs[_FRA_PRIORITY] = u32(rule.priority)
    table = rule.table if rule.table <= _MAX_SHORT_TABLE else 0
    return _RULE.pack(_family(rule), to_length, from_length, 0, table, _FR_ACT_TO_TBL, 0) + pack_all(attrs)


def _found(rtnl: Rtnl, rule: RuleSetup) -> list[bytes]:
    """The rules of the kernel that are the same as one, whoever has added them; of any priority if it has none."""
    try:
        every = rtnl.dump("list rules", RTM_GETRULE, pack_rule(_family(rule)))
    except KernelError as error:
        if error.errno in {errno.EAFNOSUPPORT, errno.EOPNOTSUPP}:  # none of its family: adding it tells
            return []
        raise
    return [payload for payload in every if _is(payload, rule)]


def _is(payload: bytes, rule: RuleSetup) -> bool:
    """Whether a rule of the kernel is the same as one."""
    lengths, wanted = _selectors(rule)
    if wanted.get(_FRA_FWMARK) == u32(0):
        del wanted[_FRA_FWMARK]  # the kernel tells the mask alone
    family, to_length, from_length, tos, table, action, flags = _RULE.unpack_from(payload)
    attrs = attributes(payload, _RULE.size)
    its_own = {number: value for number, value in attrs.items() if number not in _NOT_COMPARED}
    if its_own.get(_FRA_SUPPRESS_PREFIXLEN) == u32(_EVERY_BIT):
        del its_own[_FRA_SUPPRESS_PREFIXLEN]  # it suppresses nothing
    its_priority = to_int(attrs.get(_FRA_PRIORITY)) or 0
    return (
        family == _family(rule)
        and (action, tos, flags & _FIB_RULE_INVERT) == (_FR_ACT_TO_TBL, 0, 0)
        and (to_int(attrs.get(_FRA_TABLE)) or table) == rule.table
        and (to_length, from_length) == lengths
        and rule.priority in {None, its_priority}
        and its_own == wanted
    )
