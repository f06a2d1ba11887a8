"""Applies a setup to an interface in a pod, in one order, and takes off again what would not leave with it."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nri_netdev.domain.links import Address
from nri_netdev.domain.setup.values import Setup
from nri_netdev.errors import KernelError, Reason
from nri_netdev.faults import step
from nri_netdev.log import event
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup.addressing import duplicates, put_addresses, set_addresses, set_neighbors
from nri_netdev.shells.kernel.setup.children import delete_beside, enter_vrf, leave_vrf, make_child
from nri_netdev.shells.kernel.setup.ethtool import apply_ethtool
from nri_netdev.shells.kernel.setup.link import (
    detach_bpf,
    set_down,
    set_mac,
    set_modes,
    set_mtu,
    set_offload_sizes,
    set_sysctls,
    set_txqueuelen,
    set_up,
)
from nri_netdev.shells.kernel.setup.routing import set_routes
from nri_netdev.shells.kernel.setup.rules import remove_rules, set_rules
from nri_netdev.shells.kernel.setup.target import Target

_log = logging.getLogger(__name__)

__all__ = ["STEPS", "ApplyStep", "apply", "duplicates", "undo"]

_ASKED_WRONGLY = frozenset(
    {errno.EINVAL, errno.ERANGE, errno.EOPNOTSUPP, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH}
)
"""What the kernel answers to a value that it cannot take, or to a kind of thing that it lacks."""


Targets = Sequence[Target]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyStep:
    """One step of setting up."""

    name: str
    """What its fault point is called, after `setup.`."""
    text: str
    """For the docs: what it sets, and why there."""
    act: Callable[[Targets], None]
    """Does it for some interfaces, unless it is done or not asked for."""
    is_for_all: bool = False
    """Whether it is taken once, for the interface and all devices on it, rather than for each before the next is made.
    Its interfaces are in the order in which they were made."""


def apply(rtnl: Rtnl, ifindex: int, setup: Setup, kept: Sequence[Address]) -> None:
    """Set up an interface in the order of `STEPS`. It may be interrupted anywhere and repeated.

    Args:
        rtnl: a socket of the pod's netns, which the calling thread is in.
        ifindex: the interface, which has its final name.
        setup: what is asked for.
        kept: addresses that it must have besides: those of home, where they are kept.

    Raises:
        KernelError: The kernel refuses something, or has something else in its place; its action is in the words of
            the annotation.
    """
    target = Target(rtnl=rtnl, ifindex=ifindex, setup=setup, kept=tuple(kept))
    _make(target)
    targets = tuple(_made(target))
    for each in STEPS:
        if each.is_for_all:
            _take(each, targets)


def _make(target: Target) -> None:
    """Take an interface to where it may have addresses, and so each device that is made on it."""
    for each in STEPS:
        if not each.is_for_all:
            _take(each, (target,))


def _made(target: Target) -> Iterator[Target]:
    """An interface and the devices that are made on it."""
    yield target
    for child in target.setup.children:
        there = target.rtnl.link_called(child.name)
        if there is not None:
            yield from _made(Target(rtnl=target.rtnl, ifindex=there.ifindex, setup=child.setup))


def _take(each: ApplyStep, targets: Targets) -> None:
    try:
        each.act(targets)
    except KernelError as error:
        if error.errno in _ASKED_WRONGLY and error.refusal is Reason.OTHER:
            error.refusal = Reason.ANNOTATION
        raise
    step(f"setup.{each.name}")


def undo(rtnl: Rtnl, ifindex: int, setup: Setup, others: Sequence[Setup] = (), *, is_away: bool = False) -> None:
    """Take off what would stay in a pod when the interface leaves: rules, the VRF, devices beside it. Repeatable.

    What the kernel refuses is logged, and keeps nothing else from being taken off: it is in nobody's way at home.

    Args:
        rtnl: a socket of the pod's netns, which the calling thread is in.
        ifindex: the interface; 0 if it is in another netns.
        setup: what was asked for.
        others: what others ask for that live in this netns: that stays, and goes with the last of them.
        is_away: whether this is another netns than that which it was given to: nothing was set here, and nothing but
            devices beside it can have come with it.
    """
    target = Target(rtnl=rtnl, ifindex=ifindex, setup=setup)
    every = [each for other in others for each in other.every()]
    kept = [rule for each in every for rule in each.rules]
    for rule in () if is_away else [rule for each in setup.every() for rule in each.rules]:
        with _refusals_logged(ifindex):
            remove_rules(rtnl, [rule], kept)
    step("setup.rules_removed")
    with _refusals_logged(ifindex):
        delete_beside(target, () if is_away else {child.name for each in every for child in each.children})
    step("setup.children_deleted")
    if not is_away:
        with _refusals_logged(ifindex):
            leave_vrf(target, {each.vrf.name for each in every if each.vrf is not None})
    step("setup.vrf_left")


@contextlib.contextmanager
def _refusals_logged(ifindex: int) -> Iterator[None]:
    try:
        yield
    except KernelError as error:
        event(_log, logging.WARNING, "setup.left_behind", ifindex=ifindex, reason=str(error))


def _each(act: Callable[[Target], None]) -> Callable[[Targets], None]:
    """What is done for one interface, done for each of some."""

    def act_on_each(targets: Targets) -> None:
        for target in targets:
            act(target)

    return act_on_each


def _set_ethtool(target: Target) -> None:
    if target.setup.ethtool is not None:
        try:
            apply_ethtool(target.rtnl, target.ifindex, target.setup.ethtool)
        except KernelError as error:
            error.action += f" on {target.ifname}"
            raise


def _set_children(target: Target) -> None:
    for child in target.setup.children:
        _make(Target(rtnl=target.rtnl, ifindex=make_child(target, child), setup=child.setup))


def _leave_down(targets: Targets) -> None:
    for target in reversed(targets):
        if not target.setup.up:
            set_down(target)
            put_addresses(target)


STEPS: tuple[ApplyStep, ...] = (
    ApplyStep(
        name="detach_bpf", text="BPF programs are detached: they would filter what follows", act=_each(detach_bpf)
    ),
    ApplyStep(name="ethtool", text="features, rings, channels, coalescing, private flags", act=_each(_set_ethtool)),
    ApplyStep(
        name="mac", text="the MAC address; set down for it if its driver refuses it while up", act=_each(set_mac)
    ),
    ApplyStep(name="txqueuelen", text="length of the transmit queue", act=_each(set_txqueuelen)),
    ApplyStep(name="offload_sizes", text="gso_max_size and gro_max_size", act=_each(set_offload_sizes)),
    ApplyStep(name="mtu", text="MTU; below 1280 the kernel takes IPv6 off", act=_each(set_mtu)),
    ApplyStep(name="modes", text="promisc, allmulti and arp", act=_each(set_modes)),
    ApplyStep(
        name="vrf",
        text="the VRF, before addresses: entering it loses those of IPv6, and routes",
        act=_each(enter_vrf),
    ),
    ApplyStep(
        name="sysctls", text="sysctls of the interface, before it is up and has addresses", act=_each(set_sysctls)
    ),
    ApplyStep(name="up", text="up, also one that is to be down in the end", act=_each(set_up)),
    ApplyStep(
        name="children",
        text="VLANs, macvlans, ipvlans: made, then set up in this order too; what follows is for all of them at once",
        act=_each(_set_children),
    ),
    ApplyStep(
        name="addresses",
        text="addresses; unwanted ones are removed; duplicates are waited for, once all have theirs",
        act=set_addresses,
        is_for_all=True,
    ),
    ApplyStep(
        name="neighbors",
        text="permanent neighbours, before the routes by them",
        act=_each(set_neighbors),
        is_for_all=True,
    ),
    ApplyStep(name="routes", text="routes: those without a gateway first", act=_each(set_routes), is_for_all=True),
    ApplyStep(
        name="rules",
        text="rules, once the tables that they lead to are filled",
        act=_each(set_rules),
        is_for_all=True,
    ),
    ApplyStep(name="down", text="down, if `up` is false; its addresses stay", act=_leave_down, is_for_all=True),
)
"""The order in which a setup is applied."""
