"""Interfaces and addresses of the host and of pods, as immutable values.

Fields have rtnetlink's names. `nri_netdev.shells.kernel.messages` reads them from the kernel,
`nri_netdev.domain.verdict.judge` judges them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nri_netdev.domain.routing import SourceRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address of an interface (`RTM_NEWADDR`)."""

    family: int
    """`AF_INET` (2) or `AF_INET6` (10)."""
    address: str
    """The local address in text (`IFA_LOCAL`, or `IFA_ADDRESS` where there is no peer)."""
    prefixlen: int
    peer: str | None = None
    """The other end of a point-to-point address, where it differs from `address`."""
    broadcast: str | None = None
    label: str | None = None
    scope: int = 0
    """`RT_SCOPE_*`: 0 universe, 253 link, 254 host."""
    flags: int = 0
    """`IFA_F_*` from `IFA_FLAGS`."""
    metric: int | None = None
    """`IFA_RT_PRIORITY`: the metric of the connected route."""
    valid_lft_s: int | None = None
    """Seconds for which it stays valid; None for ever."""
    preferred_lft_s: int | None = None
    """Seconds for which it stays preferred; None for ever."""
    proto: int | None = None
    """`IFA_PROTO`: the origin, such as the kernel after a router's advertisement; None if unknown."""

    def __str__(self) -> str:
        return f"{self.address}/{self.prefixlen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One interface (`RTM_NEWLINK`), in one netns, at one moment."""

    ifindex: int
    ifname: str
    kind: str | None = None
    """`IFLA_INFO_KIND`: veth, bridge …; None for most hardware and for loopback."""
    is_loopback: bool = False
    is_up: bool = False
    """`IFF_UP`: set up by the administrator."""
    has_carrier: bool = False
    """`IFF_LOWER_UP`."""
    operstate: str = "UNKNOWN"
    mac: str | None = None
    permanent_mac: str | None = None
    """`IFLA_PERM_ADDRESS`; None if the driver has none or all zeros."""
    mtu: int = 0
    min_mtu: int = 0
    max_mtu: int = 0
    """0 where the driver tells no bound."""
    txqueuelen: int | None = None
    group: int = 0
    alias: str | None = None
    altnames: tuple[str, ...] = ()
    master: int | None = None
    """ifindex of the bridge, bond … that it is enslaved to."""
    link: int | None = None
    """`IFLA_LINK`: ifindex of the lower device (macvlan, vlan) or of the veth peer."""
    link_netnsid: int | None = None
    """`IFLA_LINK_NETNSID`: netns of `link`; None if it is this one."""
    parent_dev: str | None = None
    """`IFLA_PARENT_DEV_NAME`: for PCI the address, `0000:3b:00.0`."""
    parent_bus: str | None = None
    """`IFLA_PARENT_DEV_BUS_NAME`: pci, virtio, usb …"""
    driver: str | None = None
    netns_immutable: bool | None = None
    """`IFLA_NETNS_IMMUTABLE`: may never leave its netns; None on kernels older than 6.17, which do not report it."""

    @property
    def is_virtual(self) -> bool:
        """Whether the kernel deletes it with its netns (`rtnl_link_ops` without `netns_refund`)."""
        return self.kind is not None and self.kind not in {"ipoib", "can", "dsa"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PodNetnsView:
    """A pod's netns, as one visit sees it."""

    links: tuple[Link, ...] = ()
    has_ipv6: bool = True
    """Whether an interface that comes into it may have IPv6 addresses there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Everything that a verdict needs to know about the host's netns."""

    links: tuple[Link, ...]
    addresses: Mapping[int, tuple[Address, ...]] = field(default_factory=dict)
    """By ifindex."""
    default_routes: frozenset[int] = frozenset()
    """ifindexes that default routes of the host leave by, of any family and table, multipath ones included."""
    default_sources: frozenset[str] = frozenset()
    """Addresses that default routes name as their source (`RTA_PREFSRC`)."""
    source_routes: tuple[SourceRoute, ...] = ()
    """Default routes that only packets from certain addresses take; neither of the above has these."""
    pod_netnsids: frozenset[int] = frozenset()
    """The values of `Link.link_netnsid` that are known to be netns of pods."""

    @property
    def own_addresses(self) -> frozenset[str]:
        """Every address of the host."""
        return frozenset(one.address for addresses in self.addresses.values() for one in addresses)

    def by_name(self, ifname: str) -> Link | None:
        """The interface with this primary name."""
        return next((link for link in self.links if link.ifname == ifname), None)

    def by_index(self, ifindex: int) -> Link | None:
        """The interface with this ifindex."""
        return next((link for link in self.links if link.ifindex == ifindex), None)

    def by_altname(self, altname: str) -> Link | None:
        """The interface with this alternative name."""
        return next((link for link in self.links if altname in link.altnames), None)
