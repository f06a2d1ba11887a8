"""Which interfaces have changed in whatever way the kernel reports, so that snapshots are read again only then.

The mirror of the host listens for what a verdict depends on. A snapshot has far more in it: neighbours, qdiscs, rules,
sysctls. Those events are many on some hosts, so they are listened for only while somebody asks.
"""

from __future__ import annotations

from collections.abc import Collection

from nri_netdev.shells.kernel.attributes import u32
from nri_netdev.shells.kernel.libc import translated
from nri_netdev.shells.kernel.netlink import RouteEvents

_GROUPS = (1, 3, 4, 5, 7, 8, 9, 11, 19, 24, 25, 26, 32)
"""`RTNLGRP_*`: links, neighbours, traffic control, addresses, routes, rules, sysctls, multicast groups, nexthops."""


class Watch:
    """Listens for changes in the netns of the thread that makes it."""

    def __init__(self) -> None:
        self._events: RouteEvents | None = None

    def begin(self) -> None:
        """Listen, if that is not done yet.

        Raises:
            KernelError: The kernel refuses.
        """
        if self._events is None:
            with translated("listen for changes of interfaces"):
                self._events = RouteEvents(*_GROUPS)

    def touched(self, ifindexes: Collection[int]) -> frozenset[int]:
        """Which of these interfaces may have changed since the last call; all of them if nobody listened.

        To ask for none ends the listening.

        Raises:
            KernelError: The kernel refuses.
        """
        if not ifindexes:
            self.close()
            return frozenset()
        events = None if self._events is None else self._events.read()
        if events is None:
            self.begin()
            return frozenset(ifindexes)
        return frozenset(ifindex for ifindex in ifindexes if any(u32(ifindex) in payload for _, payload in events))

    def close(self) -> None:
        """Listen no more."""
        if self._events is not None:
            self._events.close()
            self._events = None
