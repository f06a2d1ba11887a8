"""What a pod asks to be set: whether a rule lets it, the interface takes it, and the node has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from nri_netdev.domain.claim import State
from nri_netdev.domain.effects import Attached, RdmaDevice
from nri_netdev.domain.links import Address, Inventory, Link
from nri_netdev.domain.policy.selectors import Facts
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.setup.fields import read_setup
from nri_netdev.domain.setup.values import Share, ShareKind
from nri_netdev.domain.verdict.judge import judge
from nri_netdev.domain.verdict.node import Held, NodeState, PodNetns
from nri_netdev.domain.verdict.setting import is_routing_default, needed, settled
from nri_netdev.errors import Reason
from tests.domain.policy.test_rules import POD, policy_of
from tests.domain.verdict.nodes import entries, held

NIC = Link(ifindex=2, ifname="ens1", min_mtu=68, max_mtu=9000, mtu=1500, altnames=("enp1",))
VF = Link(ifindex=3, ifname="vf0", mtu=1500)
PF = Link(ifindex=4, ifname="pf0", mtu=1500)
PORT = Link(ifindex=5, ifname="port0", master=4)
LO = Link(ifindex=1, ifname="lo", is_loopback=True, netns_immutable=True)
BRIDGE = Link(ifindex=6, ifname="br0", kind="bridge", netns_immutable=True, mtu=1500)
FACTS = {"vf0": Facts(pf="0000:3b:00.0"), "pf0": Facts(pci="0000:3b:00.0"), "stray0": Facts(pf="0000:3c:00.0")}
STRAY = Link(ifindex=7, ifname="stray0")
LINKS = (LO, NIC, VF, PF, PORT, BRIDGE, STRAY)
ADDRESSES = {
    4: (
        Address(family=2, address="198.51.100.4", prefixlen=24),
        Address(family=10, address="2001:db8::4", prefixlen=64),
    )
}
MACVLAN, IPVLAN = Share(kind=ShareKind.MACVLAN, mode="bridge"), Share(kind=ShareKind.IPVLAN, mode="l2")


def judged(
    value: str,
    rule: str | None = None,
    *,
    holding: Iterable[Held] = (),
    names: Iterable[str] = ("lo", "eth0"),
    leaving: Iterable[str] = (),
    also: Iterable[Link] = (),
    config: str = "",
    **state: object,
) -> tuple[list[str], tuple[Problem, ...]]:
    """What is given, as `interface as name inside`, and the problems, for a pod that a rule is for."""
    text = f"ipam: {{storage: {{type: dhcp}}}}\nrules: [{{namespaces: ['*'], interfaces: ['*'], {rule}}}]\n{config}"
    node = NodeState(
        inventory=Inventory(links=(*LINKS, *also), addresses=ADDRESSES, default_routes=frozenset({PF.ifindex})),
        policy=None if rule is None else policy_of(text),
        held=tuple(holding),
        facts_of=lambda link: FACTS.get(link.ifname, Facts()),
        attached_of=lambda link: Attached(rdma=(RdmaDevice(name="mlx5_0"),) if link is VF else ()),
        **state,  # type: ignore[arg-type]
    )
    netns = PodNetns(names=frozenset(names), leaving=frozenset(leaving))
    grants, problems = judge(entries(f"[{value}]"), node, netns=netns, pod=POD)
    return [f"{grant.link.ifname} as {grant.entry.inside}" for grant in grants], problems


def told(value: str, rule: str | None = None, **more: object) -> list[tuple[str | None, str]]:
    """Field and message of each problem; nothing is given."""
    grants, problems = judged(value, rule, **more)  # type: ignore[arg-type]
    assert problems
    assert grants == []
    return [(problem.field, problem.message) for problem in problems]


def is_given(value: str, rule: str | None = None, **more: object) -> list[str]:
    """What is given, without problems."""
    grants, problems = judged(value, rule, **more)  # type: ignore[arg-type]
    assert problems == ()
    return grants


def shared(ifname: str, share: Share) -> Held:
    """A share of an interface, which another pod has."""
    link = next((link for link in LINKS if link.ifname == ifname), Link(ifindex=50, ifname=ifname))
    return replace(held(ifname), link=link, share=share)


# -- rules -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ("addresses: [192.0.2.1/24], mtu: 9000", "count: 1"),
        ("addresses: [192.0.2.1/24], keep_addresses: true", "count: 1"),
        ("promisc: true", "may: [promisc]"),
        ("promisc: true, routes: [{to: 0.0.0.0/0}], ipam: storage", "may: [all], default_route: true"),
        ("vlan: {id: 5, name: v, mac: 02:00:5e:10:00:01, addresses: [192.0.2.1/24]}", "may: [vlan, set_mac, addresses]"),
        ("macvlan: {name: m, mac: 02:00:5e:10:00:01}", "may: [macvlan]"),
        ("addresses: [{address: 192.0.2.1/32, peer: 192.0.2.2}]", "prefixes: [192.0.2.0/25]"),
        ("addresses: [{address: 192.0.2.1/8, peer: 192.0.3.2}]", "may: [addresses]"),
        ("addresses: [192.0.2.1/8]", "prefixes: [192.0.2.0/25]"),
        ("addresses: [{address: 192.0.2.1/1, peer: 192.0.2.2}]", "prefixes: [192.0.2.0/25], default_route: true"),
        ("ipam: {type: host-local, subnet: 192.0.2.0/24, routes: [{dst: 198.51.100.0/24}]}", "may: [ipam, routes]"),
        ("ipam: {type: host-local, subnet: 192.0.2.0/24, routes: []}", "may: [ipam]"),
        ("ipam: {type: static, addresses: [{address: 192.0.2.1/0}]}", "may: [ipam], default_route: true"),
        ("addresses: [192.0.2.1/24, '2001:db8::1/64']", "prefixes: [192.0.2.0/25, '2001:db8::/32']"),
        ("ipam: storage", "may: [ipam], prefixes: [192.0.2.0/25]"),
        ("ipam: {type: dhcp}", "may: [ipam], prefixes: [192.0.2.0/25]"),
        ("ipam: {type: host-local, subnet: 192.0.2.0/24, rangeEnd: 192.0.2.9}", "may: [ipam], prefixes: [192.0.2.0/25]"),
        ("vrf: {name: red, table: 9}, routes: [{to: 0.0.0.0/0}]", "may: [vrf, routes]"),
        ("routes: [{to: 0.0.0.0/0, table: 100}]", "may: [routes]"),
    ],
)  # fmt: skip
def test_what_a_rule_lets_a_pod_set(fields: str, rule: str) -> None:
    """Addresses and MTU by default; a list of its own replaces that."""
    assert is_given(f"{{interface: ens1, {fields}}}", rule) == ["ens1 as ens1"]


@pytest.mark.parametrize(
    ("fields", "rule", "problems"),
    [
        (
            "promisc: true, routes: []",
            "count: 1",
            [
                (field, f"rule 1 does not let a pod set {field}; it would with may: [addresses, mtu, promisc, routes]")
                for field in ("promisc", "routes")
            ],
        ),
        (
            "mtu: 1400, keep_addresses: true, addresses: []",
            "may: [promisc]",
            [
                (field, f"rule 1 does not let a pod set {field}; it would with may: [addresses, mtu, promisc]")
                for field in ("addresses", "mtu")
            ],
        ),
        (
            "vlan: {id: 5, name: v, routes: [{to: 192.0.2.0/24}]}",
            "may: [vlan]",
            [("vlan.routes", "rule 1 does not let a pod set routes; it would with may: [routes, vlan]")],
        ),
        *(
            (
                fields,
                "may: [all]",
                [("routes", "rule 1 does not let a pod have a default route; it would with default_route: true")],
            )
            for fields in (
                "routes: [{to: 0.0.0.0/0}]",
                "routes: [{to: '::/0', table: main}]",
                "vlan: {id: 5, name: v, routes: [{to: 0.0.0.0/0}]}",
                "vrf: {name: red, table: 9}, routes: [{to: 0.0.0.0/0, table: main}]",
                "vrf: {name: red, table: main}, routes: [{to: 0.0.0.0/0}]",
                "ipam: {type: host-local, subnet: 192.0.2.0/24, routes: [{dst: 0.0.0.0/0}]}",
                "ipam: {type: host-local, subnet: 192.0.2.0/24, routes: [{dst: 128.0.0.0/1}]}",
                "ipam: {type: static, addresses: [{address: '2001:db8::1/0'}]}",
                "ipam: {type: host-local, ranges: [[{subnet: 192.0.2.0/24}], [{subnet: '::/6'}]]}",
                "ipam: {type: whereabouts, range: 0.0.0.0/0, range_start: 192.0.2.1, range_end: 192.0.2.2}",
                "addresses: [{address: 192.0.2.1/7, peer: 10.0.0.1}]",
                "vlan: {id: 5, name: v, addresses: [{address: '2001:db8::1/6', peer: '2001:db8::2', noprefixroute: true}]}",
            )
        ),
        (
            "ipam: {type: static, addresses: [{address: 192.0.2.1/24}], routes: [{dst: 198.51.100.0/24}]}",
            "may: [ipam]",
            [("ipam.routes", "rule 1 does not let a pod set routes; it would with may: [ipam, routes]")],
        ),
        (
            "vlan: {id: 5, name: v, mac: 02:00:5e:10:00:01}",
            "may: [vlan]",
            [("vlan.mac", "rule 1 does not let a pod set set_mac; it would with may: [set_mac, vlan]")],
        ),
        (
            (
                "addresses: [{address: 192.0.2.5/8, peer: 10.0.0.1}], vlan: {id: 5, name: v, addresses: "
                "[{address: 192.0.2.1/32, peer: 192.0.2.129}]}"
            ),
            "may: [all], prefixes: [192.0.2.0/25]",
            [
                ("addresses.1.peer", "rule 1 gives addresses of 192.0.2.0/25 only, not 10.0.0.1"),
                ("vlan.addresses.1.peer", "rule 1 gives addresses of 192.0.2.0/25 only, not 192.0.2.129"),
            ],
        ),
        (
            "ipam: {type: whereabouts, range: 10.0.0.0/8, range_start: 192.0.2.1, range_end: 192.0.2.2}",
            "may: [ipam], prefixes: [192.0.2.0/25]",
            [("ipam", "rule 1 gives addresses of 192.0.2.0/25 only, not 10.0.0.0 to 10.255.255.255")],
        ),
        (
            "addresses: [192.0.2.1/24, 192.0.2.129/24], vlan: {id: 5, name: v, addresses: ['2001:db8::1/64']}",
            "may: [all], prefixes: [192.0.2.0/25, '2001:db8:1::/48']",
            [
                ("addresses.2", "rule 1 gives addresses of 192.0.2.0/25, 2001:db8:1::/48 only, not 192.0.2.129/24"),
                ("vlan.addresses.1", "rule 1 gives addresses of 192.0.2.0/25, 2001:db8:1::/48 only, not 2001:db8::1/64"),
            ],
        ),
        (
            "ipam: {type: host-local, subnet: 192.0.2.0/24}",
            "may: [ipam], prefixes: [192.0.2.0/25, 192.0.2.128/25]",
            [("ipam", "rule 1 gives addresses of 192.0.2.0/25, 192.0.2.128/25 only, not 192.0.2.0 to 192.0.2.255")],
        ),
        (
            "ipam: {type: static, addresses: [{address: 198.51.100.1/24}]}",
            "may: [ipam], prefixes: [192.0.2.0/25]",
            [("ipam", "rule 1 gives addresses of 192.0.2.0/25 only, not 198.51.100.1")],
        ),
    ],
)  # fmt: skip
def test_what_it_does_not(fields: str, rule: str, problems: list[tuple[str, str]]) -> None:
    """All at once, with the field, and with what the rule would need."""
    assert told(f"{{interface: ens1, {fields}}}", rule) == problems


def test_without_a_policy_everything_may_be_set() -> None:
    """As everything may be given."""
    assert is_given("{interface: ens1, promisc: true, routes: [{to: 0.0.0.0/0}], share: macvlan}") == ["ens1 as ens1"]


@pytest.mark.parametrize(
    ("document", "words", "is_default"),
    [
        ("", set(), False),
        ('{"share": "macvlan", "mtu": "1400"}', {"mtu"}, False),
        ('{"addresses": [], "keep_addresses": "true"}', {"addresses"}, False),
        ('{"set_mac": "02:00:5e:10:00:01", "routes": [{"to": "::/0"}]}', {"set_mac", "routes"}, True),
        ('{"macvlan": {"name": "m", "mac": "02:00:5e:10:00:01", "arp": "false"}}', {"macvlan", "arp"}, False),
        ('{"vlan": {"name": "v", "id": "5", "mac": "02:00:5e:10:00:01"}}', {"vlan", "set_mac"}, False),
        (
            '{"ipam": {"type": "host-local", "subnet": "192.0.2.0/24", "routes": [{"dst": "0.0.0.0/1"}]}}',
            {"ipam", "routes"},
            True,
        ),
        ('{"ipam": "storage"}', {"ipam"}, False),
    ],
)
def test_what_is_needed(document: str, words: set[str], *, is_default: bool) -> None:
    """Words of `may`, those of devices on the interface too; `share` is a key of its own."""
    assert needed(read_setup(document)) == words
    assert is_routing_default(read_setup(document)) is is_default


# -- what the interface and the node tell ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        ("{interface: ens1, mtu: 9001}", [("mtu", "MTU 9001 is out of bounds: ens1 takes 68 to 9000")]),
        (
            "{interface: ens1, share: macvlan, mtu: 1501}",
            [("mtu", "MTU 1501 is greater than that of ens1, which is shared: 1500")],
        ),
        (
            "{interface: ens1, vlan: {id: 5, name: v, mtu: 1501}}",
            [("vlan.mtu", "MTU 1501 is greater than that of the interface, 1500")],
        ),
        ("{interface: ens1, vf: {vlan: 5}}", [("vf", "ens1 is no virtual function of SR-IOV")]),
        (
            "{interface: stray0, vf: {vlan: 5}}",
            [("vf", "the physical function of stray0, 0000:3c:00.0, is not on the host now")],
        ),
        ("{interface: ens1, rdma: true}", [("rdma", "ens1 has no RDMA device")]),
        ("{interface: ens1, vlan: {id: 5, name: eth0}}", [("vlan.name", 'the name "eth0" is already taken in the pod')]),
        (
            "{interface: ens1, vlan: {id: 5, name: enp1}}",
            [(None, 'the name "enp1" is an alternative name of ens1, which comes as well')],
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_set(entry: str, problems: list[tuple[str | None, str]]) -> None:
    """On this interface, in this pod."""
    assert told(entry) == problems


def test_a_driver_may_tell_no_greatest_mtu() -> None:
    """Then there is none; the least may be told all the same."""
    assert is_given("{interface: vf0, mtu: 65535}") == ["vf0 as vf0"]
    state = NodeState(inventory=Inventory(links=(replace(VF, min_mtu=1280),)))
    _, [problem] = judge(entries("[{interface: vf0, mtu: 576}]"), state, netns=PodNetns())
    assert problem.message == "MTU 576 is out of bounds: vf0 takes 1280 and more"


def test_what_can_be_set() -> None:
    """Where the interface is what it must be."""
    assert is_given("{interface: vf0, vf: {vlan: 5}, rdma: true}") == ["vf0 as vf0"]


@pytest.mark.parametrize(
    ("profile", "ipam", "hint"),
    [
        ("storge", "ipam: {storage: {type: dhcp}}\n", ' (did you mean "storage"?)'),
        ("x", "ipam: {storage: {type: dhcp}, lab: {type: dhcp}}\n", "; it has storage, lab"),
        ("x", "", "; it has none"),
    ],
)
def test_a_profile_that_the_node_has_not(profile: str, ipam: str, hint: str) -> None:
    """Told with those that it has."""
    policy = policy_of(f"{ipam}rules: [{{namespaces: ['*'], interfaces: ['*'], may: [all]}}]")
    node = NodeState(inventory=Inventory(links=LINKS), policy=policy)
    _, [problem] = judge(entries(f"[{{interface: ens1, ipam: {profile}}}]"), node, netns=PodNetns(), pod=POD)
    assert (problem.field, problem.message) == ("ipam", f'this node has no IPAM profile "{profile}"{hint}')


def test_a_profile_is_what_the_node_says() -> None:
    """With its name, so that it is known for what the operator has written."""
    policy = policy_of("ipam: {storage: {type: whereabouts, range: 192.0.2.0/24}}")
    [entry] = entries("[{interface: ens1, ipam: storage}]")
    ipam = settled(entry, policy).setup.ipam
    assert ipam is not None
    assert (ipam.type, ipam.profile) == ("whereabouts", "storage")
    assert settled(entry, None) == entry
    assert settled(entry, policy_of("")) == entry


# -- shares ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "holding"),
    [
        ("{interface: ens1, share: macvlan, name: a}", ()),
        ("{interface: ens1, share: {type: macvlan, mode: vepa}}", (shared("ens1", MACVLAN),)),
        ("{interface: ens1, share: ipvlan}", (shared("ens1", IPVLAN), shared("vf0", MACVLAN))),
        ("{interface: pf0, share: macvlan}", ()),
        ("{interface: br0, share: macvlan}", ()),
        ("{interface: ens1, share: macvlan, name: a}, {interface: ens1, share: macvlan, name: b}", ()),
        ("{interface: ens1, share: macvlan, name: a}, {interface: vf0, name: b}", ()),
        ("{interface: ens1, name: a, share: macvlan}, {interface: 'ens*', name: b, share: macvlan}", ()),
    ],
)
def test_what_can_be_shared(entry: str, holding: tuple[Held, ...]) -> None:
    """Lifelines and what never moves too, by several pods and several times; under a rule that says so."""
    given = is_given(entry, "share: true", holding=holding)
    assert len(given) == entry.count("interface")


@pytest.mark.parametrize(
    ("entry", "rule", "holding", "problem", "reason"),
    [
        (
            "{interface: ens1, share: macvlan}",
            "count: 1",
            (),
            'interface "ens1" is not to be shared: rule 1 would let it with share: true',
            Reason.POLICY,
        ),
        (
            "{interface: lo, share: macvlan, name: x}",
            "share: true",
            (),
            'interface "lo" is the loopback device',
            Reason.LIFELINE,
        ),
        (
            "{interface: port0, share: macvlan}",
            "share: true",
            (),
            'interface "port0" is enslaved to pf0; share pf0 instead',
            Reason.ANNOTATION,
        ),
        (
            "{interface: ens1, share: macvlan}",
            "share: true",
            (held("ens1"),),
            'interface "ens1" is held by pod default/web, container app for 0 s',
            Reason.HELD,
        ),
        (
            "{interface: ens1}",
            "share: true",
            (shared("ens1", MACVLAN),),
            'interface "ens1" is held by pod default/web, container app for 0 s',
            Reason.HELD,
        ),
        (
            "{interface: ens1, share: ipvlan}",
            "share: true",
            (shared("ens1", MACVLAN),),
            (
                "pod default/web, container app has a macvlan in mode bridge on ens1, which does not go with ipvlan in "
                "mode l2"
            ),
            Reason.HELD,
        ),
        (
            "{interface: ens1, share: {type: ipvlan, mode: l3}}",
            "share: true",
            (shared("ens1", IPVLAN),),
            "pod default/web, container app has an ipvlan in mode l2 on ens1, which does not go with ipvlan in mode l3",
            Reason.HELD,
        ),
        (
            "{interface: ens1, share: macvlan, name: a}, {interface: 'ens*', share: ipvlan, name: b}",
            "share: true",
            (),
            "a macvlan in mode bridge on ens1 is wanted as a, which does not go with ipvlan in mode l2",
            Reason.ANNOTATION,
        ),
        (
            "{interface: ens1, share: macvlan, name: a}, {interface: 'ens*', name: b}",
            "share: true",
            (),
            "what is asked for, 'ens*', has no interface for this pod: ens1 goes to another entry",
            Reason.ANNOTATION,
        ),
    ],
)
def test_what_cannot(entry: str, rule: str, holding: tuple[Held, ...], problem: str, reason: Reason) -> None:
    """Told with who has what; an interface is one pod's alone or shared, by one kind."""
    grants, [found] = judged(entry, rule, holding=holding)
    assert grants == []
    assert permission(found.message) == problem
    assert found.reason is reason


IPVLAN_ON = Link(ifindex=20, ifname="iv0", kind="ipvlan", link=NIC.ifindex)
MACVTAP_ON = Link(ifindex=21, ifname="mvt0", kind="macvtap", link=NIC.ifindex)


@pytest.mark.parametrize(
    ("fields", "field", "address"),
    [
        ("addresses: [198.51.100.4/24]", "addresses.1", "198.51.100.4"),
        ("addresses: [{address: 192.0.2.77/32, peer: 198.51.100.4}]", "addresses.1.peer", "198.51.100.4"),
        (
            "vlan: {id: 5, name: v, addresses: [{address: '2001:db8:1::1/128', peer: '2001:db8::4'}]}",
            "vlan.addresses.1.peer",
            "2001:db8::4",
        ),
        ("ipam: {type: static, addresses: [{address: 198.51.100.4/24}]}", "ipam", "198.51.100.4"),
        (
            "ipam: {type: host-local, subnet: 198.51.100.0/24, rangeStart: 198.51.100.4, rangeEnd: 198.51.100.4}",
            "ipam",
            "198.51.100.4",
        ),
    ],
)
def test_a_share_takes_no_packets_of_the_node(fields: str, field: str, address: str) -> None:
    """Whoever names the address, and as whichever end: an ipvlan takes packets for the other one."""
    text = f"{address} is an address of the node, whose packets it would take"
    rule = "share: true, may: [all]"
    assert told(f"{{interface: ens1, share: ipvlan, {fields}}}", rule) == [(field, text)]
    assert is_given(f"{{interface: ens1, {fields}}}", rule) == ["ens1 as ens1"]


@pytest.mark.parametrize(
    ("share", "other", "problem"),
    [
        ("macvlan", IPVLAN_ON, "the ipvlan iv0 is on ens1, which does not go with macvlan in mode bridge"),
        ("ipvlan", MACVTAP_ON, "the macvlan mvt0 is on ens1, which does not go with ipvlan in mode l2"),
        (
            "ipvlan",
            replace(IPVLAN_ON, kind="ipvtap"),
            "the ipvlan iv0 is on ens1, made by somebody else, and ipvlan in mode l2 would change its mode; delete it",
        ),
    ],
)
def test_what_others_have_made_on_it(share: str, other: Link, problem: str) -> None:
    """At home, or given away itself: the kernel has one kind on an interface, and one mode of all ipvlans."""
    entry = f"{{interface: ens1, share: {share}, name: a}}"
    assert told(entry, "share: true", also=(other,)) == [("share", problem)]
    assert told(entry, "share: true", holding=(replace(held("x"), link=other),)) == [("share", problem)]
    assert is_given(entry, "share: true", also=(replace(other, link_netnsid=7),)) == ["ens1 as a"]
    assert is_given(entry, "share: true", also=(replace(other, link=VF.ifindex),)) == ["ens1 as a"]


def test_a_device_of_the_same_kind_is_looked_through() -> None:
    """The kernel puts a share on what is below it, where others may be."""
    assert is_given("{interface: ens1, share: macvlan}", "share: true", also=(MACVTAP_ON,)) == ["ens1 as ens1"]
    assert is_given("{interface: mvt0, share: macvlan}", "share: true", also=(MACVTAP_ON,)) == ["mvt0 as mvt0"]
    [(_, text)] = told("{interface: iv0, share: ipvlan}", "share: true", also=(IPVLAN_ON,))
    assert text.startswith("the ipvlan iv0 is on iv0, made by somebody else")
    [(_, text)] = told(
        "{interface: mvt0, share: macvlan}", "share: true", also=(MACVTAP_ON,), holding=(shared("ens1", IPVLAN),)
    )
    assert "which does not go with macvlan in mode bridge" in text
    both = "{interface: mvt0, share: macvlan, name: a}, {interface: ens1, share: ipvlan, name: b}"
    assert (
        "share",
        "a macvlan in mode bridge on ens1 is wanted as a, which does not go with ipvlan in mode l2",
    ) in told(both, "share: true", also=(MACVTAP_ON,))


def test_a_shared_interface_that_is_renamed_is_shared_still() -> None:
    """It stays at home, and so keeps its index; under its old name too it is given to nobody."""
    renamed = replace(shared("ens1", MACVLAN), link=replace(NIC, ifname="old0"))
    for holding in ((renamed,), (renamed, replace(renamed, share=replace(MACVLAN, mode="vepa")))):
        grants, [problem] = judged("{interface: ens1}", "share: true", holding=holding)
        assert grants == []
        assert permission(problem.message) == 'interface "ens1" is held by pod default/web, container app for 0 s'
    assert problem.reason is Reason.HELD
    [(_, text)] = told("{interface: old0}", "share: true", holding=(renamed,))
    assert text.startswith('interface "old0" is held by')
    assert is_given("{interface: ens1, share: macvlan}", "share: true", holding=(renamed,)) == ["ens1 as ens1"]
    [(_, text)] = told("{interface: ens1, share: ipvlan}", "share: true", holding=(renamed,))
    assert text == (
        "pod default/web, container app has a macvlan in mode bridge on ens1, which does not go with ipvlan in mode l2"
    )


def test_the_operators_protection_holds_for_shares() -> None:
    """As for whole interfaces; what is found to be a lifeline may be shared all the same."""
    more = {"config": "protected: [ens1]\n"}
    entry = "{interface: ens1, share: macvlan}"
    assert told(entry, "share: true", **more) == [
        (
            None,
            (
                'interface "ens1" is protected by the configuration (protected, 1); rule 1 does not name it with '
                "allow_protected: true"
            ),
        )
    ]
    named = "rules: [{namespaces: ['*'], interfaces: [ens1], share: true, allow_protected: true}]"
    for rule, is_allowed in ((named, True), (named.replace("[ens1]", "['ens*', pf0]"), False)):
        node = NodeState(inventory=Inventory(links=LINKS), policy=policy_of(f"protected: [ens1]\n{rule}"))
        grants, _ = judge(entries(f"[{entry}]"), node, netns=PodNetns(), pod=POD)
        assert bool(grants) is is_allowed
    assert is_given("{interface: pf0, share: macvlan}", "share: true", **more) == ["pf0 as pf0"]
    assert is_given("{interface: 'ens*', share: macvlan}") == ["ens1 as ens1"]


def test_what_an_earlier_pod_has_left_holds_for_shares() -> None:
    """As for whole interfaces."""
    owner = held("ens1").owner
    entry, state = "{interface: ens1, share: macvlan}", {"tainted": {"ens1": owner}}
    [(_, text)] = told(entry, "share: true", **state)
    assert text.startswith('interface "ens1" something of pod default/web, container app is left on it')
    assert told(entry, **state)
    assert is_given(entry, "share: true, allow_partial: true", **state) == ["ens1 as ens1"]


def test_what_is_still_being_restored_is_not_shared() -> None:
    """That would be in the way, whatever a rule says; the whole of it may be had, with what is left to do."""
    owner = held("ens1").owner
    state = {"restoring": {"ens1": owner}, "tainted": {"ens1": owner}}
    rule = "share: true, allow_partial: true"
    grants, [problem] = judged("{interface: ens1, share: macvlan}", rule, **state)  # type: ignore[arg-type]
    assert grants == []
    assert problem.reason is Reason.BUSY
    assert problem.message == (
        'interface "ens1" is still being restored after pod default/web, container app, and not shared before: retry, '
        "see `nri-netdev claims`, or end that by `nri-netdev release ens1`"
    )
    assert is_given("{interface: ens1}", rule, **state) == ["ens1 as ens1"]
    [(_, text)] = told("{interface: ens1, share: macvlan}", rule, holding=(held("ens1", state=State.PARTIAL),))
    assert "is being returned from" in text


def test_names_that_will_soon_be_free() -> None:
    """A container that starts anew waits for what its forerunner had."""
    still = "is still taken in the pod, by an interface that is being returned; retry"
    for entry, what in (
        ("{interface: ens1, share: macvlan, name: net1}", 'the name "net1"'),
        ("{interface: ens1, name: a, vlan: {id: 5, name: net1}}", 'the name "net1"'),
        ("{interface: vf0, name: net1}", 'the name "net1"'),
        ("{interface: ens1, name: a}", 'the name "enp1"'),
    ):
        names = ("enp1",) if "enp1" in what else ("net1",)
        grants, found = judged(entry, names=names, leaving=names)
        assert grants == []
        assert {(problem.message, problem.reason) for problem in found} == {(f"{what} {still}", Reason.BUSY)}
        assert {problem.reason for problem in judged(entry, names=names)[1]} == {Reason.POD}


def permission(message: str) -> str:
    """A message without how long something has been held."""
    return message.partition(" for ")[0] + " for 0 s" if " is held by " in message else message


def test_alternative_names_of_what_is_shared_stay() -> None:
    """They are in nobody's way in the pod."""
    assert is_given("{interface: ens1, share: macvlan}", "share: true", names=("enp1",)) == ["ens1 as ens1"]
    assert is_given("{interface: 'ens*', share: macvlan, name: enp1}", "share: true") == ["ens1 as enp1"]
    assert is_given("{interface: 'ens*', share: macvlan}", "share: true", names=("enp1",)) == ["ens1 as ens1"]


def test_everything_wrong_is_told_at_once() -> None:
    """By rule, by interface and by node."""
    fields = [
        field for field, _ in told("{interface: ens1, promisc: true, mtu: 9001, vf: {vlan: 5}, rdma: true}", "count: 1")
    ]
    assert fields == ["promisc", "rdma", "vf", "mtu", "vf", "rdma"]
