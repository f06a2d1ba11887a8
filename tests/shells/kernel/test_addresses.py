"""Which addresses an interface gets back, and in which order."""

from __future__ import annotations

import time
from dataclasses import replace

from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.shells.kernel.addresses import missing, still_valid, without_dad
from nri_netdev.shells.kernel.messages import AF_INET, AF_INET6, IFA_F_NODAD, IFA_F_TEMPORARY

V4 = Address(family=AF_INET, address="192.0.2.5", prefixlen=24)
V6 = Address(family=AF_INET6, address="2001:db8::5", prefixlen=64)


def snapshot(*addresses: Address, age_s: int = 0) -> Snapshot:
    taken_s = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - age_s
    return Snapshot(link=Link(ifindex=1, ifname="dev0"), taken_s=taken_s, addresses=addresses)


def test_lifetimes_run_down() -> None:
    """An address that has expired since is left out."""
    short = replace(V4, address="192.0.2.6", valid_lft_s=50, preferred_lft_s=20)
    long = replace(V4, address="192.0.2.7", valid_lft_s=5000, preferred_lft_s=50)
    [stays, left] = still_valid(snapshot(V4, short, long, age_s=100))

    assert stays == V4
    assert left.address == long.address
    assert left.preferred_lft_s == 0
    assert 4890 < (left.valid_lft_s or 0) <= 4900


def test_a_routers_addresses_come_by_themselves() -> None:
    """Those of advertisements, and temporary ones."""
    advertised, temporary = replace(V6, proto=2), replace(V6, flags=IFA_F_TEMPORARY)

    assert list(still_valid(snapshot(advertised, temporary, V6))) == [V6]


def test_addresses_are_added_in_the_kernels_order() -> None:
    """It lists the IPv6 address that was added last first; an address that is there with other flags is not missing."""
    v4 = [replace(V4, address=f"192.0.2.{n}") for n in range(3)]
    v6 = [replace(V6, address=f"2001:db8::{n}") for n in range(3)]

    assert missing([*v6, *v4], [replace(v4[1], flags=0x80)]) == [v4[0], v4[2], v6[2], v6[1], v6[0]]
    assert missing([V4], [replace(V4, peer="192.0.2.9")]) == [V4]


def test_only_ipv6_has_duplicate_address_detection() -> None:
    """An IPv4 address stays as it is."""
    assert without_dad(V4) == V4
    assert without_dad(V6) == replace(V6, flags=IFA_F_NODAD)
