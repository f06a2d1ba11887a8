"""The verdict, as a table that an operator can read: on this node, this request, this answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nri_netdev.domain.annotations.request import Entry, parse
from nri_netdev.domain.claim import Claim, Netns, Owner, State
from nri_netdev.domain.links import Address, Inventory, Link
from nri_netdev.domain.problem import Problem, explain
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.domain.verdict.judge import Grant, PodNetns, age, judge, why_not

KEY = "nri-netdev.io/container.app"
NODE = Inventory(
    links=(
        Link(ifindex=1, ifname="lo", is_loopback=True, netns_immutable=True),
        Link(ifindex=2, ifname="uplink0"),
        Link(ifindex=3, ifname="ens1f0", altnames=("enp1s0f0", "nri-netdev-0")),
        Link(ifindex=4, ifname="ens1f1"),
        Link(ifindex=5, ifname="br0", kind="bridge", netns_immutable=True),
        Link(ifindex=6, ifname="port0", kind="veth", master=5, slave_kind="bridge"),
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
    assert not parsed.problems, explain(parsed.problems)
    return parsed.entries


def claim(ifname: str, *, state: State = State.HELD, scope: Scope = Scope.CONTAINER, since_s: int = 1000) -> Claim:
    """A claim of somebody else."""
    return Claim(
        mark="nri-netdev-1",
        owner=Owner(
            scope=scope,
            pod_id="p1",
            pod_uid="u1",
            namespace="default",
            pod="web",
            container_id="c1",
            container="app",
        ),
        key=KEY,
        inside=ifname,
        netns=Netns(path="/run/netns/x", dev=4, ino=1),
        snapshot=Snapshot(link=Link(ifindex=3, ifname=ifname)),
        since_s=since_s,
        boot_id="b",
        state=state,
    )


def refused(value: str, *, claims: Sequence[Claim] = (), names: Sequence[str] = ("lo", "eth0")) -> list[str]:
    """The messages of a refusal, in order."""
    grants, problems = judge(
        entries(value), inventory=NODE, netns=PodNetns(names=frozenset(names)), claims=claims, now_s=4661
    )
    assert problems
    assert grants == ()
    return [problem.message for problem in problems]


def test_what_is_there_and_free_is_given() -> None:
    """Each entry with its interface, in the order asked."""
    asked = entries("[ens1f1, {interface: ens1f0, name: net1}]")
    assert judge(asked, inventory=NODE, netns=PodNetns(names=frozenset({"lo", "eth0"}))) == (
        (
            Grant(entry=asked[0], link=NODE.links[3]),
            Grant(entry=asked[1], link=NODE.links[2]),
        ),
        (),
    )


@pytest.mark.parametrize(
    ("value", "reasons"),
    [
        ("[ens9]", ['interface "ens9" is not on this node']),
        ("[enp1s0f0]", ['"enp1s0f0" is an alternative name of ens1f0; write ens1f0']),
        ("[{interface: lo, name: lo9}]", ['interface "lo" is the loopback device']),
        ("[br0]", ['interface "br0" is a bridge that the kernel never lets leave its network namespace']),
        ("[bond0]", ['interface "bond0" is a bond that the kernel never lets leave its network namespace']),
        ("[phy0]", ['interface "phy0" is a device that the kernel never lets leave its network namespace']),
        ("[port0]", ['interface "port0" is enslaved to bridge br0; release it first']),
        ("[stray0]", ['interface "stray0" is enslaved to the device with index 99; release it first']),
        ("[uplink0]", ['interface "uplink0" carries a default route of the node']),
        ("[mgmt0]", ['interface "mgmt0" has the address 203.0.113.9 that a default route of the node uses']),
        (
            "[mgmtphy0]",
            [
                'interface "mgmtphy0" is beneath mgmt0, which has the address 203.0.113.9 that a default route of the node uses'
            ],
        ),
        ("[under0]", ['interface "under0" carries vx0, a vxlan device that the kernel would delete']),
        (
            "[{interface: ens1f0, name: eth0}]",
            ['the name "eth0" is already taken in the pod; set another with the field name'],
        ),
        (
            "[{interface: ens1f0, name: enp1s0f0}]",
            ['"enp1s0f0" is an alternative name of ens1f0 itself; set another with the field name'],
        ),
    ],
)
def test_a_refusal_says_what_stands_in_the_way(value: str, reasons: list[str]) -> None:
    """One line for each thing that the host or the pod cannot do."""
    assert refused(value) == reasons


def test_an_alternative_name_travels_with_its_device() -> None:
    """So nothing else that comes into the pod can be called that."""
    assert refused("[ens1f0, {interface: ens1f1, name: enp1s0f0}]") == [
        'the name "enp1s0f0" is an alternative name of ens1f0, which comes as well'
    ]


def test_an_alternative_name_must_be_free_in_the_pod_too() -> None:
    """It travels with the device, and the kernel refuses the whole move where it is taken; marks of ours do not count."""
    assert refused("[ens1f0]", names=("enp1s0f0", "nri-netdev-0")) == [
        'the alternative name "enp1s0f0" of ens1f0 is already taken in the pod'
    ]


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (claim("ens1f0"), 'interface "ens1f0" is held by pod default/web, container app for 1 h 1 min'),
        (claim("ens1f0", scope=Scope.POD), 'interface "ens1f0" is held by pod default/web for 1 h 1 min'),
        (claim("ens1f0", since_s=9999), 'interface "ens1f0" is held by pod default/web, container app for 0 s'),
        (
            claim("ens1f0", state=State.RETURNING),
            (
                'interface "ens1f0" is being returned from pod default/web, container app (returning); retry, or see '
                "`nri-netdev claims`"
            ),
        ),
        (
            claim("ens9"),  # which is away, and so not among the host's own
            'interface "ens9" is held by pod default/web, container app for 1 h 1 min',
        ),
    ],
)
def test_one_holder_at_a_time(held: Claim, reason: str) -> None:
    """The refusal names the holder and since when, or that it is on its way home."""
    assert refused(f"[{held.ifname}]", claims=[held]) == [reason]


def test_all_or_nothing_and_all_problems_at_once() -> None:
    """What is right is not given while anything is wrong; what the node could give is told once, at the end."""
    asked = entries("[ens1f0, ens8, br0, ens9]")
    grants, problems = judge(asked, inventory=NODE, netns=PodNetns())
    assert grants == ()
    assert explain(problems) == (
        f'interface "ens8" is not on this node (annotation {KEY}, entry 2); '
        f'interface "br0" is a bridge that the kernel never lets leave its network namespace (annotation {KEY}, entry 3); '
        f'interface "ens9" is not on this node (annotation {KEY}, entry 4). '
        "Present and free: ens1f0, ens1f1, vx0."
    )


def test_a_pod_on_the_host_network_gets_nothing() -> None:
    """Told once for each annotation, not for each entry; runc would take the host's interface down."""
    grants, problems = judge(entries("[ens1f0, ens1f1]"), inventory=NODE, netns=PodNetns(is_host=True))
    assert grants == ()
    assert problems == (
        Problem(
            key=KEY,
            message="the pod is on the host network, where every interface already is; remove hostNetwork: true or the annotation",
        ),
    )


def test_what_is_free_is_told_in_short() -> None:
    """Twelve names and the number of the others; nothing that is held; and it is said when there is nothing."""
    many = Inventory(links=tuple(Link(ifindex=i, ifname=f"ens{i}") for i in range(1, 16)))
    _, problems = judge(entries("[x]"), inventory=many, netns=PodNetns(), claims=[claim("ens1")])
    assert problems[0].hint == (
        "Present and free: ens2, ens3, ens4, ens5, ens6, ens7, ens8, ens9, ens10, ens11, ens12, ens13 and 2 more."
    )
    little = Inventory(links=NODE.links[:2], default_routes=frozenset({2}))
    _, problems = judge(entries("[x]"), inventory=little, netns=PodNetns())
    assert problems[0].hint == "No interface of this node is present and free."


@pytest.mark.parametrize("kind", ["bridge", "bond", "team", "vrf"])
def test_old_kernels_are_known_by_kind(kind: str) -> None:
    """Before Linux 6.17 the kernel does not say what may not move; the list of kinds does."""
    link = Link(ifindex=1, ifname="x", kind=kind, netns_immutable=None)
    assert why_not(link, Inventory(links=(link,))) == (
        f"is a {kind} that the kernel never lets leave its network namespace"
    )


def test_a_vxlan_of_another_netns_does_not_matter() -> None:
    """An ifindex means nothing across network namespaces."""
    under = Link(ifindex=9, ifname="under0")
    stranger = Link(ifindex=10, ifname="vx0", kind="vxlan", link=9, link_netnsid=3)
    assert why_not(under, Inventory(links=(under, stranger))) is None


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (86400 + 5, "1 d 5 s"), (90061, "1 d 1 h")],
)
def test_an_age_is_told_in_two_units(seconds: int, told: str) -> None:
    """For people, not for clocks."""
    assert age(seconds) == told
