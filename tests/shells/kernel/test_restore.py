"""Restoring an interface at home on a real kernel: master, what cannot be restored, and restoring twice."""

from __future__ import annotations

import os

import pytest

from nri_netdev.domain.links import Link
from nri_netdev.shells.kernel import bpf, restore
from tests.shells.conftest import Net
from tests.shells.kernel.facets import programs
from tests.shells.kernel.furniture import MARK, assert_same, fetch, give, settled

pytestmark = pytest.mark.root


def test_bridge_slave_returns_to_its_port(home: Net, pod: Net) -> None:
    """Master, port settings and the static entries of the bridge's table are put back."""
    home.ip("link add br0 type bridge")
    home.ip("link set br0 up")
    home.ip("link add dev0 type veth peer name peer0")
    home.ip("link set dev0 master br0 up")
    home.ip("link set peer0 up")
    home.run("bridge", "link", "set", "dev", "dev0", "hairpin", "on", "cost", "77", "learning", "off")
    home.run("bridge", "fdb", "add", "02:00:00:00:00:31", "dev", "dev0", "master", "static")

    def bridge() -> list[str]:
        settings = ("bridge", "-d", "link", "show", "dev", "dev0"), ("bridge", "vlan", "show", "dev", "dev0")
        fdb = home.run("bridge", "fdb", "show", "dev", "dev0")
        shown = [home.run(*command).split(": ", 1)[-1] for command in settings]
        shown[0] = (
            shown[0].replace("disabled", "S").replace("forwarding", "S").replace("learning priority", "S priority")
        )
        return [*shown, "\n".join(line for line in sorted(fdb.splitlines()) if "static" in line)]

    before = bridge(), settled(home)["addr"]
    report = fetch(home, pod, give(home, pod))
    assert report.troubles() == ()
    assert (bridge(), settled(home)["addr"]) == before


def test_what_cannot_be_put_back_is_reported(home: Net, pod: Net) -> None:
    """A route whose gateway is not to be reached: named; the rest is put back, nexthops and classes too."""
    home.ip("link add other0 type ifb")
    home.ip("addr add 172.31.0.1/24 dev other0")
    home.ip("link set other0 up")
    home.ip("link add dev0 type ifb")
    home.ip("addr add 192.0.2.5/24 dev dev0")
    home.ip("link set dev0 up")
    home.ip("route add 198.51.100.0/24 nexthop via 192.0.2.1 nexthop via 172.31.0.9")
    home.ip("route add 198.51.101.0/24 via 192.0.2.1")
    home.ip("nexthop add id 5 via 192.0.2.9 dev dev0")
    home.ip("route add 198.51.102.0/24 nhid 5")
    home.run(*["tc", "qdisc", "add", "dev", "dev0", "root", "handle", "10:", "htb"])
    home.run(*["tc", "class", "add", "dev", "dev0", "parent", "10:", "classid", "10:1", "htb", "rate", "1mbit"])
    classes = home.run("tc", "class", "show", "dev", "dev0")
    snapshot = give(home, pod)
    home.ip("link del other0")
    report = fetch(home, pod, snapshot)
    [trouble] = report.troubles()
    assert trouble.startswith("route 198.51.100.0/24 could not be restored: cannot add it: ")
    assert trouble.endswith("; add it with `ip route`, then `nri-netdev release` forgets the claim")
    assert not report.is_tainted
    for route in ("198.51.101.0/24 via 192.0.2.1", "198.51.102.0/24 nhid 5"):
        assert route in home.ip("route show")
    assert home.run("tc", "class", "show", "dev", "dev0") == classes


def test_devices_on_top_of_it_have_what_they_had(home: Net, pod: Net) -> None:
    """They stay at home and go down with it, or lose what hangs on it; a VXLAN device is deleted by the kernel."""
    home.ip("link add dev0 type veth peer name peer0")
    home.ip("link set peer0 up")
    home.ip("addr add 192.0.2.5/24 dev dev0")
    home.ip("link set dev0 up")
    home.ip("link add upper0 link dev0 type macvlan mode bridge")
    home.ip("link add upper1 link upper0 type macvlan mode bridge")
    home.ip("link add tunnel0 type vxlan id 7 remote 192.0.2.9 dstport 4789 dev dev0")
    for number, name in enumerate(("upper0", "upper1")):
        home.ip(f"addr add 198.51.10{number}.1/24 dev {name}")
        home.ip(f"-6 addr add 2001:db8:{number}::1/64 dev {name} nodad")
        home.ip(f"link set {name} up")
        home.ip(f"route add 203.0.113.{number}/32 via 198.51.10{number}.9 table 77")
        home.ip(f"-6 route add 2001:db8:9{number}::/48 via 2001:db8:{number}::9")
        home.ip(f"neigh add 198.51.10{number}.9 lladdr 02:00:00:00:00:09 nud permanent dev {name}")
    before = [settled(home, name) for name in ("upper0", "upper1")]
    snapshot = give(home, pod)
    assert {child.link.ifname for child in snapshot.children} == {"upper0", "upper1", "tunnel0"}
    for name in ("upper0", "upper1"):
        home.ip(f"link set {name} down")
    report = fetch(home, pod, snapshot)

    [trouble] = report.troubles()
    assert trouble.startswith("vxlan tunnel0 on it could not be restored: the kernel deleted it with the move")
    assert [settled(home, name) for name in ("upper0", "upper1")] == before


def test_what_a_pod_leaves_on_it_keeps_it_from_the_next(home: Net, pod: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that cannot be taken off is told, and the report says that it would reach the next pod."""
    home.ip("link add dev0 type veth peer name peer0")
    snapshot = give(home, pod)
    fd = programs.load(programs.SCHED_CLS)
    pod.call(lambda _: programs.attach(fd, pod.link("net1").ifindex, bpf.TCX_INGRESS))
    with monkeypatch.context() as patch:
        patch.setattr(bpf, "_PROG_DETACH", 255)
        report = fetch(home, pod, snapshot)
    [trouble] = report.troubles()

    assert report.is_tainted
    assert trouble.startswith("tcx ingress program ")
    assert ", which was not there before, could not be taken off: cannot detach tcx ingress program " in trouble
    assert home.call(restore.restore, snapshot, report.ifindex, MARK).troubles() == ()
    os.close(fd)


def test_acting_twice_changes_nothing(furnished: Net, pod: Net) -> None:
    """To restore what is whole already changes nothing, not even for an instant: nothing is announced."""
    snapshot = give(furnished, pod)
    report = fetch(furnished, pod, snapshot)
    before = settled(furnished)
    again = furnished.call(restore.restore, snapshot, report.ifindex, MARK)
    assert again.troubles() == ()
    assert_same(before, furnished)


@pytest.mark.parametrize(
    ("bond", "ports", "mac", "is_lost"),
    [
        ("02:00:00:00:00:01", 1, "02:00:00:00:00:99", True),
        ("02:00:00:00:00:01", 2, "02:00:00:00:00:99", False),
        ("02:00:00:00:00:77", 1, "02:00:00:00:00:99", False),
        ("02:00:00:00:00:01", 1, "02:00:00:00:00:01", False),
    ],
    ids=["its only port", "with another port", "set since", "it always had it"],
)
def test_a_bond_that_took_the_mac_address_of_its_port(bond: str, ports: int, mac: str, is_lost: bool) -> None:
    """It takes that of the next port when its last one has left, whatever address somebody had given it."""
    links = [Link(ifindex=7, ifname="bond0", kind="bond", mac=bond)]
    links += [Link(ifindex=8 + number, ifname=f"nic{number}", mac=bond, master=7) for number in range(ports)]

    assert restore.has_ports_mac(7, links, "02:00:00:00:00:01", mac) is is_lost
