"""The ways in and home: an interface in a pod is completed, and one that leaves a pod is restored at home.

Both may be interrupted anywhere and repeated: each step reads the present state and changes only what differs.
`bring_home` raises only what keeps the interface from coming home at all.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable
from dataclasses import replace

from nri_netdev.domain.children import PAIRS, children
from nri_netdev.domain.effects import why_left_behind
from nri_netdev.domain.links import Address
from nri_netdev.domain.snapshot import Away, HomeReport, Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.faults import step
from nri_netdev.shells.kernel.addresses import missing, without_dad
from nri_netdev.shells.kernel.changes import (
    del_altname,
    delete,
    move,
    put_address,
    rename,
    set_down,
    set_flags,
    set_master,
    set_up,
)
from nri_netdev.shells.kernel.facets.facet import Recorded, Site, restore_facet
from nri_netdev.shells.kernel.facets.kind import KIND
from nri_netdev.shells.kernel.facets.link import LINK
from nri_netdev.shells.kernel.messages import IFF_ALLMULTI, IFF_MULTICAST, IFF_PROMISC, link_header
from nri_netdev.shells.kernel.naming import all_names, free_name, free_own_altname, mark
from nri_netdev.shells.kernel.restore import restore
from nri_netdev.shells.kernel.rtnetlink import Rtnl, nsid_of, with_rtnl
from nri_netdev.shells.kernel.setup.apply import undo
from nri_netdev.shells.kernel.sysctls import has_ipv6
from nri_netdev.shells.kernel.udev import Udev


def complete(rtnl: Rtnl, ifindex: int, ifname: str, addresses: Iterable[Address], *, is_up: bool = True) -> None:
    """Do in the pod what the OCI runtime left undone: the name, the permanent global addresses, and up.

    IPv6 addresses are left out if the interface has IPv6 turned off there.

    Args:
        rtnl: a socket of the pod's netns, which the calling thread is in.
        ifindex: the interface.
        ifname: its name in the pod.
        addresses: its addresses at home.
        is_up: whether to set it up.

    Raises:
        KernelError: The kernel refuses any of it.
    """
    link = rtnl.link(ifindex)
    if link.ifname != ifname:
        if link.is_up:
            set_down(rtnl, ifindex)
        free_own_altname(rtnl, link, ifname)
        rename(rtnl, ifindex, ifname)
    there = rtnl.addresses(ifindex).get(ifindex, ())
    is_ipv6_on = has_ipv6(ifname)
    for address in missing(addresses, there):
        if why_left_behind(address, has_ipv6=is_ipv6_on) is None:
            label = address.label and ifname + address.label.removeprefix(address.label.partition(":")[0])
            put_address(rtnl, ifindex, without_dad(replace(address, label=label)))
    if is_up and not rtnl.link(ifindex).is_up:
        set_up(rtnl, ifindex)


def bring_home(pod_fd: int, ifindex: int, away: Away, home_fd: int) -> HomeReport:
    """Move an interface from a pod home and restore it.

    Args:
        pod_fd: the netns that the interface is in.
        ifindex: its index there.
        away: what it was at home, and what was done with it. It is found by its mark at home, where its index may be
            another.
        home_fd: the netns that the interface belongs to.

    Raises:
        KernelError: It cannot leave the pod, and is still there.
    """
    with Udev() as udev:
        with_rtnl(pod_fd, _leave, ifindex, away, home_fd)
        return with_rtnl(home_fd, _arrive, away.snapshot, away.mark, udev)


def delete_children_across(rtnl: Rtnl, ifindex: int, other_fd: int) -> None:
    """Delete the devices of a netns that stand on an interface in another, where its container has moved it.

    Args:
        rtnl: a socket of the netns of the devices.
        ifindex: the interface, in the other netns.
        other_fd: the other netns.

    Raises:
        KernelError: They cannot be read.
    """
    nsid = nsid_of(rtnl, other_fd)
    for link in rtnl.links():
        if link.link == ifindex and link.link_netnsid == nsid is not None and link.kind not in PAIRS:
            with contextlib.suppress(KernelError):
                delete(rtnl, link.ifindex)


def _leave(rtnl: Rtnl, ifindex: int, away: Away, home_fd: int) -> None:
    snapshot, altname = away.snapshot, away.mark
    if not away.setup.is_plain:
        undo(rtnl, ifindex, away.setup, away.others, is_away=away.pod_path is not None)
        step("homing.undone")
    for child in children(rtnl.links()).get(ifindex, ()):
        with contextlib.suppress(KernelError):  # the kernel has deleted it with another
            delete(rtnl, child.ifindex)  # it would go on sending and receiving through the host's interface
    step("homing.childless")
    link = rtnl.link(ifindex)
    if link.master is not None:
        set_master(rtnl, ifindex, None)
        step("homing.released")
    if link.is_up:
        _relieve_below(rtnl, ifindex, snapshot)
        set_down(rtnl, ifindex)
        step("homing.down")
    _put_flags(rtnl, ifindex, snapshot, IFF_MULTICAST)  # at home the kernel joins the groups of routers only by this
    mark(rtnl, ifindex, altname)
    step("homing.marked")
    taken = with_rtnl(home_fd, all_names)
    for name in link.altnames:
        if name != altname and (name in taken or name not in snapshot.link.altnames):
            with contextlib.suppress(KernelError):
                del_altname(rtnl, ifindex, name)
    step("homing.altnames")
    here = all_names(rtnl) - {link.ifname}
    wanted = snapshot.link.ifname
    if wanted in taken | here:
        wanted = link.ifname if link.ifname not in taken else free_name(ifindex, taken | here)
    if link.ifname != wanted:
        rename(rtnl, ifindex, wanted)
        step("homing.named")
    move(rtnl, ifindex, home_fd)
    step("homing.moved")


def _relieve_below(rtnl: Rtnl, ifindex: int, snapshot: Snapshot) -> None:
    """Put back, while an interface is up, by what a macvlan in mode passthru has the device below hear more.

    The kernel does not end that for one that is down.
    """
    _put_flags(rtnl, ifindex, snapshot, IFF_PROMISC | IFF_ALLMULTI)
    kind = snapshot.facets.get(KIND.name)
    if kind is not None and snapshot.link.kind in {"macvlan", "macvtap"}:
        with contextlib.suppress(KernelError):
            restore_facet(KIND, Site(rtnl, ifindex), Recorded(messages=kind, ifindex=snapshot.ifindex))


def _put_flags(rtnl: Rtnl, ifindex: int, snapshot: Snapshot, mask: int) -> None:
    for raw in snapshot.facets.get(LINK.name, ()):
        _, flags = link_header(raw)
        with contextlib.suppress(KernelError):  # all of it is compared at home
            set_flags(rtnl, f"set the flags of interface {ifindex}", ifindex, flags & mask, mask)


def _arrive(rtnl: Rtnl, snapshot: Snapshot, altname: str, udev: Udev) -> HomeReport:
    link = rtnl.link_called(altname)
    if link is None:
        raise KernelError(action=f"find {snapshot.link.ifname} by its mark {altname} at home", errno=errno.ENODEV)
    udev.wait(link.ifindex)
    return restore(rtnl, snapshot, link.ifindex, altname)
