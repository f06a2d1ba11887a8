"""An interface with everything that an operator can configure, given to a pod and fetched home, for tests."""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nri_netdev.domain.snapshot import Away, HomeReport, Snapshot
from nri_netdev.faults import hooked
from nri_netdev.shells.kernel import capture, changes, homing, naming
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.sysctls import Sysctls
from tests.shells.conftest import Net

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


_FURNITURE = (
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
)
"""Commands of `ip`: everything that an operator can set with it."""


def furnish(net: Net) -> None:
    """Give an interface everything that an operator could have given it."""
    if net.link("dev0").kind != "ifb":  # whose address is fixed
        net.ip("link set dev0 address 02:00:00:00:00:77")
    for command in _FURNITURE:
        net.ip(command)
    for qdisc in ("root handle 10: tbf rate 10mbit burst 32k latency 50ms", "clsact"):
        net.run("tc", "qdisc", "add", "dev", "dev0", *qdisc.split())
    net.sysctl("ipv4/conf/dev0/rp_filter", "2")
    net.sysctl("ipv4/conf/dev0/arp_ignore", "1")
    net.sysctl("ipv6/conf/dev0/accept_ra", "0")


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
    home.call(naming.mark, link.ifindex, MARK)
    home.call(changes.move, link.ifindex, pod.fd, inside)
    pod.ip(f"link set {inside} up")
    return snapshot


def fetch(home: Net, pod: Net, snapshot: Snapshot, ifname: str = "net1") -> HomeReport:
    """Bring it home, and remove the mark."""
    report = homing.bring_home(pod.fd, pod.link(ifname).ifindex, Away(snapshot=snapshot, mark=MARK), home.fd)
    home.call(naming.unmark, report.ifindex, MARK)
    return report


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
