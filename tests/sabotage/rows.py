"""Single things that must come home whole, each with what the host had and what the tenant did."""

from __future__ import annotations

from collections.abc import Iterable

from tests.sabotage.node import ENDINGS
from tests.sabotage.rounds import Case
from tests.sabotage.settings import Setting, row

_ADDR4 = "ip addr add 192.0.2.5/24 brd 192.0.2.255 dev {dev}"
_ADDR6 = "ip -6 addr add 2001:db8:1::5/64 dev {dev} nodad"
_OF_ANOTHER = "ip route add 198.51.110.0/24 via 172.31.0.9 dev other0 src 192.0.2.5"
_CHILD = (
    "ip link add child0 link {dev} type macvlan mode bridge",
    "ip link set child0 up",
    "ip addr add 10.77.0.1/24 dev child0",
    "ip -6 addr add 2001:db8:77::1/64 dev child0 nodad",
    "ip route add 198.51.120.0/24 via 10.77.0.9 dev child0",
    "ip -6 route add 2001:db8:78::/48 via 2001:db8:77::9 dev child0",
)
_OWN = ("ip link add pmv0 link {dev} type macvlan", "ip link set pmv0 up")
_MACVLAN_MODE = "ip link set {dev} type macvlan mode"
_VXLAN = "ip link set {dev} type vxlan id 42"
_PORT = "ip link set {dev} type bridge_slave"


def _case(
    kind: str, host: Iterable[str] = (), tenant: Iterable[str] = (), *, variant: int = 0, ending: str = "stopped"
) -> Case:
    sides = {"host": tuple(host), "tenant": tuple(tenant)}
    settings: dict[str, tuple[Setting, ...]] = {
        name: (row(name, *lines),) if lines else () for name, lines in sides.items()
    }
    return Case(kind=kind, variant=variant, ending=ending, **settings)


ROWS: dict[str, Case] = {
    "nothing, veth": _case("veth"),
    "nothing, macvlan": _case("macvlan"),
    "nothing, vxlan": _case("vxlan"),
    "nothing, ifb": _case("ifb"),
    "nothing, bridge port": _case("bridge-port"),
    **{f"nothing, {ending.replace('_', ' ')}": _case("veth", [_ADDR4, _ADDR6], ending=ending) for ending in ENDINGS},
    "features changed in the pod": _case("veth", (), ["ethtool -K {dev} gro off tso off sg off"]),
    "features set on the host": _case("veth", ["ethtool -K {dev} gso off"], ["ethtool -K {dev} gso on"]),
    "channels changed in the pod": _case("veth", (), ["ethtool -L {dev} rx 1 tx 1"]),
    "tcx attached in the pod": _case("veth", (), ["@tcx-ingress attach", "@tcx-egress attach"]),
    "tcx of the host": _case("veth", ["@tcx-ingress attach"]),
    "tcx by a link of the host": _case("veth", ["@tcx-egress link"]),
    "xdp attached in the pod": _case("veth", (), ["ip link set {dev} xdpgeneric pinned {bpf}/xdp"]),
    "xdp of the host": _case("veth", ["ip link set {dev} xdpgeneric pinned {bpf}/xdp"]),
    "macvlan mode": _case("macvlan", (), [f"{_MACVLAN_MODE} private"]),
    "macvlan mode, set on the host": _case("macvlan", [f"{_MACVLAN_MODE} vepa"], [f"{_MACVLAN_MODE} bridge"]),
    "macvlan queue": _case("macvlan", (), ["ip link set {dev} type macvlan bcqueuelen 50"]),
    "macvlan sources": _case(
        "macvlan", (), ["ip link set {dev} type macvlan macaddr add 02:00:00:00:00:52"], variant=4
    ),
    "vxlan remote": _case("vxlan", (), [f"{_VXLAN} remote 198.18.0.5"]),
    "vxlan ttl": _case("vxlan", (), [f"{_VXLAN} ttl 9"]),
    "vxlan learning": _case("vxlan", (), [f"{_VXLAN} nolearning"]),
    "vxlan ageing": _case("vxlan", (), [f"{_VXLAN} ageing 77"]),
    "vxlan entry added in the pod": _case(
        "vxlan", (), ["bridge fdb add 02:00:00:00:00:ab dev {dev} dst 198.18.0.7 self permanent"]
    ),
    "vxlan entry removed in the pod": _case(
        "vxlan",
        ["bridge fdb append 00:00:00:00:00:00 dev {dev} dst 198.18.0.9 port 4790 vni 43 self permanent"],
        ["bridge fdb del 00:00:00:00:00:00 dev {dev} dst 198.18.0.9 port 4790 vni 43 self"],
    ),
    "route of another from its address": _case("veth", [_ADDR4, _OF_ANOTHER]),
    "route of another from its address, in a table": _case(
        "veth", [_ADDR4, "ip route add 198.51.112.0/24 dev other0 src 192.0.2.5 table 102 metric 9"]
    ),
    "IPv6 route of another from its address": _case(
        "veth", [_ADDR6, "ip -6 route add 2001:db8:b::/48 via fd00:31::9 dev other0 src 2001:db8:1::5"]
    ),
    "route of another, while the address is flushed in the pod": _case(
        "veth", [_ADDR4, _OF_ANOTHER], ["ip addr flush dev {dev}"]
    ),
    "fdb self": _case("veth", ["bridge fdb add 02:00:00:00:00:aa dev {dev} self permanent"]),
    "fdb self added in the pod": _case("veth", (), ["bridge fdb add 02:00:00:00:00:aa dev {dev} self permanent"]),
    "static multicast": _case("veth", ["ip maddr add 01:00:5e:00:00:63 dev {dev}"]),
    "static multicast added in the pod": _case("veth", (), ["ip maddr add 01:00:5e:00:00:63 dev {dev}"]),
    "IPv6 token": _case("veth", ["ip token set ::1:2:3:4 dev {dev}"]),
    "IPv6 token set in the pod": _case("veth", (), ["ip token set ::1:2:3:4 dev {dev}"]),
    "child macvlan": _case("veth", _CHILD),
    "child macvlan, on one that was set up anew": _case(
        "veth", _CHILD, ["ip link set {dev} address 02:00:00:00:00:78"]
    ),
    "macvlan of the tenant": _case("veth", (), _OWN),
    "macvlan of the tenant, on a bridge port": _case("bridge-port", (), _OWN),
    "bridge of the tenant": _case("veth", (), ["ip link add pbr0 type bridge", "ip link set {dev} master pbr0"]),
    "vxlan of the tenant": _case("veth", (), ["ip link add pvx0 type vxlan id 9 dstport 4799 dev {dev}"]),
    **{
        f"moved to another netns by the tenant, {ending.replace('_', ' ')}": _case(
            "veth", (), ["unshare -n sleep 20 >/dev/null 2>&1 & sleep 0.1; ip link set {dev} netns $!"], ending=ending
        )
        for ending in ENDINGS
    },
    "bridge port settings": _case("bridge-port", [f"{_PORT} hairpin on cost 55 priority 9 isolated on"], variant=0),
    "bridge port and its entries": _case("bridge-port", variant=2),
    "bridge port, whose MAC the pod changes": _case("bridge-port", (), ["ip link set {dev} address 02:00:00:00:00:78"]),
    "receive packet steering": _case("veth", (), ["echo 1 > /sys/class/net/{dev}/queues/rx-0/rps_cpus"]),
    "receive flow steering": _case("veth", (), ["echo 64 > /sys/class/net/{dev}/queues/rx-0/rps_flow_cnt"]),
    "transmit packet steering": _case("veth", (), ["echo 1 > /sys/class/net/{dev}/queues/tx-0/xps_cpus"]),
    "gro_flush_timeout": _case("veth", (), ["echo 20000 > /sys/class/net/{dev}/gro_flush_timeout"]),
    "napi_defer_hard_irqs": _case("veth", (), ["echo 2 > /sys/class/net/{dev}/napi_defer_hard_irqs"]),
    "threaded polling, vxlan": _case("vxlan", (), ["echo 1 > /sys/class/net/{dev}/threaded"]),
    "size of IPv4 packets after GRO": _case(
        "veth", ["ip link set {dev} gro_ipv4_max_size 16384"], ["ip link set {dev} gro_max_size 16384"]
    ),
    "size of IPv4 packets before GSO": _case(
        "veth", ["ip link set {dev} gso_ipv4_max_size 65535"], ["ip link set {dev} gso_max_size 65535"]
    ),
    "queue length 0, set while up": _case("ifb", ["ip link set {dev} txqueuelen 0"]),
    "group that the kernel joins, twice": _case(
        "veth", ["ip addr add 239.5.5.5/32 dev {dev} autojoin"], ending="stopped_twice"
    ),
    "macvlan cutoff, where its mode is fixed": _case(
        "macvlan", (), ["ip link set {dev} type macvlan bclim -1"], variant=3
    ),
    "macvlan that hears all, where its mode is fixed": _case(
        "macvlan", (), ["ip link set {dev} promisc on", "ip link set {dev} allmulticast on"], variant=3
    ),
    "macvlan in a bridge of the tenant, where its mode is fixed": _case(
        "macvlan", (), ["ip link add pbr0 type bridge", "ip link set {dev} master pbr0"], variant=3
    ),
    "proxy neighbours without a carrier": _case(
        "macvlan",
        [
            "ip link set {dev} protodown on",
            "ip neigh add proxy 192.0.2.77 dev {dev}",
            "ip -6 neigh add proxy 2001:db8:1::77 dev {dev}",
        ],
    ),
    "queue length 0, set while there is a qdisc": _case(
        "vxlan",
        ["tc qdisc replace dev {dev} root handle 11: bfifo limit 77777", "ip link set {dev} txqueuelen 0"],
    ),
    "protocol down": _case("macvlan", ["ip link set {dev} protodown on"]),
    "temporary addresses, wanted later": _case(
        "veth",
        [
            "ip -6 addr add 2001:db8:7::5/64 dev {dev} nodad mngtmpaddr",
            "echo 1 > /proc/sys/net/ipv6/conf/{dev}/use_tempaddr",
        ],
    ),
    "neighbour sysctl": _case("veth", ["echo 2 > /proc/sys/net/ipv4/neigh/{dev}/mcast_resolicit"]),
    "route that expires": _case("veth", [_ADDR6, "ip -6 route add 2001:db8:c::/48 dev {dev} expires 4000"]),
    "deprecated IPv6 address": _case(
        "veth", ["ip -6 addr add 2001:db8:3::5/64 dev {dev} nodad valid_lft 4000 preferred_lft 0"]
    ),
    "link-local address by a secret": _case("veth", ["ip link set {dev} addrgenmode random"]),
    "without ARP": _case("veth", ["ip link set {dev} arp off"]),
    "without ARP in the pod": _case("veth", (), ["ip link set {dev} arp off"]),
    "link mode": _case("veth", ["ip link set {dev} mode dormant"]),
    "neighbour that is not to be asked for": _case(
        "veth", [_ADDR4, "ip neigh add 192.0.2.10 lladdr 02:00:00:00:00:98 dev {dev} nud noarp"]
    ),
    "IPv6 peer": _case("bridge-port", ["ip -6 addr add 2001:db8:4::5 peer 2001:db8:4::6/128 dev {dev} nodad"]),
    "neighbour that a daemon of the host learned": _case(
        "veth",
        [
            _ADDR4,
            "ip neigh add 192.0.2.11 lladdr 02:00:00:00:00:97 dev {dev} nud reachable extern_learn protocol zebra",
        ],
    ),
    "nexthop object": _case(
        "veth", [_ADDR4, "ip nexthop add id 7 via 192.0.2.1 dev {dev}", "ip route add 198.51.113.0/24 nhid 7"]
    ),
    "classes and filters": _case(
        "veth",
        [
            "tc qdisc replace dev {dev} root handle 1: htb default 2",
            "tc class add dev {dev} parent 1: classid 1:2 htb rate 1mbit ceil 5mbit prio 3",
            "tc qdisc add dev {dev} parent 1:2 handle 20: pfifo limit 33",
            "tc filter add dev {dev} parent 1: pref 5 protocol ip u32 match ip dst 198.18.7.7 flowid 1:2",
        ],
    ),
    "filters of clsact": _case(
        "veth",
        [
            "tc qdisc add dev {dev} clsact",
            "tc filter add dev {dev} ingress pref 5 protocol ip u32 match ip dst 198.18.7.7 classid 1:1",
            "tc filter add dev {dev} egress pref 7 bpf da pinned {bpf}/cls",
        ],
    ),
    "filters of a shared block": _case(
        "veth",
        [
            "tc qdisc add dev {dev} ingress_block 22 clsact",
            "tc filter add block 22 protocol ip u32 match ip dst 198.18.7.7 classid 1:1",
        ],
    ),
    "qdisc that the pod replaced": _case(
        "veth", (), ["tc qdisc replace dev {dev} root handle 10: tbf rate 1mbit burst 32k latency 50ms"]
    ),
}
"""By what they are about. In each, everything must be as before: nothing may be left to the claim to tell."""

HARDWARE_ROWS: dict[str, Case] = {
    "bond port": _case("bond-port"),
    "bond port, queue": _case("bond-port", variant=1),
    "team port": _case("team-port"),
    "VRF port": _case("vrf-port"),
    "VRF port, default route": _case("vrf-port", [_ADDR4, "ip route add default via 192.0.2.1 vrf vrf0"]),
    "VLAN child": _case(
        "dummy",
        [
            "ip link add child1 link {dev} type vlan id 9",
            "ip link set child1 up",
            "ip addr add 10.78.0.1/24 dev child1",
            "ip route add 198.51.121.0/24 via 10.78.0.9 dev child1",
        ],
    ),
    "VLAN flags": _case("vlan", (), ["ip link set {dev} type vlan id 5 reorder_hdr off"]),
    "ipvlan mode": _case("ipvlan", (), ["ip link set {dev} type ipvlan mode l3"]),
    "geneve ttl": _case("geneve", (), ["ip link set {dev} type geneve id 42 remote 198.18.0.2 ttl 9"]),
    "gre ttl": _case("gre", (), ["ip link set {dev} type gre local 198.18.0.1 remote 198.18.0.2 ttl 5"]),
    "ipip remote": _case("ipip", (), ["ip link set {dev} type ipip local 198.18.0.1 remote 198.18.0.3"]),
    "macsec encryption": _case("macsec", (), ["ip link set {dev} type macsec encrypt off"]),
    "rings": _case("netdevsim", ["ethtool -G {dev} rx 256 tx 128"], ["ethtool -G {dev} rx 512 tx 512"]),
    "coalescing": _case("netdevsim", ["ethtool -C {dev} rx-usecs 33"], ["ethtool -C {dev} rx-usecs 44"]),
    "pause": _case("netdevsim", (), ["ethtool -A {dev} rx on tx on"]),
    "error correction": _case("netdevsim", (), ["ethtool --set-fec {dev} encoding rs"]),
    "threaded polling": _case("netdevsim", (), ["echo 1 > /sys/class/net/{dev}/threaded"]),
}
"""Those on kinds that not every kernel has."""
