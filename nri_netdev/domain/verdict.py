"""The verdict: may these interfaces be given to this container, now? Pure; told in full, never in part."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from nri_netdev.domain.claim import MARK_PREFIX, Claim
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.names import quote
from nri_netdev.domain.request import Entry, Problem

IMMOVABLE_KINDS = frozenset(
    {
        "amt",
        "batadv",
        "bond",
        "bridge",
        "gretap0",
        "hsr",
        "ipvlan-bridge",
        "net_failover",
        "openvswitch",
        "team",
        "vrf",
    },
)
"""Kinds that the kernel never lets out of their netns, for kernels that do not say so themselves (before 6.17)."""

_FREE_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One entry of a request and the interface that it gets."""

    entry: Entry
    link: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class PodNetns:
    """What the verdict needs to know of the pod's netns."""

    is_host: bool = False
    """The pod is on the host network."""
    names: frozenset[str] = frozenset()
    """Every name and alternative name taken in it."""


def why_not(link: Link, inventory: Inventory) -> str | None:
    """Why the host cannot give this interface to anybody; None if it can.

    Returns the rest of a sentence that begins with the interface: "is a bridge, which …".
    """
    return next(_objections(link, inventory), None)


def _objections(link: Link, inventory: Inventory) -> Iterator[str]:
    if link.is_loopback:
        yield "is the loopback device"
    if link.kind in IMMOVABLE_KINDS or (link.netns_immutable and not link.is_loopback):
        yield f"is a {link.kind or 'device'} that the kernel never lets leave its network namespace"
    if link.master is not None:
        master = inventory.by_index(link.master)
        of = f"{master.kind or 'device'} {master.ifname}" if master else f"the device with index {link.master}"
        yield f"is enslaved to {of}; release it first"
    if link.ifindex in inventory.default_routes:
        yield "carries a default route of the node"
    for address in inventory.addresses.get(link.ifindex, ()):
        if address.address in inventory.default_sources:
            yield f"has the address {address.address} that a default route of the node uses"
    for other in inventory.links:
        if other.kind == "vxlan" and other.link == link.ifindex and other.link_netnsid is None:
            yield f"carries {other.ifname}, a vxlan device that the kernel would delete"


def judge(
    entries: Sequence[Entry],
    *,
    inventory: Inventory,
    netns: PodNetns,
    claims: Collection[Claim] = (),
    now_s: int = 0,
) -> tuple[tuple[Grant, ...], tuple[Problem, ...]]:
    """Decide a whole request.

    Args:
        entries: what is asked, already well-formed.
        inventory: the host, now.
        netns: the pod's side.
        claims: every claim that holds an interface and is not the asker's own.
        now_s: wall clock, for the age of a holder.

    Returns:
        The grants, one for each entry, and no problems; or no grants and every problem there is.
    """
    if netns.is_host:
        return (), tuple(
            Problem(
                key=key,
                message="the pod is on the host network, where every interface already is; remove hostNetwork: true "
                "or the annotation",
            )
            for key in dict.fromkeys(entry.key for entry in entries)
        )
    grants: list[Grant] = []
    problems: list[Problem] = []
    missing = False
    held = {claim.ifname: claim for claim in claims}
    for entry in entries:
        holder = held.get(entry.interface)
        link = inventory.by_name(entry.interface)
        reasons: list[str] = []
        if holder is not None:
            reasons.append(_held(entry.interface, holder, now_s))
        elif link is None:
            missing = True
            reasons.append(_absent(entry.interface, inventory))
        else:
            grants.append(Grant(entry=entry, link=link))
            if reason := why_not(link, inventory):
                reasons.append(f"interface {quote(entry.interface)} {reason}")
            reasons.extend(_clashes(entry, link, netns))
        problems.extend(Problem(key=entry.key, entry=entry.number, field=None, message=reason) for reason in reasons)
    if not problems:
        return tuple(grants), ()
    if missing:
        last = problems.pop()
        problems.append(
            Problem(
                key=last.key,
                entry=last.entry,
                field=last.field,
                message=last.message,
                hint=present_and_free(inventory, held),
            )
        )
    return (), tuple(problems)


def present_and_free(inventory: Inventory, held: Collection[str] = ()) -> str:
    """A sentence that names what the host could give instead."""
    free = [link.ifname for link in inventory.links if link.ifname not in held and why_not(link, inventory) is None]
    if not free:
        return "No interface of this node is present and free."
    more = f" and {len(free) - _FREE_SHOWN} more" if len(free) > _FREE_SHOWN else ""
    return f"Present and free: {', '.join(free[:_FREE_SHOWN])}{more}."


def age(seconds: int) -> str:
    """A duration for people, in the two largest of days, hours, minutes, seconds."""
    parts = [
        (seconds // 86400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    ]
    told = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(told[:2]) or "0 s"


def _held(interface: str, claim: Claim, now_s: int) -> str:
    since = age(math.floor(max(0, now_s - claim.since_s)))
    if claim.state.is_homeward:
        return (
            f"interface {quote(interface)} is being returned from {claim.owner} ({claim.state}); retry, or see "
            "`nri-netdev claims`"
        )
    return f"interface {quote(interface)} is held by {claim.owner} for {since}"


def _absent(interface: str, inventory: Inventory) -> str:
    link = inventory.by_altname(interface)
    if link is not None:
        return f"{quote(interface)} is an alternative name of {link.ifname}; write {link.ifname}"
    return f"interface {quote(interface)} is not on this node"


def _clashes(entry: Entry, link: Link, netns: PodNetns) -> Iterator[str]:
    own = {name for name in link.altnames if not name.startswith(MARK_PREFIX)}
    if entry.inside in netns.names:
        yield f"the name {quote(entry.inside)} is already taken in the pod; set another with the field name"
    if entry.inside in own:
        yield f"{quote(entry.inside)} is an alternative name of {link.ifname} itself; set another with the field name"
    for name in sorted(own & netns.names):
        yield f"the alternative name {quote(name)} of {link.ifname} is already taken in the pod"
