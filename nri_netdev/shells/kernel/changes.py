"""Changes of interfaces by name: up, down, renamed, moved, enslaved, given a name or an address.

Every function takes a socket (`Rtnl`) of the netns that the interface is in, and raises `KernelError`.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import replace

from nri_netdev.domain.links import Address
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, from_text, pack, u32
from nri_netdev.shells.kernel.messages import (
    IFA_F_MCAUTOJOIN,
    IFF_UP,
    IFLA_ALT_IFNAME,
    IFLA_IFNAME,
    IFLA_MASTER,
    IFLA_NET_NS_FD,
    IFLA_PROP_LIST,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELLINKPROP,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWLINKPROP,
    pack_address,
    pack_link,
)
from nri_netdev.shells.kernel.rtnetlink import Rtnl


def set_link(rtnl: Rtnl, action: str, ifindex: int, attrs: Mapping[int, bytes]) -> None:
    """Set attributes (`IFLA_*`) of a link; `action` is for error messages."""
    rtnl.change(action, RTM_NEWLINK, pack_link(ifindex, attrs))


def set_flags(rtnl: Rtnl, action: str, ifindex: int, flags: int, change: int) -> None:
    """Set flags (`IFF_*`) of a link, those in `change`; `action` is for error messages."""
    rtnl.change(action, RTM_NEWLINK, pack_link(ifindex, {}, flags, change))


def set_up(rtnl: Rtnl, ifindex: int) -> None:
    """Set a link up."""
    set_flags(rtnl, f"set interface {ifindex} up", ifindex, IFF_UP, IFF_UP)


def set_down(rtnl: Rtnl, ifindex: int) -> None:
    """Set a link down; it loses its IPv6 addresses and all its routes."""
    set_flags(rtnl, f"set interface {ifindex} down", ifindex, 0, IFF_UP)


def rename(rtnl: Rtnl, ifindex: int, ifname: str) -> None:
    """Rename a link; `EEXIST` if any link has the name, even if it is an alternative name of the same one."""
    set_link(rtnl, f"rename interface {ifindex} to {ifname}", ifindex, {IFLA_IFNAME: from_text(ifname)})


def move(rtnl: Rtnl, ifindex: int, netns_fd: int, ifname: str | None = None) -> None:
    """Move a link to another netns. A move with a new name may fail halfway; one without either succeeds or fails."""
    attrs = {IFLA_NET_NS_FD: u32(netns_fd)}
    if ifname is not None:
        attrs[IFLA_IFNAME] = from_text(ifname)
    set_link(rtnl, f"move interface {ifindex} to another network namespace", ifindex, attrs)


def set_master(rtnl: Rtnl, ifindex: int, master: int | None) -> None:
    """Enslave a link to another, or release it."""
    action = f"enslave interface {ifindex} to {master}" if master else f"release interface {ifindex}"
    set_link(rtnl, action, ifindex, {IFLA_MASTER: u32(master or 0)})


def add_altname(rtnl: Rtnl, ifindex: int, altname: str) -> None:
    """Give a link an alternative name; `EEXIST` if any link has it."""
    action = f"give interface {ifindex} the alternative name {altname}"
    rtnl.change(action, RTM_NEWLINKPROP, _altname(ifindex, altname), NLM_F_CREATE | NLM_F_APPEND | NLM_F_EXCL)


def del_altname(rtnl: Rtnl, ifindex: int, altname: str) -> None:
    """Remove an alternative name from a link."""
    action = f"take the alternative name {altname} from interface {ifindex}"
    rtnl.change(action, RTM_DELLINKPROP, _altname(ifindex, altname))


def _altname(ifindex: int, altname: str) -> bytes:
    return pack_link(ifindex, {IFLA_PROP_LIST | NLA_F_NESTED: pack(IFLA_ALT_IFNAME, from_text(altname))})


def put_address(rtnl: Rtnl, ifindex: int, address: Address) -> None:
    """Add an address; if the link has it already, set its flags, lifetimes and metric.

    An address whose group the kernel joins (`autojoin`) is refused if a link of this index has left the netns with it:
    the kernel is still a member then. It leaves the group when such an address is deleted, however it was added.
    """
    try:
        _add_address(rtnl, ifindex, address)
    except KernelError as error:
        if error.errno != errno.EADDRINUSE or not address.flags & IFA_F_MCAUTOJOIN:
            raise
        plain = replace(address, flags=address.flags & ~IFA_F_MCAUTOJOIN)
        _add_address(rtnl, ifindex, plain)
        rtnl.change(f"delete {plain} of interface {ifindex}", RTM_DELADDR, pack_address(ifindex, plain))
        _add_address(rtnl, ifindex, address)


def _add_address(rtnl: Rtnl, ifindex: int, address: Address) -> None:
    payload = pack_address(ifindex, address)
    rtnl.change(f"add {address} to interface {ifindex}", RTM_NEWADDR, payload, NLM_F_CREATE | NLM_F_REPLACE)


def delete(rtnl: Rtnl, ifindex: int) -> None:
    """Delete a link of a kind that can be made and deleted."""
    rtnl.change(f"delete interface {ifindex}", RTM_DELLINK, pack_link(ifindex, {}))


def try_altname() -> None:
    """Give the loopback interface of the calling thread's netns an alternative name, to find out whether that works.

    Raises:
        KernelError: It does not.
    """
    with Rtnl() as rtnl:
        add_altname(rtnl, 1, "nri-netdev-probe")
