"""Makes a device of a pod's own on an interface of the host, in place of the interface itself.

It is made in the pod's netns at once: at home it is never seen, and with that netns it ends. The kernel gives no
alternative name to what it is still making, so the mark comes after. But it makes it with an index that follows from
the mark: by that a device is known that has no mark yet, or that a container has taken it from, wherever it is. To give
an index also keeps kernels before 6.14 from refusing a name that an interface at home has: they look there for it.
"""

from __future__ import annotations

import contextlib
import errno

from nri_netdev.domain.claim import share_ifindex
from nri_netdev.domain.links import Link
from nri_netdev.domain.setup.values import NewShare, ShareKind
from nri_netdev.errors import KernelError, Reason
from nri_netdev.faults import step
from nri_netdev.shells.kernel.attributes import from_text, u32
from nri_netdev.shells.kernel.changes import add_altname, delete
from nri_netdev.shells.kernel.messages import IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINK, IFLA_MTU, IFLA_NET_NS_FD
from nri_netdev.shells.kernel.netns import open_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl, nsid_of, with_rtnl
from nri_netdev.shells.kernel.setup.target import make_link, mode_data


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


def _there(rtnl: Rtnl, parent: int, home_fd: int, new: NewShare) -> Link | None:
    """The device, if it has been made; `rtnl` is the pod's."""
    marked = rtnl.link_called(new.mark)
    if marked is not None:
        return marked
    made = _made(rtnl, new)
    if made is not None and made.link == parent and made.link_netnsid == nsid_of(rtnl, home_fd) is not None:
        return made
    if rtnl.link_called(new.ifname) is not None:
        raise _name_is_taken(new)
    return None


def _made(rtnl: Rtnl, new: NewShare) -> Link | None:
    """The device of its kind that has the index that it is made with."""
    try:
        link = rtnl.link(share_ifindex(new.mark))
    except KernelError as error:
        if error.errno != errno.ENODEV:
            raise
        return None
    return link if link.kind == new.kind else None


def _marked(rtnl: Rtnl, new: NewShare) -> int:
    """Mark the device, if that is to be done still; its ifindex."""
    marked = rtnl.link_called(new.mark)
    if marked is not None:
        return marked.ifindex
    link = _made(rtnl, new)
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
    }
    if new.mac is not None:
        attrs[IFLA_ADDRESS] = bytes.fromhex(new.mac.replace(":", ""))
    if new.mtu is not None:
        attrs[IFLA_MTU] = u32(new.mtu)
    try:
        data = mode_data(new.kind, new.mode)
        make_link(rtnl, _action(below, new), new.kind, attrs, data, ifindex=share_ifindex(new.mark))
    except KernelError as error:
        raise _in_words(error, below, new) from error


def _action(below: Link, new: NewShare) -> str:
    return f"make {new.ifname} of kind {new.kind} in mode {new.mode} on {below.ifname}"


def _check(below: Link, new: NewShare) -> None:
    """Refuse what the kernel refuses without words, or does not do."""
    reason = ""
    if new.mtu is not None and new.mtu > below.mtu:
        reason = f"its MTU would be {new.mtu}, and that of {below.ifname} is {below.mtu}"
    elif new.mac is not None and new.kind is ShareKind.IPVLAN:
        reason = f"in mode {new.mode} it has the MAC address of {below.ifname}, and no other"
    if reason:
        raise KernelError(action=_action(below, new), errno=errno.EINVAL, reason=reason, refusal=Reason.ANNOTATION)


def _in_words(error: KernelError, below: Link, new: NewShare) -> KernelError:
    """A refusal of the kernel in the words of whoever has asked for the device."""
    if error.errno == errno.EEXIST:
        return _name_is_taken(new)
    reason = error.reason
    if error.errno == errno.EBUSY:
        reason = f"{below.ifname} is a port of a bridge or a bond, or has devices of another kind on it"
    elif error.errno == errno.EINVAL and not reason:
        reason = f"{below.ifname} takes none, or none besides those that it has"
    return KernelError(action=error.action, errno=error.errno, reason=reason, hint=error.hint, refusal=error.refusal)


def _name_is_taken(new: NewShare) -> KernelError:
    reason = "the pod has another interface of this name"
    return KernelError(action=f"make {new.ifname}", errno=errno.EEXIST, reason=reason, refusal=Reason.POD)
