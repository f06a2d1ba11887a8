"""Snapshots on a real kernel: what belongs in one, and what does not."""

from __future__ import annotations

import struct

import pytest

from nri_netdev.shells.kernel import capture, naming
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
    assert (snapshot.routes, snapshot.neighbours, snapshot.qdiscs, snapshot.losses) == ((), (), (), ())
    assert (snapshot.link.altnames, snapshot.master, snapshot.xdp_id, dict(snapshot.sysctls)) == ((), None, None, {})


@pytest.mark.root
def test_objects_are_named_for_people(furnished: Net) -> None:
    """As iproute2 would write them."""
    snapshot = furnished.call(captured, furnished.link("dev0").ifindex)
    texts = {each.text for each in (*snapshot.routes, *snapshot.neighbours, *snapshot.qdiscs)}

    assert texts >= {
        "route 198.51.100.0/24 via 192.0.2.1 metric 77",
        "route default via 192.0.2.1 table 101",
        "neighbour 192.0.2.9 02:00:00:00:00:99",
        "qdisc tbf 10:",
    }


@pytest.mark.root
def test_a_snapshot_taken_twice_is_the_same(furnished: Net) -> None:
    """Except for lifetimes."""
    index = furnished.link("dev0").ifindex

    assert furnished.call(captured, index).is_still(furnished.call(captured, index))


def test_a_next_hop_loses_its_state() -> None:
    """The interface's own index is replaced, another's stays."""
    hop = struct.pack("=HBBi", 8, 0x4 | 0x11, 2, 7)

    assert capture.with_hop(hop, 7, 0) == struct.pack("=HBBi", 8, 0x4, 2, 0)
    assert capture.with_hop(hop, 8, 0) == struct.pack("=HBBi", 8, 0x4, 2, 7)


def test_sysctls_of_a_link_are_whole_or_nothing() -> None:
    """Without those of one family nothing is known."""
    assert capture.conf_of({}) == b""
