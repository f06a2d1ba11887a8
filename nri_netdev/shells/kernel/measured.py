"""The node's kernel with a clock beside it: how long the moves take that nri-netdev makes itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from nri_netdev.domain.links import Link
from nri_netdev.domain.snapshot import HomeReport, Snapshot
from nri_netdev.shells.kernel.host import HostKernel


class MeasuredKernel(HostKernel):
    """The kernel of this host, whose moves are timed."""

    def __init__(self, run_dir: Path, timed: Callable[[str, str], AbstractContextManager[None]]) -> None:
        super().__init__(run_dir)
        self._timed = timed

    def send(self, ifindex: int, netns_path: str, ifname: str) -> None:
        """Move an interface from home into a netns."""
        driver = next((_driver(link) for link in self.links(None) if link.ifindex == ifindex), "unknown")
        with self._timed("in", driver):
            super().send(ifindex, netns_path, ifname)

    def bring_home(self, netns_path: str, ifindex: int, snapshot: Snapshot, mark: str) -> HomeReport:
        """Fetch an interface and restore it."""
        with self._timed("home", _driver(snapshot.link)):
            return super().bring_home(netns_path, ifindex, snapshot, mark)


def _driver(link: Link) -> str:
    return link.driver or link.kind or "unknown"
