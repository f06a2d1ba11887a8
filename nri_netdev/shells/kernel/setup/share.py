"""Makes a device of a pod's own on an interface of the host, in place of the interface itself.

It is made in the pod's netns at once: at home it is never seen, and with that netns it ends. The kernel gives no
alternative name to what it is still making, so the mark comes after; a device without one is known by where it stands.
Numbers are those of `linux/if_link.h`.
"""

from __future__ import annotations

import contextlib
import errno
import struct
from collections.abc import Mapping

from nri_netdev.domain.links import Link
from nri_netdev.domain.setup.values import NewShare, ShareKind
from nri_netdev.errors import KernelError, Reason
from nri_netdev.faults import step
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, from_text, pack, u32
from nri_netdev.shells.kernel.changes import add_altname, delete
from nri_netdev.shells.kernel.messages import (
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MTU,
    IFLA_NET_NS_FD,
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_NEWLINK,
    pack_link,
)
from nri_netdev.shells.kernel.netns import open_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl, nsid_of, with_rtnl

_INFO_DATA, _MODE = 2, 1  # IFLA_MACVLAN_MODE and IFLA_IPVLAN_MODE have the same number
_MODES: Mapping[str, Mapping[str, bytes]] = {
    ShareKind.MACVLAN: {"private": u32(1), "vepa": u32(2), "bridge": u32(4), "passthru": u32(8)},
    ShareKind.IPVLAN: {mode: struct.pack("=H", number) for number, mode in enumerate(("l2", "l3", "l3s"))},
}


def make_share(rtnl: Rtnl, parent: int, netns_fd: int, new: NewShare) -> int:
    """Make a device on an interface, in another netns, down, and mark it there.

    To repeat it after a crash makes no second one: a device with the mark is the one, and so is one that a crash left
    without.

    Args:
        rtnl: a socket at home, where the calling thread is.
        parent: the interface at home.
        netns_fd: the pod's netns.
        new: the device.

    Returns:
        Its ifindex in the pod.

    Raises:
        KernelError: The interface is gone (`ENODEV`), the name is taken in the pod (`EEXIST`), the kernel lacks the
            kind (`EOPNOTSUPP`), or it refuses for another reason. Then none is left there.
    """
    with open_netns() as home_fd:
        there = with_rtnl(netns_fd, _there, parent, home_fd, new)
    if there is None:
        _make(rtnl, parent, netns_fd, new)
        step("share.made")
    return with_rtnl(netns_fd, _marked, new)


def delete_share(rtnl: Rtnl, ifindex: int) -> None:
    """Delete a device that was made, if it is there still.

    Args:
        rtnl: a socket in the pod's netns.
        ifindex: the device there.

    Raises:
        KernelError: The kernel refuses.
    """
    try:
        delete(rtnl, ifindex)
    except KernelError as error:
        if error.errno != errno.ENODEV:
            raise


def _packed_kind(kind: str, mode: str) -> bytes:
    """What makes a macvlan or an ipvlan (`IFLA_LINKINFO`).

    Raises:
        KernelError: The kind has no such mode.
    """
    modes = _MODES[kind]
    if mode not in modes:
        reason = f"{kind} has the modes {', '.join(modes)}"
        raise KernelError(action=f"set mode {mode}", errno=errno.EINVAL, reason=reason, refusal=Reason.ANNOTATION)
    return pack(IFLA_INFO_KIND, from_text(kind)) + pack(_INFO_DATA | NLA_F_NESTED, pack(_MODE, modes[mode]))


def _there(rtnl: Rtnl, parent: int, home_fd: int, new: NewShare) -> Link | None:
    """The device, if it has been made; `rtnl` is the pod's."""
    marked, named = rtnl.link_called(new.mark), rtnl.link_called(new.ifname)
    if marked is None and named is not None and not _is_unmarked(rtnl, named, parent, home_fd, new):
        raise _name_is_taken(new)
    return marked or named


def _is_unmarked(rtnl: Rtnl, link: Link, parent: int, home_fd: int, new: NewShare) -> bool:
    """Whether a link of the pod is a device that was made and not marked: nothing has been done to it since."""
    is_as_made = link.kind == new.kind and not link.altnames and not link.is_up
    return is_as_made and link.link == parent and link.link_netnsid == nsid_of(rtnl, home_fd) is not None


def _marked(rtnl: Rtnl, new: NewShare) -> int:
    """Mark the device, if that is to be done still; its ifindex."""
    marked = rtnl.link_called(new.mark)
    if marked is not None:
        return marked.ifindex
    link = rtnl.link_called(new.ifname)
    if link is None:
        raise KernelError(action=f"mark {new.ifname} in the pod", errno=errno.ENODEV, refusal=Reason.POD)
    try:
        add_altname(rtnl, link.ifindex, new.mark)
    except KernelError:
        with contextlib.suppress(KernelError):
            delete(rtnl, link.ifindex)
        raise
    return link.ifindex


def _make(rtnl: Rtnl, parent: int, netns_fd: int, new: NewShare) -> None:
    below = rtnl.link(parent)
    _check(below, new)
    attrs = {
        IFLA_LINK: u32(parent),
        IFLA_NET_NS_FD: u32(netns_fd),
        IFLA_IFNAME: from_text(new.ifname),
        IFLA_LINKINFO | NLA_F_NESTED: _packed_kind(new.kind, new.mode),
    }
    if new.mac is not None:
        attrs[IFLA_ADDRESS] = bytes.fromhex(new.mac.replace(":", ""))
    if new.mtu is not None:
        attrs[IFLA_MTU] = u32(new.mtu)
    try:
        rtnl.change(_action(below, new), RTM_NEWLINK, pack_link(0, attrs), NLM_F_CREATE | NLM_F_EXCL)
    except KernelError as error:
        raise _in_words(error, below, new) from error


def _action(below: Link, new: NewShare) -> str:
    return f"make {new.ifname} of kind {new.kind} in mode {new.mode} on {below.ifname}"


def _check(below: Link, new: NewShare) -> None:
    """Refuse what the kernel refuses without words, or does not do."""
    reason = ""
    if new.mtu is not None and new.mtu > below.mtu:
        reason = f"its MTU would be {new.mtu}, and that of {below.ifname} is {below.mtu}"
    elif new.mac is not None and (new.kind is ShareKind.IPVLAN or new.mode == "passthru"):
        reason = f"in mode {new.mode} it has the MAC address of {below.ifname}, and no other"
    if reason:
        raise KernelError(action=_action(below, new), errno=errno.EINVAL, reason=reason, refusal=Reason.ANNOTATION)


def _in_words(error: KernelError, below: Link, new: NewShare) -> KernelError:
    """A refusal of the kernel in the words of whoever has asked for the device."""
    if error.errno == errno.EEXIST:
        return _name_is_taken(new)
    reason, hint = error.reason, ""
    if error.errno == errno.EOPNOTSUPP:
        reason, hint = f"this kernel has no {new.kind}", f"the node needs the kernel module {new.kind}"
    elif error.errno == errno.EBUSY:
        reason = f"{below.ifname} is a port of a bridge or a bond, or has devices of another kind on it"
    elif error.errno == errno.EINVAL and not reason:
        reason = f"{below.ifname} takes none, or none besides those that it has: passthru is for one alone"
    return KernelError(action=error.action, errno=error.errno, reason=reason, hint=hint, refusal=error.refusal)


def _name_is_taken(new: NewShare) -> KernelError:
    reason = "the pod has another interface of this name"
    return KernelError(action=f"make {new.ifname}", errno=errno.EEXIST, reason=reason, refusal=Reason.POD)
