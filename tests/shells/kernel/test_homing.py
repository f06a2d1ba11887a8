"""Homing on a real kernel: what leaves comes back as it was, whatever was done to it, and wherever it was cut short."""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nri_netdev.domain.snapshot import HomeReport, Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.faults import hooked
from nri_netdev.shells.kernel import capture, homing
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.sysctls import Sysctls
from tests.shells.conftest import Net

pytestmark = pytest.mark.root

MARK = "nri-netdev-0123456789abcdef"


def facts(net: Net, ifname: str = "dev0") -> dict[str, Any]:
    """All that iproute2 shows of an interface, but for counters, indexes and what only time changes."""
    [link] = net.ip_json(f"-d link show dev {ifname}")
    found = {
        "link": {key: value for key, value in link.items() if key not in {"ifindex", "stats64"}},
        "addr": [
            {key: value for key, value in address.items() if not key.endswith("life_time")}
            for address in net.ip_json(f"-d addr show dev {ifname}")[0]["addr_info"]
        ],
        "rules": net.ip_json("rule") + net.ip_json("-6 rule"),
        "neigh": sorted(map(json.dumps, net.ip_json(f"neigh show dev {ifname} nud permanent"))),
        "proxy": net.ip(f"neigh show proxy dev {ifname}") + net.ip(f"-6 neigh show proxy dev {ifname}"),
        "qdisc": net.run("tc", "qdisc", "show", "dev", ifname).replace(" refcnt 2", ""),
        "sysctls": {
            key: net.sysctl(key.replace("IF", ifname))
            for key in ("ipv4/conf/IF/rp_filter", "ipv4/conf/IF/arp_ignore", "ipv6/conf/IF/accept_ra")
        },
    }
    for family in ("-4", "-6"):
        routes = net.ip_json(f"-d {family} route show table all")
        for route in routes:
            route.get("nexthops", []).sort(key=lambda hop: hop.get("dev", ""))  # their order means nothing
        found[f"routes {family}"] = sorted(
            json.dumps(route, sort_keys=True)
            for route in routes
            if route.get("dev") == ifname or any(hop.get("dev") == ifname for hop in route.get("nexthops", ()))
        )
    return found


KINDS = {
    "veth": "link add dev0 type veth peer name peer0",
    "ifb": "link add dev0 type ifb",
    "macvlan": "link add dev0 link under0 type macvlan mode bridge",
}


def furnish(net: Net) -> None:
    """Give an interface everything that an operator could have given it."""
    if net.link("dev0").kind != "ifb":  # whose address is fixed
        net.ip("link set dev0 address 02:00:00:00:00:77")
    for command in (
        "link set dev0 mtu 1400 txqueuelen 321 alias uplink-of-lab",
        "link set dev0 group 7",
        "link property add dev dev0 altname enp99s0",
        "link set dev0 up",
        "addr add 192.0.2.5/24 brd 192.0.2.255 metric 50 dev dev0",
        "addr add 192.0.2.6/24 dev dev0",
        "addr add 198.18.0.1 peer 198.18.0.2/32 dev dev0 scope link",
        "addr add 203.0.113.9/28 dev dev0 noprefixroute",
        "addr add 10.9.8.7/24 dev dev0 valid_lft 4000 preferred_lft 3000",
        "-6 addr add 2001:db8:1::5/64 dev dev0 nodad",
        "-6 addr add 2001:db8:1::6/64 dev dev0 nodad",
        "-6 addr add 2001:db8:2::5/64 dev dev0 nodad noprefixroute",
        "route add 203.0.113.0/28 dev dev0 proto kernel scope link src 203.0.113.9 metric 100",
        "route add 198.51.100.0/24 via 192.0.2.1 metric 77",
        "route add 198.51.101.0/24 via 198.51.100.9 onlink dev dev0 table 100",
        "route add default via 192.0.2.1 dev dev0 table 101",
        "route add 198.51.103.0/24 nexthop via 192.0.2.1 dev dev0 weight 2 nexthop via 172.31.0.9 dev other0",
        "-6 route add 2001:db8:9::/48 via 2001:db8:1::1 metric 33",
        "-6 route add 2001:db8:a::/48 nexthop via 2001:db8:1::1 dev dev0 nexthop via fd00:31::9 dev other0",
        "rule add iif dev0 table 100",
        "rule add oif dev0 table 101",
        "neigh add 192.0.2.9 lladdr 02:00:00:00:00:99 dev dev0 nud permanent",
        "-6 neigh add 2001:db8:1::9 lladdr 02:00:00:00:00:99 dev dev0 nud permanent",
        "neigh add proxy 192.0.2.77 dev dev0",
    ):
        net.ip(command)
    net.run(
        *[
            "tc",
            "qdisc",
            "add",
            "dev",
            "dev0",
            "root",
            "handle",
            "10:",
            "tbf",
            "rate",
            "10mbit",
            "burst",
            "32k",
            "latency",
            "50ms",
        ]
    )
    net.run(*["tc", "qdisc", "add", "dev", "dev0", "clsact"])
    net.sysctl("ipv4/conf/dev0/rp_filter", "2")
    net.sysctl("ipv4/conf/dev0/arp_ignore", "1")
    net.sysctl("ipv6/conf/dev0/accept_ra", "0")


@pytest.fixture(params=KINDS)
def furnished(request: pytest.FixtureRequest, home: Net) -> Net:
    """A host with one interface of each kind in turn, `dev0`, that has everything."""
    home.ip("link add other0 type ifb")
    home.ip("link add under0 type ifb")
    for name in ("other0", "under0"):
        home.ip(f"link set {name} up")
    home.ip("addr add 172.31.0.1/24 dev other0")
    home.ip("-6 addr add fd00:31::1/64 dev other0 nodad")
    home.ip(KINDS[request.param])
    if request.param == "veth":
        home.ip("link set peer0 up")
    furnish(home)
    return home


def captured(rtnl: Rtnl, ifindex: int) -> Snapshot:
    """What capture reads of an interface in the netns that the thread is in."""
    with Sysctls() as sysctls:
        return capture.snapshot(rtnl, ifindex, sysctls)


def settled(net: Net, ifname: str = "dev0") -> dict[str, Any]:
    """The facts, once duplicate address detection of the link-local address is over."""
    for _ in range(100):
        if "tentative" not in net.ip(f"-6 addr show dev {ifname}"):
            break
        net.run("sleep", "0.1")
    return facts(net, ifname)


def assert_same(before: dict[str, Any], net: Net, cut: str | None = None) -> None:
    """Every fact is what it was, once the kernel has done what it does later: addresses settle, routes follow."""
    deadline = time.monotonic() + SETTLING_S
    while found := differences(before, facts(net)):
        if time.monotonic() > deadline:
            pytest.fail("\n".join([f"not as before; cut at {cut}", *found]), pytrace=False)
        time.sleep(0.05)


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What differs, a line each."""
    found = []
    for key in before:
        was, now = (json.dumps(side[key], indent=0, sort_keys=True).splitlines() for side in (before, after))
        lines = difflib.unified_diff(was, now, n=0, lineterm="")
        found += [f"{key}: {line}" for line in lines if line[:3] not in _FILES]
    return found


SETTLING_S = 10.0
_FILES = {"---", "+++"}


def give(home: Net, pod: Net, ifname: str = "dev0", inside: str = "net1") -> Snapshot:
    """What custody and a runtime do: snapshot, mark, move under another name, set up."""
    link = home.link(ifname)
    snapshot = home.call(captured, link.ifindex)
    home.call(homing.mark, link.ifindex, MARK)
    home.call(Rtnl.move, link.ifindex, pod.fd, inside)
    pod.ip(f"link set {inside} up")
    return snapshot


def fetch(home: Net, pod: Net, snapshot: Snapshot, ifname: str = "net1") -> HomeReport:
    """Bring it home, and take the mark off."""
    report = homing.bring_home(pod.fd, pod.link(ifname).ifindex, snapshot, MARK, home.fd)
    home.call(homing.unmark, report.ifindex, MARK)
    return report


def test_comes_home_as_it_was(furnished: Net, pod: Net) -> None:
    """Every fact that iproute2 shows of the interface is the same before and after."""
    before = settled(furnished)
    snapshot = give(furnished, pod)
    report = fetch(furnished, pod, snapshot)
    assert report.troubles() == ()
    assert_same(before, furnished)
    assert pod.names() == {"lo"}


def test_comes_home_down_if_it_was(home: Net, pod: Net) -> None:
    """An interface that was down and bare is down and bare again."""
    home.ip("link add dev0 type ifb")
    before = facts(home)
    report = fetch(home, pod, give(home, pod))
    assert report.is_whole
    assert_same(before, home)


MISCHIEF: dict[str, tuple[str, ...]] = {
    "renamed": ("link set net1 down", "link set net1 name eth7"),
    "down": ("link set net1 down",),
    "mac": ("link set net1 down", "link set net1 address 02:de:ad:00:00:01"),
    "mtu": ("link set net1 mtu 900",),
    "alias, group, queue": ("link set net1 alias mine", "link set net1 group 42", "link set net1 txqueuelen 5"),
    "altnames": ("link property del dev net1 altname enp99s0", "link property add dev net1 altname minemine"),
    "unmarked": (f"link property del dev net1 altname {MARK}",),
    "flags": ("link set net1 promisc on", "link set net1 multicast off", "link set net1 arp off"),
    "enslaved": ("link add br7 type bridge", "link set net1 master br7", "link set br7 up"),
    "children": ("link add link net1 name child1 type macvlan", "link set child1 up"),
    "addresses": ("addr flush dev net1", "addr add 10.77.0.1/24 dev net1", "route add 10.78.0.0/16 via 10.77.0.9"),
    "host's name taken inside": ("link add dev0 type ifb",),
    "altname is the host's name": ("link property add dev net1 altname dev0",),
}


@pytest.mark.parametrize("mischief", MISCHIEF.values(), ids=MISCHIEF.keys())
def test_whatever_the_container_did(home: Net, pod: Net, mischief: tuple[str, ...]) -> None:
    """Nothing that a container with NET_ADMIN does to the interface is to be seen at home."""
    home.ip("link add other0 type ifb")
    home.ip("addr add 172.31.0.1/24 dev other0")
    home.ip("-6 addr add fd00:31::1/64 dev other0 nodad")
    home.ip("link set other0 up")
    home.ip("link add dev0 type veth peer name peer0")
    home.ip("link set peer0 up")
    furnish(home)
    before = settled(home)
    snapshot = give(home, pod)
    ifindex = pod.link("net1").ifindex
    for command in mischief:
        pod.ip(command)
    report = homing.bring_home(pod.fd, ifindex, snapshot, MARK, home.fd)
    home.call(homing.unmark, report.ifindex, MARK)
    assert report.troubles() == ()
    assert_same(before, home)


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


def test_name_taken_at_home(home: Net, pod: Net) -> None:
    """It comes home under a free name, says who has its own, and gets that back when it becomes free."""
    home.ip("link add dev0 type ifb")
    home.ip("addr add 192.0.2.5/24 dev dev0")
    home.ip("link set dev0 up")
    before = settled(home)
    snapshot = give(home, pod)
    home.ip("link add dev0 type ifb")
    report = homing.bring_home(pod.fd, pod.link("net1").ifindex, snapshot, MARK, home.fd)
    assert report.ifname == "net1"
    assert "its name is taken by ifb dev0" in report.troubles()[0]
    assert home.ip("-o addr show dev net1").count("192.0.2.5/24") == 1
    home.ip("link del dev0")
    report = home.call(homing.restore, snapshot, report.ifindex, MARK)
    home.call(homing.unmark, report.ifindex, MARK)
    assert report.is_whole
    assert_same(before, home)


def test_both_names_taken_at_home(home: Net, pod: Net) -> None:
    """With its own name and the container's taken it gets one that nobody has."""
    home.ip("link add dev0 type ifb")
    snapshot = give(home, pod)
    home.ip("link add dev0 type ifb")
    home.ip("link add net1 type ifb")
    report = fetch(home, pod, snapshot)
    assert report.ifname.startswith("nnd")
    assert home.names() >= {"dev0", "net1", report.ifname}


def test_index_taken_at_home(home: Net, pod: Net) -> None:
    """It is found by its mark where the kernel had to give it another index."""
    home.ip("link add dev0 type ifb")
    home.ip("addr add 192.0.2.5/24 dev dev0")
    home.ip("link set dev0 up")
    home.ip("route add 198.51.100.0/24 via 192.0.2.1")
    before = settled(home)
    index = home.link("dev0").ifindex
    snapshot = give(home, pod)
    home.ip(f"link add squatter index {index} type ifb")
    report = fetch(home, pod, snapshot)
    assert report.is_whole
    assert report.ifindex != index
    assert_same(before, home)


def test_what_cannot_be_put_back_is_told(home: Net, pod: Net) -> None:
    """A route whose gateway is not to be reached, a nexthop object, traffic classes: named; the rest is put back."""
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
    snapshot = give(home, pod)
    home.ip("link del other0")
    report = fetch(home, pod, snapshot)
    told = "\n".join(report.troubles())
    assert "qdisc htb 10: and its classes could not be restored" in told
    assert "route 198.51.100.0/24 could not be restored" in told
    assert "route 198.51.102.0/24 via 192.0.2.9 by nexthop object 5 could not be restored" in told
    assert "198.51.101.0/24 via 192.0.2.1" in home.ip("route show dev dev0")


def test_acting_twice_changes_nothing(furnished: Net, pod: Net) -> None:
    """To restore what is whole already changes nothing, not even for an instant: nothing is announced."""
    snapshot = give(furnished, pod)
    report = fetch(furnished, pod, snapshot)
    before = settled(furnished)
    again = furnished.call(homing.restore, snapshot, report.ifindex, MARK)
    assert again.is_whole
    assert_same(before, furnished)


class CutError(Exception):
    """The daemon dies here."""


@contextmanager
def cut_at(number: int) -> Iterator[list[str]]:
    """Fail at the numbered fault point that is passed."""
    passed: list[str] = []

    def hook(name: str) -> None:
        passed.append(name)
        if len(passed) == number + 1:
            raise CutError(name)

    with hooked(hook):
        yield passed


def test_cut_short_anywhere(nets: Callable[[], Net]) -> None:
    """Killed after any of its steps and begun again, the way home ends where it would have ended."""
    number = 0
    while True:
        home, pod = nets(), nets()
        home.ip("link add other0 type ifb")
        home.ip("addr add 172.31.0.1/24 dev other0")
        home.ip("-6 addr add fd00:31::1/64 dev other0 nodad")
        home.ip("link set other0 up")
        home.ip("link add dev0 type veth peer name peer0")
        home.ip("link set peer0 up")
        furnish(home)
        before = settled(home)
        snapshot = give(home, pod)
        pod.ip("link add br7 type bridge")
        pod.ip("link set net1 address 02:de:ad:00:00:01 mtu 900 master br7")
        index = pod.link("net1").ifindex
        cut = None
        with cut_at(number) as passed:
            try:
                homing.bring_home(pod.fd, index, snapshot, MARK, home.fd)
            except CutError as error:
                cut = str(error)
        at_home = home.call(Rtnl.link_called, MARK)
        if at_home is None:
            report = homing.bring_home(pod.fd, index, snapshot, MARK, home.fd)
        else:
            report = home.call(homing.restore, snapshot, at_home.ifindex, MARK)
        home.call(homing.unmark, report.ifindex, MARK)
        assert report.troubles() == (), f"after a cut at {cut}"
        assert_same(before, home, cut)
        if cut is None:
            assert len(passed) > 15
            return
        number += 1


def test_complete_gives_name_addresses_and_up(home: Net, pod: Net) -> None:
    """What runc leaves undone is done: IPv6, the name, up; link-scope and link-local addresses stay out."""
    home.ip("link add dev0 type ifb")
    home.ip("link set dev0 up")
    for address in ("192.0.2.5/24", "198.18.0.1/24 scope link", "2001:db8:1::5/64"):
        home.ip(f"addr add {address} dev dev0")
    snapshot = settled(home) and home.call(captured, home.link("dev0").ifindex)
    index = snapshot.link.ifindex
    home.call(Rtnl.move, index, pod.fd)
    pod.call(homing.complete, index, "net1", snapshot.addresses)
    pod.call(homing.complete, index, "net1", snapshot.addresses)
    [shown] = pod.ip_json("addr show dev net1")
    assert "UP" in shown["flags"]
    given = {(address["local"], address["prefixlen"]) for address in shown["addr_info"] if address["scope"] == "global"}
    assert given == {("192.0.2.5", 24), ("2001:db8:1::5", 64)}
    assert not any(address["local"] == "198.18.0.1" for address in shown["addr_info"])


def test_one_that_is_gone(home: Net, pod: Net) -> None:
    """An interface that is not there is a `KernelError` that says so, not an accident."""
    home.ip("link add dev0 type ifb")
    snapshot = home.call(captured, home.link("dev0").ifindex)
    with pytest.raises(KernelError, match="No such device"):
        homing.bring_home(pod.fd, 4242, snapshot, MARK, home.fd)
    with pytest.raises(KernelError, match="No such device"):
        home.call(homing.restore, snapshot, 4242, MARK)


def test_marks(home: Net) -> None:
    """To mark and to unmark twice changes nothing; a mark of before gives way."""
    home.ip("link add dev0 type ifb")
    index = home.link("dev0").ifindex
    home.call(homing.mark, index, "nri-netdev-ffffffffffffffff")
    for _ in range(2):
        home.call(homing.mark, index, MARK)
        assert home.link("dev0").altnames == (MARK,)
    assert home.call(captured, index).link.altnames == ()
    for _ in range(2):
        home.call(homing.unmark, index, MARK)
        assert home.link("dev0").altnames == ()
