"""Addresses and networks as texts: in one form, or refused in words that say what to write."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.setup import ip


@pytest.mark.parametrize(
    ("read", "text", "found"),
    [
        (ip.interface, "192.0.2.10/24", "192.0.2.10/24"),
        (ip.interface, "2001:DB8:0::10/64", "2001:db8::10/64"),
        (ip.address, "2001:DB8::0010", "2001:db8::10"),
        (ip.network, "198.51.100.0/24", "198.51.100.0/24"),
        (ip.network, "198.51.100.7", "198.51.100.7/32"),
        (ip.network, "2001:DB8::/32", "2001:db8::/32"),
    ],
)
def test_one_form(read: Callable[[str], object], text: str, found: str) -> None:
    """That in which the kernel's tools print it."""
    assert str(read(text)) == found


@pytest.mark.parametrize(
    ("read", "text", "why"),
    [
        (ip.interface, "192.0.2.10", "has no prefix length; write it as 192.0.2.10/24 or 2001:db8::10/64"),
        (ip.interface, "192.0.2.10/33", "is not an address with a prefix length"),
        (ip.interface, "fe80::1%eth0/64", "is not an address with a prefix length"),
        (ip.interface, "192.0.2/24", "is not an address with a prefix length"),
        (ip.address, "192.0.2.256", "is not an IP address"),
        (ip.address, "fe80::1%eth0", "is not an IP address"),
        (ip.address, "", "is not an IP address"),
        (ip.network, "198.51.100.7/24", "has bits set beyond its prefix (did you mean 198.51.100.0/24?)"),
        (ip.network, "fe80::1%1/64", "is not a network"),
        (ip.network, "x", "is not a network, as 198.51.100.0/24 or 2001:db8:1::/48"),
    ],
)
def test_what_is_none(read: Callable[[str], object], text: str, why: str) -> None:
    """The rest of a sentence that begins with the text."""
    with pytest.raises(ValueError, match=r"^[a-z]") as caught:
        read(text)
    assert str(caught.value).startswith(why)


@given(
    st.lists(st.ip_addresses().flatmap(lambda one: st.integers(0, one.max_prefixlen).map(lambda n: f"{one}/{n}"))),
    st.ip_addresses(),
)
def test_networks_are_as_pythons(networks: list[str], address: object) -> None:
    """An address is in one of them if it is in one by `ipaddress`; and the first and last of each are."""
    known = [ip_network(one, strict=False) for one in networks]
    found = ip.Networks(networks)
    one = ip_address(str(address))
    assert (str(one) in found) == any(one.version == net.version and one in net for net in known)
    assert all(each in found and f"{each}/8" in found for text in networks for each in ip.bounds(text))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [("192.0.2.0/24", "192.0.2.0", "192.0.2.255"), ("192.0.2.9/32", "192.0.2.9", "192.0.2.9"), ("2001:db8::/127", "2001:db8::", "2001:db8::1")],
)  # fmt: skip
def test_the_bounds_of_a_network(text: str, first: str, last: str) -> None:
    """Its own address and the broadcast address are within it."""
    assert ip.bounds(text) == (first, last)
    assert ip_address(first) in ip_interface(text).network


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        ("192.0.2.9", None, ("192.0.2.9", "192.0.2.255")),
        (None, "192.0.2.9", ("192.0.2.0", "192.0.2.9")),
        ("192.0.2.9", "192.0.2.9", ("192.0.2.9", "192.0.2.9")),
        ("192.0.2.9", "192.0.2.8", ("192.0.2.0", "192.0.2.255")),
        ("198.51.100.1", "198.51.100.2", ("192.0.2.0", "192.0.2.255")),
        ("192.0.2.9", "2001:db8::1", ("192.0.2.0", "192.0.2.255")),
    ],
)
def test_the_bounds_of_a_range(first: str | None, last: str | None, found: tuple[str, str]) -> None:
    """As far as it is one of the network; else that counts."""
    assert ip.bounds("192.0.2.0/24", first, last) == found


def test_families() -> None:
    """Of addresses and networks."""
    assert [ip.family_of(text) for text in ("192.0.2.1", "::/0", "0.0.0.0/0")] == [4, 6, 4]
