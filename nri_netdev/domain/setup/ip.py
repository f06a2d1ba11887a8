"""IP addresses and networks as texts, in the one form that the kernel's tools print."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import TypeVar

V4 = TypeVar("V4")
V6 = TypeVar("V6")


def interface(text: str) -> IPv4Interface | IPv6Interface:
    """An address with its prefix length.

    Raises:
        ValueError: It is none; the text is the rest of a sentence that begins with it.
    """
    if "/" not in text:
        raise ValueError("has no prefix length; write it as 192.0.2.10/24 or 2001:db8::10/64")
    try:
        return _of(IPv4Interface, IPv6Interface, text)
    except ValueError:
        raise ValueError("is not an address with a prefix length, as 192.0.2.10/24 or 2001:db8::10/64") from None


def address(text: str) -> IPv4Address | IPv6Address:
    """An address.

    Raises:
        ValueError: It is none.
    """
    try:
        return _of(IPv4Address, IPv6Address, text)
    except ValueError:
        raise ValueError("is not an IP address") from None


def network(text: str) -> IPv4Network | IPv6Network:
    """A network; an address alone is the network of that address.

    Raises:
        ValueError: It is none, or has bits set beyond its prefix.
    """
    try:
        return _of(IPv4Network, IPv6Network, text)
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
        self._bits: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        """By version and by number of the bits beyond the prefix: the bits of prefixes."""
        for text in networks:
            host, _, length = text.partition("/")
            one = _of(IPv4Address, IPv6Address, host)
            beyond = one.max_prefixlen - int(length or one.max_prefixlen)
            self._bits[one.version].setdefault(beyond, set()).add(int(one) >> beyond)

    def __contains__(self, text: str) -> bool:
        """Whether an address, with a prefix length or without, is in one of them."""
        one = _of(IPv4Address, IPv6Address, text.partition("/")[0])
        bits = int(one)
        return any(bits >> beyond in prefixes for beyond, prefixes in self._bits[one.version].items())


def bounds(text: str, first: str | None = None, last: str | None = None) -> tuple[str, str]:
    """The first and the last address of a network, or of a range in it; of the network if the range is not in it."""
    net = ipaddress.ip_interface(text).network
    start = net[0] if first is None else ipaddress.ip_address(first)
    end = net[-1] if last is None else ipaddress.ip_address(last)
    is_within = start in net and end in net and int(start) <= int(end)
    return (str(start), str(end)) if is_within else (str(net[0]), str(net[-1]))


NARROW_IPV4, NARROW_IPV6 = 8, 7
"""Prefix lengths from which on a network is one of many: 10.0.0.0/8, fc00::/7."""


def is_wide(network: str) -> bool:
    """Whether a valid network is everything, or so much of it that a few of its kind are."""
    return int(network.partition("/")[2]) < (NARROW_IPV6 if ":" in network else NARROW_IPV4)


def family_of(text: str) -> int:
    """4 or 6, by an address or network that is valid."""
    return 6 if ":" in text else 4


def _of(ipv4: Callable[[str], V4], ipv6: Callable[[str], V6], text: str) -> V4 | V6:
    """As the functions of `ipaddress` that take either family, which try one after the other; without zones."""
    if "%" in text:
        raise ValueError
    return ipv6(text) if ":" in text else ipv4(text)
