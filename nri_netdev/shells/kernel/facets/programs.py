"""Programs attached to an interface: XDP in every mode, tcx and netkit. They stay attached in a move.

A program of the pod would filter the traffic of the host and of the next pod, so it is taken off before anything else.
One of the host that the pod has taken off is attached again if it is still loaded.
"""

from __future__ import annotations

import struct

from nri_netdev.domain.snapshot import Messages
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import bpf
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, pack, to_int, u32
from nri_netdev.shells.kernel.changes import set_link
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Key, Recorded, Refusals, Site
from nri_netdev.shells.kernel.facets.objects import one_by_one
from nri_netdev.shells.kernel.messages import IFLA_XDP, link_attributes

_XDP_FD, _XDP_FLAGS = 1, 3
_XDP_MODES = {5: (4, "driver"), 6: (2, "generic"), 7: (8, "offloaded")}
"""`IFLA_XDP_*_PROG_ID`: the flag that selects the mode, and its name."""
_ENTRY = struct.Struct("=IIII")  # hook, program, link, position


def _read(site: Site) -> Messages:
    xdp = attributes(link_attributes(site.raw).get(IFLA_XDP, b""))
    found = [_ENTRY.pack(0, to_int(xdp[number]) or 0, 0, number) for number in _XDP_MODES if any(xdp.get(number, b""))]
    for hook in bpf.HOOKS:
        try:
            programs = bpf.attached(site.ifindex, hook)
        except KernelError:  # a kernel or machine without it, or another kind of device
            continue
        found += [_ENTRY.pack(hook, *entry, 0) for entry in programs]
    return tuple(found)


def _items(recorded: Recorded) -> Items:
    return {_ENTRY.unpack(entry): b"" for entry in recorded.messages}


def _what(_: Site, key: Key) -> str:
    hook, program, _link, mode = key
    where = bpf.HOOKS[hook] if hook else f"XDP ({_XDP_MODES[mode][1]})"
    return f"{where} program {program}"


def _put(site: Site, _: Recorded, change: Change) -> Refusals:
    off = one_by_one(site, change.extra, lambda site, key: _take_off(site, *key))
    return off | one_by_one(site, change.missing, lambda site, key: _put_on(site, *key))


def _take_off(site: Site, hook: int, program: int, link: int, mode: int) -> None:
    if link:
        bpf.detach_link(link)
    elif hook:
        bpf.detach(site.ifindex, hook, program)
    else:
        try:
            _set_xdp(site, f"detach XDP program {program} from interface {site.ifindex}", -1, mode)
        except KernelError:
            links = bpf.xdp_links(program)  # what a link attached is detached by it alone
            for number in links:
                bpf.detach_link(number)
            if not links:
                raise


def _put_on(site: Site, hook: int, program: int, _link: int, mode: int) -> None:
    if hook:
        bpf.attach(site.ifindex, hook, program)
        return
    with bpf.program(program) as fd:
        _set_xdp(site, f"attach XDP program {program} to interface {site.ifindex}", fd, mode)


def _set_xdp(site: Site, action: str, fd: int, mode: int) -> None:
    flags, _ = _XDP_MODES[mode]
    attrs = pack(_XDP_FD, struct.pack("=i", fd)) + pack(_XDP_FLAGS, u32(flags))
    set_link(site.rtnl, action, site.ifindex, {IFLA_XDP | NLA_F_NESTED: attrs})


PROGRAMS = Facet(
    name="programs",
    title="BPF programs: XDP, tcx, netkit",
    read=_read,
    items=_items,
    what=_what,
    put=_put,
    withholds=True,
    is_list=True,
    advice="attach what is missing again, take off what was not there (`bpftool net`)",
)
