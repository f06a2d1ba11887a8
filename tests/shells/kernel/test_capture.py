"""Snapshots on a real kernel: what belongs in one, and what does not."""

from __future__ import annotations

import errno
from typing import NoReturn

import pytest

from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import capture, naming
from nri_netdev.shells.kernel.facets import ethtool
from nri_netdev.shells.kernel.facets.facet import Recorded, Site
from nri_netdev.shells.kernel.facets.table import FACETS
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from tests.shells.conftest import Net
from tests.shells.kernel.furniture import MARK, captured


@pytest.mark.root
def test_a_bare_interface_has_nothing_to_restore(home: Net) -> None:
    """The kernel's own routes, qdisc and default sysctls are not in a snapshot; nor is the mark."""
    home.ip("link add dev0 type veth peer name peer0")
    home.ip("link set dev0 up")
    home.ip("addr add 192.0.2.5/24 dev dev0")
    index = home.link("dev0").ifindex
    home.call(naming.mark, index, MARK)
    snapshot = home.call(captured, index)

    assert [str(address) for address in snapshot.addresses if address.family == 2] == ["192.0.2.5/24"]
    assert objects(snapshot, home) == set()
    sysctls = {key for key in snapshot.sysctls if "/neigh/" not in key}  # which have no defaults in this netns
    assert (snapshot.link.altnames, snapshot.master, sysctls) == ((), None, set())


@pytest.mark.root
def test_objects_are_named_for_people(furnished: Net) -> None:
    """As iproute2 would write them."""
    snapshot = furnished.call(captured, furnished.link("dev0").ifindex)

    assert objects(snapshot, furnished) >= {
        "route 198.51.100.0/24 via 192.0.2.1 metric 77",
        "route default via 192.0.2.1 table 101",
        "neighbour 192.0.2.9 02:00:00:00:00:99",
        "qdisc tbf 10:",
    }


def objects(snapshot: Snapshot, net: Net) -> set[str]:
    """What its lists of objects have, in words."""

    def words(rtnl: Rtnl) -> set[str]:
        site = Site(rtnl, snapshot.ifindex)
        return {
            facet.what(site, key)
            for facet in FACETS
            if facet.is_list
            for key in facet.items(
                Recorded(messages=snapshot.facets[facet.name], ifindex=snapshot.ifindex, addresses=snapshot.addresses)
            )
        }

    return net.call(words)


def test_sysctls_of_a_link_are_whole_or_nothing() -> None:
    """Without those of one family nothing is known."""
    assert capture.conf_of({}) == b""


@pytest.mark.root
def test_what_a_driver_does_not_tell_keeps_nothing_from_being_given(home: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some refuse while a device is being reset; then that is not compared. What a move destroys must be told."""
    home.ip("link add dev0 type ifb")
    index = home.link("dev0").ifindex

    def refused(*_: object, **__: object) -> NoReturn:
        raise KernelError(action="read it", errno=errno.EBUSY)

    monkeypatch.setattr(ethtool, "ask", refused)
    facets = home.call(captured, index).facets
    assert "rings" not in facets
    assert "routes" in facets
    monkeypatch.setattr(Rtnl, "routes", refused)
    with pytest.raises(KernelError):
        home.call(captured, index)
