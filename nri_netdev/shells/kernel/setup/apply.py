"""Applies a setup to an interface in a pod, in one order, and takes off again what would not leave with it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nri_netdev.domain.links import Address
from nri_netdev.domain.setup.values import Setup
from nri_netdev.errors import KernelError, Reason
from nri_netdev.faults import step
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

__all__ = ["STEPS", "ApplyStep", "apply", "duplicates", "undo"]

_ASKED_WRONGLY = frozenset(
    {errno.EINVAL, errno.ERANGE, errno.EOPNOTSUPP, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EHOSTUNREACH}
)
"""What the kernel answers to a value that it cannot take, or to a kind of thing that it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyStep:
    """One step of setting up."""

    name: str
    """What its fault point is called, after `setup.`."""
    text: str
    """For the docs: what it sets, and why there."""
    act: Callable[[Target], None]
    """Does it, unless it is done or not asked for."""


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
    for each in STEPS:
        try:
            each.act(target)
        except KernelError as error:
            if error.errno in _ASKED_WRONGLY and error.refusal is Reason.OTHER:
                error.refusal = Reason.ANNOTATION
            raise
        step(f"setup.{each.name}")


def undo(rtnl: Rtnl, ifindex: int, setup: Setup) -> None:
    """Take off what would stay in a pod when the interface leaves: rules, the VRF, devices beside it. Repeatable.

    Args:
        rtnl: a socket of the pod's netns, which the calling thread is in.
        ifindex: the interface.
        setup: what was asked for.

    Raises:
        KernelError: The kernel refuses.
    """
    target = Target(rtnl=rtnl, ifindex=ifindex, setup=setup)
    for each in setup.every():
        remove_rules(rtnl, each.rules)
    step("setup.rules_removed")
    delete_beside(target)
    step("setup.children_deleted")
    leave_vrf(target)
    step("setup.vrf_left")


def _set_ethtool(target: Target) -> None:
    if target.setup.ethtool is not None:
        try:
            apply_ethtool(target.rtnl, target.ifindex, target.setup.ethtool)
        except KernelError as error:
            error.action += f" on {target.ifname}"
            raise


def _set_children(target: Target) -> None:
    for child in target.setup.children:
        apply(target.rtnl, make_child(target, child), child.setup, ())


def _leave_down(target: Target) -> None:
    if not target.setup.up:
        set_down(target)
        put_addresses(target)


STEPS: tuple[ApplyStep, ...] = (
    ApplyStep(name="detach_bpf", text="BPF programs are detached: they would filter what follows", act=detach_bpf),
    ApplyStep(name="ethtool", text="features, rings, channels, coalescing, private flags", act=_set_ethtool),
    ApplyStep(name="mac", text="the MAC address; set down for it if its driver refuses it while up", act=set_mac),
    ApplyStep(name="txqueuelen", text="length of the transmit queue", act=set_txqueuelen),
    ApplyStep(name="offload_sizes", text="gso_max_size and gro_max_size", act=set_offload_sizes),
    ApplyStep(name="mtu", text="MTU; below 1280 the kernel takes IPv6 off", act=set_mtu),
    ApplyStep(name="modes", text="promisc, allmulti and arp", act=set_modes),
    ApplyStep(name="vrf", text="the VRF, before addresses: entering it loses those of IPv6, and routes", act=enter_vrf),
    ApplyStep(name="sysctls", text="sysctls of the interface, before it is up and has addresses", act=set_sysctls),
    ApplyStep(name="up", text="up, also one that is to be down in the end", act=set_up),
    ApplyStep(
        name="addresses", text="addresses; unwanted ones are removed; duplicates are waited for", act=set_addresses
    ),
    ApplyStep(name="neighbors", text="permanent neighbours, before the routes by them", act=set_neighbors),
    ApplyStep(name="routes", text="routes: those without a gateway first", act=set_routes),
    ApplyStep(name="rules", text="rules, once the tables that they lead to are filled", act=set_rules),
    ApplyStep(name="children", text="VLANs, macvlans, ipvlans: made, then set up in this order too", act=_set_children),
    ApplyStep(name="down", text="down, if `up` is false; its addresses stay", act=_leave_down),
)
"""The order in which a setup is applied."""
