"""A node, and those who hold interfaces of it, for the tests of verdicts."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from nri_netdev.domain.annotations.request import Entry, parse
from nri_netdev.domain.claim import Owner, State
from nri_netdev.domain.links import Address, Inventory, Link
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.problem import Problem, summary
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.verdict.availability import PodAvailability
from nri_netdev.domain.verdict.judge import judge
from nri_netdev.domain.verdict.node import Held, NodeState, PodNetns

KEY = "nri-netdev.io/container.app"
NODE = Inventory(
    links=(
        Link(ifindex=1, ifname="lo", is_loopback=True, netns_immutable=True),
        Link(ifindex=2, ifname="uplink0"),
        Link(ifindex=3, ifname="ens1f0", altnames=("enp1s0f0", "nri-netdev-0")),
        Link(ifindex=4, ifname="ens1f1"),
        Link(ifindex=5, ifname="br0", kind="bridge", netns_immutable=True),
        Link(ifindex=6, ifname="port0", kind="veth", master=5),
        Link(ifindex=7, ifname="bond0", kind="bond"),
        Link(ifindex=8, ifname="stray0", master=99),
        Link(ifindex=9, ifname="under0"),
        Link(ifindex=10, ifname="vx0", kind="vxlan", link=9),
        Link(ifindex=11, ifname="phy0", netns_immutable=True),
        Link(ifindex=12, ifname="mgmt0", kind="macvlan", link=13),
        Link(ifindex=13, ifname="mgmtphy0"),
    ),
    addresses={
        2: (Address(family=2, address="192.0.2.2", prefixlen=24),),
        12: (Address(family=2, address="203.0.113.9", prefixlen=32),),
    },
    default_routes=frozenset({2}),
    default_sources=frozenset({"203.0.113.9"}),
)


def entries(value: str) -> tuple[Entry, ...]:
    """What an annotation of the container `app` asks."""
    parsed = parse({KEY: value}, container="app")
    assert not parsed.problems, summary(parsed.problems)
    return parsed.entries


def held(ifname: str, *, state: State = State.HELD, scope: Scope = Scope.CONTAINER, since_s: int = 1000) -> Held:
    """An interface that another pod holds."""
    owner = Owner(
        scope=scope, pod_id="p1", pod_uid="u1", namespace="default", pod="web", container_id="c1", container="app"
    )
    return Held(link=Link(ifindex=3, ifname=ifname), owner=owner, since_s=since_s, state=state)


def node(*holdings: Held, inventory: Inventory = NODE, policy: Policy | None = None) -> NodeState:
    """The node with these holders."""
    return NodeState(inventory=inventory, policy=policy, held=holdings, at_s=4661)


def available(state: NodeState, *, names: Collection[str] = ("lo", "eth0")) -> PodAvailability:
    """What a pod of the namespace `team` could get."""
    return PodAvailability(state, PodSandbox(id="p2", namespace="team", name="web"), names)


def problems(value: str, *holdings: Held, names: Iterable[str] = ("lo", "eth0")) -> tuple[Problem, ...]:
    """The problems of a request that is refused."""
    grants, found = judge(entries(value), node(*holdings), netns=PodNetns(names=frozenset(names)))
    assert found
    assert grants == ()
    return found


def refused(value: str, *holdings: Held, names: Iterable[str] = ("lo", "eth0")) -> list[str]:
    """The messages of a refusal, in order."""
    return [problem.message for problem in problems(value, *holdings, names=names)]


def by_name(ifname: str) -> Link:
    """An interface of the node."""
    return next(link for link in NODE.links if link.ifname == ifname)


def without(*ifnames: str) -> Inventory:
    """The node's interfaces but these."""
    return replace(NODE, links=tuple(link for link in NODE.links if link.ifname not in ifnames))
