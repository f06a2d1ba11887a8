"""A cache of the host's netns, kept current by events, so that a request does not read the whole host.

An event says only that something changed; what changed is read again, and everything is read again if the kernel
dropped an event. The kernel sends an event for each change of an interface's name, MAC, master and addresses, for each
new route, and for each change of a rule. It sends none for: alternative names, alias, group and queue length of an
interface that is down; the netns of a veth's other end; tentative IPv6 addresses; IPv4 routes that disappear with their
interface. So an interface that is granted is read again, and a refusal is made from `Mirror.fresh`
(`nri_netdev.custody.evaluate`).
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

from nri_netdev.domain.claim import lasting
from nri_netdev.domain.links import Address, Inventory, Link
from nri_netdev.domain.routing import Defaults
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.libc import translated
from nri_netdev.shells.kernel.messages import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELNEXTHOP,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEXTHOP,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    link_header,
    preferred_source,
)
from nri_netdev.shells.kernel.netlink import RouteEvents
from nri_netdev.shells.kernel.rtnetlink import Rtnl

RTNLGRP_LINK, RTNLGRP_NEXTHOP, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE = 1, 32, 8, 19
RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE = 5, 7, 9, 11
_GROUPS = (
    RTNLGRP_LINK,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_NEXTHOP,
    RTNLGRP_IPV4_RULE,
    RTNLGRP_IPV6_RULE,
)
_MANY = 64
"""More changed links than this are read faster by one dump of all."""


def link_events() -> RouteEvents:
    """Subscribe to changes of links in the calling thread's netns.

    Raises:
        KernelError: The kernel refuses.
    """
    return _subscribe(RTNLGRP_LINK)


def host_events() -> RouteEvents:
    """Subscribe to changes of links and addresses in the calling thread's netns; a router's routes would be too many.

    Raises:
        KernelError: The kernel refuses.
    """
    return _subscribe(RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR)


def _subscribe(*groups: int) -> RouteEvents:
    with translated("listen for changes of interfaces"):
        return RouteEvents(*groups)


class Mirror:
    """A cache of the netns of the thread that makes it. Only that thread may use it.

    Raises:
        KernelError: The kernel refuses the subscription to events.
    """

    def __init__(self) -> None:
        self._events = _subscribe(*_GROUPS)
        self._links: dict[int, Link] = {}
        self._stale: set[int] | None = None
        """The links to read again; None for all."""
        self._addresses: Mapping[int, tuple[Address, ...]] | None = None
        self._defaults: Defaults | None = None
        self._preferred: set[str] = set()
        """Addresses that routes name as their source, which have come since."""
        self._revision = 0

    def close(self) -> None:
        """Close the subscription."""
        self._events.close()

    def inventory(self, rtnl: Rtnl) -> Inventory:
        """The host, as of the events up to now."""
        self._read_events()
        self._read_links(rtnl)
        if self._addresses is None:
            self._addresses = rtnl.addresses()
        if self._defaults is None:
            self._defaults = rtnl.defaults()
        return Inventory(
            links=tuple(self._links.values()),
            addresses=self._addresses,
            default_routes=self._defaults.leaving,
            default_sources=self._defaults.sources,
            source_routes=self._defaults.by_source,
        )

    def preferred(self, rtnl: Rtnl) -> frozenset[str]:
        """Addresses that routes name as their source, except those that the kernel has made; perhaps some too many."""
        self._read_events()
        if self._defaults is None:
            self._preferred.clear()
            self._defaults = rtnl.defaults()
        return self._defaults.preferred | self._preferred

    def revision(self, rtnl: Rtnl) -> int:
        """Revision of everything that a verdict depends on; carrier and other momentary state do not count."""
        self._read_events()
        self._read_links(rtnl)
        return self._revision

    def cached_revision(self) -> int | None:
        """What `revision` would return, if no link need be read for it; else None."""
        if self._events.is_readable:
            self._read_events()
        return self._revision if self._stale is not None and not self._stale else None

    def fresh(self, rtnl: Rtnl) -> Inventory:
        """The host, all of it read again."""
        self._forget()
        return self.inventory(rtnl)

    def _forget(self) -> None:
        self._stale = self._addresses = self._defaults = None

    def _read_events(self) -> None:
        """Note what must be read again."""
        events = self._events.read()
        if events is None:
            self._forget()
            self._revision += 1
            return
        for kind, payload in events:
            if kind in {RTM_NEWLINK, RTM_DELLINK}:
                ifindex, _ = link_header(payload)
                if self._stale is not None:
                    self._stale.add(ifindex)
                if self._defaults is not None and ifindex in self._defaults.ifindexes:
                    self._defaults = None  # no event says that a route disappeared with its link
                    self._revision += 1
            if kind == RTM_NEWROUTE and (source := preferred_source(payload)):
                self._preferred.add(source)
            if kind in {RTM_NEWADDR, RTM_DELADDR}:
                self._addresses = None
                self._revision += 1
            elif kind in {RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_NEWRULE, RTM_DELRULE} or (
                kind in {RTM_NEWROUTE, RTM_DELROUTE} and payload[1] == 0  # rtm_dst_len
            ):
                self._defaults = None
                self._revision += 1

    def _read_links(self, rtnl: Rtnl) -> None:
        if self._stale is None or len(self._stale) > _MANY:
            known, self._links = self._links, {link.ifindex: link for link in rtnl.links()}
            if {n: lasting(link) for n, link in known.items()} != {n: lasting(link) for n, link in self._links.items()}:
                self._revision += 1
        else:
            for ifindex in self._stale:
                before, now = self._links.get(ifindex), self._read_link(rtnl, ifindex)
                for link in filter(None, (before, now)):
                    if link.link in self._links:
                        self._read_link(rtnl, link.link)  # no event says that the other end of a pair moved
        self._stale = set()

    def _read_link(self, rtnl: Rtnl, ifindex: int) -> Link | None:
        before = self._links.get(ifindex)
        try:
            self._links[ifindex] = rtnl.link(ifindex)
        except KernelError as error:
            if error.errno != errno.ENODEV:
                raise
            self._links.pop(ifindex, None)
        now = self._links.get(ifindex)
        if before is None or now is None or lasting(before) != lasting(now):
            self._revision += 1
        return now
