"""Interfaces that have everything at home, pods that ask for much, and containers that say what they see."""

from tests.e2e.cri import Crictl
from tests.e2e.node import Node
from tests.e2e.seen import Inside
from tests.e2e.wait import wait_until

KEY = "nri-netdev.io/container.app"
POD_KEY = "nri-netdev.io/pod"
GENEROUS = """
rules:
  - namespaces: ["*"]
    interfaces: ["*"]
    may: [all]
    default_route: true
    share: true
"""
"""A policy for tests of what can be set."""


def dressed(node: Node, *names: str) -> None:
    """Interfaces that have something of everything at home, and need no time for duplicate address detection there."""
    for number, name in enumerate(names, 1):
        node.add_veth(name, addresses=[f"192.0.{number}.7/24"], is_up=False)
        node.sysctl(f"net/ipv6/conf/{name}/accept_dad", 0)
        node.ip_batch(f"""
link set {name} up mtu 1480 txqueuelen 77
address add 2001:db8:{number}::7/64 dev {name}
route add 203.0.{number}.0/24 via 192.0.{number}.1 dev {name}
-6 route add 2001:db8:99{number}::/48 via 2001:db8:{number}::1 dev {name}
neighbor add 192.0.{number}.1 lladdr 02:00:5e:10:00:0{number} dev {name}
""")
        node.sysctl(f"net/ipv4/conf/{name}/rp_filter", 2)
        node.sysctl(f"net/ipv6/conf/{name}/hop_limit", 55)


def says(*commands: str) -> list[str]:
    """A container's command that runs others at once, and sleeps."""
    return ["sh", "-c", f"{'; '.join(commands)}; echo over; exec sleep 1000000"]


def said(crictl: Crictl, container: str, last: str = "over") -> str:
    """All that a container says until its last word."""
    return wait_until(
        lambda: text if f"{last}\n" in (text := crictl.logs(container)) else "",
        timeout_s=15,
        what=lambda: f"{last!r} in {crictl.logs(container)!r}",
    )


ASKED = """
- interface: nic1
  name: net1
  addresses: [198.51.100.9/24, "2001:db8:7::9/64"]
  routes: [{to: 203.0.113.0/24, via: 198.51.100.1}]
  rules: [{from: 198.51.100.9, table: 100}]
  neighbors: [{dst: 198.51.100.1, lladdr: 02:00:5e:10:00:02}]
  mtu: 1450
  sysctls: {ipv4.rp_filter: 0}
  ethtool: {features: {tx-tcp6-segmentation: false}}
  macvlan: {name: mv0, addresses: [198.51.101.9/24]}
"""


def is_as_asked(there: Inside) -> bool:
    """Whether all of `ASKED` is in a pod."""
    return (
        there.names() >= {"net1", "mv0"}
        and there.addresses("net1") == {"198.51.100.9/24", "2001:db8:7::9/64"}
        and there.addresses("mv0") == {"198.51.101.9/24"}
        and there.link("net1")["mtu"] == 1450
        and any(route["dst"] == "203.0.113.0/24" for route in there.ip("route", "show", "dev", "net1"))
        and [rule["src"] for rule in there.ip("rule") if rule["table"] == "100"] == ["198.51.100.9"]
        and there.sysctl("net.ipv4.conf.net1.rp_filter") == "0"
        and [link["dst"] for link in there.ip("neighbor", "show", "dev", "net1", "nud", "permanent")]
        == ["198.51.100.1"]
    )


def leases(node: Node) -> list[str]:
    """The addresses that host-local counts as given."""
    directory = "/var/lib/cni/networks/nri-netdev"
    found = node.machine.run("sh", "-c", f"ls {directory} 2>&- || true").split()
    return [name for name in found if name != "lock" and not name.startswith("last_reserved_ip")]
