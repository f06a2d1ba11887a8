"""What a pod asks to be set on its interface. Values only, named as netlink and iproute2 name them.

Read by `nri_netdev.domain.setup.fields`; applied by `nri_netdev.shells.kernel.setup` in the pod's netns, before the
container's process runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MAX_ADDRESSES, MAX_ROUTES, MAX_OTHERS = 32, 128, 64
"""Of one interface: a container's start waits for them."""


SCOPES: Mapping[str, int] = {"global": 0, "site": 200, "link": 253, "host": 254}
"""`RT_SCOPE_*` by iproute2's words."""
TABLES: Mapping[str, int] = {"main": 254, "default": 253}
"""`RT_TABLE_*` by iproute2's words: those that the kernel's own rules lead to."""
MAIN_TABLE = TABLES["main"]


class Dad(StrEnum):
    """What becomes of duplicate address detection for an IPv6 address."""

    OPTIMISTIC = "optimistic"
    """It runs while the address is in use (RFC 4429)."""
    OFF = "off"
    """None: `nodad`."""
    WAIT = "wait"
    """The process does not start before it has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressSetup:
    """One address (`ip address add`)."""

    address: str
    """With its prefix length: `192.0.2.10/24`; canonical."""
    peer: str | None = None
    """The other end of a point-to-point address."""
    broadcast: str | None = None
    scope: str = "global"
    """global, site, link or host."""
    metric: int | None = None
    """Of the route to its network."""
    noprefixroute: bool = False
    """Whether the kernel makes no route to its network."""
    dad: Dad = Dad.OPTIMISTIC

    @property
    def ip(self) -> str:
        """Without the prefix length."""
        return self.address.partition("/")[0]

    @property
    def reach(self) -> str:
        """An address of the network that the kernel makes a route to, with the prefix length: the other end's."""
        return self.address if self.peer is None else f"{self.peer}/{self.address.partition('/')[2]}"

    @property
    def is_ipv6(self) -> bool:
        """Whether it is of IPv6."""
        return ":" in self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSetup:
    """One route by the interface (`ip route add`)."""

    to: str
    """A network, `198.51.100.0/24`; 0.0.0.0/0 or ::/0 for the default route; canonical."""
    via: str | None = None
    """The gateway."""
    src: str | None = None
    """The preferred source address."""
    metric: int | None = None
    table: int | None = None
    """None for the main table, or that of the VRF."""
    scope: str | None = None
    """global, site, link or host; None for what the kernel makes of it."""
    mtu: int | None = None
    onlink: bool = False
    """Whether the gateway counts as reachable by the interface, whatever the addresses say."""

    @property
    def is_ipv6(self) -> bool:
        """Whether it is of IPv6."""
        return ":" in self.to

    @property
    def is_default(self) -> bool:
        """Whether it is a default route."""
        return self.to.endswith("/0")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSetup:
    """One rule of the pod's netns that has packets looked up in a table (`ip rule add`)."""

    table: int
    source: str | None = None
    """`from`: a network."""
    to: str | None = None
    iif: str | None = None
    oif: str | None = None
    fwmark: int | None = None
    priority: int | None = None
    """None for one that the kernel chooses, before those that are there."""
    family: str | None = None
    """inet or inet6; None where `source` or `to` tell it."""

    @property
    def is_ipv6(self) -> bool:
        """Whether it is of IPv6."""
        return self.family == "inet6" or ":" in (self.source or self.to or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborSetup:
    """One permanent neighbour (`ip neighbor add`)."""

    dst: str
    lladdr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VrfSetup:
    """A VRF in the pod's netns that the interface is enslaved to; made if it is not there."""

    name: str
    table: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EthtoolSetup:
    """What ethtool sets, by ethtool's names."""

    features: Mapping[str, bool] = field(default_factory=dict)
    """As `ethtool -k` has them: `rx-gro`, `tx-checksum-ipv4`."""
    rings: Mapping[str, int] = field(default_factory=dict)
    """rx, rx-mini, rx-jumbo, tx."""
    channels: Mapping[str, int] = field(default_factory=dict)
    """rx, tx, other, combined."""
    coalesce: Mapping[str, int] = field(default_factory=dict)
    """`rx-usecs`, `adaptive-rx` (0 or 1) and the rest."""
    private_flags: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VfSetup:
    """What the physical function sets for a virtual function (`ip link set PF vf N …`)."""

    vlan: int | None = None
    qos: int | None = None
    protocol: str | None = None
    """802.1Q or 802.1ad."""
    mac: str | None = None
    spoofchk: bool | None = None
    trust: bool | None = None
    link_state: str | None = None
    """auto, enable or disable."""
    min_tx_rate: int | None = None
    """Mbit/s."""
    max_tx_rate: int | None = None
    """Mbit/s."""


class ShareKind(StrEnum):
    """What kind of device shares an interface."""

    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A device of the container's own on the host's interface, in place of the interface itself."""

    kind: ShareKind
    mode: str
    """bridge, private or vepa of macvlan; l2, l3 or l3s of ipvlan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewShare:
    """A device that is to be made on an interface at home, in a pod's netns."""

    ifname: str
    mark: str
    """The alternative name that it gets: the claim's."""
    kind: ShareKind
    mode: str
    mac: str | None = None
    """None for one that the kernel makes up."""
    mtu: int | None = None
    """None for that of the interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipam:
    """A CNI IPAM plugin that gives the addresses."""

    type: str = ""
    """The plugin: host-local, static, dhcp, whereabouts …; "" while `profile` is not looked up."""
    document: str = ""
    """The `ipam` object of CNI's network configuration, as JSON."""
    profile: str | None = None
    """Its name in the node's configuration; None where the pod says itself what it wants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSetup:
    """A device on the interface, in the pod."""

    kind: str
    """vlan, macvlan or ipvlan."""
    name: str
    id: int | None = None
    """Of a VLAN."""
    protocol: str | None = None
    """Of a VLAN: 802.1Q or 802.1ad."""
    mode: str | None = None
    """Of a macvlan or an ipvlan."""
    setup: Setup
    """What is set on it: of the fields of an interface those that it has too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Everything that is to be set on an interface in the pod; empty if nothing is."""

    addresses: tuple[AddressSetup, ...] | None = None
    """They replace what the interface has at home; None keeps that."""
    keep_addresses: bool = False
    """Whether the interface has its addresses of home besides."""
    routes: tuple[RouteSetup, ...] = ()
    rules: tuple[RuleSetup, ...] = ()
    neighbors: tuple[NeighborSetup, ...] = ()
    mtu: int | None = None
    mac: str | None = None
    txqueuelen: int | None = None
    promisc: bool | None = None
    allmulti: bool | None = None
    arp: bool | None = None
    up: bool = True
    gso_max_size: int | None = None
    gro_max_size: int | None = None
    detach_bpf: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """By keys like `ipv4/conf/rp_filter`, as snapshots have them."""
    ethtool: EthtoolSetup | None = None
    vrf: VrfSetup | None = None
    vf: VfSetup | None = None
    children: tuple[ChildSetup, ...] = ()
    rdma: bool = False
    share: Share | None = None
    ipam: Ipam | None = None
    asked: frozenset[str] = frozenset()
    """The fields that were given, by their names in an entry: what a rule must allow."""
    document: str = ""
    """What it was read from, as JSON: the ledger keeps this."""

    @property
    def replaces_addresses(self) -> bool:
        """Whether the addresses of home are not to be in the pod."""
        has_own = self.addresses is not None or self.ipam is not None or self.share is not None
        return has_own and not self.keep_addresses

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked for."""
        return not self.asked

    @property
    def detects_duplicates(self) -> bool:
        """Whether it may turn out only later that an address is another host's."""
        return any(
            address.is_ipv6 and address.dad is Dad.OPTIMISTIC
            for each in self.every()
            for address in each.addresses or ()
        )

    def every(self) -> Iterator[Setup]:
        """This one and those of the devices on it."""
        yield self
        for child in self.children:
            yield from child.setup.every()


PLAIN = Setup()
"""Nothing asked for."""
