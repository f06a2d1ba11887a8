"""The fields by which an entry says how an interface is to be set up in the pod.

One table for annotations, their JSON schema and the docs; the ledger keeps what was read, as JSON, which
`nri_netdev.domain.setup.recall` reads again by the same table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nri_netdev.domain.setup import ip
from nri_netdev.domain.setup.check import unfit, unfit_address, unfit_rule
from nri_netdev.domain.setup.ethtool_names import CHANNELS, COALESCE, RINGS
from nri_netdev.domain.setup.ipam import IPAM
from nri_netdev.domain.setup.texts import (
    ADDRESS,
    DEFAULT,
    DESTINATION,
    FLAG_NAME,
    FWMARK,
    HOST,
    IFNAME,
    IPVLAN_MODE,
    LIMIT,
    LLADDR,
    MAC,
    MACVLAN_MODE,
    METRIC,
    MTU,
    NETWORK,
    SCOPE,
    SHARE_MODE,
    SYSCTL,
    SYSCTL_VALUE,
    TABLE,
    U32,
    VLAN_PROTOCOL,
    one_of,
    short_address,
    switch_or_number,
)
from nri_netdev.domain.setup.values import (
    MAX_ADDRESSES,
    MAX_OTHERS,
    MAX_ROUTES,
    PLAIN,
    AddressSetup,
    ChildSetup,
    Dad,
    EthtoolSetup,
    NeighborSetup,
    RouteSetup,
    RuleSetup,
    Setup,
    Share,
    ShareKind,
    VfSetup,
    VrfSetup,
)
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.shape import (
    Flaw,
    ListOf,
    MapOf,
    Member,
    OneOrList,
    Reader,
    Record,
    Text,
    TextOr,
    UnfitError,
    boolean,
    whole_number,
    words,
)

_ADDRESSES = ListOf(
    most=MAX_ADDRESSES,
    item=TextOr(
        text=Text(parse=short_address),
        record=Record(
            build=AddressSetup,
            unfit=unfit_address,
            members={
                "address": Member(shape=ADDRESS, text="with its prefix length", is_required=True),
                "peer": Member(shape=HOST, text="the other end of a point-to-point address"),
                "broadcast": Member(shape=HOST, text="broadcast address"),
                "scope": Member(shape=SCOPE, text="global, site, link or host", default="global"),
                "metric": Member(shape=METRIC, text="of the route to its network"),
                "noprefixroute": Member(shape=boolean(), text="no route to its network", default="false"),
                "dad": Member(
                    shape=words(*Dad),
                    text="IPv6 duplicate detection: `optimistic`, beside its use; `off`; `wait` before the start",
                    default="optimistic",
                ),
            },
        ),
    ),
)


def _route(to: str, via: str | None = None, **given: Any) -> RouteSetup:
    if to == DEFAULT:
        if via is None:
            raise UnfitError("is to default, whose family no gateway tells; write 0.0.0.0/0 or ::/0")
        to = "0.0.0.0/0" if ip.family_of(via) == 4 else "::/0"
    return RouteSetup(to=to, via=via, **given)


_ROUTES = ListOf(
    most=MAX_ROUTES,
    item=Record(
        build=_route,
        members={
            "to": Member(shape=DESTINATION, text="network, or default", is_required=True, slips=("dst", "destination")),
            "via": Member(shape=HOST, text="gateway", slips=("gw", "gateway")),
            "src": Member(shape=HOST, text="preferred source address", slips=("source",)),
            "metric": Member(shape=METRIC, text="metric", slips=("priority",)),
            "table": Member(shape=TABLE, text="routing table; that of the VRF, or main, without it"),
            "scope": Member(shape=SCOPE, text="global, site, link or host"),
            "mtu": Member(shape=MTU, text="path MTU"),
            "onlink": Member(shape=boolean(), text="the gateway is reachable here, whatever the addresses say"),
        },
    ),
)
_RULES = ListOf(
    most=MAX_OTHERS,
    item=Record(
        build=RuleSetup,
        unfit=unfit_rule,
        members={
            "table": Member(shape=TABLE, text="routing table", is_required=True),
            "from": Member(shape=NETWORK, text="source network", argument="source"),
            "to": Member(shape=NETWORK, text="destination network"),
            "iif": Member(shape=IFNAME, text="interface that packets come in by"),
            "oif": Member(shape=IFNAME, text="interface that packets of local sockets are bound to"),
            "fwmark": Member(shape=FWMARK, text="mark"),
            "priority": Member(shape=whole_number(1, 32765), text="priority"),
            "family": Member(shape=words("inet", "inet6"), text="where neither from nor to tells it"),
        },
    ),
)
_NEIGHBORS = ListOf(
    most=MAX_OTHERS,
    item=Record(
        build=NeighborSetup,
        members={
            "dst": Member(shape=HOST, text="address", is_required=True, slips=("to", "address", "ip")),
            "lladdr": Member(shape=LLADDR, text="link-layer address", is_required=True, slips=("mac",)),
        },
    ),
)
_SYSCTLS = MapOf(key=SYSCTL, value=SYSCTL_VALUE, most=MAX_OTHERS)
_COUNT = whole_number(0, 1_000_000)
_SWITCHES = MapOf(key=FLAG_NAME, value=boolean(), most=MAX_OTHERS)
_ETHTOOL = Record(
    build=EthtoolSetup,
    members={
        "features": Member(shape=_SWITCHES, text="`ethtool -K`, by the names of `ethtool -k`"),
        "rings": Member(shape=MapOf(key=one_of(RINGS, "the rings"), value=_COUNT), text="`ethtool -G`"),
        "channels": Member(shape=MapOf(key=one_of(CHANNELS, "the channels"), value=_COUNT), text="`ethtool -L`"),
        "coalesce": Member(
            shape=MapOf(key=one_of(COALESCE, "the settings"), value=switch_or_number(U32.parse)), text="`ethtool -C`"
        ),
        "private_flags": Member(shape=_SWITCHES, text="`ethtool --set-priv-flags`"),
    },
)
_VF = Record(
    build=VfSetup,
    members={
        "vlan": Member(shape=whole_number(0, 4095), text="VLAN that the physical function tags with; 0 for none"),
        "qos": Member(shape=whole_number(0, 7), text="priority of that tag"),
        "protocol": Member(shape=VLAN_PROTOCOL, text="of that tag"),
        "mac": Member(shape=MAC, text="MAC address"),
        "spoofchk": Member(shape=boolean(), text="whether packets with another source are dropped"),
        "trust": Member(shape=boolean(), text="whether it may be promiscuous and change its MAC address"),
        "link_state": Member(shape=words("auto", "enable", "disable"), text="auto, enable or disable"),
        "min_tx_rate": Member(shape=whole_number(0, 1_000_000), text="Mbit/s"),
        "max_tx_rate": Member(shape=whole_number(0, 1_000_000), text="Mbit/s; 0 for no limit"),
    },
)

_COMMON: dict[str, Member] = {
    "addresses": Member(
        shape=_ADDRESSES,
        text="addresses, each a text or a mapping; they replace those of home",
        example='[192.0.2.10/24, "2001:db8::10/64"]',
        slips=("address", "ips"),
    ),
    "routes": Member(shape=_ROUTES, text="routes by it", example="[{to: 198.51.100.0/24, via: 192.0.2.1}]"),
    "neighbors": Member(
        shape=_NEIGHBORS,
        text="permanent neighbours",
        example="[{dst: 192.0.2.1, lladdr: 02:00:5e:10:00:02}]",
        slips=("neighbours",),
    ),
    "mtu": Member(shape=MTU, text="MTU, within the interface's own bounds", example="9000"),
    "txqueuelen": Member(shape=U32, text="length of the transmit queue", example="10000"),
    "promisc": Member(shape=boolean(), text="promiscuous mode", example="true"),
    "allmulti": Member(shape=boolean(), text="all multicast packets are heard", example="true"),
    "arp": Member(shape=boolean(), text="ARP and neighbour discovery; `false` turns them off", example="false"),
    "up": Member(shape=boolean(), text="`false` leaves it down", default="true", example="false"),
    "gso_max_size": Member(shape=LIMIT, text="greatest packet that segmentation is given, bytes", example="65536"),
    "gro_max_size": Member(shape=LIMIT, text="greatest packet that is put together, bytes", example="65536"),
    "sysctls": Member(
        shape=_SYSCTLS,
        text="`ipv4.NAME` for net.ipv4.conf.IF.NAME, `ipv6.neigh.NAME` for net.ipv6.neigh.IF.NAME",
        example="{ipv4.rp_filter: 2}",
    ),
}
"""What every device has."""


def _child(kind: str, /, **given: Any) -> ChildSetup:
    own = {name: given.pop(name) for name in ("id", "protocol", "mode") if name in given}
    name = given.pop("name")
    return ChildSetup(kind=kind, name=name, setup=setup_of(given), **own)


def _children(kind: str, own: Mapping[str, Member]) -> OneOrList[ChildSetup]:
    members = {"name": Member(shape=IFNAME, text="its name in the pod", is_required=True), **own, **_COMMON}
    record = Record(build=lambda **given: _child(kind, **given), members=members)
    return OneOrList(item=record, most=MAX_OTHERS)


_MAC = Member(shape=MAC, text="its MAC address", argument="set_mac")
_CHILDREN: dict[str, Member] = {
    "vlan": Member(
        shape=_children(
            "vlan",
            {
                "id": Member(shape=whole_number(1, 4094), text="VLAN", is_required=True),
                "protocol": Member(shape=VLAN_PROTOCOL, text="of its tag: 802.1Q or 802.1ad", default="802.1Q"),
                "mac": _MAC,
            },
        ),
        text="a VLAN on it, or a list of them: `id`, `name`, `protocol`, `mac` and the fields above but rules",
        example="{id: 5, name: net1.5, addresses: [192.0.2.10/24]}",
        slips=("vlans",),
    ),
    "macvlan": Member(
        shape=_children(
            "macvlan",
            {
                "mode": Member(shape=MACVLAN_MODE, text="bridge, private, vepa or passthru", default="bridge"),
                "mac": _MAC,
            },
        ),
        text="a macvlan on it in the pod, or a list: `name`, `mode`, `mac` and the same",
        example="{name: mv0, mode: bridge}",
    ),
    "ipvlan": Member(
        shape=_children("ipvlan", {"mode": Member(shape=IPVLAN_MODE, text="l2, l3 or l3s", default="l3")}),
        text="an ipvlan on it in the pod, or a list: `name`, `mode` and the same",
        example="{name: iv0, mode: l2}",
    ),
}


def _share(type: ShareKind, mode: str | None = None) -> Share:  # noqa: A002 - the key
    known = SHARE_MODE if type is ShareKind.MACVLAN else IPVLAN_MODE
    if mode is None:
        return Share(kind=type, mode="bridge" if type is ShareKind.MACVLAN else "l2")
    try:
        return Share(kind=type, mode=known.parse(mode))
    except ValueError as error:
        raise UnfitError(f"has mode {mode}, which {error}") from error


_KIND = words(*ShareKind)
_SHARE: TextOr[Share] = TextOr(
    text=Text(parse=lambda text: _share(_KIND.parse(text)), json=_KIND.json),
    record=Record(
        build=_share,
        members={
            "type": Member(shape=_KIND, text="macvlan or ipvlan", is_required=True),
            "mode": Member(
                shape=words("bridge", "private", "vepa", "l2", "l3", "l3s"),
                text="of macvlan: bridge, private or vepa; of ipvlan: l2, l3 or l3s; the first if absent",
            ),
        },
    ),
)

FIELDS: dict[str, Member] = {
    "addresses": _COMMON["addresses"],
    "keep_addresses": Member(
        shape=boolean(), text="`addresses` are added to those of home", default="false", example="true"
    ),
    "ipam": Member(
        shape=IPAM,
        text="a CNI IPAM plugin gives the addresses: a profile of the node, or what the plugin is told",
        example="{type: host-local, subnet: 192.0.2.0/24}",
    ),
    "routes": _COMMON["routes"],
    "rules": Member(
        shape=_RULES,
        text="routing rules of the pod",
        example="[{from: 192.0.2.10, table: 100}]",
    ),
    "neighbors": _COMMON["neighbors"],
    "mtu": _COMMON["mtu"],
    "set_mac": Member(
        shape=MAC,
        text="MAC address that it gets; `mac` is the one that it is found by",
        example="02:00:5e:10:00:01",
        slips=("hwaddr", "hardwareaddr", "hardware_addr", "macaddress", "mac_address", "lladdr"),
    ),
    **{name: _COMMON[name] for name in ("txqueuelen", "promisc", "allmulti", "arp", "up")},
    **{name: _COMMON[name] for name in ("gso_max_size", "gro_max_size")},
    "detach_bpf": Member(shape=boolean(), text="take the host's BPF programs off it", example="true"),
    "sysctls": _COMMON["sysctls"],
    "ethtool": Member(
        shape=_ETHTOOL,
        text="`features`, `rings`, `channels`, `coalesce` and `private_flags`, by ethtool's names",
        example="{features: {rx-gro: false}, rings: {rx: 4096}}",
    ),
    "vrf": Member(
        shape=Record(
            build=VrfSetup,
            members={
                "name": Member(shape=IFNAME, text="its name", is_required=True),
                "table": Member(shape=TABLE, text="its routing table", is_required=True),
            },
        ),
        text="a VRF in the pod that it is enslaved to, made if it is not there",
        example="{name: red, table: 100}",
    ),
    **_CHILDREN,
    "vf": Member(
        shape=_VF,
        text=(
            "what the physical function sets for this virtual function: `vlan`, `qos`, `protocol`, `mac`, `spoofchk`, "
            "`trust`, `link_state`, `min_tx_rate`, `max_tx_rate`"
        ),
        example="{vlan: 5, spoofchk: true}",
    ),
    "rdma": Member(shape=boolean(), text="its RDMA devices too", example="true"),
    "share": Member(
        shape=_SHARE,
        text="not the interface: a macvlan or ipvlan of one's own on it; the interface stays on the host",
        example="macvlan",
    ),
}
"""How a setup is written in an entry: the fields of `Setup`, but for `children`, which has three."""


_OF_ONE = frozenset({"addresses", "set_mac", "rules", "vlan", "macvlan", "ipvlan"})
"""Fields that no two interfaces of a pod can have alike."""


def of_one(setup: Setup) -> tuple[str, ...]:
    """Which of its fields, by their paths, no two interfaces of a pod can have alike."""
    more = ["vf.mac"] if setup.vf is not None and setup.vf.mac is not None else []
    more += ["ipam"] if setup.ipam is not None and setup.ipam.type == "static" else []
    return tuple(sorted([*(_OF_ONE & setup.asked), *more]))


def setup_of(given: Mapping[str, Any], document: str = "") -> Setup:
    """The setup of members that were read; `PLAIN` if there are none.

    Args:
        given: members of `FIELDS` by name.
        document: what they were read from.
    """
    if not given:
        return PLAIN
    values = dict(given)
    children: list[ChildSetup] = []
    for kind in _CHILDREN:
        children += values.pop(kind, ())
    vf = values.get("vf")
    mac = values.pop("set_mac", None) or (vf.mac if vf is not None else None)  # a driver takes up the PF's late
    return Setup(**values, mac=mac, children=tuple(children), asked=frozenset(given), document=document)


def document_of(node: yaml_nodes.YamlMapping) -> str:
    """What of an entry is its setup, as JSON."""
    known = ((key.text, value) for key, value in node.pairs if key.text in FIELDS)
    return json.dumps({key: _texts(value) for key, value in known})


def _texts(node: yaml_nodes.Node) -> object:
    """A node with every scalar as the text that was written."""
    match node:
        case yaml_nodes.YamlList(items=items):
            return [_texts(item) for item in items]
        case yaml_nodes.YamlMapping(pairs=pairs):
            return {key.text: _texts(value) for key, value in pairs}
        case yaml_nodes.YamlScalar():
            return node.text


SETUP: Record[Setup] = Record(members=FIELDS, build=lambda **given: setup_of(given), unfit=unfit)


def read_setup(document: str) -> Setup:
    """Read a setup from a document, as strictly as from an annotation.

    Raises:
        ValueError: It is no such document.
    """
    if not document:
        return PLAIN
    try:
        found, flaws = _read(document)
    except yaml_nodes.YamlError as error:
        raise ValueError(f"no setup: {error}") from error
    if found is None:
        raise ValueError("no setup: " + "; ".join(flaw.message for flaw in flaws))
    return replace(found, document=document)


def flaws_of(document: str) -> tuple[Flaw, ...]:
    """What is wrong in such a document; nothing if it is empty."""
    return _read(document)[1] if document else ()


def _read(document: str) -> tuple[Setup | None, tuple[Flaw, ...]]:
    reader = Reader()
    node = yaml_nodes.load(document)
    return (None if node is None else SETUP.read(node, (), reader)), tuple(reader.flaws)
