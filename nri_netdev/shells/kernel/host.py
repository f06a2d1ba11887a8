"""The host's netns, called home; implements `nri_netdev.custody.ports.Host`. For one thread at a time."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.policy.selectors import FactsOf
from nri_netdev.domain.snapshot import HomeReport, Snapshot
from nri_netdev.shells.kernel import capture, changes, naming, restore
from nri_netdev.shells.kernel.mirror import Mirror
from nri_netdev.shells.kernel.rtnetlink import Rtnl, with_rtnl
from nri_netdev.shells.kernel.sysctls import Sysctls
from nri_netdev.shells.kernel.sysfs import facts_reader

P = ParamSpec("P")
T = TypeVar("T")


class Host:
    """The netns of this process. Its socket and its mirror stay open between calls."""

    def __init__(self) -> None:
        self._rtnl: Rtnl | None = None
        self._mirror = functools.cache(Mirror)
        self._sysctls = functools.cache(Sysctls)

    def boot_id(self) -> str:
        """An id that changes with each boot."""
        return _boot_id()

    # -- reading ---------------------------------------------------------------------------------------------------

    def inventory(self, *, is_fresh: bool = False) -> Inventory:
        """Every interface: all read again if `is_fresh`, else as cached by `nri_netdev.shells.kernel.mirror`."""
        mirror = self._mirror()
        return self.call(mirror.fresh if is_fresh else mirror.inventory)

    def revision(self) -> int:
        """Revision of everything that an evaluation depends on. It grows with each change."""
        return self.call(self._mirror().revision)

    def cached_revision(self) -> int | None:
        """What `revision` would return, if that is known without reading anything; else None. Waits for nothing."""
        return self._mirror().cached_revision()

    def is_called(self, ifindex: int, ifname: str) -> bool:
        """Whether an interface has this name. Waits for nothing."""
        try:
            return socket.if_nametoindex(ifname) == ifindex
        except OSError:
            return False

    def facts(self) -> FactsOf:
        """A reader of facts that rtnetlink lacks, for one decision."""
        return facts_reader()

    def links(self) -> tuple[Link, ...]:
        """Every link."""
        return self.call(Rtnl.links)

    def link(self, ifindex: int) -> Link:
        """One link."""
        return self.call(Rtnl.link, ifindex)

    def marked(self, mark: str) -> Link | None:
        """The link that has this mark; None if there is none."""
        return self.call(Rtnl.link_called, mark)

    def snapshot(self, ifindex: int) -> Snapshot:
        """Everything about an interface that a move would destroy."""
        return self.call(capture.snapshot, ifindex, self._sysctls(), self.call(self._mirror().preferred))

    # -- changing --------------------------------------------------------------------------------------------------

    def mark(self, ifindex: int, mark: str) -> None:
        """Give an interface its mark."""
        self.call(naming.mark, ifindex, mark)

    def unmark(self, ifindex: int, mark: str) -> None:
        """Remove a mark from an interface."""
        self.call(naming.unmark, ifindex, mark)

    def restore(self, snapshot: Snapshot, ifindex: int, mark: str) -> HomeReport:
        """Make an interface at home what its snapshot says. On any thread."""
        return with_rtnl(None, restore.restore, snapshot, ifindex, mark)

    def rename(self, ifindex: int, ifname: str) -> None:
        """Rename an interface."""
        self.call(changes.rename, ifindex, ifname)

    def call(self, function: Callable[Concatenate[Rtnl, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function(rtnl, *args)`; after any failure the next call opens a new socket."""
        if self._rtnl is None:
            self._rtnl = Rtnl()
        try:
            return function(self._rtnl, *args, **kwargs)
        except BaseException:
            self._rtnl.close()
            self._rtnl = None
            raise


@functools.cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
