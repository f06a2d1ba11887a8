"""What does not go together in a setup, though each of its fields is right. Pure.

What only the interface tells, such as the bounds of its MTU, is checked by `nri_netdev.domain.verdict.setting`; what
only the kernel tells, when the setup is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from nri_netdev.domain.setup import ip
from nri_netdev.domain.setup.values import (
    MAIN_TABLE,
    AddressSetup,
    ChildSetup,
    Dad,
    RouteSetup,
    RuleSetup,
    Setup,
    ShareKind,
)
from nri_netdev.domain.text.names import quote
from nri_netdev.domain.text.shape import Unfit

T = TypeVar("T")

IPV6_MIN_MTU = 1280


def unfit_address(address: AddressSetup) -> Iterator[Unfit]:
    """What does not go together in an address."""
    if address.peer and ip.family_of(address.peer) != ip.family_of(address.ip):
        yield ("peer",), f"{quote(address.peer)} is of another family than the address"
    if address.broadcast and (address.is_ipv6 or ":" in address.broadcast):
        yield ("broadcast",), "is for IPv4 only"
    if address.dad is not Dad.OPTIMISTIC and not address.is_ipv6:
        yield ("dad",), "is for IPv6 only"


def unfit_rule(rule: RuleSetup) -> Iterator[Unfit]:
    """What does not go together in a routing rule."""
    networks = [text for text in (rule.source, rule.to) if text]
    families = {ip.family_of(text) for text in networks}
    if len(families) > 1:
        yield ("to",), "is of another family than from"
    elif families and rule.family and families != {6 if rule.family == "inet6" else 4}:
        yield ("family",), f"is {rule.family}, and {quote(networks[0])} is not"
    elif not families and not rule.family:
        yield (), "needs from, to or family: inet or inet6"
    is_bound = any(not text.endswith("/0") for text in networks)
    if not (is_bound or rule.iif or rule.oif or rule.fwmark is not None):
        yield (), "would hold for every packet of the pod; give from, to, iif, oif or fwmark"


def unfit(setup: Setup) -> Iterator[Unfit]:
    """What does not go together in an entry's setup, the devices on it included."""
    yield from _unfit_device(setup)
    for path, child, before in _placed(setup.children):
        yield from ((path + where, text) for where, text in _unfit_child(setup, child, before))
    yield from _unfit_names(setup)
    yield from _unfit_sources(setup)
    yield from _unfit_share(setup)
    yield from _unfit_vf(setup)


def _unfit_device(setup: Setup) -> Iterator[Unfit]:
    table = setup.vrf.table if setup.vrf else MAIN_TABLE
    yield from _twice("addresses", setup.addresses or (), lambda one: one.ip)
    yield from _twice("routes", setup.routes, lambda one: (one.to, one.metric or 0, one.table or table))
    yield from _twice("rules", setup.rules, lambda one: one)
    yield from _twice("neighbors", setup.neighbors, lambda one: one.dst)
    own = {one.ip for one in setup.addresses or ()}
    gateways = ip.Networks(_reachable(setup)) if setup.routes and _knows_addresses(setup) else None
    for place, route in enumerate(setup.routes, 1):
        yield from ((("routes", str(place), *path), text) for path, text in _unfit_route(route, own, gateways))
    if not setup.up:
        for field, value in (("routes", setup.routes), ("neighbors", setup.neighbors)):
            if value:
                yield (field,), "need the interface up, and up is false"
    has_ipv6 = any(one.is_ipv6 for one in setup.addresses or ()) or any(one.is_ipv6 for one in setup.routes)
    if has_ipv6 and setup.mtu is not None and setup.mtu < IPV6_MIN_MTU:
        yield ("mtu",), f"{setup.mtu} is too little for IPv6, which needs {IPV6_MIN_MTU}"
    if has_ipv6 and setup.sysctls.get("ipv6/conf/disable_ipv6") == "1":
        yield ("sysctls", "ipv6.disable_ipv6"), "turns IPv6 off, and IPv6 is asked for"


def _unfit_route(route: RouteSetup, own: set[str], gateways: ip.Networks | None) -> Iterator[Unfit]:
    """What does not go together in a route, and with the addresses; `gateways` is None if there may be others."""
    family = ip.family_of(route.to)
    if route.via is None and route.onlink:
        yield ("onlink",), "is for a gateway, and there is no via"
    if route.via is not None:
        if family == 6 and ip.family_of(route.via) == 4:
            yield ("via",), f"{quote(route.via)} is of IPv4, and the route is of IPv6"
        elif route.via in own:
            yield ("via",), f"gateway {quote(route.via)} is the interface's own address"
        elif gateways is not None and not route.onlink and route.via not in gateways:
            text = f"gateway {quote(route.via)} is in no network of the addresses, nor has it a route of its own; "
            yield ("via",), text + "correct it, or give onlink: true"
    if route.src is not None:
        if ip.family_of(route.src) != family:
            yield ("src",), f"{quote(route.src)} is of another family than the route"
        elif gateways is not None and route.src not in own:
            yield ("src",), f"{quote(route.src)} is none of the addresses"


def _knows_addresses(setup: Setup) -> bool:
    """Whether its addresses are all of those that it will have."""
    return setup.addresses is not None and not setup.keep_addresses and setup.ipam is None


def _reachable(setup: Setup) -> Iterator[str]:
    """The networks in which a gateway is reachable."""
    yield "fe80::/10"
    for address in setup.addresses or ():
        if not address.noprefixroute:
            yield address.address
        if address.peer:
            yield address.peer
    yield from (route.to for route in setup.routes if route.via is None)


def _placed(
    children: Sequence[ChildSetup],
) -> Iterator[tuple[tuple[str, ...], ChildSetup, Sequence[ChildSetup]]]:
    """Each device on the interface with its path, and those before it."""
    kinds = [child.kind for child in children]
    for place, child in enumerate(children):
        number = str(kinds[: place + 1].count(child.kind))
        yield (child.kind, number) if kinds.count(child.kind) > 1 else (child.kind,), child, children[:place]


def _unfit_child(setup: Setup, child: ChildSetup, before: Sequence[ChildSetup]) -> Iterator[Unfit]:
    yield from _unfit_device(child.setup)
    if child.kind == "vlan" and (child.id, _tag(child)) in {(other.id, _tag(other)) for other in before}:
        yield ("id",), f"{child.id} is asked for twice"
    if {child.kind, *(other.kind for other in before)} >= {"macvlan", "ipvlan"} and child.kind != "vlan":
        yield (), "does not go with the other: the kernel has macvlan or ipvlan on an interface, not both"
    modes = {_mode(other) for other in before if other.kind == child.kind}
    if child.kind == "ipvlan" and (others := modes - {_mode(child)}):
        yield ("mode",), f"is another one than that of the ipvlan before it: {min(others)}"
    if child.kind == "macvlan" and modes and "passthru" in {child.mode, *modes}:
        yield ("mode",), "is passthru of one of them, which is then the only macvlan on the interface"
    if child.setup.mtu is not None and setup.mtu is not None and child.setup.mtu > setup.mtu:
        yield ("mtu",), f"{child.setup.mtu} is greater than that of the interface, {setup.mtu}"


def _tag(child: ChildSetup) -> str:
    return child.protocol or "802.1Q"


def _mode(child: ChildSetup) -> str:
    return child.mode or ("l3" if child.kind == "ipvlan" else "bridge")


def _unfit_names(setup: Setup) -> Iterator[Unfit]:
    """Names of devices in the pod that are wanted twice within one entry."""
    names = [(child.kind, child.name) for child in setup.children]
    names += [("vrf", setup.vrf.name)] if setup.vrf else []
    for place, (field, name) in enumerate(names):
        if name in {other for _, other in names[:place]}:
            yield (field, "name"), f"{quote(name)} is wanted twice"


def _unfit_sources(setup: Setup) -> Iterator[Unfit]:
    """Where addresses come from."""
    if setup.keep_addresses and setup.addresses is None and setup.ipam is None:
        yield ("keep_addresses",), "is for addresses, and there are none; they stay without it"
    if setup.keep_addresses and setup.share is not None:
        yield ("keep_addresses",), "does not go with share: the interface keeps its addresses on the host"


def _unfit_share(setup: Setup) -> Iterator[Unfit]:
    if setup.share is None:
        return
    for field in ("vf", "rdma", "detach_bpf", "ethtool"):
        if field in setup.asked:
            yield (field,), "does not go with share: it is of the interface, which stays on the host"
    for field in ("macvlan", "ipvlan"):
        if field in setup.asked:
            yield (field,), "does not go with share: the kernel would put it on the host's interface; share that twice"
    if setup.mac is not None and setup.share.kind is ShareKind.IPVLAN:
        yield ("set_mac",), "does not go with an ipvlan, which has the MAC address of the interface"


def _unfit_vf(setup: Setup) -> Iterator[Unfit]:
    vf = setup.vf
    if vf is None:
        return
    if vf.mac is not None and setup.mac is not None and vf.mac != setup.mac:
        yield ("set_mac",), "is another one than vf.mac"
    if (vf.qos is not None or vf.protocol is not None) and not vf.vlan:
        yield ("vf", "vlan"), "is lacking: qos and protocol are of the tag"
    if vf.min_tx_rate and vf.max_tx_rate and vf.min_tx_rate > vf.max_tx_rate:
        yield ("vf", "min_tx_rate"), f"{vf.min_tx_rate} is greater than max_tx_rate, {vf.max_tx_rate}"


def _twice(field: str, items: Iterable[T], key: Callable[[T], object]) -> Iterator[Unfit]:
    seen: dict[object, int] = {}
    for place, item in enumerate(items, 1):
        first = seen.setdefault(key(item), place)
        if first != place:
            yield (field, str(place)), f"is the same as number {first}"
