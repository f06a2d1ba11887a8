"""What a container with every capability can do to the interface that it was given, row by row."""

from __future__ import annotations

from tests.sabotage.host import HOST
from tests.sabotage.settings import row, table

_ON_THE_HOST_ONLY = {"route4 shared", "route4 of another", "route4 of another in a table", "route6 shared"}
_ON_THE_HOST_ONLY |= {"route6 of another", "rule iif", "rule oif", "rule from"}

_ONLY_THERE = (
    row("flush addresses", "ip addr flush dev {dev}", "ip -6 addr flush dev {dev}"),
    row("down and up", "ip link set {dev} down", "ip link set {dev} up"),
    row("no alias", "ip link set {dev} alias ''"),
    row(
        "no alternative names",
        "for n in $(ip link show {dev} | grep -o 'altname .*' | cut -c9-);"
        " do ip link property del dev {dev} altname $n; done",
    ),
    row("no promisc", "ip link set {dev} promisc off", "ip link set {dev} allmulticast off"),
    row("no qdisc", "tc qdisc del dev {dev} root", "tc qdisc del dev {dev} clsact"),
    row("no xdp", "ip link set {dev} xdp off", "ip link set {dev} xdpgeneric off"),
    row("own bridge", "ip link add pbr0 type bridge", "ip link set {dev} master pbr0"),
    row(
        "own macvlan",
        "ip link add pmv0 link {dev} type macvlan",
        "ip link set pmv0 up",
        kinds="veth vxlan ifb bridge-port dummy vlan geneve",
    ),
    row("multicast storm", *(f"ip maddr add 01:00:5e:00:01:{n:02x} dev {{dev}}" for n in range(3))),
    row("takes the host's name", "ip link add dev0 type ifb"),
    row("vxlan entries", "bridge fdb del 00:00:00:00:00:00 dev {dev} dst 198.18.0.2 self", kinds="vxlan"),
    row("rename", "ip link set {dev} down", "ip link set {dev} name stolen0"),
    row("rename up", "ip link set {dev} name stolen1"),
    row("own netns", "unshare -n sleep 20 >/dev/null 2>&1 & sleep 0.1; ip link set {dev} netns $!"),
)

TENANT = table(*(setting for name, setting in HOST.items() if name not in _ON_THE_HOST_ONLY), *_ONLY_THERE)
"""All that an administrator of the node can do, and what only spoils."""
