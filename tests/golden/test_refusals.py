"""Refusals: the words on every one, and the reason that is its label in the metrics.

Each case makes the real code refuse. What it raises is what the daemon tells the engine and logs as `create.refused` or
`start.refused`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

# Everything internal that this file knows.
from nri_netdev.config import settings
from nri_netdev.custody.evaluate import Asker, Evaluator
from nri_netdev.daemon.lane import Lane
from nri_netdev.domain.annotations.entries import entries_of
from nri_netdev.domain.claim import Claim, Netns, Owner, State
from nri_netdev.domain.effects import Attached
from nri_netdev.domain.links import Address, Inventory, Link, PodNetnsView
from nri_netdev.domain.pci import PciFunction
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.policy.selectors import Facts
from nri_netdev.domain.routing import SourceRoute
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.fields import read_setup
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.errors import KernelError, Reason, RequestError, StateError
from nri_netdev.shells.kernel.netns import open_netns
from nri_netdev.shells.observe.metrics import LEDGER_ERRORS, Meters
from nri_netdev.shells.store.ledger import Ledger
from nri_netdev.shells.store.lock import Lock
from tests.golden.store import DIRECTORY, stored
from tests.world import World, entries, new_world

OWN = "nri-netdev.io/container.app"
POD = "nri-netdev.io/pod"

PREFIX = "nri-netdev-golden-"
"""Of the names of temporary files."""

Case = Callable[[], object]


def label_of(error: RequestError) -> str:
    """The label `reason` that a refusal is counted under."""
    return error.reason.value


def is_ledgers(error: RequestError) -> bool:
    """Whether a refusal is counted as a failure of the ledger as well."""
    meters = Meters()
    meters.count_event("create.refused", {"reason": error})
    counters, _ = meters.read()
    return any(name == LEDGER_ERRORS.name for name, _ in counters)


# -- what an annotation says -------------------------------------------------------------------------------------------


def annotated(*values: str, container: str = "app", **keys: str) -> Case:
    """A pod whose annotations cannot be understood."""
    annotations = dict(zip((OWN, POD), values, strict=False)) | keys
    pod = PodSandbox(id="p1", namespace="default", name="web", annotations=annotations)
    return lambda: entries_of(pod, Container(id="c1", name=container, pod_id="p1"))


def without_sandbox() -> object:
    """A container of Docker, which is its own pod."""
    return entries_of(PodSandbox(id="d1", name="web", annotations={POD: "[a]"}), Container(id="d1", name="web"))


ANNOTATIONS: dict[str, Case] = {
    "no container name": annotated("[a]", container=""),
    "no pod sandbox": without_sandbox,
    "unknown key": annotated(**{"nri-netdev.io/containers.app": "[a]"}),
    "unknown key, nothing near": annotated(**{"nri-netdev.io/zz": "[a]"}),
    "rival keys": annotated("[a]", **{POD: "[b]", "nri-netdev.io": "[c]"}),
    "rival keys of a container": annotated("[a]", **{"network-devices.nri.io/container.app": "[]"}),
    "interface twice": annotated("[a, a]"),
    "interface twice in two annotations": annotated("[a]", "[a]"),
    "name twice": annotated("[{interface: a, name: n}, {interface: b, name: n}]"),
    "name twice, of a pool": annotated("[{pool: a, name: n}, {pool: b, name: n}]"),
    "too many": annotated("- x\n" * 65),
    "too many in all": annotated("[{pool: a, count: 60}, {pool: b, count: 5}]"),
    "empty": annotated(""),
    "not a list": annotated("a"),
    "a mapping": annotated("interface: a"),
    "entry is a list": annotated("- [a]"),
    "entry is null": annotated("- "),
    "entry of another grammar": annotated(**{"network-devices.nri.io": "- a"}),
    "entry of many fields": annotated("- {" + ", ".join(f"f{n}: x" for n in range(70)) + "}"),
    "unknown field": annotated("- {interface: a, zzz: b}"),
    "unknown field, near": annotated("- {interface: a, nmae: b}"),
    "unknown field, that speaks of a rule": annotated("- {interface: a, rule: b}"),
    "field twice": annotated(**{"network-devices.nri.io": "- {hostIf: a, hostif: b}"}),
    "a setup's field": annotated("- {interface: a, mtu: 10, vlan: {id: 5, name: b, addresses: [x]}}"),
    "a setup that does not go together": annotated(
        "- {interface: a, addresses: [192.0.2.1/24], routes: [{to: default, via: 192.0.3.1}], share: ipvlan, vf: {}}"
    ),
    "a setup for many": annotated("- {pool: a, count: 2, addresses: [192.0.2.1/24]}"),
    "a setup of another grammar": annotated(
        **{"netdevices.nri.containerd.io": "- {name: a, address: 192.0.2.1, prefix: 64, mtu: 10}"}
    ),
    "field is a list": annotated("- {interface: [a]}"),
    "field is null": annotated("- {interface: }"),
    "no interface": annotated("- {name: a}"),
    "no interface, other grammar": annotated(**{"netdevices.nri.containerd.io": "- {new_name: a}"}),
    "count too small": annotated("- {pool: a, count: 0}"),
    "count of one": annotated("- {interface: a, count: 2}"),
    "one name for many": annotated("- {pool: a, count: 2, name: n}"),
    "name of no pool": annotated("- {interface: a, name: '{pool}0'}"),
    "name with braces": annotated("- {pool: a, name: 'n{x}'}"),
    "name filled in": annotated("- {pool: very-fast-pool, name: '{pool}-{n}'}"),
    "name empty": annotated("- {interface: a, name: ''}"),
    "name too long": annotated("- abcdefghijklmnop"),
    "name is a directory": annotated("- .."),
    "name is the kernel's": annotated("- {interface: a, name: default}"),
    "name means removal": annotated("- -a"),
    "name not ASCII": annotated("- größe"),
    "name with whitespace": annotated("- a b"),
    "name with control character": annotated('- "a\\0"'),
    "name with slash": annotated("- a/b"),
    "name with template": annotated("- {interface: a, name: net%d}"),
    "pool's name": annotated("- {pool: a/b}"),
    "mac": annotated("- {mac: x}"),
    "pci": annotated("- {pci: x}"),
    "device": annotated("- {device: x}"),
    "driver": annotated("- {driver: a b}"),
    "kind": annotated("- {kind: a b}"),
    "numa_node": annotated("- {numa_node: x}"),
    "state": annotated("- {state: x}"),
    "vf_of": annotated("- {vf_of: 'a*'}"),
    "altname": annotated("- {altname: a/b}"),
    "not YAML": annotated("- a\n- b: ["),
    "key twice": annotated("- {interface: a, interface: b}"),
    "anchor": annotated("- &a b"),
    "alias": annotated("- *a"),
    "tag": annotated("- !mine a"),
    "list as key": annotated("- {[a]: b}"),
    "second document": annotated("- a\n---\n- b\n"),
    "too deep": annotated("[" * 9 + "]" * 9),
    "too many values": annotated("- a\n" * 5000),
    "too large": annotated("- a\n" * 66_000),
    "no character of YAML": annotated("- a\0"),
    "several problems": annotated("- a/b\n- {nmae: c}\n- [d]\n", "{}"),
    "more problems than are told": annotated("- [a]\n" * 12),
}

# -- what the node says ------------------------------------------------------------------------------------------------

NODE = Inventory(
    links=(
        Link(ifindex=1, ifname="lo", is_loopback=True, netns_immutable=True),
        Link(ifindex=2, ifname="uplink0"),
        Link(ifindex=3, ifname="ens1f0", altnames=("enp1s0f0", "nri-netdev-0"), driver="ice"),
        Link(ifindex=4, ifname="ens1f1", driver="ice"),
        Link(ifindex=5, ifname="br0", kind="bridge", netns_immutable=True),
        Link(ifindex=6, ifname="port0", kind="veth", master=5),
        Link(ifindex=7, ifname="bond0", kind="bond"),
        Link(ifindex=8, ifname="stray0", master=99),
        Link(ifindex=9, ifname="under0"),
        Link(ifindex=10, ifname="vx0", kind="vxlan", link=9),
        Link(ifindex=11, ifname="phy0", netns_immutable=True),
        Link(ifindex=12, ifname="mgmt0", kind="macvlan", link=13),
        Link(ifindex=13, ifname="mgmtphy0"),
        Link(ifindex=14, ifname="host0", kind="veth", link=2, link_netnsid=7),
        Link(ifindex=15, ifname="parent0", parent_bus="pci", parent_dev="0000:3b:00.0"),
        Link(ifindex=16, ifname="cni0"),
        Link(ifindex=17, ifname="nodelocaldns"),
        Link(ifindex=18, ifname="dummy", kind="bridge"),
        Link(ifindex=19, ifname="dummyport", master=18),
        Link(ifindex=20, ifname="team0", kind="dummy"),
        Link(ifindex=21, ifname="teamport", master=20),
        Link(ifindex=22, ifname="cloud0"),
        Link(ifindex=23, ifname="unused0"),
        Link(ifindex=24, ifname="foreign0"),
    ),
    addresses={
        2: (Address(family=2, address="192.0.2.2", prefixlen=24),),
        12: (Address(family=2, address="203.0.113.9", prefixlen=32),),
        22: (Address(family=2, address="198.51.100.2", prefixlen=24),),
    },
    source_routes=(
        SourceRoute(table=102, leaves_by=frozenset({22}), sources=("198.51.100.2/32",)),
        SourceRoute(table=103, leaves_by=frozenset({23})),
        SourceRoute(table=104, leaves_by=frozenset({24}), sources=("198.51.100.9/32",)),
    ),
    default_routes=frozenset({2}),
    default_sources=frozenset({"203.0.113.9"}),
    pod_netnsids=frozenset({7}),
)


def _without(inventory: Inventory, ifname: str) -> Inventory:
    return replace(inventory, links=tuple(link for link in inventory.links if link.ifname != ifname))


POOLS = "pools:\n  fast: [{driver: ice}]\n  slow: [under0, port0]\n  none: [{driver: nothing}]\n"
ALL = "rules: [{namespaces: ['*'], interfaces: ['*']}]\n"
FUNCTIONS = {
    one.address: one
    for one in (
        PciFunction(address="0000:3b:00.0", pci_id="15b3:1019", base_class=2),
        PciFunction(address="0000:3b:00.1", pci_id="15b3:1019", base_class=2, driver="vfio-pci"),
        PciFunction(address="0000:3b:00.2", pci_id="15b3:1019", base_class=2, driver="mlx5_core"),
        PciFunction(address="0000:00:02.0", pci_id="8086:3e92", base_class=3, driver="i915"),
    )
}


class _Host:
    """A node that is as it is, and that nobody changes."""

    def __init__(self, inventory: Inventory, names: Collection[str], facts: Mapping[str, Facts]) -> None:
        self._inventory = inventory
        self._names = names
        self._facts = facts
        self.host = self.pods = self

    def inventory(self, *, is_fresh: bool = False) -> Inventory:
        del is_fresh
        return self._inventory

    def view(self, _: str) -> PodNetnsView:
        return PodNetnsView(links=tuple(Link(ifindex=n, ifname=name) for n, name in enumerate(self._names, 1)))

    def facts(self) -> Callable[[Link], Facts]:
        return lambda link: self._facts.get(link.ifname, Facts())

    def pci_of(self, address: str) -> PciFunction | None:
        return FUNCTIONS.get(address)

    def attached(self, _: Link) -> Attached:
        return Attached()

    def snapshot(self, ifindex: int) -> Snapshot:
        """As if the interface had changed since the host was read."""
        return Snapshot(link=Link(ifindex=ifindex, ifname="other", mtu=1))


def policy_of(text: str) -> Policy:
    """The policy of a configuration."""
    values, problems = settings.read(text, source="c.yaml")
    assert not problems
    return settings.settings_of(values).policy


def held(ifname: str, *, state: State = State.HELD, scope: Scope = Scope.CONTAINER, **link: object) -> Claim:
    """A claim of another pod."""
    owner = Owner(
        scope=scope, pod_id="p9", pod_uid="u9", namespace="shop", pod="db", container_id="c9", container="main"
    )
    return Claim(
        mark=f"nri-netdev-{ifname}",
        owner=owner,
        key=OWN,
        inside=ifname,
        netns=Netns(path="/run/netns/x", dev=4, ino=1),
        snapshot=Snapshot(link=Link(ifindex=30, ifname=ifname, **link)),  # type: ignore[arg-type]
        since_s=1000,
        boot_id="b",
        state=state,
    )


def judged(
    value: str,
    *claims: Claim,
    policy: str | None = None,
    names: Collection[str] = ("lo", "eth0"),
    is_host_network: bool = False,
    handler: str = "",
    inventory: Inventory = NODE,
    facts: Mapping[str, Facts] | None = None,
) -> Case:
    """A pod that asks for what the node cannot give."""
    pod = PodSandbox(id="p1", namespace="team-a", name="web", annotations={OWN: value}, runtime_handler=handler)
    container = Container(id="c1", name="app", pod_id="p1")
    netns = None if is_host_network else Netns(path="/run/netns/p1", dev=4, ino=2)
    kernel = _Host(inventory, names, facts or {})
    return lambda: Evaluator(
        kernel,  # type: ignore[arg-type]
        now_s=lambda: 4661.0,
        policy=None if policy is None else policy_of(policy),
    ).evaluate(entries_of(pod, container), Asker(pod=pod, container=container, netns=netns), taken=claims)


def of_rule(text: str) -> str:
    """A policy of one rule for every namespace, with the pools."""
    return f"rules: [{{namespaces: ['*'], {text}}}]\n{POOLS}"


VF = Link(ifindex=26, ifname="vf0", parent_bus="pci", parent_dev="0000:3b:02.1")

VERDICTS: dict[str, Case] = {
    "host network": judged("[ens1f0]", is_host_network=True),
    "absent": judged("[ens9]"),
    "absent, nothing free": judged("[ens9]", inventory=replace(NODE, links=NODE.links[:2])),
    "alternative name": judged("[enp1s0f0]"),
    "loopback": judged("[{interface: lo, name: lo9}]"),
    "bridge": judged("[br0]"),
    "bond": judged("[bond0]"),
    "immovable": judged("[phy0]"),
    "enslaved": judged("[port0]"),
    "enslaved to what cannot be seen": judged("[stray0]"),
    "default route": judged("[uplink0]"),
    "default source": judged("[mgmt0]"),
    "beneath": judged("[mgmtphy0]"),
    "master": judged("[team0]"),
    "vxlan": judged("[under0]"),
    "source route": judged("[cloud0]"),
    "source route that nobody takes": judged("[unused0]"),
    "source route of others": judged("[foreign0]"),
    "pod's own network": judged("[host0]"),
    "carries what is given": judged("[ens1f0]", held("mv0", kind="macvlan", link=3)),
    "virtual function": judged(
        "[parent0]",
        held("vf0", parent_bus="pci", parent_dev="0000:3b:02.1"),
        facts={"vf0": Facts(pf="0000:3b:00.0")},
    ),
    "CNI": judged("[cni0]"),
    "node's DNS": judged("[nodelocaldns]"),
    "protected": judged("[ens1f0]", policy=f"protected: [ens1f0]\n{ALL}"),
    "protected, no rule": judged("[ens1f0]", policy="protected: [ens1f0]\n"),
    "default route, rule does not name it": judged("[uplink0]", policy=ALL),
    "default route, no rule": judged("[uplink0]", policy=""),
    "immovable, and a policy": judged("[br0]", policy=ALL),
    "held": judged("[ens1f0]", held("ens1f0")),
    "held by a pod": judged("[ens1f0]", held("ens1f0", scope=Scope.POD)),
    "held and away": judged("[ens9]", held("ens9")),
    "returning": judged("[ens1f0]", held("ens1f0", state=State.RETURNING)),
    "lost": judged("[ens9]", held("ens9", state=State.LOST)),
    "held, and no rule": judged("[ens1f0]", held("ens1f0"), policy=""),
    "no rule": judged("[ens1f0]", policy=""),
    "no rule for many": judged("[ens1f0, ens1f1]", policy=""),
    "no rule for a pool": judged("[{pool: fast}]", policy=POOLS),
    "no rule for a selector": judged("[{driver: ice}]", policy=POOLS),
    "rule refuses": judged("[ens1f0]", policy=of_rule("interfaces: [ens1f0], count: 0")),
    "rule's count": judged("[ens1f0, ens1f1]", policy=of_rule("interfaces: ['ens*'], count: 1, name: few")),
    "rule's count, in a pool": judged(
        "[{pool: fast, count: 2, name: 'n{n}'}]", policy=of_rule("pools: [fast], count: 1")
    ),
    "rule refuses, in a pool": judged("[{pool: fast}]", policy=of_rule("pools: [fast], count: 0")),
    "rule's names": judged("[{interface: ens1f0, name: x}]", policy=of_rule("interfaces: ['ens*'], names: ['net*']")),
    "no such pool": judged("[{pool: zzz}]", policy=of_rule("pools: [fast]")),
    "no such pool, and none": judged("[{pool: zzz}]", policy=ALL),
    "no such pool, without a policy": judged("[{pool: zzz}]"),
    "pool is empty": judged("[{pool: none}]", policy=of_rule("pools: [none]")),
    "pool is too small": judged("[{pool: fast, count: 3, name: 'n{n}'}]", policy=of_rule("pools: [fast]")),
    "pool is held": judged("[{pool: fast}]", held("ens1f0"), held("ens1f1"), policy=of_rule("pools: [fast]")),
    "pool is returning": judged(
        "[{pool: fast}]", held("ens1f0", state=State.RETURNING), held("ens1f1"), policy=of_rule("pools: [fast]")
    ),
    "rule without source routes": judged("[cloud0]", policy=of_rule("interfaces: [cloud0]")),
    "something is left on it": judged(
        "[ens1f0]",
        replace(held("ens1f0", state=State.PARTIAL), is_tainted=True),
        policy=of_rule("interfaces: [ens1f0]"),
    ),
    "source routes of others": judged(
        "[foreign0]", policy=of_rule("interfaces: [foreign0], allow_source_routed: true")
    ),
    "pool of lifelines": judged("[{pool: slow}]", policy=of_rule("pools: [slow]")),
    "pool clashes": judged("[{pool: fast}]", held("ens1f1"), policy=of_rule("pools: [fast]"), names=("enp1s0f0",)),
    "pool goes to others": judged("[ens1f0, ens1f1, {pool: fast, name: x}]", policy=of_rule("pools: [fast]")),
    "selector finds nothing": judged("[{driver: nothing}]"),
    "selector finds too little": judged("[{driver: ice, count: 3, name: 'n{n}'}]"),
    "pattern finds nothing": judged("['wlan*']"),
    "pattern finds lifelines": judged("['*port0']"),
    "pattern finds many lifelines": judged(
        "[{kind: hardware, interface: 'a*'}]",
        inventory=Inventory(
            links=tuple(
                Link(ifindex=n, ifname=f"a{n}", parent_bus="pci", parent_dev=f"0000:00:0{n}.0", master=99)
                for n in range(1, 8)
            )
        ),
    ),
    "not what is selected": judged("[{interface: ens1f0, driver: mlx5_core}]"),
    "not in the pool": judged(
        "[{interface: under0, pool: fast}]",
        policy=of_rule("pools: [fast], interfaces: ['*']"),
        inventory=_without(NODE, "vx0"),
    ),
    "name taken in the pod": judged("[{interface: ens1f0, name: eth0}]"),
    "alternative name taken in the pod": judged("[ens1f0]", names=("enp1s0f0",)),
    "its own alternative name": judged("[{interface: ens1f0, name: enp1s0f0}]"),
    "an alternative name of another": judged("[ens1f0, {interface: ens1f1, name: enp1s0f0}]"),
    "name wanted twice": judged("[{interface: under0, name: ens1f0}, {driver: ice}]", inventory=_without(NODE, "vx0")),
    "name too long when filled in": judged(
        "[{driver: ice, name: 'abcdefghijklmn{n}'}]", names=[f"abcdefghijklmn{n}" for n in range(10)]
    ),
    "being changed": judged("[ens1f0]"),
    "no PCI function": judged("[{pci: '3b:00.7'}]"),
    "no PCI function to be of": judged("[{vf_of: '0000:3b:00.7'}]"),
    "a PCI function without a driver": judged("[{pci: '3b:00.0'}]"),
    "a PCI function for a virtual machine": judged("[{pci: '3b:00.1'}]"),
    "a PCI function without an interface": judged("[{pci: '3b:00.2', driver: mlx5_core}]"),
    "a PCI function of another class": judged("[{pci: '00:02.0'}]"),
    "a PCI function that is not the rest": judged(
        "[{pci: '3b:00.2', driver: e1000}]", facts={"ens1f0": Facts(pci="0000:3b:00.2")}
    ),
    "rule without share": judged("[{interface: ens1f0, share: macvlan}]", policy=of_rule("interfaces: [ens1f0]")),
    "no rule, and more than it gives by default": judged(
        "[{interface: ens1f0, share: macvlan, promisc: true, routes: [{to: 0.0.0.0/0}]}]", policy=""
    ),
    "rule's may": judged(
        "[{interface: ens1f0, promisc: true, routes: [{to: 192.0.2.0/24}]}]", policy=of_rule("interfaces: [ens1f0]")
    ),
    "rule without default route": judged(
        "[{interface: ens1f0, routes: [{to: 0.0.0.0/0}]}]", policy=of_rule("interfaces: [ens1f0], may: [all]")
    ),
    "rule's prefixes": judged(
        "[{interface: ens1f0, addresses: [192.0.2.9/24, 198.51.100.9/24]}]",
        policy=of_rule("interfaces: [ens1f0], prefixes: [192.0.2.0/24]"),
    ),
    "rule's prefixes, of a plugin": judged(
        "[{interface: ens1f0, ipam: {type: host-local, subnet: 198.51.100.0/24}}]",
        policy=of_rule("interfaces: [ens1f0], may: [ipam], prefixes: [192.0.2.0/24]"),
    ),
    "rule's prefixes, of the other end": judged(
        "[{interface: ens1f0, addresses: [{address: 192.0.2.9/8, peer: 10.0.0.1}]}]",
        policy=of_rule("interfaces: [ens1f0], prefixes: [192.0.2.0/24]"),
    ),
    "rule's may, of a plugin's routes": judged(
        "[{interface: ens1f0, ipam: {type: dhcp}}, {interface: ens1f1, ipam: {type: host-local, subnet: 192.0.2.0/24, "
        "routes: [{dst: 198.51.100.0/24}]}}]",
        policy=of_rule("interfaces: ['ens*'], may: [ipam]"),
    ),
    "rule's may, of a VLAN's MAC address": judged(
        "[{interface: ens1f0, vlan: {id: 5, name: v, mac: 02:00:5e:10:00:01}}]",
        policy=of_rule("interfaces: [ens1f0], may: [vlan]"),
    ),
    "address of the node, at the other end": judged(
        "[{interface: ens1f0, share: ipvlan, addresses: [{address: 198.51.100.77/32, peer: 192.0.2.2}]}]"
    ),
    "MTU": judged(
        "[{interface: mtu0, mtu: 9000}]",
        inventory=Inventory(links=(Link(ifindex=2, ifname="mtu0", min_mtu=68, max_mtu=1500),)),
    ),
    "no virtual function": judged("[{interface: ens1f0, vf: {vlan: 5}}]"),
    "no RDMA device": judged("[{interface: ens1f0, rdma: true}]"),
    "no IPAM profile": judged(
        "[{interface: ens1f0, ipam: storage}]",
        policy=f"ipam: {{store: {{type: dhcp}}}}\n{of_rule('interfaces: [ens1f0], may: [all]')}",
    ),
    "name of a device taken in the pod": judged("[{interface: ens1f0, vlan: {id: 5, name: eth0}}]"),
    "share of a port": judged("[{interface: port0, share: macvlan}]"),
    "shares of two kinds": judged(
        "[{interface: ens1f0, share: macvlan, name: a}, {interface: ens1f0, share: ipvlan, name: b}]"
    ),
    "share of what is protected": judged(
        "[{interface: ens1f0, share: macvlan}]",
        policy=f"protected: [ens1f0]\n{of_rule('interfaces: [ens*], share: true')}",
    ),
    "share of what others have ipvlans on": judged(
        "[{interface: ens1f0, share: ipvlan}]",
        inventory=replace(NODE, links=(*NODE.links, Link(ifindex=25, ifname="iv0", kind="ipvlan", link=3))),
    ),
    "virtual function is shared": judged(
        "[parent0]",
        replace(held("ens1f0"), setup=read_setup('{"share": "macvlan"}'), snapshot=Snapshot(link=VF)),
        inventory=replace(NODE, links=(*NODE.links, VF)),
        facts={"vf0": Facts(pf="0000:3b:00.0")},
    ),
    "share of another kind": judged(
        "[{interface: ens1f0, share: macvlan}]", replace(held("ens1f0"), setup=read_setup('{"share": "ipvlan"}'))
    ),
    "shared by another": judged("[ens1f0]", replace(held("ens1f0"), setup=read_setup('{"share": "ipvlan"}'))),
    "copied from ip link": judged("[ens9@if7]"),
    "a guest, by its handler": judged("[ens1f0, ens8]", handler="kata-qemu"),
    "several reasons": judged("[ens1f0, ens8, br0, ens9]"),
    "several reasons, a pod's among them": judged("[{interface: ens1f0, name: eth0}, uplink0]"),
}

# -- what custody says -------------------------------------------------------------------------------------------------

ENS1 = ("ens1", "net1")


def create(change: Callable[[World, PodSandbox], object], *, move: bool = False) -> Case:
    """A container that asks for ens1 is created after a change of the node."""

    def case() -> None:
        world = new_world()
        pod = world.run_pod()
        changed = change(world, pod)
        asked = entries(ENS1)
        its_pod = changed if isinstance(changed, PodSandbox) else pod
        world.custody.create(its_pod, Container(id="c1", name="app", pod_id=pod.id), asked, move=move)

    return case


def start(
    change: Callable[[World, PodSandbox, Container], object], *, moves: bool = True, may_move: bool = True
) -> Case:
    """A container that was given ens1 starts after a change of the node."""

    def case() -> None:
        world = new_world()
        pod = world.run_pod()
        container = world.create(pod, "app", ENS1, moves=moves)
        change(world, pod, container)
        world.namespaces[pod.id].processes.add(container.pid)
        world.custody.start(pod, container, entries(ENS1), may_move=may_move)

    return case


def _fails_at(port: str, action: str, number: int, reason: str = "") -> Callable[[World, PodSandbox], None]:
    """A method of the kernel that fails, in the words of the real one."""

    def fail(*_: object, **__: object) -> None:
        raise KernelError(action=action, errno=number, reason=reason)

    return lambda world, _: setattr(world.kernel.pods if port == "pin" else world.kernel.host, port, fail)


def _steal(world: World, _: PodSandbox, __: Container) -> None:
    device = next(device for device in world.kernel.devices if device.link.mac == "02:00:00:00:00:0b")
    world.kernel.move(device, world.kernel.new_netns(processes=[77]).ino)


def _unplug(world: World, _: PodSandbox, __: Container) -> None:
    world.kernel.devices = [device for device in world.kernel.devices if device.link.mac != "02:00:00:00:00:0b"]


def _lose_netns(world: World, pod: PodSandbox, _: Container) -> None:
    world.kernel.namespaces.pop(world.namespaces[pod.id].ino)


def _in_a_vm(world: World, pod: PodSandbox) -> PodSandbox:
    world.namespaces[pod.id].processes.add(77)
    world.kernel.process_names[77] = frozenset({"qemu-system-x86_64"})
    return replace(pod, pid=77)


def _in_a_vm_of_crio(world: World, _: PodSandbox, container: Container) -> None:
    world.kernel.process_names[container.pid] = frozenset({"cloud-hypervisor", "cloud-hyperviso"})


def _held_by_another(world: World, _: PodSandbox) -> None:
    world.run(world.run_pod(), "app", ENS1)
    world.clock += 90


def _returning(world: World, _: PodSandbox) -> None:
    other = world.run_pod()
    container = world.run(other, "app", ENS1)
    world.kernel.refused.add("bring_home")
    world.namespaces[other.id].processes.add(77)
    world.die(container)


CUSTODY: dict[str, Case] = {
    "held by another": create(_held_by_another),
    "on its way home": create(_returning),
    "pod on the host network": create(lambda world, pod: replace(pod, netns_path="/home")),
    "pod without netns": create(lambda world, pod: replace(pod, netns_path=None)),
    "netns cannot be opened": create(lambda world, pod: replace(pod, netns_path="/run/netns/gone")),
    "disk is full": create(lambda world, _: setattr(world.ledger, "is_full", True)),
    "cannot pin": create(lambda world, _: world.kernel.refused.add("pin")),
    "cannot mark": create(lambda world, _: world.kernel.refused.add("mark")),
    "cannot move at create": create(lambda world, _: world.kernel.refused.add("send"), move=True),
    "cannot complete at create": create(lambda world, _: world.kernel.refused.add("complete"), move=True),
    "pin, in the kernel's words": create(
        _fails_at("pin", "pin /run/netns/x at /run/nri-netdev/net-4", errno.EEXIST, "another one is pinned there")
    ),
    "mark, in the kernel's words": create(
        _fails_at("mark", "give interface 7 the alternative name nri-netdev-1", errno.EEXIST)
    ),
    "a guest, by its pod's process": create(_in_a_vm),
    "a guest, by its container's process": start(_in_a_vm_of_crio, moves=False),
    "still on the host": start(lambda world, _, __: world.kernel.refused.add("send"), moves=False),
    "runtime ignored it": start(lambda world, _, __: None, moves=False, may_move=False),
    "in another netns": start(_steal),
    "nowhere": start(_unplug),
    "taken before it was moved": start(_steal, moves=False),
    "unplugged before it was moved": start(_unplug, moves=False),
    "netns is gone": start(_lose_netns, moves=False),
    "not complete": start(lambda world, _, __: world.kernel.refused.add("complete")),
    "not complete after a move of ours": start(lambda world, _, __: world.kernel.refused.add("complete"), moves=False),
}

# -- what the worker says ----------------------------------------------------------------------------------------------


def asked_of_worker(
    job: Callable[[], object] = lambda: None, *, has_custody: bool = True, trouble: str = "", late: str = ""
) -> Case:
    """A job that the engine waits for ends in an error, comes too late, or there is no custody."""

    async def ask() -> None:
        worker = Lane()
        worker.trouble = trouble
        may_end = threading.Event()
        if has_custody:
            await worker.open(lambda: new_world().custody)
        if late:
            worker.limit_s = 0.0
        try:
            await worker.ask(lambda _: may_end.wait(60) if late else job(), too_late=late)()
        finally:
            may_end.set()
            await worker.close()

    return lambda: asyncio.run(ask())


def raising(error: Exception) -> Callable[[], object]:
    """A job that fails."""

    def job() -> None:
        raise error

    return job


def with_ledger(spoil: Callable[[Path], object]) -> Case:
    """The ledger cannot be opened, so nothing can be given."""

    def case() -> object:
        with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
            directory = Path(name)
            try:
                spoil(directory)
            except StateError as error:
                return asked_of_worker(lambda: None, has_custody=False, trouble=str(error))()
            raise AssertionError("the ledger can be used")

    return case


def _damaged(directory: Path) -> None:
    (directory / "ledger.db").write_bytes(b"rubbish" * 1000)
    Ledger(directory)


def _newer(directory: Path) -> None:
    Ledger(directory).close()
    with contextlib.closing(sqlite3.connect(directory / "ledger.db")) as database:
        database.execute("PRAGMA user_version = 999")
    Ledger(directory)


def _unreadable_claim(directory: Path) -> None:
    Ledger(directory).close()
    with contextlib.closing(sqlite3.connect(directory / "ledger.db", isolation_level=None)) as database:
        database.execute("INSERT INTO claims VALUES ('m', '{}')")
    with Ledger(directory) as ledger:
        ledger.claims()


def _no_directory(directory: Path) -> None:
    (directory / "file").touch()
    Ledger(directory / "file" / "state")


def _no_lock(directory: Path) -> None:
    (directory / "file").touch()
    Lock(directory / "file" / "state").take()


def _unwritable() -> None:
    """A write that the real ledger refuses, in a job of the worker."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, Ledger(Path(name)) as ledger:
        with contextlib.closing(sqlite3.connect(Path(name) / "ledger.db", isolation_level=None)) as database:
            database.execute("DROP TABLE claims")
        ledger.write(put=[held("ens1")])


def _full() -> None:
    world = new_world()
    world.ledger.is_full = True
    world.ledger.write(put=[held("ens1")])


def _open_a_file() -> None:
    with tempfile.NamedTemporaryFile(prefix=PREFIX) as file, open_netns(file.name):
        pass


def _open_nothing() -> None:
    with open_netns("/run/netns/gone"):
        pass


WORKER: dict[str, Case] = {
    "a bug": asked_of_worker(lambda: 1 // 0),
    "a bug of another kind": asked_of_worker(raising(LookupError("rule"))),
    "too late at create": asked_of_worker(
        late="the kernel is still busy, perhaps with an interface that is being returned; retry"
    ),
    "too late at start": asked_of_worker(
        late="its interfaces could not be set up in time; retry, or have the engine wait longer for plugins"
    ),
    "a refusal as it is": asked_of_worker(annotated("a")),
    "no ledger yet": asked_of_worker(has_custody=False),
    "the ledger is damaged": with_ledger(_damaged),
    "the ledger is newer": with_ledger(_newer),
    "a claim cannot be read": with_ledger(_unreadable_claim),
    "no state directory": with_ledger(_no_directory),
    "no lock": with_ledger(_no_lock),
    "the ledger refuses": asked_of_worker(_unwritable),
    "the ledger's disk is full": asked_of_worker(_full),
    "the netns is a file": asked_of_worker(_open_a_file),
    "the netns is not there": asked_of_worker(_open_nothing),
    **{
        f"kernel: {action}": asked_of_worker(
            raising(KernelError(action=action, errno=number, reason=reason, refusal=Reason.POD))
        )
        for action, number, reason in (
            ("enter a network namespace", errno.EPERM, ""),
            ("read network namespace 4", errno.EINVAL, "it is not one"),
        )
    },
    **{
        f"kernel: {action}": asked_of_worker(
            raising(KernelError(action=action, errno=number, reason=reason, hint=hint))
        )
        for action, number, reason, hint in (
            ("open a socket of rtnetlink", errno.EMFILE, "", ""),
            ("listen for changes of interfaces", errno.ENOBUFS, "", ""),
            ("read interface 7", errno.ENODEV, "", ""),
            ("list interfaces", errno.EINTR, "it changes faster than it can be read", ""),
            ("list VLANs of bridge ports", errno.EPERM, "", ""),
            ("list a bridge's table", errno.EPERM, "", ""),
            ("find sysctls of 'all'", errno.EINVAL, "not an interface's name", ""),
            ("give interface 7 the alternative name nri-netdev-1", errno.EOPNOTSUPP, "", ""),
            ("pin /run/netns/x", errno.ESTALE, "it was replaced meanwhile", ""),
            ("move interface 7 to another network namespace", errno.EINVAL, "The interface netns is immutable", ""),
            ("set interface 7 up", errno.EBUSY, "", "look at its driver"),
        )
    },
}

CASES: dict[str, Case] = {
    f"{group}: {name}": case
    for group, cases in (
        ("annotation", ANNOTATIONS),
        ("verdict", VERDICTS),
        ("custody", CUSTODY),
        ("worker", WORKER),
    )
    for name, case in cases.items()
}


def refusal_of(name: str) -> RequestError:
    """The error of a case."""
    try:
        CASES[name]()
    except RequestError as error:
        return error
    raise AssertionError(f"{name} is not refused")


def row(name: str) -> dict[str, object]:
    """What is stored of a case. Paths of temporary files are left out."""
    error = refusal_of(name)
    text = re.sub(rf"/\S*?/{PREFIX}\w+", "DIR", str(error))
    return {
        "case": name,
        "text": text,
        "reason": label_of(error),
        "counts as an error of the ledger": is_ledgers(error),
    }


def test_cases() -> None:
    """The stored cases are those of this file."""
    assert [one["case"] for one in stored("refusals")] == list(CASES)


def test_what_is_told_late_is_documented() -> None:
    """The words for what comes too late, which the cases repeat, are the program's."""
    page = (DIRECTORY.parents[1] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    for name in ("worker: too late at create", "worker: too late at start"):
        assert f"- `{refusal_of(name)}`" in page


@pytest.mark.parametrize("name", CASES)
def test_refusals(name: str) -> None:
    """A refusal is told in the stored words, and counted under the stored reason."""
    [known] = [one for one in stored("refusals") if one["case"] == name]
    assert row(name) == known
