"""RDMA devices of software: kept as name and type, and made again where they are missing."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import cast

import pytest

from nri_netdev.domain.effects import RdmaDevice
from nri_netdev.shells.kernel.facets import rdma
from nri_netdev.shells.kernel.facets.facet import Recorded, Site, restore_facet
from nri_netdev.shells.kernel.netlink import NetlinkError

DEVICES = (
    RdmaDevice(name="rxe0", link_type="rxe"),
    RdmaDevice(name="mlx5_0"),
    RdmaDevice(name="siw0", link_type="siw"),
)
WAS = Recorded(messages=(b"rxe0 rxe", b"siw0 siw"), ifindex=7)


class Kernel:
    """A place with RDMA devices; some cannot be made."""

    def __init__(self, *devices: RdmaDevice, refused: str = "") -> None:
        self.devices = [*devices]
        self._refused = refused

    def add_link(self, _opened: object, name: str, link_type: str, ifname: str) -> None:
        assert ifname == "ens1"
        if name == self._refused:
            raise NetlinkError(errno.ENOENT, "")
        self.devices.append(RdmaDevice(name=name, link_type=link_type))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """What the facet sees instead of the running kernel, which need not have any RDMA."""
    found = Kernel()
    monkeypatch.setattr(rdma, "rdma_devices", lambda: {7: tuple(found.devices)})
    monkeypatch.setattr(rdma, "add_link", found.add_link)
    monkeypatch.setattr(rdma, "RouteSocket", lambda _protocol: SimpleNamespace(close=lambda: None))
    return found


def _site() -> Site:
    site = SimpleNamespace(ifindex=7, link=SimpleNamespace(ifname="ens1"), addresses=())
    site.again = lambda: site
    return cast("Site", site)


def test_those_of_software_are_kept(kernel: Kernel) -> None:
    """Hardware is not a part of the interface."""
    kernel.devices += DEVICES

    assert rdma.RDMA.read(_site()) == WAS.messages


def test_what_a_move_has_destroyed_is_made_again(kernel: Kernel) -> None:
    """What is there is left alone, whoever has made it."""
    kernel.devices += [DEVICES[1], DEVICES[2], RdmaDevice(name="rxe9", link_type="rxe")]

    assert restore_facet(rdma.RDMA, _site(), WAS) == []
    assert [device.name for device in kernel.devices] == ["mlx5_0", "siw0", "rxe9", "rxe0"]


def test_what_cannot_be_made_is_told(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernel's reason, and what to do."""
    monkeypatch.setattr(kernel, "_refused", "rxe0")

    [shortfall] = restore_facet(rdma.RDMA, _site(), WAS)

    assert shortfall.what == "RDMA device rxe0"
    assert "cannot make RDMA device rxe0 of type rxe on ens1: No such file or directory" in shortfall.why
    assert "rdma link add" in shortfall.why
    assert [device.name for device in kernel.devices] == ["siw0"]
