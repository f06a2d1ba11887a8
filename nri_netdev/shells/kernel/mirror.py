"""Home, kept by events: what a verdict needs to know of this netns, without reading the whole host for each request.

What has changed is not taken from the event, but read again, so an event is never believed for more than that
something is no longer as it was; and all is read again when the kernel had to drop an event. The kernel tells every
change of an interface's name, MAC, master and addresses, and every route that comes. It does not tell: alternative
names, alias, group and queue length of an interface that is down, where the other end of a veth is, IPv6 addresses that
are tentative, and IPv4 routes that go with their interface. So what is granted is read again by itself, and a refusal
is made from `Mirror.fresh` (`nri_netdev.custody.evaluate`).
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

from nri_netdev.domain.claim import lasting
from nri_netdev.domain.links import Address, Inventory, Link
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.netlink import RouteEvents
from nri_netdev.shells.kernel.netns import translated
from nri_netdev.shells.kernel.rtnetlink import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELNEXTHOP,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEXTHOP,
    RTM_NEWROUTE,
    Rtnl,
    link_header,
)

RTNLGRP_LINK, RTNLGRP_NEXTHOP = 1, 32
RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE = 5, 7, 9, 11
_GROUPS = (
    RTNLGRP_LINK,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_NEXTHOP,
)
_MANY = 64
"""So many changed links are read faster all together."""


def link_events() -> RouteEvents:
    """Changes of the links of the calling thread's netns, from now on.

    Raises:
        KernelError: The kernel tells none.
    """
    return _listening(RTNLGRP_LINK)


def host_events() -> RouteEvents:
    """Changes of links and addresses of the calling thread's netns, from now on; a router's routes would be too many.

    Raises:
        KernelError: The kernel tells none.
    """
    return _listening(RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR)


def _listening(*groups: int) -> RouteEvents:
    with translated("listen for changes of interfaces"):
        return RouteEvents(*groups)


class Mirror:
    """The netns of the thread that makes it, and that alone may use it.

    Raises:
        KernelError: The kernel tells no events.
    """

    def __init__(self) -> None:
        self._events = _listening(*_GROUPS)
        self._links: dict[int, Link] = {}
        self._stale: set[int] | None = None
        """The links to be read again; None is all."""
        self._addresses: Mapping[int, tuple[Address, ...]] | None = None
        self._defaults: tuple[frozenset[int], frozenset[str]] | None = None
        self._news = 0

    def close(self) -> None:
        """Stop listening."""
        self._events.close()

    def inventory(self, rtnl: Rtnl) -> Inventory:
        """The host as it was told up to now."""
        self._listen()
        self._read_links(rtnl)
        if self._addresses is None:
            self._addresses = rtnl.addresses()
        if self._defaults is None:
            self._defaults = rtnl.defaults()
        leaving, sources = self._defaults
        return Inventory(
            links=tuple(self._links.values()),
            addresses=self._addresses,
            default_routes=leaving,
            default_sources=sources,
        )

    def news(self, rtnl: Rtnl) -> int:
        """A number that is another once the host is no longer as it was, up to what passes from moment to moment."""
        self._listen()
        self._read_links(rtnl)
        return self._news

    def last_news(self) -> int | None:
        """The same, if no link need be read to say it; else None."""
        if self._events.is_told:
            self._listen()
        return self._news if self._stale is not None and not self._stale else None

    def fresh(self, rtnl: Rtnl) -> Inventory:
        """The host, all of it read anew."""
        self._forget()
        return self.inventory(rtnl)

    def _forget(self) -> None:
        self._stale = self._addresses = self._defaults = None

    def _listen(self) -> None:
        """Note what is no longer as it was."""
        told = self._events.read()
        if told is None:
            self._forget()
            self._news += 1
            return
        for kind, payload in told:
            if kind in {RTM_NEWLINK, RTM_DELLINK}:
                ifindex, _ = link_header(payload)
                if self._stale is not None:
                    self._stale.add(ifindex)
                if self._defaults is not None and ifindex in self._defaults[0]:
                    self._defaults = None  # a route that goes with its link is not told
                    self._news += 1
            elif kind in {RTM_NEWADDR, RTM_DELADDR}:
                self._addresses = None
                self._news += 1
            elif kind in {RTM_NEWNEXTHOP, RTM_DELNEXTHOP} or (
                kind in {RTM_NEWROUTE, RTM_DELROUTE} and payload[1] == 0  # rtm_dst_len
            ):
                self._defaults = None
                self._news += 1

    def _read_links(self, rtnl: Rtnl) -> None:
        if self._stale is None or len(self._stale) > _MANY:
            known, self._links = self._links, {link.ifindex: link for link in rtnl.links()}
            if {n: lasting(link) for n, link in known.items()} != {n: lasting(link) for n, link in self._links.items()}:
                self._news += 1
        else:
            for ifindex in self._stale:
                before, now = self._links.get(ifindex), self._read_link(rtnl, ifindex)
                for link in filter(None, (before, now)):
                    if link.link in self._links:
                        self._read_link(rtnl, link.link)  # nobody tells one end of a pair when the other moves
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
            self._news += 1
        return now
