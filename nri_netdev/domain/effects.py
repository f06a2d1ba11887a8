"""What giving an interface away does besides: what of it stays behind, and what of the host suffers. Pure.

A move takes the interface and its permanent global addresses to the pod, and whatever the driver keeps. The rest is
told before it is asked for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nri_netdev.domain.children import fate, listing
from nri_netdev.domain.links import Address, Link

_AF_INET6 = 10
_IFA_F_PERMANENT = 0x80
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 0, 253
_IFAPROT_KERNEL_LL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RdmaDevice:
    """A device of the RDMA subsystem that works through an interface."""

    name: str
    link_type: str = ""
    """How software makes it upon the interface (`rdma link add … type`): rxe or siw; "" for hardware."""
    is_exclusive: bool = False
    """Belongs to one netns (`rdma system set netns exclusive`); else it can be used from each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What is attached to an interface, and is neither an address nor another interface."""

    rdma: tuple[RdmaDevice, ...] = ()
    programs: tuple[str, ...] = ()
    """Kinds of the BPF programs on it that a move keeps: XDP, tcx."""
    qdiscs: tuple[str, ...] = ()
    """Kinds of the qdiscs that somebody set."""
    virtual_functions: int = 0
    """Of SR-IOV, that it has now as their physical function."""


AttachedOf: TypeAlias = Callable[[Link], Attached]
"""Reads what is attached to an interface; called only where it matters."""


def nothing_attached(_: Link) -> Attached:
    """Nothing, for a place without a kernel."""
    return Attached()


def effects(
    link: Link,
    *,
    addresses: Iterable[Address] = (),
    children: Sequence[Link] = (),
    attached: Attached | None = None,
    has_ipv6: bool = True,
) -> tuple[str, ...]:
    """What giving an interface away does besides, in whole sentences without an end; empty if nothing.

    Args:
        link: the interface.
        addresses: those that it has on the host.
        children: the host's interfaces that stand on it (`nri_netdev.domain.children.children`).
        attached: what is attached to it.
        has_ipv6: whether it may have IPv6 addresses in the pod.
    """
    found = attached or Attached()
    return (*_of_addresses(link, addresses, has_ipv6=has_ipv6), *_of_children(children), *_of_attached(found))


def _of_addresses(link: Link, addresses: Iterable[Address], *, has_ipv6: bool) -> Iterator[str]:
    whys: dict[str, list[str]] = {}
    for address in addresses:
        if (why := why_left_behind(address, has_ipv6=has_ipv6)) and not _is_made_by_kernel(address, link):
            whys.setdefault(why, []).append(str(address))
    for why, texts in whys.items():
        each, do = ("address", "does") if len(texts) == 1 else ("addresses", "do")
        yield f"its {each} {listing(texts)} {do} not come along: {why}"


def why_left_behind(address: Address, *, has_ipv6: bool = True) -> str | None:
    """Why an address does not come along to the pod; None if it does, as the OCI runtime-spec has it."""
    if not address.flags & _IFA_F_PERMANENT:
        return "leased or autoconfigured"
    if address.scope != _RT_SCOPE_UNIVERSE:
        return "not of global scope"
    if address.family == _AF_INET6 and not has_ipv6:
        return "the pod has IPv6 turned off"
    return None


def _is_made_by_kernel(address: Address, link: Link) -> bool:
    """Whether it is a link-local address that the kernel makes for each interface, in the pod too."""
    if address.family != _AF_INET6 or address.scope != _RT_SCOPE_LINK:
        return False
    return address.proto == _IFAPROT_KERNEL_LL or address.address == _link_local(link.mac)


def _link_local(mac: str | None) -> str | None:
    """The link-local address that the kernel makes of a MAC address (EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", "")) if mac else b""
    if len(octets) != 6:
        return None
    token = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + token))


def _of_children(children: Sequence[Link]) -> Iterator[str]:
    fates: dict[str, list[str]] = {}
    for child in children:
        fates.setdefault(fate(child), []).append(child.ifname)
    for text, names in fates.items():
        yield f"{listing(names)} of the host {text}"


def _of_attached(attached: Attached) -> Iterator[str]:
    for device in attached.rdma:
        yield f"its RDMA device {device.name} {_rdma_fate(device)}"
    if attached.programs:
        yield f"its programs ({listing(attached.programs)}) come along, and go on filtering in the pod"
    if attached.qdiscs:
        kinds = listing(sorted(set(attached.qdiscs)))
        yield f"its qdiscs ({kinds}) do not come along, nor do their classes and filters"
    if (count := attached.virtual_functions) > 0:
        functions = "virtual function" if count == 1 else "virtual functions"
        yield f"it has {count} {functions}, whose settings its holder can change"


def _rdma_fate(device: RdmaDevice) -> str:
    if device.link_type:
        return "is destroyed by the move, and made again at home"
    if device.is_exclusive:
        return "stays on the host"
    return "can be used only with its character devices, which `rdma: true` gives"
