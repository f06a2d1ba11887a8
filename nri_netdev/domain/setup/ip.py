"""IP addresses and networks as texts, in the one form that the kernel's tools print."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network


def interface(text: str) -> IPv4Interface | IPv6Interface:
    """An address with its prefix length.

    Raises:
        ValueError: It is none; the text is the rest of a sentence that begins with it.
    """
    if "/" not in text:
        raise ValueError("has no prefix length; write it as 192.0.2.10/24 or 2001:db8::10/64")
    try:
        return ipaddress.ip_interface(_without_zone(text))
    except ValueError:
        raise ValueError("is not an address with a prefix length, as 192.0.2.10/24 or 2001:db8::10/64") from None


def address(text: str) -> IPv4Address | IPv6Address:
    """An address.

    Raises:
        ValueError: It is none.
    """
    try:
        return ipaddress.ip_address(_without_zone(text))
    except ValueError:
        raise ValueError("is not an IP address") from None


def network(text: str) -> IPv4Network | IPv6Network:
    """A network; an address alone is the network of that address.

    Raises:
        ValueError: It is none, or has bits set beyond its prefix.
    """
    try:
        return ipaddress.ip_network(_without_zone(text), strict=True)
    except ValueError as error:
        if "host bits" in str(error):
            meant = ipaddress.ip_network(text, strict=False)
            raise ValueError(f"has bits set beyond its prefix (did you mean {meant}?)") from None
        raise ValueError("is not a network, as 198.51.100.0/24 or 2001:db8:1::/48") from None


class Networks:
    """Networks of which many addresses are looked up: what a pod asks for may have hundreds of both.

    Args:
        networks: valid ones, or addresses with their prefix lengths.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._bits: dict[tuple[int, int], set[int]] = {}
        """By version and number of the bits beyond the prefix: the bits of prefixes."""
        for text in networks:
            net = ipaddress.ip_interface(text).network
            beyond = net.max_prefixlen - net.prefixlen
            self._bits.setdefault((net.version, beyond), set()).add(int(net.network_address) >> beyond)

    def __contains__(self, text: str) -> bool:
        """Whether an address, with a prefix length or without, is in one of them."""
        one = ipaddress.ip_interface(text).ip
        return any(one.version == version and int(one) >> beyond in of for (version, beyond), of in self._bits.items())


def bounds(text: str) -> tuple[str, str]:
    """The first and the last address of a network."""
    net = ipaddress.ip_interface(text).network
    return str(net[0]), str(net[-1])


NARROW_IPV4, NARROW_IPV6 = 8, 7
"""Prefix lengths from which on a network is one of many: 10.0.0.0/8, fc00::/7."""


def is_wide(network: str) -> bool:
    """Whether a valid network is everything, or so much of it that a few of its kind are."""
    return int(network.partition("/")[2]) < (NARROW_IPV6 if ":" in network else NARROW_IPV4)


def family_of(text: str) -> int:
    """4 or 6, by an address or network that is valid."""
    return 6 if ":" in text else 4


def _without_zone(text: str) -> str:
    if "%" in text:
        raise ValueError
    return text
