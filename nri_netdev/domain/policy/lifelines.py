"""Lifelines: interfaces that the node or its pods cannot do without. They are detected, not listed.

A lifeline is given away only by a rule that names it with `allow_protected`; an interface that the kernel does not
move is given away by none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_interface, ip_network

from nri_netdev.domain.children import PAIRS, carried, children, listing
from nri_netdev.domain.links import Address, Inventory, Link
from nri_netdev.domain.policy.rules import Describes
from nri_netdev.domain.policy.selectors import FactsOf, Selector, no_facts
from nri_netdev.domain.problem import Obstacle
from nri_netdev.domain.routing import SourceRoute
from nri_netdev.errors import Reason

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
"""Kinds that the kernel never lets out of their netns, for kernels that do not report it themselves (before 6.17)."""

CNI_NAMES: Mapping[str, str] = {
    "the CNI plugins bridge and ptp": r"cni[0-9]|cbr0|kube-bridge|veth[0-9a-f]{8}",
    "Flannel": r"flannel[.-].*",
    "Calico": r"cali.*|vxlan(-v6)?\.calico|wireguard\.cali|wg-v6\.cali",
    "Cilium": r"cilium_.*|lxc.*",
    "Antrea": r"antrea-.*",
    "OVN-Kubernetes": r"ovn-k8s-.*|br-int|br-ex|genev_sys_.*|ovs-system",
    "Weave Net": r"weave|vethwe-.*|datapath",
    "the Amazon VPC CNI": r"eni[0-9a-f]{11}|vlan\.eth\.[0-9]+",
    "the Azure CNI": r"azv[0-9a-f]+",
    "GKE": r"gke[0-9a-f]{11}",
    "kube-proxy": r"kube-ipvs0",
    "the node's DNS cache": r"nodelocaldns",
    "Docker": r"docker[0-9]|docker_gwbridge|veth[0-9a-f]{7}",
    "Podman": r"podman[0-9]",
}
"""Names of interfaces that belong to the pod network, as regular expressions, by the program that gives them."""

_CNI_NAMES = re.compile("|".join(f"(?P<owner{n}>{names})" for n, names in enumerate(CNI_NAMES.values())), re.ASCII)


def _cni_owner(ifname: str) -> str | None:
    """The program of the pod network that gives this name; None if none does."""
    found = _CNI_NAMES.fullmatch(ifname)
    if found is None:
        return None
    number = next(int(group.removeprefix("owner")) for group, text in found.groupdict().items() if text is not None)
    return tuple(CNI_NAMES)[number]


def why_immovable(link: Link) -> Obstacle | None:
    """Why the kernel does not move this interface to another netns; None if it does."""
    if link.is_loopback:
        return Obstacle("is the loopback device", Reason.LIFELINE)
    if link.kind in IMMOVABLE_KINDS or link.netns_immutable:
        kind = link.kind or "device"
        return Obstacle(f"is a {kind} that the kernel never lets leave its network namespace", Reason.LIFELINE)
    return None


class Lifelines:
    """The lifelines of a host, each with the reasons why it is one.

    Args:
        inventory: the host.
        protected: further interfaces that the operator protects.
        describes: whether a selector describes an interface.
        given: the interfaces that are given away, as they were on the host.
        shared: the interfaces at home that pods have devices on.
        facts_of: reads facts that rtnetlink does not have.
    """

    def __init__(
        self,
        inventory: Inventory,
        *,
        protected: Sequence[Selector] = (),
        describes: Describes = lambda _, __: False,
        given: Iterable[Link] = (),
        shared: Iterable[Link] = (),
        facts_of: FactsOf = no_facts,
    ) -> None:
        self._inventory = inventory
        self._protected = protected
        self._describes = describes
        self._facts_of = facts_of
        self._given = tuple(given)
        self._by_index = {link.ifindex: link for link in inventory.links}
        self._ports: dict[int, list[Link]] = {}
        for link in inventory.links:
            if link.master is not None:
                self._ports.setdefault(link.master, []).append(link)
        leaving = {(child.ifindex, child.ifname) for child in self._given}
        self._children = children(link for link in inventory.links if (link.ifindex, link.ifname) not in leaving)
        self._vital = self._with_beneath(_carriers(inventory))
        self._by_source = self._with_beneath(_carriers_by_source(inventory))
        self._by_shares = self._with_beneath((link.ifindex, "is shared by pods") for link in shared)

    def _with_beneath(self, carriers: Iterable[tuple[int, str]]) -> Mapping[int, str]:
        """Carriers and what is beneath them, each with the first reason."""
        found: dict[int, str] = {}
        for carrier, reason in carriers:
            found.setdefault(carrier, reason)
        for carrier in tuple(found):
            self._note_beneath(carrier, found)
        return found

    def _note_beneath(self, carrier: int, found: dict[int, str]) -> None:
        """Note what is below a carrier: ports of a bond or bridge, the parent of a VLAN, the other end of a pair."""
        top = self._by_index.get(carrier)
        pending, seen = [carrier], {carrier}
        while top is not None and pending:
            upper = self._by_index.get(pending.pop())
            for ifindex in () if upper is None else self._lowers(upper):
                if ifindex not in seen:
                    seen.add(ifindex)
                    pending.append(ifindex)
                    found.setdefault(ifindex, f"is beneath {top.ifname}, which {found[carrier]}")

    def _lowers(self, link: Link) -> Iterator[int]:
        yield from (port.ifindex for port in self._ports.get(link.ifindex, ()))
        if link.link is not None and link.link_netnsid is None:
            yield link.link

    def why(self, link: Link) -> Obstacle | None:
        """Why an interface is a lifeline, the weightiest reason; None if it is none.

        That it has a source route of its own is the lightest one: then there is no other.
        """
        return next(self._reasons(link), None)

    def why_protected(self, link: Link) -> Obstacle | None:
        """Why the configuration keeps an interface; None if it does not."""
        for number, selector in enumerate(self._protected, 1):
            if self._describes(selector, link):
                return Obstacle(f"is protected by the configuration (protected, {number})", Reason.LIFELINE)
        return None

    def children_of(self, link: Link) -> Sequence[Link]:
        """The host's interfaces that stand on one, those left out that are given away."""
        return self._children.get(link.ifindex, ())

    def _reasons(self, link: Link) -> Iterator[Obstacle]:
        """Every reason, the weightiest first."""
        for text in self._uses_of_node(link):
            yield Obstacle(text, Reason.LIFELINE)
        yield from self._uses_of_pods(link)
        if owner := _cni_owner(link.ifname):
            yield Obstacle(f"has a name that {owner} gives", _OF_PODS)
        if protection := self.why_protected(link):
            yield protection
        if link.ifindex in self._by_source:
            yield Obstacle(self._by_source[link.ifindex], Reason.LIFELINE, is_source_route=True)

    def _uses_of_node(self, link: Link) -> Iterator[str]:
        if link.ifindex in self._vital:
            yield self._vital[link.ifindex]
        if link.master is not None:
            master = self._by_index.get(link.master)
            of = f"{master.kind or 'device'} {master.ifname}" if master else f"the device with index {link.master}"
            yield f"is enslaved to {of}; release it first"
        for port in self._ports.get(link.ifindex, ()):
            yield f"is the master of {port.ifname}"
        if own := self.children_of(link):
            yield carried(own)

    def _uses_of_pods(self, link: Link) -> Iterator[Obstacle]:
        if link.kind == "veth" and link.link_netnsid in self._inventory.pod_netnsids:
            yield Obstacle("is the host's end of a pod's own network", _OF_PODS)
        for child in self._given:
            if child.link == link.ifindex and child.link_netnsid is None and child.kind not in PAIRS:
                text = f"carries {child.ifname}, a {child.kind or 'device'} that is given away"
                yield Obstacle(text, Reason.LIFELINE)
        if link.parent_bus == "pci":
            for child in self._given:
                if self._is_function(child, link):
                    yield Obstacle(f"has the virtual function {child.ifname} that is given away", _OF_PODS)
            for ifindex, text in self._by_shares.items():
                function = self._by_index.get(ifindex)
                if function is not None and self._is_function(function, link):
                    yield Obstacle(f"has the virtual function {function.ifname}, which {text}", _OF_PODS)

    def _is_function(self, link: Link, pf: Link) -> bool:
        """Whether an interface is a virtual function of another one on PCI."""
        return link.parent_bus == "pci" and self._facts_of(link).pf == pf.parent_dev


_OF_PODS = Reason.ANNOTATION
"""The label that refusals for these lifelines have always had in the metrics."""


def _carriers(inventory: Inventory) -> Iterator[tuple[int, str]]:
    """What carries a default route of the node, or one for packets from addresses that are not its own."""
    for ifindex in inventory.default_routes:
        yield ifindex, "carries a default route of the node"
    for ifindex, address in _having(inventory, inventory.default_sources):
        yield ifindex, f"has the address {address} that a default route of the node uses"
    for route in inventory.source_routes:
        for ifindex in route.leaves_by:
            if foreign := _foreign(route, inventory.addresses.get(ifindex, ())):
                yield ifindex, f"carries a default route for packets from {listing(foreign)} (table {route.table})"


def _carriers_by_source(inventory: Inventory) -> Iterator[tuple[int, str]]:
    """What carries a default route that no packets take but those from its own addresses."""
    for route in inventory.source_routes:
        reached = "only rules with `from` reach" if route.sources else "no rule reaches"
        for ifindex in route.leaves_by:
            yield ifindex, f"carries a default route of table {route.table}, which {reached}"
        for ifindex, address in _having(inventory, filter(None, (route.source,))):
            yield ifindex, f"has the address {address} that a default route of table {route.table} uses"


def _having(inventory: Inventory, wanted: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The interfaces that have one of some addresses, each with that."""
    among = frozenset(wanted)
    for ifindex, addresses in inventory.addresses.items() if among else ():
        for address in addresses:
            if address.address in among:
                yield ifindex, address.address


_ADDRESS_BITS = {2: 32, 10: 128}
"""By address family (`AF_INET`, `AF_INET6`)."""


def _foreign(route: SourceRoute, addresses: Sequence[Address]) -> list[str]:
    """What packets take a source route from, without an interface's own addresses and networks of those."""
    own = {f"{address.address}/{_ADDRESS_BITS[address.family]}": str(address) for address in addresses}
    return [
        sources.removesuffix("/128" if ":" in sources else "/32")
        for sources in route.sources
        if sources not in own and not any(_has_within(sources, address) for address in own.values())
    ]


@lru_cache(maxsize=1024)
def _has_within(sources: str, address: str) -> bool:
    """Whether a network has an address in it, and is no larger than that address's own network."""
    network, interface = ip_network(sources, strict=False), ip_interface(address)
    return interface.ip in network and network.prefixlen >= interface.network.prefixlen
