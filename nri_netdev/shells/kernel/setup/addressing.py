"""Addresses and permanent neighbours: those that are not wanted removed, those that are missing added.

Duplicate address detection. The kernel lets an address with `IFA_F_OPTIMISTIC` be used at once only if the sysctl
`optimistic_dad` is on for the interface or all; otherwise it drops the flag, and the address is of no use until the
detection is over, one to two seconds later. And an optimistic address is the source of packets only where there is no
other of its scope, as on another interface, unless `use_optimistic` is on (`ipv6_get_saddr_eval`, found so on Linux
6.18). So both are turned on for the interface, where they stay: the kernel forgets them when it leaves the netns. Where
they cannot be, or where the pod asks for `ipv6.optimistic_dad: 0`, an address that would have been optimistic is added
without detection: the process could not use it otherwise.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from nri_netdev.domain.children import children
from nri_netdev.domain.effects import why_left_behind
from nri_netdev.domain.links import Address
from nri_netdev.domain.setup.values import SCOPES, AddressSetup, Dad
from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel.addresses import identity, missing, without_dad
from nri_netdev.shells.kernel.attributes import pack_all
from nri_netdev.shells.kernel.changes import put_address
from nri_netdev.shells.kernel.messages import (
    AF_INET,
    AF_INET6,
    IFA_F_NODAD,
    IFA_F_NOPREFIXROUTE,
    IFA_F_PERMANENT,
    NDMSG,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    RTM_DELADDR,
    RTM_NEWNEIGH,
    pack_address,
)
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup.target import Target
from nri_netdev.shells.kernel.sysctls import has_ipv6, read_sysctl, write_sysctl

DAD_S = 2.0
"""For how long a pod waits for duplicate address detection, at most, on an interface and all devices on it."""
_QUICK_DETECTION = {"ipv6/conf/router_solicitation_delay": "0", "ipv6/neigh/retrans_time_ms": "300"}
"""Sysctls while it is waited for. By default the kernel waits up to a second, sends one solicitation and waits another
second for an answer (RFC 4862, 5.4.2), which is as long as engines wait for a plugin; on a link an answer takes less
than a millisecond."""

_IFA_F_OPTIMISTIC, _IFA_F_DADFAILED, _IFA_F_TENTATIVE = 0x04, 0x08, 0x40
_POLL_S = 0.02
_NUD_PERMANENT = 0x80
_NDA_DST, _NDA_LLADDR = 1, 2
_OPTIMISTIC_SYSCTLS = ("ipv6/conf/optimistic_dad", "ipv6/conf/use_optimistic")
_DISABLE_IPV6 = "ipv6/conf/disable_ipv6"


# -- addresses ---------------------------------------------------------------------------------------------------------


def set_addresses(targets: Sequence[Target]) -> None:
    """Give interfaces their addresses, once those that they are not to have are gone.

    Duplicate detection is waited for where that is asked, but only once all have theirs, so that it takes as long for
    many as for one.

    Raises:
        KernelError: The kernel refuses an address, or another host has it.
    """
    waiting = {target.ifindex: ips for target in targets if (ips := _waited_for(target))}
    with contextlib.ExitStack() as quick:
        for target in targets:
            if target.ifindex in waiting:
                quick.enter_context(_quick_detection(target))
            put_addresses(target)
        if waiting:
            _wait([target for target in targets if target.ifindex in waiting], waiting)


def _waited_for(target: Target) -> frozenset[str]:
    return frozenset(one.ip for one in target.setup.addresses or () if one.is_ipv6 and one.dad is Dad.WAIT)


@contextlib.contextmanager
def _quick_detection(target: Target) -> Iterator[None]:
    ifname = target.ifname
    before = {key: read_sysctl(ifname, key) for key in _QUICK_DETECTION}
    for key, value in _QUICK_DETECTION.items():
        if before[key] is not None:
            write_sysctl(ifname, key, value)
    try:
        yield
    finally:
        for key, text in before.items():
            if text is not None:
                write_sysctl(ifname, key, text)


def put_addresses(target: Target) -> None:
    """Give it its addresses, and wait for nothing.

    Raises:
        KernelError: The kernel refuses an address.
    """
    asked = target.setup.addresses or ()
    flags = _optimistic_flags(target) if any(one.is_ipv6 and one.dad is Dad.OPTIMISTIC for one in asked) else 0
    wanted = {identity(address): address for address in _at_home(target)}
    wanted |= {identity(address): address for address in (_address(one, flags) for one in asked)}
    there = target.addresses
    unwanted = [address for address in there if _is_unwanted(target, address, wanted.values())]
    for address in unwanted:
        _delete(target, address)
    if unwanted:
        there = target.addresses  # others may have gone with them
    for address in missing(wanted.values(), there):
        _add(target, address)
    _free_tentative(target, wanted.values())


def _at_home(target: Target) -> Iterable[Address]:
    """The addresses that it keeps, as they are in a pod."""
    is_ipv6_on = bool(target.kept) and has_ipv6(target.ifname)
    for address in target.kept:
        if why_left_behind(address, has_ipv6=is_ipv6_on) is None:
            label = address.label and target.ifname + address.label.removeprefix(address.label.partition(":")[0])
            yield without_dad(replace(address, label=label))


def _address(asked: AddressSetup, optimistic: int) -> Address:
    flags = IFA_F_NOPREFIXROUTE if asked.noprefixroute else 0
    if asked.is_ipv6:
        flags |= {Dad.OFF: IFA_F_NODAD, Dad.OPTIMISTIC: optimistic, Dad.WAIT: 0}[asked.dad]
    return Address(
        family=AF_INET6 if asked.is_ipv6 else AF_INET,
        address=asked.ip,
        prefixlen=int(asked.address.partition("/")[2]),
        peer=asked.peer,
        broadcast=asked.broadcast,
        scope=SCOPES[asked.scope],
        flags=flags,
        metric=asked.metric,
    )


def _optimistic_flags(target: Target) -> int:
    """How an address is added that is to be used while duplicate detection runs."""
    for key in _OPTIMISTIC_SYSCTLS:
        there = read_sysctl(target.ifname, key)
        if there is None:  # a kernel without optimistic detection
            return IFA_F_NODAD
        if there == "0" and key not in target.setup.sysctls:
            write_sysctl(target.ifname, key, "1")
    return _IFA_F_OPTIMISTIC


def _is_unwanted(target: Target, there: Address, wanted: Iterable[Address]) -> bool:
    """Whether an address has to go: it is not to be there, or is there otherwise than it is to be."""
    rivals = [one for one in wanted if (one.family, one.address) == (there.family, there.address)]
    same = [one for one in rivals if identity(one) == identity(there)]
    if same:
        return not _is_as_wanted(there, same[0])
    if rivals and there.family == AF_INET6:
        return True  # the kernel has an IPv6 address once, whatever its prefix
    return target.setup.replaces_addresses and _is_somebodys(there)


def _is_somebodys(there: Address) -> bool:
    """Whether somebody has given an interface an address, rather than the kernel or a router."""
    if not there.flags & IFA_F_PERMANENT:
        return False
    return there.family == AF_INET or there.scope != SCOPES["link"]


def _is_as_wanted(there: Address, wanted: Address) -> bool:
    """Whether an address has what is wanted of it; what was not asked for may be as it is."""
    if there.flags & _IFA_F_DADFAILED:
        return False  # whoever had it may have left: it is tried again
    if (there.flags ^ wanted.flags) & IFA_F_NOPREFIXROUTE or wanted.metric not in {None, there.metric}:
        return False
    return there.family == AF_INET6 or (
        there.scope == wanted.scope
        and wanted.broadcast in {None, there.broadcast}  # IPv6 computes the one, lacks the other
    )


def _add(target: Target, address: Address) -> None:
    try:
        put_address(target.rtnl, target.ifindex, address)
    except KernelError as error:
        error.action = f"add address {address} on {target.ifname}"
        if address.family == AF_INET6 and read_sysctl(target.ifname, _DISABLE_IPV6) != "0":
            error.reason = "IPv6 is turned off on it in the pod"
            error.hint = "set sysctl ipv6.disable_ipv6 to 0, or ask for no IPv6 address"
        raise


def _delete(target: Target, address: Address) -> None:
    action = f"remove address {address} from {target.ifname}"
    try:
        target.rtnl.change(action, RTM_DELADDR, pack_address(target.ifindex, address))
    except KernelError as error:
        if error.errno != errno.EADDRNOTAVAIL:  # it has gone with the primary address of its network
            raise


def _free_tentative(target: Target, wanted: Iterable[Address]) -> None:
    """Add without detection what the kernel has not made optimistic, though it was to.

    One that has failed meanwhile is neither: detection of an optimistic address begins at once.
    """
    to_be_used = {identity(one): one for one in wanted if one.flags & (_IFA_F_OPTIMISTIC | IFA_F_NODAD)}
    if not to_be_used:
        return
    undecided = _IFA_F_TENTATIVE | _IFA_F_OPTIMISTIC | _IFA_F_DADFAILED
    for address in target.addresses:
        is_useless = address.flags & undecided == _IFA_F_TENTATIVE
        if is_useless and identity(address) in to_be_used:
            asked = to_be_used[identity(address)]
            _delete(target, address)
            _add(target, replace(asked, flags=asked.flags & ~_IFA_F_OPTIMISTIC | IFA_F_NODAD))


# -- duplicate address detection ---------------------------------------------------------------------------------------


def _wait(targets: Sequence[Target], waiting: Mapping[int, Collection[str]]) -> None:
    """Wait until duplicate detection of some addresses is over; `waiting`: the addresses, by the ifindex of each."""
    deadline_s = time.monotonic() + DAD_S
    while True:
        every = targets[0].rtnl.addresses()
        there = [
            (target, address)
            for target in targets
            for address in every.get(target.ifindex, ())
            if address.address in waiting[target.ifindex]
        ]
        for target, address in there:
            if address.flags & _IFA_F_DADFAILED:
                raise KernelError(
                    action=f"add address {address} on {target.ifname}",
                    errno=errno.EADDRINUSE,
                    reason=f"address {address.address} is in use on this network by another host",
                )
        tentative = [(target, address) for target, address in there if address.flags & _IFA_F_TENTATIVE]
        if not tentative:
            return
        if time.monotonic() > deadline_s:
            target, address = tentative[0]
            raise KernelError(
                action=f"wait for duplicate address detection of {address.address} on {target.ifname}",
                errno=errno.ETIMEDOUT,
                reason=f"it is not over after {DAD_S:.0f} s" + ("" if target.link.has_carrier else ": no carrier"),
                hint="check the cable or the other end, or ask for dad: optimistic",
                refusal=Reason.BUSY,
            )
        time.sleep(_POLL_S)


def duplicates(rtnl: Rtnl, ifindex: int) -> tuple[str, ...]:
    """The addresses of an interface, and of the devices on it in this netns, that another host has.

    The kernel found that by duplicate address detection; it uses none of them.

    Raises:
        KernelError: They cannot be read.
    """
    own = [ifindex, *(child.ifindex for child in children(rtnl.links()).get(ifindex, ()))]
    every = rtnl.addresses()
    return tuple(one.address for each in own for one in every.get(each, ()) if one.flags & _IFA_F_DADFAILED)


# -- neighbours --------------------------------------------------------------------------------------------------------


def set_neighbors(target: Target) -> None:
    """Add its permanent neighbours; one that is there with another link-layer address gets the new one.

    Raises:
        KernelError: The kernel refuses one.
    """
    for one in target.setup.neighbors:
        family = AF_INET6 if ":" in one.dst else AF_INET
        attrs = {
            _NDA_DST: socket.inet_pton(family, one.dst),
            _NDA_LLADDR: bytes.fromhex(one.lladdr.replace(":", "")),
        }
        header = NDMSG.pack(family, target.ifindex, _NUD_PERMANENT, 0, 0)
        action = f"add neighbor {one.dst} lladdr {one.lladdr} on {target.ifname}"
        own = target.link.mac
        if own is not None and len(own) != len(one.lladdr):  # the kernel would cut a longer one
            reason = f"link-layer addresses of {target.ifname} are as long as its own, {own}"
            raise KernelError(action=action, errno=errno.EINVAL, reason=reason)
        target.rtnl.change(action, RTM_NEWNEIGH, header + pack_all(attrs), NLM_F_CREATE | NLM_F_REPLACE)
