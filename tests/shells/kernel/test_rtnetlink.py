"""The port to rtnetlink, held against what iproute2 says of the same kernel."""

from __future__ import annotations

import errno

import pytest

from nri_netdev.domain.links import Address
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.rtnetlink import Rtnl
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
        assert link.slave_kind == what.get("linkinfo", {}).get("info_slave_kind")
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


ADDRESSES = (
    Address(family=2, address="192.0.2.5", prefixlen=24, broadcast="192.0.2.255", label="veth0", flags=0x80),
    Address(family=2, address="192.0.2.6", prefixlen=24, label="veth0:x", flags=0x81, metric=70),
    Address(family=2, address="198.18.0.1", prefixlen=32, peer="198.18.0.2", label="veth0", scope=253, flags=0x280),
    Address(family=10, address="2001:db8::5", prefixlen=64, flags=0x82, proto=42),
)


def test_addresses_survive_the_round_trip(home: Net) -> None:
    """What is written is what is read, in every field; removed, it is gone."""
    home.ip("link add veth0 type veth peer name veth1")
    index = home.link("veth0").ifindex
    for address in ADDRESSES:
        home.call(Rtnl.put_address, index, address)
    assert set(home.call(Rtnl.addresses, index)[index]) == set(ADDRESSES)
    for address in reversed(ADDRESSES):
        home.call(Rtnl.del_address, index, address)
    assert home.call(Rtnl.addresses, index) == {}


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
    inventory = home.call(Rtnl.inventory)
    names = {link.ifindex: link.ifname for link in inventory.links}
    assert {names[index] for index in inventory.default_routes} == {"v0", "v1", "v2", "v3", "v4"}
    assert inventory.default_sources == {"192.0.0.1"}


def test_thousands_of_links_are_read_whole(home: Net) -> None:
    """A dump of many parts misses nothing."""
    script = "\n".join(f"link add d{number} type ifb" for number in range(500))
    home.run("sh", "-c", f"printf '{script}' | ip -batch -")
    assert len(home.call(Rtnl.links)) >= 500


def test_the_kernels_reason_is_told(home: Net, pod: Net) -> None:
    """Its number and, where it gives any, its own words."""
    with pytest.raises(KernelError) as refusal:
        home.call(Rtnl.link, 4242)
    assert refusal.value.errno == errno.ENODEV
    home.ip("link add veth0 type veth peer name veth1")
    index = home.link("veth0").ifindex
    with pytest.raises(KernelError, match="rename interface") as refusal:
        home.call(Rtnl.rename, index, "veth1")
    assert refusal.value.errno == errno.EEXIST
    home.ip("link add br0 type bridge")
    with pytest.raises(KernelError, match="move interface") as refusal:
        home.call(Rtnl.move, home.link("br0").ifindex, pod.fd)
    assert refusal.value.errno == errno.EINVAL


def test_moves_keep_the_name_or_take_a_new_one(home: Net, pod: Net) -> None:
    """Either way the link is in the other netns, and not in this one."""
    home.ip("link add a0 type ifb")
    home.ip("link add b0 type ifb")
    home.call(Rtnl.move, home.link("a0").ifindex, pod.fd)
    home.call(Rtnl.move, home.link("b0").ifindex, pod.fd, "net1")
    assert pod.names() == {"lo", "a0", "net1"}
    assert not home.names() & {"a0", "b0", "net1"}
