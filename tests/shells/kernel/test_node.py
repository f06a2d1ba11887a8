"""The node's kernel in one piece."""

from __future__ import annotations

from pathlib import Path

from nri_netdev.domain.claim import Netns
from nri_netdev.shells.kernel.netns import OWN, netns_id
from nri_netdev.shells.kernel.node import open_kernel


def test_home_is_the_netns_of_the_process(tmp_path: Path) -> None:
    """And there are no pins before the first."""
    kernel = open_kernel(tmp_path)
    dev, ino = netns_id(OWN)

    assert kernel.pods.is_home(Netns(path=OWN, dev=dev, ino=ino))
    assert kernel.pods.pins() == frozenset()
    assert not kernel.processes.is_alive(-1)
