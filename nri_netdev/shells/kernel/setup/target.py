"""The interface that something is set on, and how its changes are tried."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.setup.values import Setup
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, attributes, from_text, pack_all, u32
from nri_netdev.shells.kernel.changes import set_down, set_flags
from nri_netdev.shells.kernel.messages import (
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_NEWLINK,
    link_header,
    link_info,
    pack_link,
)
from nri_netdev.shells.kernel.rtnetlink import Rtnl

_IFLA_INFO_DATA = 2
_MODE = 1
"""`IFLA_MACVLAN_MODE` and `IFLA_IPVLAN_MODE` have the same number."""
_MODES: Mapping[str, Mapping[str, bytes]] = {
    "macvlan": {"private": u32(1), "vepa": u32(2), "bridge": u32(4), "passthru": u32(8)},
    "ipvlan": {mode: struct.pack("=H", number) for number, mode in enumerate(("l2", "l3", "l3s"))},
}
_UNKNOWN_KIND = "Unknown device type"
"""The kernel's words for a kind of device that it lacks; before Linux 4.20 it has none for it."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """An interface in the netns that the calling thread is in, and what it is to be."""

    rtnl: Rtnl
    """A socket of that netns."""
    ifindex: int
    setup: Setup
    kept: tuple[Address, ...] = ()
    """Addresses that it must have besides those of the setup."""

    @cached_property
    def ifname(self) -> str:
        """Its name, for messages and for the files of its sysctls."""
        return self.link.ifname

    @property
    def link(self) -> Link:
        """The interface, as it is now."""
        return self.rtnl.link(self.ifindex)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Its addresses, as they are now."""
        return self.rtnl.addresses(self.ifindex).get(self.ifindex, ())

    def name_of(self, ifindex: int) -> str:
        """What an interface of the netns is called, for messages."""
        try:
            return self.rtnl.link(ifindex).ifname
        except KernelError:  # it has gone meanwhile
            return f"interface {ifindex}"


def change_when_down(target: Target, change: Callable[[], None]) -> None:
    """Make a change that many drivers refuse while the interface is up: then it is set down, and left so.

    Raises:
        KernelError: The kernel refuses it either way.
    """
    try:
        change()
    except KernelError as error:
        if error.errno != errno.EBUSY or not target.link.is_up:
            raise
        set_down(target.rtnl, target.ifindex)
        change()


def put_flag(rtnl: Rtnl, ifindex: int, action: str, flag: int, *, is_set: bool) -> None:
    """Set a flag (`IFF_*`) of a link or take it off, unless it is so; `action` is for error messages.

    Raises:
        KernelError: The kernel refuses.
    """
    _, there = link_header(rtnl.raw_link(ifindex))
    if bool(there & flag) != is_set:
        set_flags(rtnl, action, ifindex, flag if is_set else 0, flag)


def kind_data(raw: bytes) -> dict[int, bytes]:
    """What belongs to the kind of a link (`IFLA_INFO_DATA`), from the body of its `RTM_NEWLINK`."""
    return attributes(link_info(raw).get(_IFLA_INFO_DATA, b""))


def mode_data(kind: str, mode: str) -> dict[int, bytes]:
    """What belongs to the kind of a macvlan or an ipvlan of a mode (`IFLA_INFO_DATA`)."""
    return {_MODE: _MODES[kind][mode]}


def make_link(
    rtnl: Rtnl, action: str, kind: str, attrs: Mapping[int, bytes], data: Mapping[int, bytes], *, ifindex: int = 0
) -> None:
    """Make a link.

    Args:
        rtnl: a socket of the netns.
        action: for error messages.
        kind: vlan, vrf …
        attrs: `IFLA_*`, its name among them.
        data: what belongs to the kind.
        ifindex: the index that it gets; 0 for one that the kernel chooses.

    Raises:
        KernelError: The kernel refuses; in words if it lacks the kind. `EEXIST` if the name is taken.
    """
    info = pack_all({IFLA_INFO_KIND: from_text(kind), _IFLA_INFO_DATA | NLA_F_NESTED: pack_all(data)})
    payload = pack_link(ifindex, {**attrs, IFLA_LINKINFO | NLA_F_NESTED: info})
    try:
        rtnl.change(action, RTM_NEWLINK, payload, NLM_F_CREATE | NLM_F_EXCL)
    except KernelError as error:
        if error.errno == errno.EOPNOTSUPP and error.reason.rstrip(".") in {"", _UNKNOWN_KIND}:
            error.reason, error.hint = f"this kernel has no {kind} devices", "ask for a node whose kernel has them"
        raise
