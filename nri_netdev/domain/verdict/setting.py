"""Whether what a pod asks to be set on an interface may be set, and can be, as far as the host tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.links import Link
from nri_netdev.domain.policy.rules import Policy, Rule
from nri_netdev.domain.policy.selectors import yaml_text
from nri_netdev.domain.problem import Obstacle
from nri_netdev.domain.setup.ip import Networks, is_wide
from nri_netdev.domain.setup.ipam import ranges_of, routes_default, tells_routes
from nri_netdev.domain.setup.values import MAIN_TABLE, TABLES, Ipam, Setup, Share, ShareKind
from nri_netdev.domain.text.names import did_you_mean, quote
from nri_netdev.domain.verdict.availability import PodAvailability
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.errors import Reason

_ON_PORTS = {
    "macvlan": ShareKind.MACVLAN,
    "macvtap": ShareKind.MACVLAN,
    "ipvlan": ShareKind.IPVLAN,
    "ipvtap": ShareKind.IPVLAN,
}
"""The kinds of which the kernel has one on an interface, each with what it counts as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why something may not, or cannot, be set on an interface."""

    field: str
    """Of the entry, as `vlan.mtu`."""
    text: str
    """In a whole sentence."""
    reason: Reason


def settled(entry: Entry, policy: Policy | None) -> Entry:
    """An entry with the IPAM profile that it names, if the node has that."""
    ipam = entry.setup.ipam
    profile = policy.ipam.get(ipam.profile) if policy is not None and ipam is not None and ipam.profile else None
    return entry if profile is None else replace(entry, setup=replace(entry.setup, ipam=_named(profile, ipam)))


def _named(profile: Ipam, asked: Ipam | None) -> Ipam:
    return replace(profile, profile=asked.profile if asked is not None else None)


def objections(
    entry: Entry, link: Link, available: PodAvailability, before: Sequence[Grant] = ()
) -> Iterator[Objection]:
    """Every objection to the setup of an entry on an interface.

    Args:
        entry: the entry.
        link: the interface.
        available: what the node can give to the pod.
        before: what the same request gets besides, as far as that is decided.
    """
    setup, rule = entry.setup, available.rule_for(link)
    if setup.is_plain:
        return
    if rule is not None:
        yield from _by_rule(setup, rule)
    yield from _by_bounds(setup, link)
    yield from _by_node(setup, link, available)
    if setup.share is not None:
        yield from _by_other_shares(setup.share, link, available)
        yield from _by_foreign_devices(setup.share, link, available)
        yield from _by_shares_beside(setup.share, link, before)
        yield from _by_own_addresses(setup, available)


def needed(setup: Setup) -> frozenset[str]:
    """What a rule must let a pod set for this: words of `may`."""
    return frozenset(word for _, words in _needed(setup) for word in words)


def _needed(setup: Setup) -> Iterator[tuple[str, frozenset[str]]]:
    """What the interface, the devices on it and its IPAM plugin need, each with the path of its fields.

    A macvlan has a MAC address of its own, whether the pod chooses it or the kernel; a VLAN has not.
    """
    for path, each in _devices(setup):
        words = {"addresses" if field == "keep_addresses" else field for field in each.asked}
        yield path, frozenset(words) - ({"set_mac"} if path == "macvlan." else {"share"})
    if setup.ipam is not None and tells_routes(setup.ipam):
        yield "ipam.", frozenset({"routes"})


def is_routing_default(setup: Setup) -> bool:
    """Whether it asks for a default route of the pod, or for as much of one as makes a few of them one."""
    by_hand = any(
        is_wide(route.to) and (route.table or (each.vrf.table if each.vrf else MAIN_TABLE)) in TABLES.values()
        for each in setup.every()
        for route in each.routes
    )
    by_hand |= any(is_wide(address.reach) for each in setup.every() for address in each.addresses or ())
    return by_hand or (setup.ipam is not None and routes_default(setup.ipam))


def _by_rule(setup: Setup, rule: Rule) -> Iterator[Objection]:
    lacking = needed(setup) - rule.may if not rule.may_all else frozenset()
    allowed = ", ".join(sorted({*rule.may, *lacking}))
    for path, words in _needed(setup):
        for field in sorted(words & lacking):
            text = f"{rule} does not let a pod set {field}; it would with may: [{allowed}]"
            written = "mac" if path and field == "set_mac" else field
            yield Objection(field=f"{path}{written}", text=text, reason=Reason.POLICY)
    if is_routing_default(setup) and not rule.default_route:
        text = f"{rule} does not let a pod have a default route; it would with default_route: true"
        yield Objection(field="routes", text=text, reason=Reason.POLICY)
    if rule.prefixes:
        yield from _by_prefixes(setup, rule)


def _by_prefixes(setup: Setup, rule: Rule) -> Iterator[Objection]:
    """Addresses of other networks, also where the pod itself says what an IPAM plugin is to give."""
    allowed, text = Networks(rule.prefixes), f"{rule} gives addresses of {', '.join(rule.prefixes)} only, not "
    for field, address in _addresses(setup):
        if address not in allowed:
            yield Objection(field=field, text=text + address, reason=Reason.POLICY)
    for first, last in () if setup.ipam is None else ranges_of(setup.ipam):
        if not any(first in net and last in net for net in (Networks([prefix]) for prefix in rule.prefixes)):
            these = first if first == last else f"{first} to {last}"
            yield Objection(field="ipam", text=text + these, reason=Reason.POLICY)


def _devices(setup: Setup) -> Iterator[tuple[str, Setup]]:
    """The interface and the devices on it, each with the path of its fields."""
    yield "", setup
    for child in setup.children:
        yield f"{child.kind}.", child.setup


def _addresses(setup: Setup) -> Iterator[tuple[str, str]]:
    """The addresses that the pod itself chooses, those at the other end too, each with the path of its field.

    What a route leads to is the network of the other end, and that is what an ipvlan takes packets for.
    """
    for path, each in _devices(setup):
        for place, address in enumerate(each.addresses or (), 1):
            yield f"{path}addresses.{place}", address.address
            if address.peer is not None:
                yield f"{path}addresses.{place}.peer", address.peer


def _by_bounds(setup: Setup, link: Link) -> Iterator[Objection]:
    """The MTU, by the bounds that the kernel tells."""
    if setup.mtu is not None and not (link.min_mtu <= setup.mtu <= (link.max_mtu or setup.mtu)):
        bounds = f"{link.min_mtu} to {link.max_mtu}" if link.max_mtu else f"{link.min_mtu} and more"
        text = f"MTU {setup.mtu} is out of bounds: {link.ifname} takes {bounds}"
        yield Objection(field="mtu", text=text, reason=Reason.ANNOTATION)
    if setup.share is not None and setup.mtu is not None and setup.mtu > link.mtu:
        text = f"MTU {setup.mtu} is greater than that of {link.ifname}, which is shared: {link.mtu}"
        yield Objection(field="mtu", text=text, reason=Reason.ANNOTATION)
    for child in setup.children:
        most = setup.mtu or link.mtu
        if child.setup.mtu is not None and child.setup.mtu > most:
            text = f"MTU {child.setup.mtu} is greater than that of the interface, {most}"
            yield Objection(field=f"{child.kind}.mtu", text=text, reason=Reason.ANNOTATION)


def _by_other_shares(share: Share, link: Link, available: PodAvailability) -> Iterator[Objection]:
    """The kernel has one kind of share on an interface, and one mode of all ipvlans on it."""
    for held in available.node.held:
        if held.share is None or _go_together(share, held.share):
            continue
        if held.ifname == link.ifname or _beneath(held.share, held.link) == _beneath(share, link):
            text = f"{held.owner} has {_article(held.share)} on {link.ifname}, which does not go with {_title(share)}"
            yield Objection(field="share", text=text, reason=Reason.HELD)
            return


def _by_foreign_devices(share: Share, link: Link, available: PodAvailability) -> Iterator[Objection]:
    """Devices that others have made on it: of ipvlans a new one would change the mode."""
    node, beneath = available.node, _beneath(share, link)
    away = (held.link for held in node.held if held.share is None)
    for other in (*node.inventory.links, *away):
        kind = _ON_PORTS.get(other.kind or "")
        if kind is None or other.link != beneath or other.link_netnsid is not None:
            continue
        name, on = other.ifname, link.ifname
        if kind is not share.kind:
            text = f"the {kind} {name} is on {on}, which does not go with {_title(share)}"
        elif kind is ShareKind.IPVLAN:
            title = _title(share)
            text = f"the {kind} {name} is on {on}, made by somebody else, and {title} would change its mode; delete it"
        else:
            continue
        yield Objection(field="share", text=text, reason=Reason.HELD)
        return


def _beneath(share: Share, link: Link) -> int:
    """The ifindex of what the kernel puts a share on: below a device of the same kind."""
    is_of_kind = _ON_PORTS.get(link.kind or "") is share.kind and link.link_netnsid is None
    return link.link if is_of_kind and link.link is not None else link.ifindex


def _by_shares_beside(share: Share, link: Link, before: Sequence[Grant]) -> Iterator[Objection]:
    for grant in before:
        other = grant.entry.setup.share
        if other is None or _go_together(share, other):
            continue
        if _beneath(other, grant.link) == _beneath(share, link):
            wanted = f"{_article(other)} on {link.ifname} is wanted as {grant.entry.inside}"
            text = f"{wanted}, which does not go with {_title(share)}"
            yield Objection(field="share", text=text, reason=Reason.ANNOTATION)
            return


def _by_own_addresses(setup: Setup, available: PodAvailability) -> Iterator[Objection]:
    """What has an address of the node beside the node's own interface takes its packets."""
    own = available.node.inventory.own_addresses
    wanted = [(field, address.partition("/")[0]) for field, address in _addresses(setup)]
    if setup.ipam is not None:
        wanted += [("ipam", first) for first, last in ranges_of(setup.ipam) if first == last]
    for field, address in wanted:
        if address in own:
            text = f"{address} is an address of the node, whose packets it would take"
            yield Objection(field=field, text=text, reason=Reason.ANNOTATION)


def _go_together(one: Share, other: Share) -> bool:
    return one.kind is other.kind and (one.kind is ShareKind.MACVLAN or one.mode == other.mode)


def _title(share: Share) -> str:
    return f"{share.kind} in mode {share.mode}"


def _article(share: Share) -> str:
    return f"{'a' if share.kind is ShareKind.MACVLAN else 'an'} {_title(share)}"


def _by_node(setup: Setup, link: Link, available: PodAvailability) -> Iterator[Objection]:
    """What the node lacks for it."""
    node = available.node
    ipam = setup.ipam
    if ipam is not None and not ipam.type and ipam.profile is not None and node.policy is not None:
        known = node.policy.ipam
        hint = did_you_mean(ipam.profile, {name: name for name in known}) or (
            f"; it has {', '.join(map(yaml_text, known))}" if known else "; it has none"
        )
        text = f"this node has no IPAM profile {quote(ipam.profile)}{hint}"
        yield Objection(field="ipam", text=text, reason=Reason.POLICY)
    if setup.vf is not None:
        pf = node.facts_of(link).pf
        if pf is None:
            text = f"{link.ifname} is no virtual function of SR-IOV"
            yield Objection(field="vf", text=text, reason=Reason.ANNOTATION)
        elif not any(node.facts_of(other).pci == pf for other in node.inventory.links):
            text = f"the physical function of {link.ifname}, {pf}, is not on the host now"
            yield Objection(field="vf", text=text, reason=Reason.ABSENT)
    if setup.rdma and not node.attached_of(link).rdma:
        yield Objection(field="rdma", text=f"{link.ifname} has no RDMA device", reason=Reason.ANNOTATION)
    for child in setup.children:
        if child.name in available.names:
            text = f"the name {quote(child.name)} is already taken in the pod"
            taken = available.leaving(child.name) or Obstacle(text, Reason.POD)
            yield Objection(field=f"{child.kind}.name", text=taken.text, reason=taken.reason)
