"""How each kind of link is made, as `dev0`, in a netns that is thrown away."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of link, in the ways that it can be made."""

    name: str
    variants: tuple[tuple[str, ...], ...]
    """Lines of sh, of which each must succeed; the first makes the plainest."""
    remove: tuple[str, ...] = ()
    """Lines of sh, for what does not go with the links of the netns."""


_UNDER = ("ip link add under0 type veth peer name under1", "ip link set under0 up", "ip link set under1 up")
_VETH = ("ip link add dev0 type veth peer name peer0", "ip link set peer0 up")
_BRIDGE = "ip link add br0 type bridge mcast_snooping 1"


def _over(*lines: str) -> tuple[tuple[str, ...], ...]:
    return tuple((*_UNDER, line) for line in lines)


def _alone(*lines: str) -> tuple[tuple[str, ...], ...]:
    return tuple((line,) for line in lines)


def _port(master: str, *more: str) -> tuple[str, ...]:
    name = master.split()[3]
    return (*_VETH, master, f"ip link set {name} up", "ip link set dev0 down", f"ip link set dev0 master {name}", *more)


_TUNNEL = "local 198.18.0.1 remote 198.18.0.2"

_ALL = (
    Kind(
        name="veth",
        variants=(
            _VETH,
            ("ip link add dev0 numtxqueues 2 numrxqueues 2 type veth peer name peer0", "ip link set peer0 up"),
            (*_VETH, "ip netns add far0", "ip link set peer0 netns far0", "ip -n far0 link set peer0 up"),
        ),
        remove=("ip netns del far0",),
    ),
    Kind(
        name="macvlan",
        variants=_over(
            "ip link add dev0 link under0 type macvlan mode bridge",
            "ip link add dev0 link under0 type macvlan mode private",
            "ip link add dev0 link under0 type macvlan mode vepa",
            "ip link add dev0 link under0 type macvlan mode passthru",
            "ip link add dev0 link under0 type macvlan mode source macaddr add 02:00:00:00:00:51",
            "ip link add dev0 link under0 type macvlan mode bridge bcqueuelen 77",
        ),
    ),
    Kind(name="macvtap", variants=_over("ip link add dev0 link under0 type macvtap mode bridge")),
    Kind(
        name="vxlan",
        variants=_over(
            f"ip link add dev0 type vxlan id 42 dstport 4789 {_TUNNEL}",
            f"ip link add dev0 type vxlan id 42 dstport 4789 {_TUNNEL} dev under0 ttl 7 nolearning",
            "ip link add dev0 type vxlan id 42 dstport 8472 group 239.1.1.1 dev under0 ageing 600",
            "ip link add dev0 type vxlan dstport 4789 external",
        ),
    ),
    Kind(name="ifb", variants=_alone("ip link add dev0 type ifb")),
    Kind(
        name="bridge-port",
        variants=(
            _port(_BRIDGE),
            _port(
                f"{_BRIDGE} vlan_filtering 1 vlan_default_pvid 1",
                "bridge vlan add dev dev0 vid 7 tagged",
                "bridge vlan add dev dev0 vid 8 pvid untagged",
                "bridge vlan add dev dev0 vid 20-30",
            ),
            _port(
                _BRIDGE,
                "ip link set dev0 type bridge_slave hairpin on learning off cost 55 priority 9 isolated on",
                "bridge fdb add 02:00:00:00:00:b1 dev dev0 master static",
                "bridge mdb add dev br0 port dev0 grp 239.7.7.7 permanent",
            ),
        ),
    ),
    Kind(name="dummy", variants=_alone("ip link add dev0 type dummy")),
    Kind(
        name="vlan",
        variants=_over(
            "ip link add dev0 link under0 type vlan id 5",
            "ip link add dev0 link under0 type vlan id 5 loose_binding on ingress-qos-map 1:2 egress-qos-map 3:4",
        ),
    ),
    Kind(
        name="ipvlan",
        variants=_over(
            "ip link add dev0 link under0 type ipvlan mode l2",
            "ip link add dev0 link under0 type ipvlan mode l3s private",
        ),
    ),
    Kind(
        name="bond-port",
        variants=(
            _port("ip link add bond0 type bond mode active-backup miimon 100"),
            _port("ip link add bond0 type bond mode balance-rr", "ip link set dev0 type bond_slave queue_id 3"),
        ),
    ),
    Kind(name="team-port", variants=(_port("ip link add team0 type team"),)),
    Kind(name="vrf-port", variants=(_port("ip link add vrf0 type vrf table 500"),)),
    Kind(
        name="geneve",
        variants=_alone(
            "ip link add dev0 type geneve id 42 remote 198.18.0.2", "ip link add dev0 type geneve external"
        ),
    ),
    Kind(
        name="gre",
        variants=_alone(
            f"ip link add dev0 type gre {_TUNNEL} ttl 9",
            f"ip link add dev0 type gretap {_TUNNEL} key 7",
        ),
    ),
    Kind(name="ipip", variants=_alone(f"ip link add dev0 type ipip {_TUNNEL}")),
    Kind(name="sit", variants=_alone(f"ip link add dev0 type sit {_TUNNEL}")),
    Kind(
        name="macsec",
        variants=_over("ip link add dev0 link under0 type macsec port 11 encrypt on"),
    ),
    Kind(name="netkit", variants=(("ip link add dev0 type netkit peer name peer0", "ip link set peer0 up"),)),
    Kind(
        name="netdevsim",
        variants=_alone(
            "modprobe -q netdevsim; echo 7 1 4 > /sys/bus/netdevsim/new_device"
            " && ip link set dev $(ls /sys/bus/netdevsim/devices/netdevsim7/net) name dev0"
        ),
        remove=("echo 7 > /sys/bus/netdevsim/del_device",),
    ),
)

KINDS = {kind.name: kind for kind in _ALL}
"""Every kind by name; what the running kernel lacks is found out by trying."""
