"""Interfaces are set up as pods ask, before the container's first instruction, and come home as if nothing had been."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.e2e import tools
from tests.e2e.asking import ASKED, GENEROUS, KEY, POD_KEY, dressed, is_as_asked, leases, said, says
from tests.e2e.cells import RUNTIMES
from tests.e2e.cri import Crictl, CriError
from tests.e2e.engine import Engine
from tests.e2e.machine import CommandError
from tests.e2e.node import LAN, Daemon, Node
from tests.e2e.seen import Inside, settled, wait_whole
from tests.e2e.wait import wait_until

pytestmark = pytest.mark.matrix

IGNORANT = next(name for name, runtime in RUNTIMES.items() if not runtime.moves_net_devices)
"""A handler whose runtime does not know `linux.netDevices`; every engine of these tests has it."""


@pytest.fixture(name="daemon")
def _daemon(node: Node) -> Iterator[Daemon]:
    with node.daemon(config=GENEROUS) as daemon:
        yield daemon


# -- two pods talk -----------------------------------------------------------------------------------------------------


def pings(*addresses: str) -> list[str]:
    """Each address is pinged once."""
    return says(*(f"ping -c 1 -W 4 {address} >/dev/null && echo reached {address}" for address in addresses))


def reached(crictl: Crictl, container: str) -> list[str]:
    """What has answered."""
    return re.findall("reached (.*)", said(crictl, container))


def test_the_two_ends_of_a_veth(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """Two pods without any capability over the network have both families between them, from the first packet on."""
    node.ip_batch("link add nic0 type veth peer name nic1\nlink set nic0 up\nlink set nic1 up")
    before = settled(node, "nic0", "nic1")
    ends = {
        "left": "- {interface: nic0, name: net1, addresses: [198.51.100.8/24, '2001:db8:7::8/64']}",
        "right": "- {interface: nic1, name: net1, addresses: [198.51.100.9/24, '2001:db8:7::9/64']}",
    }
    pods = [crictl.run_pod(name, annotations={KEY: request}) for name, request in ends.items()]
    crictl.run(pods[0], "app")
    container = crictl.run(pods[1], "app", pings("198.51.100.8", "2001:db8:7::8"))

    assert reached(crictl, container) == ["198.51.100.8", "2001:db8:7::8"]
    for pod in pods:
        crictl.delete_pod(pod)
    wait_whole(node, before, "nic0", "nic1")


def test_an_address_that_is_waited_for(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """Duplicate address detection is over when the container's first instruction runs."""
    dressed(node, "nic1")
    asked = "- {interface: nic1, name: net1, addresses: [{address: '2001:db8:7::9/64', dad: wait}]}"
    pod = crictl.run_pod("web", annotations={KEY: asked})
    text = said(crictl, crictl.run(pod, "app", says("ip -6 address show dev net1")))

    assert "2001:db8:7::9/64 scope global" in text
    assert "tentative" not in text.partition("2001:db8:7::9/64")[2].partition("\n")[0]


ROUTED = """
- interface: nic{n}
  name: net1
  addresses: [198.51.{n}.9/24, {{address: "2001:db8:{n}::9/64", dad: "off"}}]
  routes:
    - {{to: 198.51.0.0/16, via: 198.51.{n}.1}}
    - {{to: "2001:db8::/32", via: "2001:db8:{n}::1"}}
"""


@pytest.fixture(name="router")
def _router(node: Node) -> Iterator[str]:
    """A netns that forwards between the other ends of nic1 and nic2."""
    node.ip("netns", "add", "router")
    for n in (1, 2):
        node.ip_batch(f"""
link add nic{n} type veth peer name to{n} netns router
link set nic{n} up
-n router address add 198.51.{n}.1/24 dev to{n}
-n router address add 2001:db8:{n}::1/64 dev to{n} nodad
-n router link set to{n} up
""")
    forwarding = "echo 1 | tee /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"
    node.machine.run("ip", "netns", "exec", "router", "sh", "-c", forwarding)
    yield "router"
    node.ip("netns", "delete", "router")


def test_through_a_router(daemon: Daemon, node: Node, crictl: Crictl, router: str) -> None:
    """Routes of both families lead to the other pod, and back."""
    before = settled(node, "nic1", "nic2")
    pods = [crictl.run_pod(f"p{n}", annotations={KEY: ROUTED.format(n=n)}) for n in (1, 2)]
    crictl.run(pods[0], "app")
    container = crictl.run(pods[1], "app", pings("198.51.1.9", "2001:db8:1::9"))

    assert reached(crictl, container) == ["198.51.1.9", "2001:db8:1::9"]
    for pod in pods:
        crictl.delete_pod(pod)
    wait_whole(node, before, "nic1", "nic2")


# -- every field -------------------------------------------------------------------------------------------------------

EVERYTHING = """
- interface: nic1
  name: net1
  addresses:
    - {address: 198.51.100.9/24, metric: 7, broadcast: 198.51.100.127}
    - {address: 198.51.100.200/32, peer: 198.51.100.201, scope: link}
    - {address: "2001:db8:7::9/64", dad: "off", noprefixroute: true}
    - 2001:db8:7::10/128
  routes:
    - {to: 203.0.113.0/25, via: 198.51.100.1, src: 198.51.100.9, metric: 50, mtu: 1400}
    - {to: 203.0.113.128/25, table: 100}
    - {to: default, via: 198.51.100.1, metric: 5000, onlink: true}
    - {to: "2001:db8:8::/48", via: "2001:db8:7::1", onlink: true, metric: 77}
  rules:
    - {from: 198.51.100.9, table: 100, priority: 1000}
    - {to: "2001:db8:8::/48", fwmark: 0x10, table: 101, priority: 1001}
    - {iif: net1, family: inet, table: 100}
  neighbors:
    - {dst: 198.51.100.1, lladdr: 02:00:5e:10:00:02}
    - {dst: "2001:db8:7::1", lladdr: 02:00:5e:10:00:03}
  mtu: 1450
  set_mac: 02:00:5e:10:00:01
  txqueuelen: 123
  promisc: true
  allmulti: true
  gso_max_size: 32768
  gro_max_size: 16384
  detach_bpf: true
  sysctls: {ipv4.rp_filter: 0, ipv6.hop_limit: 33, ipv4.neigh.gc_stale_time: 77}
  ethtool: {features: {tx-tcp6-segmentation: false, gro: true}, channels: {tx: 2}}
  macvlan:
    - {name: mv0, mode: private, mac: 02:00:5e:10:00:04, mtu: 1400, addresses: [198.51.101.9/24]}
    - {name: mv1, routes: [{to: 198.51.102.0/24}]}
- {interface: nic2, name: net2, keep_addresses: true, addresses: [198.51.103.9/24], arp: false}
- {interface: nic3, name: net3, up: false, sysctls: {ipv6.disable_ipv6: 1}}
"""
HOW = {
    "by the runtime": ("", ""),
    "by the daemon": ("injection: netlink", ""),
    "by a runtime that cannot": ("", IGNORANT),
}


@pytest.mark.parametrize("how", HOW)
def test_every_field(node: Node, crictl: Crictl, how: str) -> None:
    """All of it is there before the process runs, by what iproute2 and ethtool say, and gone when it is home."""
    config, handler = HOW[how]
    dressed(node, "nic1", "nic2", "nic3")
    before = settled(node, "nic1", "nic2", "nic3")
    with node.daemon(config=config + GENEROUS):
        pod = crictl.run_pod("web", annotations={KEY: EVERYTHING}, handler=handler)
        there = Inside(node.machine, crictl, pod)
        bare = [there.ip(family, "rule") for family in ("-4", "-6")]
        crictl.run(pod, "app")

        assert there.names() == {"net1", "net2", "net3", "mv0", "mv1"}
        check_link(there)
        check_addresses(there)
        check_routing(there)
        check_children(there)
        check_others(there)
        crictl.stop(crictl.containers(pod)[0]["id"])
        wait_whole(node, before, "nic1", "nic2", "nic3")
        assert there.names() == set()
        assert [there.ip(family, "rule") for family in ("-4", "-6")] == bare


def check_link(there: Inside) -> None:
    """What `ip link`, ethtool and sysctl say."""
    link = there.link("net1")
    said = {key: link[key] for key in ("mtu", "address", "txqlen", "gso_max_size", "gro_max_size")}

    assert {"UP", "PROMISC", "ALLMULTI"} <= set(link["flags"])
    assert said == {
        "mtu": 1450,
        "address": "02:00:5e:10:00:01",
        "txqlen": 123,
        "gso_max_size": 32768,
        "gro_max_size": 16384,
    }
    assert there.sysctl("net.ipv4.conf.net1.rp_filter") == "0"
    assert there.sysctl("net.ipv6.conf.net1.hop_limit") == "33"
    assert there.sysctl("net.ipv4.neigh.net1.gc_stale_time") == "77"
    if tools.missing(["dump-tools"]) == []:
        ethtool = tools.ROOT / "dump-tools" / "usr" / "sbin" / "ethtool"
        features = there.run(ethtool, "-k", "net1")
        assert re.search("tx-tcp6-segmentation: off$", features, re.MULTILINE)
        assert re.search("generic-receive-offload: on$", features, re.MULTILINE)
        assert re.findall(r"^TX:\s+(\S+)$", there.run(ethtool, "-l", "net1"), re.MULTILINE)[-1] == "2"


def check_addresses(there: Inside) -> None:
    """What `ip address` and `ip neighbor` say."""
    found = {info["local"]: info for info in there.link("net1")["addr_info"]}

    assert there.addresses("net1") == {"198.51.100.9/24", "2001:db8:7::9/64", "2001:db8:7::10/128"}
    assert found["198.51.100.9"]["broadcast"] == "198.51.100.127"
    assert found["198.51.100.9"]["metric"] == 7
    assert (found["198.51.100.200"]["address"], found["198.51.100.200"]["scope"]) == ("198.51.100.201", "link")
    assert found["2001:db8:7::9"]["noprefixroute"]
    assert there.addresses("net2") == {"192.0.2.7/24", "2001:db8:2::7/64", "198.51.103.9/24"}
    neighbors = {one["dst"]: one["lladdr"] for one in there.ip("neighbor", "show", "dev", "net1", "nud", "permanent")}
    assert neighbors.items() >= {("198.51.100.1", "02:00:5e:10:00:02"), ("2001:db8:7::1", "02:00:5e:10:00:03")}


def check_routing(there: Inside) -> None:
    """What `ip route` and `ip rule` say."""
    routes = {
        (route["dst"], route.get("metric")): route
        for family in ("-4", "-6")
        for route in there.ip(family, "route", "show", "table", "all", "dev", "net1")
    }
    full = routes["203.0.113.0/25", 50]

    assert (full["gateway"], full["prefsrc"], full["metrics"]) == ("198.51.100.1", "198.51.100.9", [{"mtu": 1400}])
    assert routes["203.0.113.128/25", None]["table"] == "100"
    assert routes["default", 5000]["flags"] == ["onlink"]
    assert routes["2001:db8:8::/48", 77]["gateway"] == "2001:db8:7::1"
    assert ("198.51.100.0/24", 7) in routes
    assert ("2001:db8:7::/64", 256) not in routes
    rules = {(rule["priority"], rule["table"]): rule for rule in there.ip("-4", "rule") + there.ip("-6", "rule")}
    assert rules[1000, "100"]["src"] == "198.51.100.9"
    assert (rules[1001, "101"]["dst"], rules[1001, "101"]["fwmark"]) == ("2001:db8:8::", "0x10")
    assert [rule["table"] for rule in rules.values() if rule.get("iif") == "net1"] == ["100"]
    assert there.ip("route", "show", "default")[0]["dev"] == "eth0"


def check_children(there: Inside) -> None:
    """What is on it."""
    child = there.link("mv0")

    assert (child["link"], child["linkinfo"]["info_data"]["mode"]) == ("net1", "private")
    assert (child["mtu"], child["address"]) == (1400, "02:00:5e:10:00:04")
    assert there.addresses("mv0") == {"198.51.101.9/24"}
    assert there.link("mv1")["linkinfo"]["info_data"]["mode"] == "bridge"
    assert [route["dst"] for route in there.ip("route", "show", "dev", "mv1")] == ["198.51.102.0/24"]


def check_others(there: Inside) -> None:
    """An interface without ARP, and one that is down."""
    assert {"UP", "NOARP"} <= set(there.link("net2")["flags"])
    assert "UP" not in there.link("net3")["flags"]
    assert there.addresses("net3") == {"192.0.3.7/24"}


LACKING = {
    "vlan": ("vlan: {name: child, id: 5, addresses: [198.51.100.9/24]}", "link a name b type vlan id 5"),
    "ipvlan": ("ipvlan: {name: child, mode: l2, addresses: [198.51.100.9/24]}", "link a name b type ipvlan mode l2"),
    "vrf": ("vrf: {name: child, table: 100}", "b type vrf table 100"),
}
"""What an entry says of each kind, and what `ip link add` is told."""


@pytest.mark.parametrize("kind", LACKING)
def test_kinds_that_a_kernel_may_lack(daemon: Daemon, node: Node, crictl: Crictl, engine: Engine, kind: str) -> None:
    """Where the kernel has the kind it is made; where it has not the container is refused with these words."""
    node.add_veth("nic0")
    before = settled(node, "nic0")
    pod = crictl.run_pod("web", annotations={KEY: f"- {{interface: nic0, name: net1, {LACKING[kind][0]}}}"})
    there = Inside(node.machine, crictl, pod)
    if has_kind(node, kind):
        crictl.run(pod, "app")

        assert there.link("child")["linkinfo"]["info_kind"] == kind
        assert there.link("net1").get("master", "child") == "child"
        crictl.stop(crictl.containers(pod)[0]["id"])
    else:
        assert f"this kernel has no {kind} devices" in refused(daemon, crictl, engine, pod)
    wait_whole(node, before, "nic0")
    assert there.names() == set()


def has_kind(node: Node, kind: str) -> bool:
    """Whether this kernel has a kind of link; tried in a netns that is gone at once."""
    _, make = LACKING[kind]
    try:
        node.machine.run("unshare", "--net", "sh", "-ec", f"ip link add a type veth; ip link add {make}")
    except CommandError:
        return False
    return True


def has_run(node: Node, crictl: Crictl, pod: str) -> bool:
    """Whether a container of the pod has said `it runs`; CRI-O removes what did not start, but not its log."""
    uid = crictl.inspect_pod(pod)["status"]["metadata"]["uid"]
    return "it runs" in node.machine.run("sh", "-c", f"cat /var/log/pods/default_web_{uid}/app/* 2>&- || true")


def refused(daemon: Daemon, crictl: Crictl, engine: Engine, pod: str) -> str:
    """Why a container does not start, as whoever asks is told; not one instruction of it runs."""
    with pytest.raises(CriError) as refusal:
        crictl.run(pod, "app", ["sh", "-c", "echo it runs; exec sleep 1000000"])
    told = daemon.wait_logged("(create|start).refused")[-1]
    for container in crictl.containers(pod):  # CRI-O has none that did not start
        assert container["state"] != "CONTAINER_RUNNING"
    return str(refusal.value) if engine.tells_start_errors else told.replace('\\"', '"')


# -- lives -------------------------------------------------------------------------------------------------------------


def test_a_container_that_comes_again(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """It is set up for each container of the pod, and taken off in between."""
    dressed(node, "nic1")
    before = settled(node, "nic1")
    pod = crictl.run_pod("web", annotations={KEY: ASKED})
    there = Inside(node.machine, crictl, pod)
    for _ in range(2):
        container = crictl.run(pod, "app")

        assert is_as_asked(there)
        node.machine.run("kill", "-9", str(crictl.inspect(container)["info"]["pid"]))
        wait_whole(node, before, "nic1")
        assert there.names() == set()
        assert [rule for rule in there.ip("rule") if rule["table"] == "100"] == []


def test_a_pods_containers_share_what_is_set(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """What the first container has brought the second one has too; both are told, and it stays until the pod ends."""
    dressed(node, "nic1")
    before = settled(node, "nic1")
    pod = crictl.run_pod("web", annotations={POD_KEY: ASKED})
    there = Inside(node.machine, crictl, pod)
    tell = says("env", "ip address show dev net1", f"cat {METADATA}")
    first = crictl.run(pod, "one", tell)
    second = crictl.run(pod, "two", tell)

    for container in (first, second):
        told = said(crictl, container)
        assert "NRI_NETDEV_NET1_ADDRESSES=198.51.100.9/24,2001:db8:7::9/64" in told
        assert "inet 198.51.100.9/24" in told
        assert '"2001:db8:7::9/64"' in told
    crictl.stop(first)
    crictl.stop(second)
    assert is_as_asked(there)
    crictl.delete_pod(pod)
    wait_whole(node, before, "nic1")
    directory = node.machine.path("/run/nri-netdev/pods")
    wait_until(lambda: [*directory.iterdir()] == [], timeout_s=10, what=lambda: f"no {[*directory.iterdir()]}")


# -- failures ----------------------------------------------------------------------------------------------------------

FAILURES = {
    "address that another host has": (
        'addresses: [{address: "2001:db8:7::99/64", dad: wait}]',
        "add address 2001:db8:7::99/64 on net1: address 2001:db8:7::99 is in use on this network by another host",
    ),
    "address without IPv6": (
        'addresses: ["2001:db8:7::9/64"], routes: [{to: "2001:db8:8::/64", via: "2001:db8:7::1"}]',
        "IPv6 is turned off on it in the pod (E",
    ),
    "gateway in no network": (
        "routes: [{to: 203.0.113.0/24, via: 192.0.9.1}]",
        "add route 203.0.113.0/24 via 192.0.9.1 on net1: Nexthop has invalid gateway (ENETUNREACH)",
    ),
    "default route of eth0": (
        "addresses: [198.51.100.9/24], routes: [{to: 0.0.0.0/0, via: 198.51.100.1}]",
        "add route 0.0.0.0/0 via 198.51.100.1 on net1: a route to 0.0.0.0/0 with this metric is there already, by eth0",
    ),
    "feature": (
        "ethtool: {features: {no-such-feature: true}}",
        "set ethtool.features.no-such-feature on net1: this kernel has no such feature",
    ),
    "channels": ("ethtool: {channels: {tx: 4096}}", "set ethtool.channels.tx to 4096 on net1: the maximum is"),
    "rings": ("ethtool: {rings: {rx: 64}}", "set ethtool.rings on net1: this driver has none"),
    "sysctl": (
        "sysctls: {ipv6.addr_gen_mode: 9}",
        "set sysctl ipv6.addr_gen_mode to 9 on net1: Invalid argument (EINVAL)",
    ),
    "no sysctl": ("sysctls: {ipv4.nonsense: 1}", "set sysctl ipv4.nonsense to 1 on net1: this kernel has no such"),
    "GSO": ("gso_max_size: 4294967295", "set gso_max_size 4294967295 on net1: "),
    "neighbor": (
        "neighbors: [{dst: 192.0.1.1, lladdr: '02:00:00:00:00:00:00:01'}]",
        "add neighbor 192.0.1.1 lladdr 02:00:00:00:00:00:00:01 on net1: link-layer addresses of net1 are as long as",
    ),
    "macvlan": (
        "set_mac: 02:00:5e:10:00:01, macvlan: {name: mv0, mac: 02:00:5e:10:00:01}",
        "set mac 02:00:5e:10:00:01 on mv0: Address already in use (EADDRINUSE)",
    ),
    "sysctl of a macvlan": (
        "macvlan: {name: mv0, sysctls: {ipv4.nonsense: 1}}",
        "set sysctl ipv4.nonsense to 1 on mv0: ",
    ),
    "plugin": (
        "ipam: {type: host-local, subnet: 198.51.100.0/24, rangeStart: 203.0.113.9}",
        "no address for net1 of pod default/web: the IPAM plugin host-local did not give an address: ",
    ),
}
"""What is asked for, and why it cannot be: in the kernel's words, and by the field's name."""


@pytest.mark.parametrize("what", FAILURES)
def test_what_fails_is_as_if_nothing_had_been(
    daemon: Daemon, node: Node, crictl: Crictl, engine: Engine, what: str
) -> None:
    """Nothing of the container runs, the reason is the kernel's, the host is as before, the pod has nothing left."""
    asked, why = FAILURES[what]
    dressed(node, "nic1")
    node.ip("address", "add", "2001:db8:7::99/64", "dev", "nic1-peer", "nodad", netns=LAN)
    before = settled(node, "nic1")
    pod = crictl.run_pod("web", annotations={KEY: f"- {{interface: nic1, name: net1, {asked}}}"})
    there = Inside(node.machine, crictl, pod)
    if what == "address without IPv6":
        there.run("sh", "-c", "echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6")

    assert why in refused(daemon, crictl, engine, pod)
    assert not has_run(node, crictl, pod)
    wait_whole(node, before, "nic1")
    assert there.names() == set()


def test_what_fails_for_the_pod_goes_home_too(daemon: Daemon, node: Node, crictl: Crictl, engine: Engine) -> None:
    """Though the pod goes on, what its first container could not bring is not held for it; the next one tries again."""
    dressed(node, "nic1")
    before = settled(node, "nic1")
    pod = crictl.run_pod("web", annotations={POD_KEY: "- {interface: nic1, sysctls: {ipv4.nonsense: 1}}"})
    for _ in range(2):
        assert "this kernel has no such sysctl" in refused(daemon, crictl, engine, pod)
        wait_whole(node, before, "nic1")


# -- what a container is told ------------------------------------------------------------------------------------------

DIRECTORY = "/run/nri-netdev.io"
METADATA = f"{DIRECTORY}/metadata.json"
STATUS = f"{DIRECTORY}/network-status.json"
TELL = says(
    "env | grep ^NRI_NETDEV_",
    f"cat {METADATA} {STATUS}",
    f"touch {DIRECTORY}/x || echo no new file",
    f"echo x >> {METADATA} || echo not writable",
)
TOLD = """
- {interface: nic1, name: net1, set_mac: 02:00:5e:10:00:01, addresses: [198.51.100.9/24, "2001:db8:7::9/64"], mtu: 1450}
- {interface: nic2, name: net2}
- {interface: nic3, name: net3, ipam: {type: host-local, subnet: 198.51.99.0/24}}
- {interface: nic4, name: sh0, share: macvlan, addresses: [192.0.4.77/24]}
"""


def test_what_a_container_is_told(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """Variables and files are there at its first instruction, and right, and cannot be changed."""
    dressed(node, "nic1", "nic2", "nic3", "nic4")
    macs = {name: node.link(name)["address"] for name in ("nic2", "nic3")}
    pod = crictl.run_pod("web", annotations={KEY: TOLD})
    there = Inside(node.machine, crictl, pod)
    text = said(crictl, crictl.run(pod, "app", TELL))
    env = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("NRI_NETDEV_"))

    assert env == {
        "NRI_NETDEV_INTERFACES": "net1,net2,net3,sh0",
        "NRI_NETDEV_METADATA": METADATA,
        **told("NET1", "nic1", "02:00:5e:10:00:01", "198.51.100.9/24,2001:db8:7::9/64", "1450"),
        **told("NET2", "nic2", macs["nic2"], "192.0.2.7/24,2001:db8:2::7/64", "1480"),
        **told("NET3", "nic3", macs["nic3"], "", "1480"),
        **told("SH0", "nic4", "", "192.0.4.77/24", "1480"),
    }
    assert "no new file\n" in text
    assert "not writable\n" in text
    check_files(text, there)
    crictl.delete_pod(pod)
    wait_until(lambda: leases(node) == [], timeout_s=10, what=lambda: f"no {leases(node)}")


def told(variable: str, host: str, mac: str, addresses: str, mtu: str) -> dict[str, str]:
    """The variables of one interface, without those that are empty."""
    values = {"HOST": host, "NAME": variable.lower(), "MAC": mac, "ADDRESSES": addresses, "MTU": mtu}
    return {f"NRI_NETDEV_{variable}_{key}": value for key, value in values.items() if value}


def check_files(text: str, there: Inside) -> None:
    """Both files have what iproute2 sees."""
    (document,) = [json.loads(line) for line in text.splitlines() if '/v1beta1"' in line]
    begin = text.index("\n[\n")
    status, _ = json.JSONDecoder().raw_decode(text[begin + 1 :])
    devices = {
        device["networkData"]["interfaceName"]: device
        for request in document["requests"]
        for device in request["devices"]
    }
    statuses = {one["interface"]: one for one in status}

    assert document["metadata"]["name"] == "web"
    assert devices.keys() == statuses.keys() == {"net1", "net2", "net3", "sh0"}
    for name, device in devices.items():
        mac, addresses = there.link(name)["address"], there.addresses(name)
        assert addresses
        assert device["networkData"]["hardwareAddress"] == statuses[name]["mac"] == mac
        assert set(device["networkData"]["ips"]) == addresses
        assert set(statuses[name]["ips"]) == {address.partition("/")[0] for address in addresses}
        assert "resource.kubernetes.io/pciBusID" not in device["attributes"]
        assert "device-info" not in statuses[name]


@pytest.mark.parametrize(("config", "asked"), [("metadata: off", ASKED), ("", "- nic1")])
def test_who_is_told_nothing(node: Node, crictl: Crictl, config: str, asked: str) -> None:
    """Where it is off, and who has asked by a name alone."""
    dressed(node, "nic1")
    with node.daemon(config=config + GENEROUS):
        pod = crictl.run_pod("web", annotations={KEY: asked})
        text = said(crictl, crictl.run(pod, "app", says("env", f"ls -d {DIRECTORY} || echo nothing there")))

        assert "NRI_NETDEV" not in text
        assert "nothing there" in text
        assert Inside(node.machine, crictl, pod).names()


# -- peers -------------------------------------------------------------------------------------------------------------

PEER = "netdevices.nri.containerd.io"


def test_a_peers_fields(daemon: Daemon, node: Node, crictl: Crictl) -> None:
    """A pod written for the network-device-injector has its address, prefix, MTU and name set."""
    dressed(node, "nic1", "nic2")
    before = settled(node, "nic1", "nic2")
    entries = [
        {"name": "nic1", "new_name": "net1", "address": "198.51.100.9", "prefix": 24, "mtu": 1300},
        {"name": "nic2", "address": "2001:db8:7::9", "prefix": 64},
    ]
    pod = crictl.run_pod("web", annotations={PEER: json.dumps(entries)})
    there = Inside(node.machine, crictl, pod)
    crictl.run(pod, "app")

    assert there.addresses("net1") == {"198.51.100.9/24"}
    assert there.link("net1")["mtu"] == 1300
    assert there.addresses("nic2") == {"2001:db8:7::9/64"}
    assert there.link("nic2")["mtu"] == 1480
    crictl.delete_pod(pod)
    wait_whole(node, before, "nic1", "nic2")


# -- policy ------------------------------------------------------------------------------------------------------------

MEAN = """
rules:
  - {name: mean, namespaces: [default], interfaces: ["nic*"]}
  - {name: some, namespaces: [some], interfaces: ["nic*"], may: [addresses, routes], prefixes: [198.51.100.0/24]}
"""
ADDRESSES = "addresses: [198.51.100.9/24]"
FORBIDDEN = {
    "routes": (f"default: {ADDRESSES}, routes: [{{to: 203.0.113.0/24}}]", "may: [addresses, mtu, routes]"),
    "several": ("default: txqueuelen: 5, promisc: true", "may: [addresses, mtu, promisc, txqueuelen]"),
    "prefixes": ("some: addresses: [198.51.101.9/24]", "addresses of 198.51.100.0/24 only, not 198.51.101.9/24"),
    "default route": (
        f"some: {ADDRESSES}, routes: [{{to: default, via: 198.51.100.1, metric: 500}}]",
        "rule some does not let a pod have a default route; it would with default_route: true",
    ),
    "share": ("default: share: macvlan", "is not to be shared: rule mean would let it with share: true"),
    "mtu": ("default: mtu: 70", ""),
}
"""The pod's namespace and what it asks for, and why not."""


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_a_rule_does_not_let_a_pod_set(node: Node, crictl: Crictl, what: str) -> None:
    """The refusal quotes what the rule would have to say."""
    asked, why = FORBIDDEN[what]
    namespace, _, asked = asked.partition(": ")
    node.add_veth("nic0")
    with node.daemon(config=MEAN):
        annotations = {KEY: f"- {{interface: nic0, name: net1, {asked}}}"}
        pod = crictl.run_pod("web", namespace=namespace, annotations=annotations)
        if not why:
            crictl.run(pod, "app")
            return
        with pytest.raises(CriError) as refusal:
            crictl.create(pod, "app")
        assert why in str(refusal.value).replace('\\"', '"').replace('"', "")
