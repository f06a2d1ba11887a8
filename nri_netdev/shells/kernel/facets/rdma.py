"""RDMA devices that software makes upon the interface: a move destroys them, so they are made again at home.

Those of hardware are devices of their own, which a move leaves as they are.
"""

from __future__ import annotations

import contextlib

from nri_netdev.domain.snapshot import Messages
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.facets.facet import Change, Facet, Items, Key, Recorded, Refusals, Site
from nri_netdev.shells.kernel.libc import translated
from nri_netdev.shells.kernel.netlink import RouteSocket
from nri_netdev.shells.kernel.rdma import NETLINK_RDMA, add_link, rdma_devices


def _read(site: Site) -> Messages:
    """Name and type of each, separated by a space."""
    found = rdma_devices().get(site.ifindex, ())
    return tuple(f"{device.name} {device.link_type}".encode() for device in found if device.link_type)


def _items(was: Recorded) -> Items:
    return {name.decode(): link_type for name, _, link_type in (each.partition(b" ") for each in was.messages)}


def _put(site: Site, _: Recorded, change: Change) -> Refusals:
    refusals: Refusals = {}
    for name in change.missing:
        link_type, ifname = change.was[name].decode(), site.link.ifname
        try:
            with (
                translated(f"make RDMA device {name} of type {link_type} on {ifname}"),
                contextlib.closing(RouteSocket(NETLINK_RDMA)) as opened,
            ):
                add_link(opened, name, link_type, ifname)
        except KernelError as error:
            refusals[name] = error
    return refusals


def _what(_: Site, key: Key) -> str:
    return f"RDMA device {key}"


RDMA = Facet(
    name="rdma",
    title="RDMA devices of software: rxe, siw",
    read=_read,
    items=_items,
    what=_what,
    put=_put,
    is_list=True,
    is_flushed=True,
    advice="make it again (`rdma link add`), then `nri-netdev release` forgets the claim",
)
