"""Lifelines: the interfaces that a node lives by, and those that the kernel never lets go. Found, not listed.

A lifeline is given away only by a rule that names it and says so; what the kernel holds is given by none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.policy import Sees
from nri_netdev.domain.selectors import FactsOf, Selector, matches_glob, no_facts

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

CNI_NAMES: Mapping[str, tuple[str, ...]] = {
    "the CNI plugins bridge and ptp": ("cni[0-9]", "cbr0", "kube-bridge"),
    "Flannel": ("flannel*",),
    "Calico": ("cali*", "vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali"),
    "Cilium": ("cilium_*", "lxc*"),
    "Antrea": ("antrea-*",),
    "OVN-Kubernetes": ("ovn-k8s-*", "br-int", "br-ex", "genev_sys_*", "ovs-system"),
    "Weave Net": ("weave", "vethwe-*", "datapath"),
    "the Amazon VPC CNI": ("eni*",),
    "the Azure CNI": ("azv*",),
    "kube-proxy": ("kube-ipvs0",),
    "the node's DNS cache": ("nodelocaldns",),
    "Docker": ("docker[0-9]", "docker_gwbridge"),
    "Podman": ("podman[0-9]",),
}
"""Interfaces of those who make the pods' network, by the names that they give them. `[0-9]` is one digit."""


def why_immovable(link: Link) -> str | None:
    """Why nobody can move this interface to another netns; None if that is possible.

    Returns the rest of a sentence that begins with the interface: "is a bridge that …".
    """
    if link.is_loopback:
        return "is the loopback device"
    if link.kind in IMMOVABLE_KINDS or link.netns_immutable:
        return f"is a {link.kind or 'device'} that the kernel never lets leave its network namespace"
    return None


def lifelines(
    inventory: Inventory,
    *,
    protected: Sequence[Selector] = (),
    sees: Sees = lambda _, __: False,
    given: Iterable[Link] = (),
    facts_of: FactsOf = no_facts,
) -> Mapping[int, tuple[str, ...]]:
    """Every lifeline of a host, and why it is one.

    Args:
        inventory: the host, now.
        protected: what the operator protects beside.
        sees: whether a selector describes an interface.
        given: the interfaces that are given away, as they were on the host.
        facts_of: fetches what rtnetlink does not tell.

    Returns:
        By ifindex the reasons, the weightiest first, each the rest of a sentence that begins with the interface.
    """
    found: dict[int, list[str]] = {}
    given = tuple(given)
    for ifindex, reason in (
        *_carriers(inventory),
        *_beneath(inventory),
        *_enslaved(inventory),
        *_losing(inventory, given, facts_of),
        *_of_cni(inventory),
    ):
        found.setdefault(ifindex, []).append(reason)
    for number, selector in enumerate(protected, 1):
        for link in inventory.links:
            if sees(selector, link):
                found.setdefault(link.ifindex, []).append(f"is protected by the configuration (protected, {number})")
    return {ifindex: tuple(dict.fromkeys(reasons)) for ifindex, reasons in found.items()}


def _carriers(inventory: Inventory) -> Iterator[tuple[int, str]]:
    for ifindex in inventory.default_routes:
        yield ifindex, "carries a default route of the node"
    for ifindex, addresses in inventory.addresses.items():
        for address in addresses:
            if address.address in inventory.default_sources:
                yield ifindex, f"has the address {address.address} that a default route of the node uses"


def _beneath(inventory: Inventory) -> Iterator[tuple[int, str]]:
    """What a carrier stands on: ports of a bond or bridge, the parent of a VLAN, the other end of a pair, and so on."""
    by_index = {link.ifindex: link for link in inventory.links}
    ports: dict[int, list[int]] = {}
    for link in inventory.links:
        if link.master is not None:
            ports.setdefault(link.master, []).append(link.ifindex)

    def lowers(link: Link) -> Iterator[int]:
        yield from ports.get(link.ifindex, ())
        if link.link is not None and link.link_netnsid is None and link.link != link.ifindex:
            yield link.link

    for carrier, reason in _carriers(inventory):
        top = by_index.get(carrier)
        pending, seen = [carrier], {carrier}
        while top is not None and pending:
            upper = by_index.get(pending.pop())
            for ifindex in () if upper is None else lowers(upper):
                if ifindex not in seen:
                    seen.add(ifindex)
                    pending.append(ifindex)
                    yield ifindex, f"is beneath {top.ifname}, which {reason}"


def _enslaved(inventory: Inventory) -> Iterator[tuple[int, str]]:
    for link in inventory.links:
        if link.master is None:
            continue
        master = inventory.by_index(link.master)
        of = f"{master.kind or 'device'} {master.ifname}" if master else f"the device with index {link.master}"
        yield link.ifindex, f"is enslaved to {of}; release it first"
        yield link.master, f"is the master of {link.ifname}"


def _losing(inventory: Inventory, given: Sequence[Link], facts_of: FactsOf) -> Iterator[tuple[int, str]]:
    """What others would lose: tunnels that die with a move, and pods that work through it."""
    for link in inventory.links:
        if link.kind == "vxlan" and link.link is not None and link.link_netnsid is None:
            yield link.link, f"carries {link.ifname}, a vxlan device that the kernel would delete"
        if link.kind == "veth" and link.link_netnsid in inventory.pod_netnsids:
            yield link.ifindex, "is the host's end of a pod's own network"
    for child in given:
        if child.link is not None and child.link_netnsid is None and child.kind != "veth":
            yield child.link, f"carries {child.ifname}, a {child.kind or 'device'} that is given away"
    for function in [child for child in given if child.parent_bus == "pci"]:
        pf = facts_of(function).pf
        for link in inventory.links:
            if pf is not None and link.parent_dev == pf:
                yield link.ifindex, f"has the virtual function {function.ifname} that is given away"


def _of_cni(inventory: Inventory) -> Iterator[tuple[int, str]]:
    for link in inventory.links:
        for owner, patterns in CNI_NAMES.items():
            if any(_is_called(link.ifname, pattern) for pattern in patterns):
                yield link.ifindex, f"has a name that {owner} gives"


def _is_called(ifname: str, pattern: str) -> bool:
    stem = pattern.removesuffix("[0-9]")
    if stem != pattern:
        return ifname[:-1] == stem and ifname[-1:].isdigit()
    return matches_glob(ifname, pattern)
