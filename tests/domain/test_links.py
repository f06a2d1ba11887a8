"""Interfaces and addresses: how they are found and shown."""

from __future__ import annotations

import pytest

from nri_netdev.domain.links import Address, Inventory, Link

HOST = Inventory(
    links=(Link(ifindex=1, ifname="lo", is_loopback=True), Link(ifindex=7, ifname="ens1f0", altnames=("enp1s0f0",)))
)


def test_an_interface_is_found_by_index_name_and_altname() -> None:
    """A primary name is no altname, and the other way round."""
    link = HOST.links[1]

    assert HOST.by_index(7) is HOST.by_name("ens1f0") is HOST.by_altname("enp1s0f0") is link
    assert HOST.by_index(8) is HOST.by_name("enp1s0f0") is HOST.by_altname("ens1f0") is None


@pytest.mark.parametrize(
    ("kind", "is_virtual"), [(None, False), ("veth", True), ("macvlan", True), ("ipoib", False), ("can", False)]
)
def test_what_dies_with_its_netns(kind: str | None, is_virtual: bool) -> None:
    """Software devices; hardware and what stands for it goes home."""
    assert Link(ifindex=7, ifname="dev0", kind=kind).is_virtual is is_virtual


def test_an_address_is_shown_with_its_prefix() -> None:
    """As iproute2 writes it."""
    assert str(Address(family=2, address="192.0.2.5", prefixlen=24)) == "192.0.2.5/24"
