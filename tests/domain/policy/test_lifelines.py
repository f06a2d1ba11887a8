"""What a node lives by is found, however it is built."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from nri_netdev.domain.links import Address, Inventory, Link
from nri_netdev.domain.policy.lifelines import CNI_NAMES, Lifelines, why_immovable
from nri_netdev.domain.policy.selectors import Facts, Selector
from nri_netdev.domain.problem import Obstacle
from nri_netdev.domain.routing import SourceRoute
from nri_netdev.errors import Reason


def names(inventory: Inventory, **more: object) -> dict[str, str]:
    """The weightiest reason of each lifeline, by name."""
    found = Lifelines(inventory, **more)  # type: ignore[arg-type]
    return {link.ifname: reason.text for link in inventory.links if (reason := found.why(link))}


NIC0 = Link(ifindex=2, ifname="nic0")
NIC1 = Link(ifindex=3, ifname="nic1")
FREE = Link(ifindex=99, ifname="free0")
ROUTE = "carries a default route of the node"


@pytest.mark.parametrize(
    ("links", "found"),
    [
        ([replace(NIC0, ifindex=50)], {"nic0": ROUTE}),
        (
            [
                replace(NIC0, master=50),
                replace(NIC1, master=50),
                Link(ifindex=50, ifname="bond0", kind="bond"),
            ],
            {
                "nic0": f"is beneath bond0, which {ROUTE}",
                "nic1": f"is beneath bond0, which {ROUTE}",
                "bond0": ROUTE,
            },
        ),
        (
            [
                NIC0,
                replace(NIC1, master=40),
                Link(ifindex=40, ifname="bond0", kind="bond", link=None),
                Link(ifindex=41, ifname="bond0.7", kind="vlan", link=40, master=50),
                Link(ifindex=50, ifname="br0", kind="bridge"),
            ],
            {
                "nic1": f"is beneath br0, which {ROUTE}",
                "bond0": f"is beneath br0, which {ROUTE}",
                "bond0.7": f"is beneath br0, which {ROUTE}",
                "br0": ROUTE,
            },
        ),
        (
            [NIC0, Link(ifindex=50, ifname="mv0", kind="macvlan", link=2)],
            {"nic0": f"is beneath mv0, which {ROUTE}", "mv0": ROUTE},
        ),
        (
            [
                Link(ifindex=50, ifname="up0", kind="veth", link=51),
                Link(ifindex=51, ifname="up1", kind="veth", link=50, master=60),
                Link(ifindex=60, ifname="br0", kind="bridge"),
                replace(NIC0, master=60),
            ],
            {
                "up0": ROUTE,
                "up1": f"is beneath up0, which {ROUTE}",
                "br0": "is the master of up1",
                "nic0": "is enslaved to bridge br0; release it first",
            },
        ),
        ([NIC0, Link(ifindex=50, ifname="mv0", kind="macvlan", link=2, link_netnsid=0)], {"mv0": ROUTE}),
    ],
    ids=["itself", "bond", "bridge on VLAN on bond", "macvlan", "veth", "parent elsewhere"],
)
def test_what_a_default_route_stands_on_is_a_lifeline(links: list[Link], found: dict[str, str]) -> None:
    """The carrier, and all that is beneath it; nothing beside it."""
    assert names(Inventory(links=(*links, FREE), default_routes=frozenset({50}))) == found


def test_so_is_what_has_the_nodes_own_address() -> None:
    """Where a default route names its source, that address is the node's, wherever it is."""
    inventory = Inventory(
        links=(NIC0, Link(ifindex=50, ifname="node0", kind="vlan", link=2), FREE),
        addresses={
            50: (Address(family=10, address="2001:db8::9", prefixlen=128),),
            99: (Address(family=2, address="192.0.2.9", prefixlen=24),),
        },
        default_sources=frozenset({"2001:db8::9"}),
    )
    reason = "has the address 2001:db8::9 that a default route of the node uses"
    assert names(inventory) == {"nic0": f"is beneath node0, which {reason}", "node0": reason}


@pytest.mark.parametrize(
    ("links", "text"),
    [
        ([Link(ifindex=8, ifname="nic0.100", kind="vlan", link=2)], "carries nic0.100 of the host"),
        ([Link(ifindex=8, ifname="iv0", kind="ipvlan", link=2)], "carries iv0 of the host"),
        ([Link(ifindex=8, ifname="gre1", kind="gre", link=2)], "carries gre1 of the host"),
        ([Link(ifindex=8, ifname="lan1", kind="dsa", link=2)], "carries lan1 of the host"),
        (
            [Link(ifindex=8, ifname="vx0", kind="vxlan", link=2)],
            "carries vx0 of the host (the kernel would delete vx0)",
        ),
        (
            [
                Link(ifindex=8, ifname="nic0.100", kind="vlan", link=2),
                Link(ifindex=9, ifname="ms0", kind="macsec", link=2),
            ],
            "carries nic0.100 and ms0 of the host (the kernel would delete ms0)",
        ),
        (
            [Link(ifindex=number, ifname=f"nic0.{number}", kind="vlan", link=2) for number in range(8, 13)],
            "carries nic0.8, nic0.9, nic0.10 and 2 more of the host",
        ),
    ],
)
def test_so_is_what_other_interfaces_of_the_host_stand_on(links: list[Link], text: str) -> None:
    """Whatever their kind; the first three are named, and those that the kernel would delete."""
    assert names(Inventory(links=(NIC0, *links, FREE))) == {"nic0": text}


@pytest.mark.parametrize(
    "link",
    [
        Link(ifindex=8, ifname="veth0", kind="veth", link=2),
        Link(ifindex=8, ifname="nk0", kind="netkit", link=2),
        Link(ifindex=8, ifname="nic0.7", kind="vlan", link=2, link_netnsid=0),
        Link(ifindex=8, ifname="gre0", kind="gre", link=0),
        Link(ifindex=8, ifname="gre1", kind="gre"),
    ],
    ids=["pair", "pair of another kind", "lower device elsewhere", "bound to none", "none"],
)
def test_what_only_looks_like_a_child_is_none(link: Link) -> None:
    """The other end of a pair, and a device whose lower one has this index in another netns."""
    assert names(Inventory(links=(NIC0, link))) == {}


def test_so_is_whose_children_serve_others() -> None:
    """What others were given goes through its parent, also while it is still on the host."""
    inventory = Inventory(
        links=(NIC0, NIC1, replace(FREE, parent_bus="pci", parent_dev="0000:3b:00.0"), Link(ifindex=7, ifname="p0")),
    )
    given = [
        Link(ifindex=30, ifname="mv0", kind="macvlan", link=3),
        Link(ifindex=31, ifname="ve0", kind="veth", link=7),
        Link(ifindex=32, ifname="mv1", kind="macvlan", link=7, link_netnsid=4),
        Link(ifindex=33, ifname="free0v1", parent_bus="pci", parent_dev="0000:3b:02.1"),
    ]
    found = {
        "nic1": "carries mv0, a macvlan that is given away",
        "free0": "has the virtual function free0v1 that is given away",
    }
    assert names(inventory, given=given, facts_of=lambda link: Facts(pf="0000:3b:00.0")) == found
    here = replace(inventory, links=(*inventory.links, given[0]))
    assert names(here, given=given, facts_of=lambda link: Facts(pf="0000:3b:00.0")) == found


def test_so_is_whose_virtual_function_is_shared() -> None:
    """Though that stays at home; also where it is only beneath what is shared."""
    vf = Link(ifindex=4, ifname="pf0v1", parent_bus="pci", parent_dev="0000:3b:02.1")
    over = Link(ifindex=5, ifname="pf0v1.7", kind="vlan", link=4)
    pf = Link(ifindex=6, ifname="pf0", parent_bus="pci", parent_dev="0000:3b:00.0")
    facts = {"pf0v1": Facts(pf="0000:3b:00.0"), "pf0": Facts()}
    inventory = Inventory(links=(NIC0, vf, pf, FREE))

    def found(*shared: Link, inventory: Inventory = inventory) -> dict[str, str]:
        return names(inventory, shared=shared, facts_of=lambda link: facts.get(link.ifname, Facts()))

    assert found(vf) == {"pf0": "has the virtual function pf0v1, which is shared by pods"}
    assert found(NIC0, Link(ifindex=77, ifname="gone0")) == {}
    assert found(over, inventory=replace(inventory, links=(*inventory.links, over))) == {
        "pf0v1": "carries pf0v1.7 of the host",
        "pf0": "has the virtual function pf0v1, which is beneath pf0v1.7, which is shared by pods",
    }


@pytest.mark.parametrize(
    "ifname",
    ["cni0", "flannel.1", "cali1234", "cilium_host", "lxc1", "docker0", "kube-ipvs0", "veth1a2b3c4d", "vxlan.calico"],
)
def test_so_is_what_makes_the_pods_network(ifname: str) -> None:
    """By the names that the makers give."""
    [reason] = names(Inventory(links=(Link(ifindex=2, ifname=ifname), FREE))).values()
    [owner] = [owner for owner, pattern in CNI_NAMES.items() if re.fullmatch(pattern, ifname)]
    assert reason == f"has a name that {owner} gives"


@pytest.mark.parametrize("ifname", ["cni", "cnix", "cni10", "docker", "nic0", "veth0", "vethweb", "eni1", "ens2f0"])
def test_a_name_that_only_looks_like_one_is_not(ifname: str) -> None:
    """An operator's own interfaces are not taken for a plugin's."""
    assert names(Inventory(links=(Link(ifindex=2, ifname=ifname),))) == {}


def test_so_is_the_hosts_end_of_a_pods_own_network() -> None:
    """Where it is known which netns are pods'."""
    links = (Link(ifindex=2, ifname="x", kind="veth", link=2, link_netnsid=7), Link(ifindex=3, ifname="y", kind="veth"))
    assert names(Inventory(links=links)) == {}
    assert names(Inventory(links=links, pod_netnsids=frozenset({7}))) == {
        "x": "is the host's end of a pod's own network"
    }


def source_routed(*sources: str, ifindex: int = 2, source: str | None = None) -> Inventory:
    """A host with a default route in table 102 by an interface that has 192.0.2.5/24."""
    return Inventory(
        links=(NIC0, NIC1, FREE),
        addresses={
            2: (Address(family=2, address="192.0.2.5", prefixlen=24),),
            3: (Address(family=2, address="198.51.100.7", prefixlen=32),),
        },
        source_routes=(SourceRoute(table=102, leaves_by=frozenset({ifindex}), source=source, sources=sources),),
    )


OWN = "carries a default route of table 102, which only rules with `from` reach"


@pytest.mark.parametrize(
    ("sources", "text", "is_source_route"),
    [
        ((), "carries a default route of table 102, which no rule reaches", True),
        (("192.0.2.5/32",), OWN, True),
        (("192.0.2.0/24",), OWN, True),
        (("192.0.2.4/30",), OWN, True),
        (("192.0.2.5/32", "192.0.2.6/32"), "carries a default route for packets from 192.0.2.6 (table 102)", False),
        (("192.0.2.8/29",), "carries a default route for packets from 192.0.2.8/29 (table 102)", False),
        (("192.0.0.0/16",), "carries a default route for packets from 192.0.0.0/16 (table 102)", False),
        (("198.51.100.7/32",), "carries a default route for packets from 198.51.100.7 (table 102)", False),
        (("2001:db8::/32",), "carries a default route for packets from 2001:db8::/32 (table 102)", False),
        (("2001:db8::5/128",), "carries a default route for packets from 2001:db8::5 (table 102)", False),
    ],
)
def test_so_is_what_packets_from_some_addresses_leave_by(
    sources: tuple[str, ...], text: str, *, is_source_route: bool
) -> None:
    """It is told apart where they are its own: those of others, such as pods, would lose their way."""
    assert Lifelines(source_routed(*sources)).why(NIC0) == Obstacle(
        text, Reason.LIFELINE, is_source_route=is_source_route
    )


def test_so_is_what_has_the_address_that_such_a_route_uses() -> None:
    """Wherever the address is."""
    found = Lifelines(source_routed("192.0.2.5/32", source="198.51.100.7"))

    assert found.why(NIC0) == Obstacle(OWN, Reason.LIFELINE, is_source_route=True)
    text = "has the address 198.51.100.7 that a default route of table 102 uses"
    assert found.why(NIC1) == Obstacle(text, Reason.LIFELINE, is_source_route=True)
    assert found.why(FREE) is None


def test_a_source_route_is_the_lightest_reason() -> None:
    """An interface that is a lifeline for anything else is told to be that."""
    inventory = source_routed("192.0.2.5/32")
    vlan = Link(ifindex=8, ifname="nic0.7", kind="vlan", link=2)

    assert names(replace(inventory, default_routes=frozenset({2}))) == {"nic0": ROUTE}
    assert names(replace(inventory, links=(NIC0, vlan))) == {"nic0": "carries nic0.7 of the host"}
    protected = Lifelines(inventory, protected=[Selector(interface="nic0")], describes=lambda _, link: link is NIC0)
    reason = protected.why(NIC0)
    assert reason is not None
    assert not reason.is_source_route


def test_so_is_what_the_operator_says() -> None:
    """With the place in the configuration."""
    protected = [Selector(driver="x"), Selector(interface="nic*")]
    found = names(
        Inventory(links=(NIC0, FREE)),
        protected=protected,
        describes=lambda selector, link: selector.interface == "nic*" and link.ifname == "nic0",
    )
    assert found == {"nic0": "is protected by the configuration (protected, 2)"}


def test_what_cannot_move_is_told_apart() -> None:
    """No rule changes what the kernel holds."""
    assert why_immovable(NIC0) is None
    assert why_immovable(replace(NIC0, netns_immutable=True)) is not None
