"""What is given away: a kind of link each, in lines of sh, over the network cards of a place.

`{nic}` is a card whose cable leads to another one, `{pf}` one with virtual functions, `{virtio}` a paravirtual one. A
stand-in machine has a veth for the first, and neither of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OF_HOST = """
ip link set {dev} down
ip link set {dev} alias 'of the lab' txqueuelen 321 mtu 1400
ip link property add dev {dev} altname lab-port
ip link set {dev} up
ip addr add 192.0.2.5/24 dev {dev}
ip -6 addr add 2001:db8:1::5/64 dev {dev} nodad
ip route add 198.51.100.0/24 via 192.0.2.1 dev {dev} metric 77
ip -6 route add 2001:db8:9::/48 via 2001:db8:1::1 dev {dev}
ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:99 dev {dev} nud permanent
"""
"""What the host has set on what is given away."""

OF_UDEV = """
mkdir -p /etc/systemd/network
cat >/etc/systemd/network/10-lab.link <<end
[Match]
PermanentMACAddress=52:54:00:00:01:01
[Link]
Name=lan9
AlternativeName=lab-alt
MTUBytes=1450
TransmitQueueLength=700
MACAddress=02:00:00:00:77:77
end
udevadm control --reload
"""
"""What udev is to make of the card when it next comes."""

_VFS = """
echo 2 > /sys/class/net/{pf}/device/sriov_numvfs
udevadm settle
ip link set {pf} up
"""
_SIMULATED = """
modprobe netdevsim
echo "7 1" > /sys/bus/netdevsim/new_device
udevadm settle
ip link set eni7np1 up
ip link set eni7np1 down
"""
"""Its driver gives a carrier to what was never up, and to nothing else."""
_PORT = """
ip link add {master} type {kind}
ip link set {master} up
ip addr add 10.99.0.1/24 dev {master}
ip link set {nic} down
ip link set {nic} master {master}
"""
_PORT_OF_TEAM = _PORT.replace("{master}", "team0").replace("{kind}", "team").replace("type team", "mtu 1400 type team")
"""No port of a team may change its MTU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of link."""

    name: str
    given: str
    """The interface that the pod names, in terms of the cards."""
    make: str = ""
    """Lines of sh that make it, of which each must succeed."""
    more: str = ""
    """What the host has set besides `OF_HOST`, once it is up."""
    refused: str = ""
    """A pattern of the refusal, if it cannot be given."""
    told: str = ""
    """A pattern of what may be told, as nothing can put it back: a driver takes it not, the kernel deletes a device."""
    place: str = ""
    """The only place that can have it; "" if each that has the cards can."""

    @property
    def cards(self) -> frozenset[str]:
        """The cards that it needs."""
        text = self.given + self.make + self.more
        return frozenset(card for card in ("nic", "pf", "virtio") if f"{{{card}}}" in text)

    def ifname(self, cards: Mapping[str, str]) -> str:
        """The interface that the pod names, in a place with these cards."""
        return self.given.format_map(cards)

    def script(self, cards: Mapping[str, str]) -> str:
        """All that the host does before."""
        names = {**cards, "dev": self.ifname(cards)}
        of_host = "" if self.refused else OF_HOST
        return "\n".join(part.format_map(names) for part in (self.make, of_host, self.more))


def _port(kind: str, master: str, more: str = "") -> Kind:
    make = _PORT.replace("{kind}", kind).replace("{master}", master)
    name = f"{kind.split(maxsplit=1)[0]}-port"
    return Kind(name=name, given="{nic}", make=make, more=more)


def _master(kind: str, master: str, why: str) -> Kind:
    make = _PORT.replace("{kind}", kind).replace("{master}", master)
    return Kind(name=kind.split(maxsplit=1)[0], given=master, make=make, refused=why)


def _rdma(mode: str, place: str) -> Kind:
    more = f"rdma link add rxe0 type rxe netdev {{virtio}}\nrdma system show | grep -w 'netns {mode}'"
    return Kind(name=f"rdma-{mode}", given="{virtio}", more=more, place=place)


_ALL = (
    Kind(name="nic", given="{nic}"),
    Kind(name="virtio-net", given="{virtio}"),
    Kind(name="igb", given="{pf}"),
    Kind(name="vf", given="{pf}v0", make=_VFS),
    Kind(
        name="pf-with-vfs",
        given="{pf}",
        make=_VFS,
        more="""
ip link set {pf} vf 0 mac 02:00:00:00:0a:01 vlan 7 qos 3 spoofchk off
ip link set {pf} vf 1 trust on
for i in $(seq 40); do ip link set {pf} vf 1 max_tx_rate 100 2>/dev/null && break; sleep 0.2; done
""",
    ),
    Kind(name="vlan", given="vlan5", make="ip link set {nic} up\nip link add vlan5 link {nic} type vlan id 5"),
    Kind(
        name="nic-with-vlans",
        given="{nic}",
        more="""
ip link add up7 link {nic} type vlan id 7
ip link set up7 up
ip addr add 10.77.0.1/24 dev up7
ip -6 addr add 2001:db8:77::1/64 dev up7 nodad
ip route add 198.51.120.0/24 via 10.77.0.9 dev up7
ip -6 route add 2001:db8:78::/48 via 2001:db8:77::9 dev up7
ip maddr add 01:00:5e:00:00:63 dev up7
ip link add up8 link {nic} type vlan id 8
""",
    ),
    _master("bond mode active-backup miimon 100", "bond0", "bond"),
    _master("bridge", "br0", "bridge"),
    _master("vrf table 500", "vrf0", "vrf"),
    _master("team", "team0", "team"),
    _port("bond mode active-backup miimon 100", "bond0"),
    _port(
        "bridge vlan_filtering 1",
        "br0",
        "bridge vlan add dev {dev} vid 9 pvid untagged\nip link set {dev} type bridge_slave cost 55 isolated on",
    ),
    _port("vrf table 500", "vrf0", "ip route add 198.51.130.0/24 via 192.0.2.7 dev {dev} table 500"),
    Kind(name="team-port", given="{nic}", make="ip link set {nic} down mtu 1400\n" + _PORT_OF_TEAM),
    Kind(name="ipvlan", given="ipv0", make="ip link set {nic} up\nip link add ipv0 link {nic} type ipvlan mode l2"),
    Kind(name="macvlan", given="mv0", make="ip link set {nic} up\nip link add mv0 link {nic} type macvlan mode bridge"),
    Kind(name="dummy", given="dum0", make="ip link add dum0 type dummy"),
    Kind(
        name="vxlan",
        given="vx0",
        make="ip link set {nic} up\nip link add vx0 type vxlan id 42 dstport 4789 dev {nic} remote 198.18.0.2",
    ),
    Kind(
        name="macsec-parent",
        given="{nic}",
        more="""
ip link add sec0 link {nic} type macsec port 11 encrypt on
ip macsec add sec0 tx sa 0 pn 1 on key 01 09876543210987654321098765432109
ip link set sec0 up
ip addr add 10.66.0.1/24 dev sec0
""",
        told="^macsec sec0 on it",
    ),
    Kind(name="netdevsim", given="eni7np1", make=_SIMULATED, told="^FEC mode", place="stable"),
    Kind(
        name="netdevsim-with-vfs",
        given="eni7np1",
        make=_SIMULATED + "echo 2 > /sys/bus/netdevsim/devices/netdevsim7/sriov_numvfs\nudevadm settle\n",
        more="""
ip link set {dev} vf 0 mac 02:00:00:00:0b:01 vlan 5 qos 2 spoofchk on trust on
ip link set {dev} vf 1 state disable
ip link set {dev} vf 1 min_tx_rate 10 max_tx_rate 100
""",
        told="^FEC mode",
        place="stable",
    ),
    _rdma("shared", "stable"),
    _rdma("exclusive", "newest"),
)

KINDS = {kind.name: kind for kind in _ALL}
"""Every kind by name."""
