"""Devices that are made in the pod: those on the interface (VLAN, macvlan, ipvlan), and the VRF that it is put into."""

from __future__ import annotations

import errno
import struct
from collections.abc import Collection, Mapping

from nri_netdev.domain.links import Link
from nri_netdev.domain.setup.values import ChildSetup, VrfSetup
from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel.attributes import from_text, to_int, u32
from nri_netdev.shells.kernel.changes import delete, set_link
from nri_netdev.shells.kernel.messages import IFF_UP, IFLA_GROUP, IFLA_IFALIAS, IFLA_IFNAME, IFLA_LINK, IFLA_MASTER
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup.routing import IFLA_VRF_TABLE
from nri_netdev.shells.kernel.setup.target import Target, kind_data, make_link, mode_data, put_flag

_IFLA_VLAN_ID, _IFLA_VLAN_PROTOCOL = 1, 5
_VLAN_PROTOCOLS = {"802.1Q": 0x8100, "802.1ad": 0x88A8}
_STACKED = {"macvlan": frozenset({"macvlan", "macvtap"}), "ipvlan": frozenset({"ipvlan", "ipvtap"})}
"""Kinds on which a device of a kind is not put: the kernel puts it on the device below (`macvlan_common_newlink`)."""
_OURS = "made by nri-netdev"
"""The alias of a VRF that is deleted with its last port."""
_HALF_MADE = 0x6E72692D
"""The group of a VRF that has no alias yet: a link is made with a group, but without an alias, even if it is given one
(found so on Linux 6.18)."""


# -- devices on the interface ------------------------------------------------------------------------------------------


def make_child(target: Target, child: ChildSetup) -> int:
    """Make a device on the interface, unless it is there; its ifindex. The rest of its setup is not applied.

    Raises:
        KernelError: The kernel refuses, or lacks the kind. `EEXIST` if another device has its name.
    """
    action = f"make {child.kind} {child.name} on {target.ifname}"
    data = _data_of(child)
    there = target.rtnl.link_called(child.name)
    if there is None:
        attrs = {IFLA_IFNAME: from_text(child.name), IFLA_LINK: u32(target.ifindex)}
        make_link(target.rtnl, action, child.kind, attrs, data)
        there = target.rtnl.link_called(child.name)
        if there is None:
            raise KernelError(action=action, errno=errno.ENODEV, reason="it is gone again")
    elif not _is_child(target.link, there, child):
        raise _taken(action, f"{_a_kind(there)} has that name")
    its_data = kind_data(target.rtnl.raw_link(there.ifindex))
    if any(its_data.get(number, value) != value for number, value in data.items()):
        other = "id" if child.kind == "vlan" else "mode"
        raise _taken(action, f"{_a_kind(there)} of that name is on it with another {other}")
    return there.ifindex


def delete_beside(target: Target, kept: Collection[str] = ()) -> None:
    """Delete the devices that the kernel has put beside the interface, on the device below, rather than on it.

    Those on it are deleted by whoever brings it home.

    Args:
        target: the interface.
        kept: the names of devices that others ask for.

    Raises:
        KernelError: The kernel refuses.
    """
    links = target.rtnl.links() if target.setup.children else ()
    link = next((link for link in links if link.ifindex == target.ifindex), None)
    for child in target.setup.children if link is not None else ():
        there = next((one for one in links if one.ifname == child.name and child.name not in kept), None)
        if link and there and link.kind in _STACKED.get(child.kind, ()) and _is_child(link, there, child):
            delete(target.rtnl, there.ifindex)


def _is_child(link: Link, there: Link, child: ChildSetup) -> bool:
    """Whether a device that has the name of a child is the child."""
    is_beside = link.kind in _STACKED.get(child.kind, ())
    below = (link.link, link.link_netnsid) if is_beside else (link.ifindex, None)
    return there.kind == child.kind and there.ifname == child.name and (there.link, there.link_netnsid) == below


def _data_of(child: ChildSetup) -> Mapping[int, bytes]:
    """What belongs to its kind (`IFLA_INFO_DATA`)."""
    if child.kind == "vlan":
        protocol = _VLAN_PROTOCOLS[child.protocol or "802.1Q"]
        return {_IFLA_VLAN_ID: struct.pack("=H", child.id or 0), _IFLA_VLAN_PROTOCOL: struct.pack(">H", protocol)}
    return mode_data(child.kind, child.mode or ("bridge" if child.kind == "macvlan" else "l3"))


# -- VRF ---------------------------------------------------------------------------------------------------------------


def enter_vrf(target: Target) -> None:
    """Enslave the interface to its VRF, which is made if it is not there, and set up.

    The kernel sets the interface down and up for that: it loses IPv6 addresses and routes.

    Raises:
        KernelError: The kernel refuses, or has no VRFs. `EEXIST` if the VRF has another table or another device its
            name.
    """
    vrf = target.setup.vrf
    if vrf is None:
        return
    action = f"make vrf {vrf.name} with table {vrf.table}"
    there = target.rtnl.link_called(vrf.name)
    if there is None:
        attrs = {IFLA_IFNAME: from_text(vrf.name), IFLA_GROUP: u32(_HALF_MADE)}
        make_link(target.rtnl, action, "vrf", attrs, {IFLA_VRF_TABLE: u32(vrf.table)})
        there = target.rtnl.link_called(vrf.name)
        if there is None:
            raise KernelError(action=action, errno=errno.ENODEV, reason="it is gone again")
    _check_vrf(target.rtnl, vrf, there, action)
    if there.group == _HALF_MADE:  # just made, perhaps before this was interrupted
        set_link(target.rtnl, action, there.ifindex, {IFLA_IFALIAS: from_text(_OURS)})
        set_link(target.rtnl, action, there.ifindex, {IFLA_GROUP: u32(0)})
    put_flag(target.rtnl, there.ifindex, f"set {vrf.name} up", IFF_UP, is_set=True)
    if target.link.master != there.ifindex:
        attrs = {IFLA_MASTER: u32(there.ifindex)}
        set_link(target.rtnl, f"put {target.ifname} into vrf {vrf.name}", target.ifindex, attrs)


def _check_vrf(rtnl: Rtnl, vrf: VrfSetup, there: Link, action: str) -> None:
    if there.kind != "vrf" or there.ifname != vrf.name:
        raise _taken(action, f"{_a_kind(there)} has that name")
    table = to_int(kind_data(rtnl.raw_link(there.ifindex)).get(IFLA_VRF_TABLE))
    if table != vrf.table:
        raise _taken(action, f"it is there with table {table}", "give that table, or another name")


def leave_vrf(target: Target, kept: Collection[str] = ()) -> None:
    """Release the interface from its VRF, and delete that if it was made by us, has no other port and is not kept.

    Args:
        target: the interface.
        kept: the names of VRFs that others ask for: each is deleted with the last of them.

    Raises:
        KernelError: The kernel refuses.
    """
    vrf = target.setup.vrf
    there = None if vrf is None else target.rtnl.link_called(vrf.name)
    if there is None or there.kind != "vrf":
        return
    ports = {link.ifindex: link.ifname for link in target.rtnl.links() if link.master == there.ifindex}
    if target.ifindex in ports:
        action = f"take {ports.pop(target.ifindex)} out of vrf {there.ifname}"
        set_link(target.rtnl, action, target.ifindex, {IFLA_MASTER: u32(0)})
    if not ports and vrf is not None and vrf.name not in kept and (there.alias == _OURS or there.group == _HALF_MADE):
        delete(target.rtnl, there.ifindex)


def _taken(action: str, reason: str, hint: str = "give another name") -> KernelError:
    return KernelError(action=action, errno=errno.EEXIST, reason=reason, hint=hint, refusal=Reason.POD)


def _a_kind(link: Link) -> str:
    """A device that is in the way: "a veth", "an ifb"."""
    kind = link.kind or "device"
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
