"""Which addresses an interface is to get back, and in which order. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from nri_netdev.domain.links import Address
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.shells.kernel.messages import AF_INET, AF_INET6, IFA_F_NODAD, IFA_F_TEMPORARY

_IFA_PROTO_KERNEL_RA = 2


def still_valid(snapshot: Snapshot) -> Iterator[Address]:
    """The addresses of a snapshot that are valid by now, except those that a router's advertisements bring again."""
    passed_s = max(0, int(time.clock_gettime(time.CLOCK_BOOTTIME)) - snapshot.taken_s) if snapshot.taken_s else 0

    def left(seconds: int | None) -> int | None:
        return None if seconds is None else max(0, seconds - passed_s)

    for address in snapshot.addresses:
        is_temporary = address.family == AF_INET6 and address.flags & IFA_F_TEMPORARY
        if address.proto == _IFA_PROTO_KERNEL_RA or is_temporary:
            continue
        valid_s = left(address.valid_lft_s)
        if valid_s is None or valid_s > 0:
            yield replace(address, valid_lft_s=valid_s, preferred_lft_s=left(address.preferred_lft_s))


def missing(wanted: Iterable[Address], there: Iterable[Address]) -> list[Address]:
    """The addresses to add, in an order that gives the kernel's again: it lists the latest IPv6 address first."""
    known = {identity(address) for address in there}
    absent = [address for address in wanted if identity(address) not in known]
    return [a for a in absent if a.family == AF_INET] + [a for a in reversed(absent) if a.family == AF_INET6]


def identity(address: Address) -> tuple[int, str, int, str | None]:
    """The fields by which the kernel distinguishes addresses of one interface."""
    return address.family, address.address, address.prefixlen, address.peer


def without_dad(address: Address) -> Address:
    """An IPv6 address with `IFA_F_NODAD`: the interface had it before, so duplicate detection would only delay."""
    return replace(address, flags=address.flags | IFA_F_NODAD) if address.family == AF_INET6 else address
