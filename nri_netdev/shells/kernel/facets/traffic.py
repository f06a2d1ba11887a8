"""Traffic control: qdiscs, their classes and filters. A move destroys all of it, so nothing of a pod is left in it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack

from nri_netdev.domain.snapshot import Messages
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import bpf
from nri_netdev.shells.kernel.attributes import attributes, change, pack_all, to_int, to_text, u32
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Key, Recorded, Refusals, Site
from nri_netdev.shells.kernel.facets.objects import Address, put_objects
from nri_netdev.shells.kernel.messages import (
    NLM_F_CREATE,
    NLM_F_REPLACE,
    RTM_GETTCLASS,
    RTM_GETTFILTER,
    RTM_NEWQDISC,
    RTM_NEWTCLASS,
    RTM_NEWTFILTER,
    TCMSG,
)

_TC_H_ROOT = 0xFFFFFFFF
_SHARED_BLOCK = -1  # TCM_IFINDEX_MAGIC_BLOCK: a filter of several interfaces, whose parent is the number of the block
_CLSACT_PARENTS = (0xFFFFFFF2, 0xFFFFFFF3)
_TCA_KIND, _TCA_OPTIONS, _TCA_CHAIN = 1, 2, 11
_KEPT = {_TCA_KIND, _TCA_OPTIONS, 5, _TCA_CHAIN, 13, 14}  # kind, options, rate, chain, ingress and egress block
_CLASSFUL = frozenset({"htb", "hfsc", "drr", "qfq", "cbq"})
"""Kinds of qdisc whose classes somebody adds; those of others the kernel makes."""
_WITHOUT_FILTERS = frozenset({"noqueue", "pfifo_fast", "pfifo", "bfifo", "mq", "fq", "codel"})
"""Kinds of qdisc that have no filters; an interface with no other kind needs no search for filters."""
_TCA_BPF_FD, _TCA_BPF_TAG, _TCA_BPF_ID = 6, 10, 11
_FLAGS = {"u32": 11, "flower": 22, "matchall": 3, "bpf": 9}
"""The attribute of a filter's flags, by kind."""
_TCA_HTB_INIT = 2
_SFQ = struct.Struct("=IiIII")  # struct tc_sfq_qopt: quantum, perturb_period, limit, divisor, flows
_STATE_FLAGS = 0x4 | 0x8  # TCA_CLS_FLAGS_IN_HW, TCA_CLS_FLAGS_NOT_IN_HW


def _kind(payload: bytes) -> str:
    return to_text(attributes(payload, TCMSG.size).get(_TCA_KIND)) or ""


def _cleaned(payload: bytes) -> bytes:
    """What is to be restored: without ifindex, counters and what the kernel computes."""
    family, _, handle, parent, _ = TCMSG.unpack_from(payload)
    kept = change(payload, TCMSG.size, lambda number, value: value if number in _KEPT else None)
    return TCMSG.pack(family, 0, handle, parent, 0) + kept[TCMSG.size :]


def _addressed(site: Site, payload: bytes) -> bytes:
    family, _, handle, parent, info = TCMSG.unpack_from(payload)
    return TCMSG.pack(family, site.ifindex, handle, parent, info) + payload[TCMSG.size :]


# -- qdiscs ------------------------------------------------------------------------------------------------------------


def _read_qdiscs(site: Site) -> Messages:
    return tuple(payload for payload in site.qdiscs if TCMSG.unpack_from(payload)[2])  # the kernel's have no handle


def _qdisc_items(recorded: Recorded) -> Items:
    """Qdiscs, parents first."""
    cleaned = map(_of_default_limit, map(_without_count, map(_cleaned, recorded.messages)))
    ordered = sorted(cleaned, key=lambda payload: TCMSG.unpack_from(payload)[3] != _TC_H_ROOT)
    return dict.fromkeys(ordered, b"")


def _without_count(payload: bytes) -> bytes:
    """A qdisc without the packets that HTB has counted among its options."""
    return _with_htb_init(payload, lambda init: init[:-4] + bytes(4))


def _of_default_limit(payload: bytes) -> bytes:
    """An SFQ without its limit, if that is the kernel's own: a limit that is set cuts the flows to as many."""
    if _kind(payload) != "sfq":
        return payload

    def of_qdisc(number: int, value: bytes) -> bytes:
        if number != _TCA_OPTIONS or len(value) < _SFQ.size:
            return value
        quantum, perturb, limit, divisor, flows = _SFQ.unpack_from(value)
        return _SFQ.pack(quantum, perturb, 0 if flows > limit else limit, divisor, flows) + value[_SFQ.size :]

    return change(payload, TCMSG.size, of_qdisc)


def _with_htb_init(payload: bytes, patch: Callable[[bytes], bytes]) -> bytes:
    """A qdisc with another `struct tc_htb_glob`, if it is HTB."""
    if _kind(payload) != "htb":
        return payload

    def of_options(number: int, value: bytes) -> bytes:
        return patch(value) if number == _TCA_HTB_INIT else value

    def of_qdisc(number: int, value: bytes) -> bytes:
        return change(value, 0, of_options) if number == _TCA_OPTIONS else value

    return change(payload, TCMSG.size, of_qdisc)


def _major(handle: int) -> str:
    return f"{handle >> 16:x}:"


def _handle(handle: int) -> str:
    return f"{handle >> 16:x}:{handle & 0xFFFF:x}"


def _qdisc_text(_: Site, key: Key) -> str:
    payload = key
    return f"qdisc {_kind(payload)} {_major(TCMSG.unpack_from(payload)[2])}"


# -- classes -----------------------------------------------------------------------------------------------------------


def _read_classes(site: Site) -> Messages:
    if not any(_kind(qdisc) in _CLASSFUL for qdisc in site.qdiscs):
        return ()
    found = site.rtnl.dump("list classes", RTM_GETTCLASS, TCMSG.pack(0, site.ifindex, 0, 0, 0))
    return tuple(payload for payload in found if _kind(payload) in _CLASSFUL and TCMSG.unpack_from(payload)[2] & 0xFFFF)


def _class(payload: bytes) -> bytes:
    """What identifies a class; the rest is not, bit for bit, what the kernel was told."""
    _, _, handle, parent, _ = TCMSG.unpack_from(payload)
    return struct.pack("=II", handle, parent) + _kind(payload).encode()


def _class_items(recorded: Recorded) -> Items:
    return dict.fromkeys(map(_class, recorded.messages), b"")


def _class_text(_: Site, key: Key) -> str:
    identity = key if isinstance(key, bytes) else bytes(8)
    return f"class {identity[8:].decode()} {_handle(struct.unpack_from('=I', identity)[0])}"


def _put_classes(site: Site, was: Recorded, difference: Change) -> Refusals:
    by_identity = {_class(payload): _cleaned(payload) for payload in was.messages}
    return _put_identified(site, by_identity, difference, (RTM_NEWTCLASS, _addressed))


def _put_identified(
    site: Site, by_identity: Mapping[bytes, bytes], difference: Change, request: tuple[int, Address]
) -> Refusals:
    """Add objects that are identified by less than their payload."""
    kind, address = request
    wanted = {by_identity[key]: key for key in difference.missing if isinstance(key, bytes)}
    refusals = put_objects(site, [*wanted], (kind, NLM_F_CREATE), address)
    return {wanted[payload]: why for payload, why in refusals.items() if isinstance(payload, bytes)}


# -- filters -----------------------------------------------------------------------------------------------------------


def _read_filters(site: Site) -> Messages:
    qdiscs = site.qdiscs
    if all(_kind(qdisc) in _WITHOUT_FILTERS for qdisc in qdiscs):
        return ()
    found: dict[bytes, None] = {}
    for parent in _parents(site, qdiscs):
        request = TCMSG.pack(0, site.ifindex, 0, parent, 0)
        for payload in site.rtnl.dump("list filters", RTM_GETTFILTER, request):
            _, ifindex, handle, _, _ = TCMSG.unpack_from(payload)
            if ifindex in {site.ifindex, _SHARED_BLOCK} and handle and _TCA_OPTIONS in attributes(payload, TCMSG.size):
                found[payload] = None
    return tuple(found)


def _parents(site: Site, qdiscs: Iterable[bytes]) -> Iterator[int]:
    """Where filters may hang: qdiscs, both sides of clsact, classes."""
    for qdisc in qdiscs:
        handle = TCMSG.unpack_from(qdisc)[2]
        kind = _kind(qdisc)
        if kind == "clsact":
            yield from _CLSACT_PARENTS
        elif kind not in _WITHOUT_FILTERS:
            yield handle
        if kind in _CLASSFUL:
            every = site.rtnl.dump("list classes", RTM_GETTCLASS, TCMSG.pack(0, site.ifindex, 0, handle, 0))
            yield from (TCMSG.unpack_from(payload)[2] for payload in every)


def _identity(payload: bytes) -> bytes:
    """What identifies a filter: the rest has counters, times and numbers of actions in it."""
    _, _, handle, parent, info = TCMSG.unpack_from(payload)
    attrs = attributes(payload, TCMSG.size)
    return struct.pack("=III", parent, info, handle) + attrs.get(_TCA_CHAIN, bytes(4)) + attrs.get(_TCA_KIND, b"")


def _filter_items(recorded: Recorded) -> Items:
    return dict.fromkeys(map(_identity, recorded.messages), b"")


def _put_filters(site: Site, was: Recorded, difference: Change) -> Refusals:
    by_identity = {_identity(payload): payload for payload in was.messages}
    with ExitStack() as stack:
        opened = {
            key: _with_program(payload, stack) for key, payload in by_identity.items() if key in difference.missing
        }
        return _put_identified(site, opened, difference, (RTM_NEWTFILTER, _filter_request))


def _with_program(payload: bytes, stack: ExitStack) -> bytes:
    """A BPF filter with its program by an fd, which a request needs, instead of by its id; others as they are."""
    if _kind(payload) != "bpf":
        return payload
    options = attributes(attributes(payload, TCMSG.size)[_TCA_OPTIONS])
    try:
        fd = stack.enter_context(bpf.program(to_int(options.get(_TCA_BPF_ID)) or 0))
    except KernelError:  # it is loaded no more; the kernel says what it lacks
        return payload
    kept = {number: value for number, value in options.items() if number not in {_TCA_BPF_TAG, _TCA_BPF_ID}}
    whole = pack_all({**kept, _TCA_BPF_FD: u32(fd)})
    return change(payload, TCMSG.size, lambda number, value: whole if number == _TCA_OPTIONS else value)


def _filter_request(site: Site, payload: bytes) -> bytes:
    family, ifindex, handle, parent, info = TCMSG.unpack_from(payload)
    ifindex = _SHARED_BLOCK if ifindex == _SHARED_BLOCK else site.ifindex
    flags = _FLAGS.get(_kind(payload))

    def clean(number: int, value: bytes) -> bytes | None:
        if number == _TCA_OPTIONS:
            return change(value, 0, lambda of, part: _without_state(part) if of == flags else part)
        return value if number in _KEPT else None

    kept = change(payload, TCMSG.size, clean)
    return TCMSG.pack(family, ifindex, handle, parent, info) + kept[TCMSG.size :]


def _without_state(flags: bytes) -> bytes:
    """A filter's flags without those that say whether hardware has it."""
    return u32(struct.unpack("=I", flags)[0] & ~_STATE_FLAGS) if len(flags) == 4 else flags


def _filter_text(_: Site, key: Key) -> str:
    identity = key if isinstance(key, bytes) else bytes(16)
    parent, info, handle = struct.unpack_from("=III", identity)
    return f"filter {to_text(identity[16:])} {handle:#x} of {_handle(parent)}, priority {info >> 16}"


# -- all ---------------------------------------------------------------------------------------------------------------


def _put_qdiscs(site: Site, _: Recorded, difference: Change) -> Refusals:
    return put_objects(site, difference.missing, (RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE), _qdisc_request)


def _qdisc_request(site: Site, payload: bytes) -> bytes:
    return _with_htb_init(_addressed(site, payload), _major_version)


def _major_version(init: bytes) -> bytes:
    """HTB tells its whole version, and takes the major one only."""
    (version,) = struct.unpack_from("=I", init)
    return u32(version >> 16 or version) + init[4:]


TRAFFIC: tuple[Facet, ...] = (
    Facet(
        name="qdiscs",
        title="qdiscs that somebody set",
        read=_read_qdiscs,
        items=_qdisc_items,
        what=_qdisc_text,
        put=_put_qdiscs,
        is_list=True,
        is_flushed=True,
        advice="add it with `tc`, then `nri-netdev release` forgets the claim",
    ),
    Facet(
        name="classes",
        title="classes of qdiscs",
        read=_read_classes,
        items=_class_items,
        what=_class_text,
        put=_put_classes,
        is_list=True,
        is_flushed=True,
        advice="add it with `tc`, then `nri-netdev release` forgets the claim",
    ),
    Facet(
        name="filters",
        title="filters of qdiscs and classes, with their actions and programs",
        read=_read_filters,
        items=_filter_items,
        what=_filter_text,
        put=_put_filters,
        is_list=True,
        is_flushed=True,
        advice="add it with `tc`, then `nri-netdev release` forgets the claim",
    ),
)
