"""The settings of the interface itself: MAC address, queue, GSO and GRO, MTU, flags, BPF programs, sysctls, up."""

from __future__ import annotations

import errno

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import to_int, u32
from nri_netdev.shells.kernel.changes import set_link
from nri_netdev.shells.kernel.facets.facet import Recorded, Site, restore_facet
from nri_netdev.shells.kernel.facets.programs import PROGRAMS
from nri_netdev.shells.kernel.messages import (
    IFF_ALLMULTI,
    IFF_PROMISC,
    IFF_UP,
    IFLA_ADDRESS,
    IFLA_MTU,
    IFLA_TXQLEN,
    link_attributes,
)
from nri_netdev.shells.kernel.setup.target import Target, change_when_down, put_flag
from nri_netdev.shells.kernel.sysctls import write_sysctl

_IFF_NOARP = 0x80
_IFLA_GSO_MAX_SIZE, _IFLA_GRO_MAX_SIZE = 41, 58


def detach_bpf(target: Target) -> None:
    """Detach every BPF program: XDP, tcx, netkit. Filters of tc have gone with the qdiscs, in the move.

    Raises:
        KernelError: One is left.
    """
    if target.setup.detach_bpf:
        site = Site(target.rtnl, target.ifindex)
        left = restore_facet(PROGRAMS, site, Recorded(messages=(), ifindex=target.ifindex))
        if left:
            reason = f"{left[0].what} stays: {left[0].why.partition(';')[0]}"
            raise KernelError(action=f"detach BPF programs from {target.ifname}", errno=errno.EBUSY, reason=reason)


def set_mac(target: Target) -> None:
    """Set the MAC address.

    Raises:
        KernelError: The kernel refuses it, even while the interface is down.
    """
    mac = target.setup.mac
    if mac is None or target.link.mac == mac.lower():
        return
    attrs = {IFLA_ADDRESS: bytes.fromhex(mac.replace(":", ""))}
    try:
        change_when_down(
            target, lambda: set_link(target.rtnl, f"set mac {mac} on {target.ifname}", target.ifindex, attrs)
        )
    except KernelError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            error.hint = "give a unicast address; that of a virtual function may be administered by its physical one"
        elif error.errno == errno.EOPNOTSUPP and not error.reason:
            error.reason = "its driver does not let it be changed"
        raise


def set_txqueuelen(target: Target) -> None:
    """Set the length of the transmit queue, in packets."""
    _set_number(target, "txqueuelen", IFLA_TXQLEN, target.setup.txqueuelen)


def set_offload_sizes(target: Target) -> None:
    """Set the greatest size of a packet that is segmented later (GSO) or has been merged (GRO), in bytes."""
    _set_number(target, "gso_max_size", _IFLA_GSO_MAX_SIZE, target.setup.gso_max_size)
    _set_number(target, "gro_max_size", _IFLA_GRO_MAX_SIZE, target.setup.gro_max_size)


def set_mtu(target: Target) -> None:
    """Set the MTU, in bytes."""
    change_when_down(target, lambda: _set_number(target, "mtu", IFLA_MTU, target.setup.mtu))


def _set_number(target: Target, name: str, attribute: int, wanted: int | None) -> None:
    """Set an attribute to a number, unless it is that already: some drivers refuse or restart for what they have."""
    if wanted is None:
        return
    there = to_int(link_attributes(target.rtnl.raw_link(target.ifindex)).get(attribute))
    if there != wanted:
        set_link(target.rtnl, f"set {name} {wanted} on {target.ifname}", target.ifindex, {attribute: u32(wanted)})


def set_modes(target: Target) -> None:
    """Set what it hears besides (promisc, allmulti) and whether it resolves addresses (arp)."""
    setup = target.setup
    no_arp = None if setup.arp is None else not setup.arp
    for name, flag, is_set, word in (
        ("promisc", IFF_PROMISC, setup.promisc, setup.promisc),
        ("allmulti", IFF_ALLMULTI, setup.allmulti, setup.allmulti),
        ("arp", _IFF_NOARP, no_arp, setup.arp),
    ):
        if is_set is not None:
            action = f"set {name} {str(word).lower()} on {target.ifname}"
            put_flag(target.rtnl, target.ifindex, action, flag, is_set=is_set)


def set_sysctls(target: Target) -> None:
    """Set its sysctls, in the order given.

    Raises:
        KernelError: The kernel has no such sysctl, or refuses the value.
    """
    for key, value in target.setup.sysctls.items():
        try:
            write_sysctl(target.ifname, key, value)
        except KernelError as error:
            error.action = f"set sysctl {key.replace('/conf', '').replace('/', '.')} to {value} on {target.ifname}"
            if error.errno == errno.ENOENT:
                error.reason = "this kernel has no such sysctl for interfaces"
            raise


def set_up(target: Target) -> None:
    """Set it up. One that is to be down is up meanwhile: only so can routes be checked and addresses be used."""
    put_flag(target.rtnl, target.ifindex, f"set {target.ifname} up", IFF_UP, is_set=True)


def set_down(target: Target) -> None:
    """Set it down, if it is to be. It keeps its IPv4 addresses, and loses its routes and IPv6 addresses."""
    if not target.setup.up:
        put_flag(target.rtnl, target.ifindex, f"set {target.ifname} down", IFF_UP, is_set=False)
