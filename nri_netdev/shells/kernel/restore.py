"""Restores an interface at home to what its snapshot says, and tells whatever differs.

`restore` may be interrupted anywhere and repeated: each step reads the present state and changes only what differs.
What the kernel refuses is reported and stops nothing. At the end every facet is compared, whatever was put back.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from nri_netdev.domain.children import SHARING
from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.snapshot import Child, HomeReport, Master, Messages, Shortfall, Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.faults import step
from nri_netdev.shells.kernel.addresses import identity, missing, still_valid, without_dad
from nri_netdev.shells.kernel.changes import put_address, set_down, set_link, set_master, set_up
from nri_netdev.shells.kernel.facets.facet import Facet, Recorded, Site, restore_facet
from nri_netdev.shells.kernel.facets.link import LINK
from nri_netdev.shells.kernel.facets.neighbours import add_multicast, lladdr
from nri_netdev.shells.kernel.facets.table import DOWN, FACETS, OF_CHILD
from nri_netdev.shells.kernel.messages import AF_INET6, IFA_F_NODAD, IFLA_ADDRESS, IFLA_MTU
from nri_netdev.shells.kernel.naming import restore_altnames, settle_name
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.sysctls import Sysctls, read_sysctl, write_sysctl
from nri_netdev.shells.kernel.udev import Udev

_LATE_SYSCTLS = frozenset({"ipv6/conf/addr_gen_mode", "ipv6/conf/use_tempaddr"})
"""What the kernel makes addresses by when an interface is set up; the interface has its addresses already."""
_LAG = frozenset({"bond", "team"})
"""Kinds of master that take a port only while it is down, set it up themselves, and give it a MAC address and a MTU."""


def restore(rtnl: Rtnl, snapshot: Snapshot, ifindex: int, altname: str) -> HomeReport:
    """Make an interface at home what its snapshot says.

    Args:
        rtnl: a socket of the home netns, which the calling thread is in.
        snapshot: what the interface was.
        ifindex: its index now.
        altname: its mark, which it keeps.

    Raises:
        KernelError: There is no such interface.
    """
    work = _Work(rtnl, ifindex)
    wanted = snapshot.link.ifname
    rival = None if rtnl.link(ifindex).ifname == wanted else _restore_name(rtnl, ifindex, wanted)
    step("homing.renamed")
    recorded = _recorded(snapshot)
    work.restore_all(DOWN, {name: replace(was, is_early=True) for name, was in recorded.items()})
    _restore_rest_of_link(work, snapshot, altname)
    _restore_addresses(work, tuple(still_valid(snapshot)), is_up=snapshot.link.is_up)
    _restore_sysctls(work, {key: snapshot.sysctls[key] for key in _LATE_SYSCTLS & {*snapshot.sysctls}})
    for child in snapshot.children:
        _enter_into_filter(rtnl, child)
    left = work.restore_all(FACETS, recorded)
    for child in snapshot.children:
        left += _restore_child(rtnl, child)
    step("homing.children")
    left += _losses_of_v1(snapshot)
    return HomeReport(
        ifindex=ifindex,
        ifname=rtnl.link(ifindex).ifname,
        name_taken_by=rival,
        shortfalls=(*work.shortfalls, *left),
    )


class _Work:
    """One interface that is being restored, and what could not be."""

    def __init__(self, rtnl: Rtnl, ifindex: int) -> None:
        self.rtnl = rtnl
        self.ifindex = ifindex
        self.shortfalls: list[Shortfall] = []

    def attempt(self, what: str, function: Callable[..., object], *args: object) -> None:
        """Call `function(rtnl, ifindex, *args)`; a refusal becomes a shortfall of `what`."""
        try:
            function(self.rtnl, self.ifindex, *args)
        except KernelError as error:
            self.shortfalls.append(Shortfall(what=what, why=str(error)))

    def restore_all(self, facets: Iterable[Facet], recorded: Mapping[str, Recorded]) -> list[Shortfall]:
        """Put back what differs of facets.

        One may need another, as a filter needs its class: so this is tried again for as long as less and less differs.
        One may spoil another, as the first qdisc of some kinds sets the queue length: so the link is always looked at
        again.

        Returns:
            What differs still.
        """
        left = {facet: list[Shortfall]() for facet in facets if facet.name in recorded}
        count = None
        for facet in left:
            left[facet] = self._restore(facet, recorded[facet.name])
        while count is None or 0 < sum(map(len, left.values())) < count:
            count = sum(map(len, left.values()))
            for facet in (facet for facet, shortfalls in left.items() if shortfalls or facet is LINK):
                left[facet] = self._restore(facet, recorded[facet.name])
        return [shortfall for shortfalls in left.values() for shortfall in shortfalls]

    def _restore(self, facet: Facet, was: Recorded) -> list[Shortfall]:
        try:
            return restore_facet(facet, Site(self.rtnl, self.ifindex), was)
        except KernelError as error:
            return [Shortfall(what=facet.title, why=str(error), is_left=facet.withholds)]


def _recorded(snapshot: Snapshot) -> dict[str, Recorded]:
    """The facets of a snapshot, with what is needed to read them."""
    of_master = _given_by(snapshot.master)
    age_s = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - snapshot.taken_s if snapshot.taken_s else 0

    def recorded(messages: Messages, *, is_partial: bool = False) -> Recorded:
        return Recorded(
            messages=messages,
            ifindex=snapshot.ifindex,
            addresses=snapshot.addresses,
            of_master=of_master,
            age_s=age_s,
            is_partial=is_partial,
        )

    found = {name: recorded(messages) for name, messages in snapshot.facets.items()}
    if "link_v1" in snapshot.facets:
        found["link"] = recorded(snapshot.facets["link_v1"], is_partial=True)
    return found


def _given_by(master: Master | None) -> frozenset[int]:
    """Attributes of a port that are its master's."""
    if master is None or master.kind not in _LAG:
        return frozenset()
    return frozenset({IFLA_ADDRESS, IFLA_MTU} if master.gives_mtu else {IFLA_ADDRESS})


def _losses_of_v1(snapshot: Snapshot) -> list[Shortfall]:
    """What an earlier release knew at once that it could not put back."""
    losses = (message.decode() for message in snapshot.facets.get("losses_v1", ()))
    return [Shortfall(what=loss, why="it is of a kind that cannot be put back") for loss in losses]


# -- name, sysctls, master ---------------------------------------------------------------------------------------------


def _restore_name(rtnl: Rtnl, ifindex: int, wanted: str) -> Link | None:
    """Rename an interface, and let udev do what it does then; the link that has the name if that is another one."""
    with Udev() as udev:
        rival = settle_name(rtnl, ifindex, wanted)
        if rival is None:
            udev.wait(ifindex, wanted)
    return rival


def _restore_rest_of_link(work: _Work, snapshot: Snapshot, altname: str) -> None:
    """Everything else but addresses and what depends on them."""
    work.attempt("its alternative names", restore_altnames, snapshot.link.altnames, altname)
    step("homing.altnames_back")
    _restore_sysctls(work, _all_sysctls(work, snapshot.sysctls))
    step("homing.sysctls")
    if snapshot.master is not None:
        work.attempt(f"its place in {snapshot.master.ifname}", _restore_master, snapshot.master, snapshot.link.mac)
        step("homing.master")


def _all_sysctls(work: _Work, was: Mapping[str, str]) -> Mapping[str, str]:
    """The sysctls that differ from what they were: those that differed from their defaults then, and the others."""
    with Sysctls() as sysctls:
        now = sysctls.differing(work.rtnl.link(work.ifindex).ifname)
        wanted = {key: was.get(key, sysctls.default(key)) for key in {*was, *now} - _LATE_SYSCTLS}
    return {key: value for key, value in sorted(wanted.items()) if value is not None and value != now.get(key)}


def _restore_sysctls(work: _Work, wanted: Mapping[str, str]) -> None:
    for key, value in wanted.items():
        work.attempt(f"sysctl {key}", _restore_sysctl, key, value)


def _restore_sysctl(rtnl: Rtnl, ifindex: int, key: str, value: str) -> None:
    ifname = rtnl.link(ifindex).ifname
    if read_sysctl(ifname, key) != value:
        write_sysctl(ifname, key, value)


def _restore_master(rtnl: Rtnl, ifindex: int, was: Master, mac: str | None) -> None:
    master = rtnl.link_called(was.ifname)
    if master is None:
        raise KernelError(action=f"enslave interface {ifindex} to {was.ifname}", errno=errno.ENODEV)
    link = rtnl.link(ifindex)
    if link.master != master.ifindex:
        if was.kind in _LAG and link.is_up:
            set_down(rtnl, ifindex)
        if was.own_mac not in {None, link.mac}:
            _set_mac(rtnl, ifindex, was.own_mac or "")
        set_master(rtnl, ifindex, master.ifindex)
    if was.kind == "bond" and mac and has_ports_mac(master.ifindex, rtnl.links(), was.own_mac, mac):
        _set_mac(rtnl, master.ifindex, mac)


def _set_mac(rtnl: Rtnl, ifindex: int, mac: str) -> None:
    action = f"set the MAC address of interface {ifindex} to {mac}"
    set_link(rtnl, action, ifindex, {IFLA_ADDRESS: bytes.fromhex(mac.replace(":", ""))})


def has_ports_mac(bond: int, links: Iterable[Link], own_mac: str | None, mac: str) -> bool:
    """Whether a bond has its only port's own MAC address and had another: it forgets it when its last port leaves.

    Args:
        bond: its ifindex.
        links: every link of the host, as it is with the port back in the bond.
        own_mac: of the port, when it was in no bond.
        mac: of the port when it was in the bond before.
    """
    by_index = {link.ifindex: link for link in links}
    ports = [link for link in by_index.values() if link.master == bond]
    return len(ports) == 1 and by_index[bond].mac == own_mac != mac


# -- addresses ---------------------------------------------------------------------------------------------------------


def _restore_addresses(work: _Work, wanted: tuple[Address, ...], *, is_up: bool) -> None:
    """Addresses, and the interface up or down.

    IPv6 addresses with a lifetime or a peer, and those of a port, come after it is up, as before the kernel gives them
    no route; and whatever comes after them, for the order. Flags of IPv6 addresses are last, as they were added without
    detection.
    """
    is_port = work.rtnl.link(work.ifindex).master is not None
    is_early = partial(_is_routed_while_down, is_port=is_port)
    for address in itertools.takewhile(is_early, missing(wanted, _addresses(work))):
        work.attempt(f"address {address}", put_address, without_dad(address))
    step("homing.addresses")
    work.attempt("up" if is_up else "down", _restore_up, is_up)
    step("homing.up")
    for address in missing(wanted, _addresses(work)):
        work.attempt(f"address {address}", put_address, without_dad(address))
    added = {identity(address): address.flags for address in _addresses(work)}
    for address in wanted:
        if added.get(identity(address), 0) & ~address.flags & IFA_F_NODAD and address.family == AF_INET6:
            work.attempt(f"flags of address {address}", put_address, address)


def _is_routed_while_down(address: Address, *, is_port: bool) -> bool:
    return address.family != AF_INET6 or (address.valid_lft_s is None and address.peer is None and not is_port)


def _addresses(work: _Work) -> tuple[Address, ...]:
    return work.rtnl.addresses(work.ifindex).get(work.ifindex, ())


def _restore_up(rtnl: Rtnl, ifindex: int, is_up: bool) -> None:
    if rtnl.link(ifindex).is_up is not is_up:
        (set_up if is_up else set_down)(rtnl, ifindex)


# -- child devices -----------------------------------------------------------------------------------------------------


def _restore_child(rtnl: Rtnl, was: Child) -> list[Shortfall]:
    """Put back what a device on top of the interface has lost."""
    link = rtnl.link_called(was.link.ifname)
    if link is None or link.kind != was.link.kind:
        kind = was.link.kind or "device"
        why = "the kernel deleted it with the move, or somebody has since; make it again"
        return [Shortfall(what=f"{kind} {was.link.ifname} on it", why=why)]
    work = _Work(rtnl, link.ifindex)
    _restore_addresses(work, was.addresses, is_up=was.link.is_up)
    recorded = {
        name: Recorded(messages=messages, ifindex=was.link.ifindex, addresses=was.addresses)
        for name, messages in was.facets.items()
    }
    left = (*work.shortfalls, *work.restore_all(OF_CHILD, recorded))
    return [Shortfall(what=f"{each.what} of {was.link.ifname}", why=each.why) for each in left]


def _enter_into_filter(rtnl: Rtnl, was: Child) -> None:
    """Have the device below let through what is sent to a device on top of it: a move has emptied its filter.

    The own address is entered again when the device on top is set up. Its multicast addresses are not, as the kernel
    takes them for entered; so they are added as if an administrator had.
    """
    link = rtnl.link_called(was.link.ifname)
    if link is None or not link.is_up or link.kind not in SHARING:
        return
    lower = Site(rtnl, link.link or 0)
    mac = bytes.fromhex((link.mac or "").replace(":", ""))
    is_entered = link.mac == lower.link.mac or mac in {*map(lladdr, lower.forwarding)}
    with contextlib.suppress(KernelError):  # what it lacks is told with the facets of the device on top
        if not is_entered:
            set_down(rtnl, link.ifindex)
            set_up(rtnl, link.ifindex)
        listened = {*map(lladdr, Site(rtnl, link.ifindex).forwarding)} - {*map(lladdr, lower.again().forwarding)}
        for address in listened:
            if address[0] & 1:
                add_multicast(lower, address)
