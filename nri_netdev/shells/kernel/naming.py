"""Names of interfaces: marks, alternative names, and the name that an interface should have at home."""

from __future__ import annotations

import errno
from collections.abc import Collection

from nri_netdev.domain.claim import MARK_PREFIX
from nri_netdev.domain.links import Link
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.changes import add_altname, del_altname, rename, set_down
from nri_netdev.shells.kernel.rtnetlink import Rtnl

_FALLBACK_NAMES = 1000


def mark(rtnl: Rtnl, ifindex: int, altname: str) -> None:
    """Give an interface its mark, if it lacks it; the mark of an earlier claim is removed."""
    altnames = rtnl.link(ifindex).altnames
    for old in altnames:
        if old.startswith(MARK_PREFIX) and old != altname:
            del_altname(rtnl, ifindex, old)
    if altname not in altnames:
        add_altname(rtnl, ifindex, altname)


def unmark(rtnl: Rtnl, ifindex: int, altname: str) -> None:
    """Remove a mark from an interface, if it has it."""
    if altname in rtnl.link(ifindex).altnames:
        del_altname(rtnl, ifindex, altname)


def all_names(rtnl: Rtnl) -> set[str]:
    """Every name in a netns, primary and alternative."""
    return {name for link in rtnl.links() for name in (link.ifname, *link.altnames)}


def free_name(ifindex: int, taken: Collection[str]) -> str:
    """A name for an interface that is not among those taken."""
    candidates = (f"nnd{number}" for number in range(ifindex, ifindex + _FALLBACK_NAMES))
    return next(name for name in candidates if name not in taken)


def free_own_altname(rtnl: Rtnl, link: Link, ifname: str) -> None:
    """Remove an alternative name that is to become the primary name of the same interface, as the kernel requires."""
    if ifname in link.altnames:
        del_altname(rtnl, link.ifindex, ifname)


def settle_name(rtnl: Rtnl, ifindex: int, wanted: str) -> Link | None:
    """Give an interface its name at home.

    Returns:
        The link that has this name now, if it is another one; then the interface keeps the name that it has.

    Raises:
        KernelError: The interface is gone, or the kernel refuses for another reason.
    """
    link = rtnl.link(ifindex)
    if link.ifname == wanted:
        return None
    free_own_altname(rtnl, link, wanted)
    rival = rtnl.link_called(wanted)
    if rival is not None and rival.ifindex != ifindex:
        return rival
    if link.is_up:
        set_down(rtnl, ifindex)
    try:
        rename(rtnl, ifindex, wanted)
    except KernelError as error:
        rival = rtnl.link_called(wanted)
        if error.errno != errno.EEXIST or rival is None:
            raise
        return rival
    return None


def restore_altnames(rtnl: Rtnl, ifindex: int, wanted: Collection[str], altname: str) -> None:
    """Give an interface the alternative names wanted, beside its mark `altname`, and remove all others."""
    now = rtnl.link(ifindex).altnames
    for name in now:
        if name != altname and name not in wanted:
            del_altname(rtnl, ifindex, name)
    for name in wanted:
        if name not in now:
            add_altname(rtnl, ifindex, name)
