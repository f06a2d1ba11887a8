"""Children: the host's interfaces that stand on another one, such as a VLAN, and what becomes of them without it.

What is said of each kind is what the kernel's notifiers do when the lower device changes its netns
(`NETDEV_GOING_DOWN`, `NETDEV_UNREGISTER`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nri_netdev.domain.links import Link

PAIRS = frozenset({"netkit", "veth", "vxcan"})
"""Kinds whose `IFLA_LINK` is the other end of a pair, and no lower device."""

DELETED = frozenset({"lowpan", "macsec", "rmnet", "vxlan"})
"""Kinds that the kernel deletes when their lower device leaves."""

SHARING = frozenset({"ipvlan", "ipvtap", "macvlan", "macvtap", "vlan"})
"""Kinds that send and receive through their lower device: they enter their addresses into its filter, and answer with
its settings of hardware."""

_CHILDREN_SHOWN = 3
"""Names of children in one sentence."""

_THROUGH = "would send and receive through it inside the pod"
_FATES: Mapping[str, str] = {
    **dict.fromkeys(SHARING, _THROUGH),
    "vlan": "would lose routes and IPv6 addresses, and send and receive through it inside the pod",
    **dict.fromkeys(DELETED, "would be deleted by the kernel, for good"),
}


def children(links: Iterable[Link]) -> Mapping[int, Sequence[Link]]:
    """The children among the links of one netns, by the ifindex of what they stand on."""
    found: dict[int, list[Link]] = {}
    for link in links:
        if link.link and link.link_netnsid is None and link.kind not in PAIRS:
            found.setdefault(link.link, []).append(link)
    return found


def fate(child: Link) -> str:
    """What becomes of a child while its lower device is in a pod: "would lose …"."""
    return _FATES.get(child.kind or "", "would have nothing to send through")


def carried(own: Sequence[Link]) -> str:
    """What an interface does for its children: "carries ens2f0.100 and vx0 of the host (the kernel would …)"."""
    doomed = [child.ifname for child in own if child.kind in DELETED]
    text = f"carries {listing([child.ifname for child in own])} of the host"
    return f"{text} (the kernel would delete {listing(doomed)})" if doomed else text


def listing(texts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; the first three of more, and the number of the others."""
    shown = [*texts[:_CHILDREN_SHOWN]]
    if len(texts) > _CHILDREN_SHOWN:
        shown.append(f"{len(texts) - _CHILDREN_SHOWN} more")
    return " and ".join(filter(None, (", ".join(shown[:-1]), *shown[-1:])))
