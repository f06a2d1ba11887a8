"""A setup in words, for people: what is set on an interface, in the words of an entry and of iproute2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields

from nri_netdev.domain.setup.values import (
    AddressSetup,
    ChildSetup,
    Dad,
    EthtoolSetup,
    Ipam,
    RouteSetup,
    RuleSetup,
    Setup,
)


def summary_of(setup: Setup) -> tuple[str, ...]:
    """What is set, a text for each field that was given: `addresses 192.0.2.10/24`, `mtu 9000`."""
    return tuple(f"{field} {text(setup)}" for field, text in _TEXTS.items() if field in setup.asked)


def route_text(route: RouteSetup) -> str:
    """A route as iproute2 writes it: `198.51.100.0/24 via 192.0.2.1 metric 5`."""
    words = _words(route, "via", "src", "metric", "table", "mtu", "scope")
    return " ".join(["default" if route.is_default else route.to, *words, *(["onlink"] if route.onlink else [])])


def _words(value: object, *names: str) -> list[str]:
    """Fields that are not None, each after its name."""
    found = ((name, getattr(value, name)) for name in names)
    return [f"{name} {_plain(one)}" for name, one in found if one is not None]


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _address(address: AddressSetup) -> str:
    words = _words(address, "peer", "broadcast", "metric")
    words += [f"scope {address.scope}"] if address.scope != "global" else []
    words += ["noprefixroute"] if address.noprefixroute else []
    words += [f"dad {address.dad}"] if address.dad is not Dad.OPTIMISTIC else []
    return " ".join([address.address, *words])


def _rule(rule: RuleSetup) -> str:
    words = [f"from {rule.source}"] if rule.source else []
    words += _words(rule, "to", "iif", "oif")
    words += [f"fwmark {rule.fwmark:#x}"] if rule.fwmark is not None else []
    return " ".join([*words, *_words(rule, "priority", "family", "table")])


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={_plain(value)}" for name, value in values.items())


def _sysctls(setup: Setup) -> str:
    return _pairs({key.replace("/conf/", ".").replace("/", "."): value for key, value in setup.sysctls.items()})


def _ethtool(ethtool: EthtoolSetup | None) -> str:
    groups = {one.name: getattr(ethtool, one.name) for one in fields(EthtoolSetup)} if ethtool else {}
    return " ".join(f"{name} {_pairs(values)}" for name, values in groups.items() if values)


def _ipam(ipam: Ipam | None) -> str:
    if ipam is None or ipam.profile is None:
        return ipam.type if ipam else ""
    return f"profile {ipam.profile}" + (f" ({ipam.type})" if ipam.type else "")


def _children(setup: Setup, kind: str) -> str:
    return ", ".join(_child(child) for child in setup.children if child.kind == kind)


def _child(child: ChildSetup) -> str:
    more = "; ".join(summary_of(child.setup))
    return " ".join([child.name, *_words(child, "id", "protocol", "mode"), *([f"({more})"] if more else [])])


_VF = ("vlan", "qos", "protocol", "mac", "spoofchk", "trust", "link_state", "min_tx_rate", "max_tx_rate")
_TEXTS: Mapping[str, Callable[[Setup], str]] = {
    "share": lambda setup: f"{setup.share.kind} in mode {setup.share.mode}" if setup.share else "",
    "addresses": lambda setup: ", ".join(map(_address, setup.addresses or ())) or "none",
    "keep_addresses": lambda setup: _plain(setup.keep_addresses),
    "ipam": lambda setup: _ipam(setup.ipam),
    "routes": lambda setup: ", ".join(map(route_text, setup.routes)) or "none",
    "rules": lambda setup: ", ".join(map(_rule, setup.rules)) or "none",
    "neighbors": lambda setup: ", ".join(f"{one.dst} lladdr {one.lladdr}" for one in setup.neighbors) or "none",
    "mtu": lambda setup: str(setup.mtu),
    "set_mac": lambda setup: str(setup.mac),
    "txqueuelen": lambda setup: str(setup.txqueuelen),
    "promisc": lambda setup: _plain(setup.promisc),
    "allmulti": lambda setup: _plain(setup.allmulti),
    "arp": lambda setup: _plain(setup.arp),
    "up": lambda setup: _plain(setup.up),
    "gso_max_size": lambda setup: str(setup.gso_max_size),
    "gro_max_size": lambda setup: str(setup.gro_max_size),
    "detach_bpf": lambda setup: _plain(setup.detach_bpf),
    "sysctls": lambda setup: _sysctls(setup) or "none",
    "ethtool": lambda setup: _ethtool(setup.ethtool) or "nothing",
    "vrf": lambda setup: f"{setup.vrf.name} table {setup.vrf.table}" if setup.vrf else "",
    "vlan": lambda setup: _children(setup, "vlan"),
    "macvlan": lambda setup: _children(setup, "macvlan"),
    "ipvlan": lambda setup: _children(setup, "ipvlan"),
    "vf": lambda setup: " ".join(_words(setup.vf, *_VF)) or "nothing",
    "rdma": lambda setup: _plain(setup.rdma),
}
"""By the field of an entry, in the order in which they are told."""
