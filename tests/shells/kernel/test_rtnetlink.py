"""Reading by rtnetlink, compared with what iproute2 shows of the same kernel."""

from __future__ import annotations

import errno

import pytest

from nri_netdev.domain.children import DELETED, children
from nri_netdev.domain.policy.lifelines import Lifelines
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.rtnetlink import Rtnl, inventory_of
from tests.shells.conftest import Net

pytestmark = pytest.mark.root


def test_links_are_what_ip_shows(home: Net) -> None:
    """Kind, MAC, MTU, group, alias, altnames, master and lower device, of each link."""
    for command in (
        "link add br0 type bridge",
        "link add veth0 type veth peer name veth1",
        "link set veth0 mtu 1400 group 7 alias one_two txqueuelen 55 up",
        "link property add dev veth0 altname another-name-of-it altname short",
        "link set veth1 master br0",
        "link add mv0 link veth0 type macvlan",
        "link add vx0 type vxlan id 5 dev veth0 dstport 4789",
    ):
        home.ip(command)
    shown = {link["ifname"]: link for link in home.ip_json("-d link")}
    links = home.call(Rtnl.links)
    names = {link.ifindex: link.ifname for link in links}
    assert set(names.values()) == shown.keys()
    for link in links:
        what = shown[link.ifname]
        assert link.ifindex == what["ifindex"]
        assert link.mtu == what["mtu"]
        assert link.mac == what["address"]
        assert link.kind == what.get("linkinfo", {}).get("info_kind")
        assert link.is_up == ("UP" in what["flags"])
        assert link.is_loopback == ("LOOPBACK" in what["flags"])
        assert link.operstate == what["operstate"]
        assert link.alias == what.get("ifalias")
        assert list(link.altnames) == what.get("altnames", [])
        assert (names[link.master] if link.master else None) == what.get("master")
        assert link.txqueuelen == what["txqlen"]
    by_name = {link.ifname: link for link in links}
    assert by_name["veth0"].group == 7
    assert names[by_name["mv0"].link or 0] == "veth0"
    assert names[by_name["vx0"].link or 0] == "veth0"
    assert by_name["veth0"].is_virtual


def test_names_lead_to_links(home: Net) -> None:
    """By its name or by an alternative one; a free name leads nowhere."""
    home.ip("link add veth0 type veth peer name veth1")
    home.ip("link property add dev veth0 altname another-name-of-it")
    for name in ("veth0", "another-name-of-it"):
        found = home.call(Rtnl.link_called, name)
        assert found is not None
        assert found.ifname == "veth0"
    assert home.call(Rtnl.link_called, "nobody") is None


def test_default_routes_are_found_however_they_leave(home: Net) -> None:
    """Directly, by several next hops, by a nexthop object, in another table, and by IPv6."""
    for number in range(6):
        home.ip(f"link add v{number} type veth peer name w{number}")
        home.ip(f"addr add 192.0.{number}.1/24 dev v{number}")
        home.ip(f"-6 addr add 2001:db8:{number}::1/64 dev v{number} nodad")
        home.ip(f"link set w{number} up")
        home.ip(f"link set v{number} up")
    home.ip("route add default via 192.0.0.9 src 192.0.0.1")
    home.ip("route add default table 7 nexthop via 192.0.1.9 nexthop via 192.0.2.9")
    home.ip("nexthop add id 5 via 192.0.3.9 dev v3")
    home.ip("route add default nhid 5 table 8")
    home.ip("-6 route add default via 2001:db8:4::9")
    inventory = home.call(inventory_of)
    names = {link.ifindex: link.ifname for link in inventory.links}
    in_tables = {(route.table, names[index]) for route in inventory.source_routes for index in route.leaves_by}
    assert {names[index] for index in inventory.default_routes} == {"v0", "v4"}
    assert in_tables == {(7, "v1"), (7, "v2"), (8, "v3")}
    assert inventory.default_sources == {"192.0.0.1"}


PLACES = {
    "-4": {
        "own": "192.0.2.1",
        "net": "192.0.2.0/24",
        "pod": "192.0.2.77",
        "via": "192.0.2.9",
        "far": "198.51.100.0/24",
    },
    "-6": {
        "own": "2001:db8:2::1",
        "net": "2001:db8:2::/64",
        "pod": "2001:db8:2::77",
        "via": "2001:db8:2::9",
        "far": "2001:db8:9::/64",
    },
}
OWN = "carries a default route of table 102, which only rules with `from` reach"
NODES = "carries a default route of the node"
RULES: dict[str, tuple[list[str], str]] = {
    "none": ([], "carries a default route of table 102, which no rule reaches"),
    "its address": (["from {own} lookup 102"], OWN),
    "its network": (["from {net} lookup 102"], OWN),
    "its address, and more is asked": (["from {own} fwmark 7 iif lo lookup 102"], OWN),
    "a pod's address": (
        ["from {own} lookup 102", "from {pod} lookup 102"],
        "carries a default route for packets from {pod} (table 102)",
    ),
    "all but its address": (["not from {own} lookup 102"], NODES),
    "a mark": (["fwmark 7 lookup 102"], NODES),
    "a destination": (["to {far} lookup 102"], NODES),
    "an interface": (["iif veth1 lookup 102"], NODES),
    "a user": (["uidrange 1000-1000 lookup 102"], NODES),
    "all": (["from all lookup 102"], NODES),
    "one of several": (["from {own} lookup 102", "oif veth0 lookup 102"], NODES),
    "another table": (["fwmark 7 lookup 103", "from {own} lookup 102"], OWN),
    "no table": (["from {own} lookup 102", "fwmark 7 prohibit"], OWN),
    "that of VRFs": (["l3mdev"], NODES),
}
"""Rules, and what the interface is then to the host."""


@pytest.mark.parametrize("what", RULES)
@pytest.mark.parametrize("family", PLACES)
def test_a_default_route_in_a_table_is_told_by_its_rules(home: Net, family: str, what: str) -> None:
    """As the kernel has them, for IPv4 and IPv6 alike."""
    rules, text = RULES[what]
    places = PLACES[family]
    home.ip("link add veth0 type veth peer name veth1")
    home.ip("link set veth1 up")
    home.ip("link set veth0 up")
    home.ip("{0} addr add {own}{1} dev veth0".format(family, "/24" if family == "-4" else "/64 nodad", **places))
    home.ip("{0} route add default via {via} table 102".format(family, **places))
    for rule in rules:
        home.ip(f"{family} rule add {rule.format(**places)}")

    obstacle = Lifelines(home.call(inventory_of)).why(home.link("veth0"))

    assert obstacle is not None
    assert obstacle.text == text.format(**places)
    assert obstacle.is_source_route is text.startswith("carries a default route of table")


def test_what_stands_on_an_interface_is_found_and_suffers(home: Net, pod: Net) -> None:
    """As it was told: what the kernel deletes is gone after the move, the other child is still there."""
    home.ip("link add veth0 type veth peer name veth1")
    home.ip("link add mv0 link veth0 type macvlan")
    home.ip("link add mv1 link veth0 type macvlan")
    home.ip("link set mv1 netns " + pod.path)
    home.ip("link add vx0 type vxlan id 5 dev veth0 dstport 4789")
    inventory = home.call(inventory_of)

    [own] = children(inventory.links).values()

    assert [child.ifname for child in own] == ["mv0", "vx0"]
    assert Lifelines(inventory).why(home.link("veth1")) is None
    obstacle = Lifelines(inventory).why(home.link("veth0"))
    assert obstacle is not None
    assert obstacle.text == "carries mv0 and vx0 of the host (the kernel would delete vx0)"

    home.ip("link set veth0 netns " + pod.path)

    assert {child.ifname for child in own if child.kind not in DELETED} == {"mv0"}
    assert home.names() & {"mv0", "vx0"} == {"mv0"}


def test_thousands_of_links_are_read_whole(home: Net) -> None:
    """A dump of many parts misses nothing."""
    script = "\n".join(f"link add d{number} type ifb" for number in range(500))
    home.run("sh", "-c", f"printf '{script}' | ip -batch -")
    assert len(home.call(Rtnl.links)) >= 500


def test_what_is_not_there_is_an_error_with_its_number(home: Net) -> None:
    """And with what was tried."""
    with pytest.raises(KernelError, match="read interface 4242") as refusal:
        home.call(Rtnl.link, 4242)
    assert refusal.value.errno == errno.ENODEV
