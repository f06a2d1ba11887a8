"""How the addresses of a CNI IPAM plugin are asked for: by a profile of the node, or with what each plugin may be told.

A pod may not tell a plugin everything: `dataDir` of host-local, for one, is a directory that it writes to as root. So
each plugin has its table here, and any other is configured by the node's operator, as a profile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nri_netdev.domain.setup import ip
from nri_netdev.domain.setup.texts import ADDRESS, HOST, NETWORK
from nri_netdev.domain.setup.values import MAX_ADDRESSES, MAX_ROUTES, Ipam
from nri_netdev.domain.text.names import quote
from nri_netdev.domain.text.shape import FlawKind, ListOf, Member, Reader, Record, Shape, boolean, like
from nri_netdev.domain.text.yaml_nodes import Node, YamlMapping, YamlScalar, plain

PROFILE = like(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", "the name of an IPAM profile")
_TYPE = like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "the name of an IPAM plugin")
_WORD = like(r"[A-Za-z0-9._-]{1,64}", "a name")
MAX_RANGES = 16
"""Of one list: host-local looks through them one by one."""
_RANGE: dict[str, Member] = {
    "subnet": Member(shape=NETWORK, text="network"),
    "rangeStart": Member(shape=HOST, text="first address"),
    "rangeEnd": Member(shape=HOST, text="last address"),
    "gateway": Member(shape=HOST, text="gateway"),
}
_ROUTES = Member(
    shape=ListOf(
        most=MAX_ROUTES,
        item=Record(
            build=dict,
            members={
                "dst": Member(shape=NETWORK, text="network", is_required=True),
                "gw": Member(shape=HOST, text="gateway"),
            },
        ),
    ),
    text="routes to go with the addresses",
)
_RANGES: Record[dict[str, Any]] = Record(
    build=dict, members={**_RANGE, "subnet": Member(shape=NETWORK, text="network", is_required=True)}
)


def _told(*, one_of: tuple[str, ...] = (), **members: Member) -> Record[dict[str, Any]]:
    """What a plugin may be told, with its type."""
    kind = Member(shape=_TYPE, text="the plugin", is_required=True)
    return Record(build=dict, one_of=one_of, members={"type": kind, **members})


PLUGINS: Mapping[str, Record[dict[str, Any]]] = {
    "host-local": _told(
        **_RANGE,
        ranges=Member(
            shape=ListOf(item=ListOf(item=_RANGES, least=1, most=MAX_RANGES), least=1, most=MAX_RANGES),
            text="sets of ranges, an address of each: lists of mappings with the four before",
        ),
        routes=_ROUTES,
        one_of=("subnet", "ranges"),
    ),
    "static": _told(
        addresses=Member(
            shape=ListOf(
                item=Record(
                    build=dict,
                    members={
                        "address": Member(shape=ADDRESS, text="with its prefix length", is_required=True),
                        "gateway": Member(shape=HOST, text="gateway"),
                    },
                ),
                least=1,
                most=MAX_ADDRESSES,
            ),
            text="the addresses: a list of mappings with `address` and `gateway`",
            is_required=True,
        ),
        routes=_ROUTES,
    ),
    "dhcp": _told(),
    "whereabouts": _told(
        range=Member(shape=NETWORK, text="network", is_required=True),
        range_start=Member(shape=HOST, text="first address"),
        range_end=Member(shape=HOST, text="last address"),
        exclude=Member(shape=ListOf(item=NETWORK, most=MAX_RANGES), text="networks to leave out"),
        gateway=Member(shape=HOST, text="gateway"),
        network_name=Member(shape=_WORD, text="a range of its own under this name"),
        enable_overlapping_ranges=Member(shape=boolean(), text="whether ranges may overlap"),
    ),
}
"""What a pod may tell each plugin, in the plugin's own words."""


@dataclass(frozen=True, slots=True)
class IpamShape:
    """The name of a profile, or a mapping with the type of a plugin and what it may be told."""

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> Ipam | None:
        """The value; None if it has flaws."""
        if isinstance(node, YamlScalar) and not node.is_null:
            name = PROFILE.read(node, path, reader)
            return None if name is None else Ipam(profile=name)
        if not isinstance(node, YamlMapping):
            reader.wrong_type("a mapping, or the name of a profile", node, path)
            return None
        kind = node.get("type")
        if kind is None:
            reader.flaw(FlawKind.LACKING, node, path, "lacks type: the IPAM plugin, as host-local")
            return None
        told = PLUGINS.get(kind.text) if isinstance(kind, YamlScalar) else None
        if told is None:
            known = f"a pod can configure {', '.join(PLUGINS)}; the node's operator any other, as a profile in ipam"
            name = quote(kind.text) if isinstance(kind, YamlScalar) else "this"
            reader.flaw(FlawKind.TEXT, kind, (*path, "type"), f"{name} is not known here; {known}")
            return None
        found = told.read(node, path, reader)
        return None if found is None else Ipam(type=found["type"], document=json.dumps(found, sort_keys=True))

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        plugins = [(kind, told.schema()) for kind, told in PLUGINS.items()]
        for kind, described in plugins:
            described["properties"] = {**described["properties"], "type": {"enum": [kind]}}
        return {"anyOf": [PROFILE.schema(), *(described for _, described in plugins)]}


@dataclass(frozen=True, slots=True)
class ProfileShape:
    """What a plugin is told by the node's operator: whatever it takes, and its type."""

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> Ipam | None:
        """The value; None if it has flaws."""
        if not isinstance(node, YamlMapping):
            reader.wrong_type("a mapping", node, path)
            return None
        kind = node.get("type")
        name = None if kind is None else _TYPE.read(kind, (*path, "type"), reader)
        if kind is None:
            reader.flaw(FlawKind.LACKING, node, path, "lacks type: the IPAM plugin, as host-local")
        return None if name is None else Ipam(type=name, document=json.dumps(plain(node), sort_keys=True))

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        return {"type": "object", "required": ["type"], "properties": {"type": _TYPE.schema()}}


IPAM: Shape[Ipam] = IpamShape()


def tells_routes(ipam: Ipam) -> bool:
    """Whether the pod itself tells the plugin of routes."""
    return bool(_told_by_pod(ipam).get("routes"))


def routes_default(ipam: Ipam) -> bool:
    """Whether the pod itself tells the plugin of a default route, or of networks of which a few are one."""
    told = _told_by_pod(ipam)
    networks = [network for network, _, _ in _ranges(ipam.type, told)]
    return any(map(ip.is_wide, (*networks, *(route["dst"] for route in told.get("routes", ())))))


def ranges_of(ipam: Ipam) -> Iterator[tuple[str, str]]:
    """The ranges that addresses come from, each the first and the last, as far as the pod itself tells them."""
    for network, first, last in _ranges(ipam.type, _told_by_pod(ipam)):
        yield ip.bounds(network, first, last)


def _told_by_pod(ipam: Ipam) -> dict[str, Any]:
    """Nothing of a profile, which the operator has written."""
    told: dict[str, Any] = json.loads(ipam.document) if ipam.document and ipam.profile is None else {}
    return told


def _ranges(kind: str, told: dict[str, Any]) -> Iterator[tuple[str, str | None, str | None]]:
    """Each network that addresses come from, with the first and the last of them where those are told.

    whereabouts takes the whole network if they are not in it.
    """
    if not told:
        return
    match kind:
        case "static":
            for one in told["addresses"]:
                host = one["address"].partition("/")[0]
                yield one["address"], host, host
        case "host-local":
            sets = [[told]] if "subnet" in told else []
            for one in (each for ranges in (*sets, *told.get("ranges", ())) for each in ranges):
                yield one["subnet"], one.get("rangeStart"), one.get("rangeEnd")
        case "whereabouts":
            yield told["range"], told.get("range_start"), told.get("range_end")
