"""What is attached to interfaces: programs, qdiscs, RDMA devices, virtual functions. For people to be told of."""

from __future__ import annotations

import errno
import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from nri_netdev.domain.effects import Attached, AttachedOf
from nri_netdev.domain.links import Link
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import attributes, to_text
from nri_netdev.shells.kernel.bpf import has_tcx
from nri_netdev.shells.kernel.messages import (
    IFLA_XDP,
    RTM_GETLINK,
    RTM_GETQDISC,
    SKIP_STATS,
    TCMSG,
    link_attributes,
    pack_link,
    parse_link,
)
from nri_netdev.shells.kernel.rdma import rdma_devices
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.sysfs import virtual_functions

_SYSFS = Path("/sys")
_IFLA_XDP_ATTACHED = 2
_TCA_KIND = 1


def attached(rtnl: Rtnl, ifindex: int = 0, sysfs: Path = _SYSFS) -> Mapping[int, Attached]:
    """What is attached to one interface, or (0) to each, by ifindex.

    Args:
        rtnl: a socket of the netns that the calling thread is in.
        ifindex: the interface.
        sysfs: where sysfs is mounted.

    Raises:
        KernelError: The kernel refuses, or there is no such interface.
    """
    whole = [rtnl.raw_link(ifindex)] if ifindex else rtnl.dump("list interfaces", RTM_GETLINK, pack_link(0, SKIP_STATS))
    qdiscs, rdma = _qdiscs(rtnl), rdma_devices(sysfs / "class")
    found: dict[int, Attached] = {}
    for payload in whole:
        link = parse_link(payload)
        found[link.ifindex] = Attached(
            rdma=rdma.get(link.ifindex, ()),
            programs=tuple(_programs(link.ifindex, link_attributes(payload))),
            qdiscs=tuple(qdiscs.get(link.ifindex, ())),
            virtual_functions=virtual_functions(link, sysfs),
        )
    return found


def attached_to(rtnl: Rtnl, link: Link) -> Attached:
    """What is attached to one interface; nothing if it has gone.

    Args:
        rtnl: a socket of the netns that the calling thread is in.
        link: the interface.

    Raises:
        KernelError: The kernel refuses.
    """
    try:
        return attached(rtnl, link.ifindex)[link.ifindex]
    except KernelError as error:
        if error.errno == errno.ENODEV:
            return Attached()
        raise


def attached_reader() -> AttachedOf:
    """A reader of what is attached to interfaces of the calling thread's netns; reads all of it when first called."""

    @functools.cache
    def everything() -> Mapping[int, Attached]:
        with Rtnl() as rtnl:
            return attached(rtnl)

    return lambda link: everything().get(link.ifindex, Attached())


def _programs(ifindex: int, attrs: Mapping[int, bytes]) -> Iterator[str]:
    if any(attributes(attrs.get(IFLA_XDP, b"")).get(_IFLA_XDP_ATTACHED, b"")):
        yield "XDP"
    if has_tcx(ifindex):
        yield "tcx"


def _qdiscs(rtnl: Rtnl) -> Mapping[int, list[str]]:
    """Kinds of the qdiscs that somebody set, by ifindex; those that the kernel made have no handle."""
    found: dict[int, list[str]] = defaultdict(list)
    for payload in rtnl.dump("list qdiscs", RTM_GETQDISC, TCMSG.pack(0, 0, 0, 0, 0)):
        _, ifindex, handle, _, _ = TCMSG.unpack_from(payload)
        if handle:
            found[ifindex].append(to_text(attributes(payload, TCMSG.size).get(_TCA_KIND)) or "")
    return found
