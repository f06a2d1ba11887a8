"""What an IPAM plugin of CNI has given, or is about to give, to a claim; and how its results are read.

Source: https://www.cni.dev/docs/spec/ (1.1.0), "Delegated plugins (IPAM)".
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

from nri_netdev.domain.setup.ip import is_wide
from nri_netdev.domain.setup.values import SCOPES, AddressSetup, Dad, RouteSetup, Setup
from nri_netdev.errors import PluginError

_VERSIONS = frozenset({"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"})
"""The versions of CNI whose results have `ips` and `routes`."""
_WORDS = {number: word for word, number in SCOPES.items()}
"""Of scopes."""
_DEFAULT_METRIC = 4096
"""Of a default route that a plugin gives without one: the pod has one of its cluster's network already, which stays the
better one. A pod that wants another asks for it by `routes`."""

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseResult:
    """What a plugin has given."""

    addresses: tuple[AddressSetup, ...]
    """At least one."""
    gateways: tuple[str | None, ...]
    """That of each address, in the same order."""
    routes: tuple[RouteSetup, ...] = ()
    """Where the plugin gives no gateway, with that of the first address of the same family that has one."""
    dns: str = ""
    """Its `dns` as JSON; "" if there is none. Nothing is done with it."""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` and JSON made of one.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        return cls(
            addresses=tuple(AddressSetup(**{**one, "dad": Dad(one["dad"])}) for one in document["addresses"]),
            gateways=tuple(document["gateways"]),
            routes=tuple(RouteSetup(**one) for one in document["routes"]),
            dns=document["dns"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One ADD of an IPAM plugin: all that its DEL needs."""

    mark: str
    """Of the claim that it is for."""
    plugin: str
    """The plugin: host-local, static, dhcp …"""
    document: str
    """The `ipam` object of CNI's network configuration, as JSON."""
    network: str
    """CNI's name of the network. host-local gives no address twice within one."""
    ifname: str
    """The interface's name in the pod."""
    netns_path: str
    """The pod's netns; at DEL it may be gone."""
    pod_id: str
    pod_uid: str
    namespace: str
    pod: str
    result: LeaseResult | None = None
    """None before ADD has succeeded."""
    refusal: str = ""
    """What the plugin answered in its own words when it refused the ADD."""
    key: str = ""
    """What its plugin's processes are known by: random, and told to nobody else. "" for a lease of an earlier
    release."""

    @property
    def container_id(self) -> str:
        """What the plugin knows it by: of this claim alone, so that no DEL frees what is another's."""
        return self.mark

    def to_json(self) -> str:
        """As the ledger keeps it."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` made.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        document = json.loads(text)
        result = document["result"]
        return cls(**{**document, "result": None if result is None else LeaseResult.from_json(result)})


def with_result(setup: Setup, result: LeaseResult, *, may_route_default: bool) -> Setup:
    """What is to be set, with the addresses and routes that a plugin has given.

    Args:
        setup: what was asked for.
        result: what was given.
        may_route_default: whether a default route may be among the routes; else it is left out, and addresses of
            networks that are as much get no route to them.
    """
    routes = tuple(
        replace(route, metric=_DEFAULT_METRIC) if route.is_default and route.metric is None else route
        for route in result.routes
        if may_route_default or not is_wide(route.to)
    )
    addresses = tuple(
        replace(address, noprefixroute=True) if not may_route_default and is_wide(address.address) else address
        for address in result.addresses
    )
    return replace(setup, addresses=(*(setup.addresses or ()), *addresses), routes=(*setup.routes, *routes))


def read_result(text: str, *, plugin: str) -> LeaseResult:
    """Read what a plugin has answered to ADD: a result of CNI 0.3.0 to 1.1.0.

    As in the reference plugins, a route without a gateway gets that of the first address of its family; unless its
    scope is link, and it shall have none. Host bits of a destination are cleared. Unknown fields are skipped, as CNI
    allows plugins their own.

    Args:
        text: the plugin's standard output.
        plugin: its name, for errors.

    Raises:
        PluginError: It is no such result, or asks for what cannot be set.
    """
    try:
        return _result(_parsed(text))
    except ValueError as error:
        raise PluginError(
            plugin=plugin,
            command="ADD",
            reason=f"its result cannot be used: {error}",
            hint="check its version, and what `ipam` asks for",
        ) from error


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from error


def _result(document: object) -> LeaseResult:
    fields = _object(document, "it")
    version = fields.get("cniVersion")
    if not isinstance(version, str) or version not in _VERSIONS:
        raise ValueError(f"its cniVersion is {_told(version)}, not one of {', '.join(sorted(_VERSIONS))}")
    ips = [_object(one, "an entry of ips") for one in _list(fields, "ips")]
    if not ips:
        raise ValueError("it has no address in ips")
    addresses = tuple(AddressSetup(address=_interface(one.get("address"))) for one in ips)
    gateways = [_optional(_host, one.get("gateway"), "gateway") for one in ips]
    for address, gateway in zip(addresses, gateways, strict=True):
        if gateway is not None and (gateway.version == 6) != address.is_ipv6:
            raise ValueError(f"the gateway {gateway} is not of the family of the address {address.address}")
    first: dict[int, _Address] = {gateway.version: gateway for gateway in reversed(gateways) if gateway is not None}
    dns = _object(fields.get("dns") or {}, "dns")
    return LeaseResult(
        addresses=addresses,
        gateways=tuple(None if gateway is None else str(gateway) for gateway in gateways),
        routes=tuple(_route(_object(one, "an entry of routes"), first) for one in _list(fields, "routes")),
        dns=json.dumps(dns, separators=(",", ":")) if dns else "",
    )


def _route(fields: Mapping[str, Any], gateways: Mapping[int, _Address]) -> RouteSetup:
    to = _network(fields.get("dst"))
    scope = _number(fields, "scope")
    if scope is not None and scope not in _WORDS:
        raise ValueError(f"the route to {to} has scope {scope}, which is none of {', '.join(map(str, _WORDS))}")
    if _number(fields, "advmss"):
        raise ValueError(f"the route to {to} has advmss, which cannot be set here; use mtu")
    via = _optional(_host, fields.get("gw"), "gw")
    if via is not None and via.version != to.version:
        raise ValueError(f"the gateway {via} is not of the family of the route to {to}")
    if via is None and scope != SCOPES["link"]:
        via = gateways.get(to.version)
    return RouteSetup(
        to=str(to),
        via=None if via is None else str(via),
        metric=_number(fields, "priority") or None,
        table=_number(fields, "table") or None,
        scope=None if scope is None else _WORDS[scope],
        mtu=_number(fields, "mtu") or None,
    )


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {_told(value)}, not an object")  # noqa: TRY004 - of the plugin, not of a caller
    return value


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{name} is {_told(value)}, not a list")  # noqa: TRY004
    return value


def _number(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is not None and (type(value) is not int or not 0 <= value < 1 << 32):
        raise ValueError(f"{name} is {_told(value)}, not a number")
    return value


def _optional(read: Callable[[object, str], _Address], value: object, what: str) -> _Address | None:
    """None for what is absent; Go writes no address as an empty text."""
    return None if value in (None, "") else read(value, what)


def _host(value: object, what: str) -> _Address:
    try:
        return ipaddress.ip_address(_unscoped(value))
    except ValueError:
        raise ValueError(f"{what} is {_told(value)}, not an IP address") from None


def _interface(value: object) -> str:
    try:
        return str(ipaddress.ip_interface(_with_prefix(value)))
    except ValueError:
        raise ValueError(f"address is {_told(value)}, not an IP address with its prefix length") from None


def _network(value: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(_with_prefix(value), strict=False)
    except ValueError:
        raise ValueError(f"dst is {_told(value)}, not a network") from None


def _with_prefix(value: object) -> str:
    text = _unscoped(value)
    address, slash, length = text.partition("/")
    if not (slash and length.isascii() and length.isdecimal()):  # Python would read a netmask too
        raise ValueError(address)
    return text


def _unscoped(value: object) -> str:
    """A text that names no interface: Python would read a number as an address, and `fe80::1%eth0`."""
    if not isinstance(value, str) or "%" in value:
        raise ValueError(value)
    return value


def _told(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
