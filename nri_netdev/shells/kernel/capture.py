"""Snapshots: everything that the kernel tells of an interface, read before the interface is given away.

Most of it is kept as the kernel wrote it (`nri_netdev.shells.kernel.facets`), so that reading ten thousand routes takes
some milliseconds. `nri_netdev.shells.kernel.restore` reads the same again at home and compares.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from nri_netdev.domain.children import children as children_of
from nri_netdev.domain.claim import MARK_PREFIX
from nri_netdev.domain.links import Link
from nri_netdev.domain.snapshot import Child, Master, Messages, Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.log import event
from nri_netdev.shells.kernel.attributes import attributes
from nri_netdev.shells.kernel.facets.facet import Facet, Site
from nri_netdev.shells.kernel.facets.sysfs import upper_names
from nri_netdev.shells.kernel.facets.table import FACETS, OF_CHILD, OPTIONAL
from nri_netdev.shells.kernel.messages import (
    AF_INET,
    AF_INET6,
    IFLA_AF_SPEC,
    IFLA_INFO_SLAVE_DATA,
    IFLA_LINKINFO,
    link_attributes,
)
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.sysctls import Sysctls

_log = logging.getLogger(__name__)
_CONFS = {AF_INET: 1, AF_INET6: 2}
"""`IFLA_INET_CONF` and `IFLA_INET6_CONF`."""
_BOND_SLAVE_PERM_HWADDR = 4


def snapshot(rtnl: Rtnl, ifindex: int, sysctls: Sysctls, preferred: Collection[str] | None = None) -> Snapshot:
    """Read a snapshot of an interface.

    Args:
        rtnl: a socket of the netns that the calling thread is in.
        ifindex: the interface.
        sysctls: reads the sysctls of that netns.
        preferred: addresses that routes name as their source; None if that is not known, then all routes are read.

    Raises:
        KernelError: There is no such interface, or it cannot be read.
    """
    site = Site(rtnl, ifindex, preferred)
    link, attrs = site.link, link_attributes(site.raw)
    return Snapshot(
        link=replace(link, altnames=tuple(name for name in link.altnames if not name.startswith(MARK_PREFIX))),
        taken_s=int(time.clock_gettime(time.CLOCK_BOOTTIME)),
        master=_master(rtnl, link, attrs),
        addresses=site.addresses,
        sysctls=sysctls.differing(link.ifname, conf_of(attrs)),
        facets=_read(site, FACETS),
        ifindex=ifindex,
        children=tuple(_child(rtnl, child) for child in children(rtnl, ifindex)),
    )


def _read(site: Site, facets: Iterable[Facet]) -> Mapping[str, Messages]:
    found = ((facet.name, _read_one(facet, site)) for facet in facets)
    return {name: messages for name, messages in found if messages is not None}


def _read_one(facet: Facet, site: Site) -> Messages | None:
    """One facet; None if it cannot be read here or now, so that it is not compared at home."""
    try:
        return facet.read(site)
    except KernelError as error:
        if facet not in OPTIONAL:
            raise
        event(_log, logging.DEBUG, "facet.unread", facet=facet.name, ifname=site.link.ifname, error=str(error))
        return None


def _child(rtnl: Rtnl, link: Link) -> Child:
    site = Site(rtnl, link.ifindex)
    return Child(link=link, addresses=site.addresses, facets=_read(site, OF_CHILD))


def children(rtnl: Rtnl, ifindex: int) -> list[Link]:
    """The devices of the netns on top of an interface, those below first."""
    found: list[Link] = []
    level = [ifindex]
    while level:
        above = [link for lower in level for link in _directly_on(rtnl, lower) if link not in found]
        found += above
        level = [link.ifindex for link in above]
    return found


def _directly_on(rtnl: Rtnl, ifindex: int) -> list[Link]:
    names = upper_names(Site(rtnl, ifindex))
    if names is None:  # there is no sysfs
        return list(children_of(rtnl.links()).get(ifindex, ()))
    links = filter(None, map(rtnl.link_called, names))
    return [link for link in links if link.link == ifindex and link.link_netnsid is None]


def conf_of(attrs: Mapping[int, bytes]) -> bytes:
    """The sysctls in the `IFLA_*` of a link, for `Sysctls.differing`; empty if those of a family are missing."""
    spec = attributes(attrs.get(IFLA_AF_SPEC, b""))
    confs = [attributes(spec.get(family, b"")).get(number) for family, number in _CONFS.items()]
    return b"" if None in confs else b"".join(filter(None, confs))


def _master(rtnl: Rtnl, link: Link, attrs: Mapping[int, bytes]) -> Master | None:
    if link.master is None:
        return None
    master = rtnl.link(link.master)
    data = attributes(attributes(attrs.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_SLAVE_DATA, b""))
    own_mac = {"bond": data.get(_BOND_SLAVE_PERM_HWADDR, b"").hex(":") or None, "team": link.permanent_mac}
    return Master(
        ifname=master.ifname,
        kind=master.kind,
        own_mac=own_mac.get(master.kind or ""),
        gives_mtu=master.mtu == link.mtu,
    )
