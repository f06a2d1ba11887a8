"""`nri-netdev devices`: every interface of this host, and whether it is free."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from nri_netdev.cli.inputs import read_settings
from nri_netdev.cli.node_state import read_node_state
from nri_netdev.cli.shown import DEVICES, effects
from nri_netdev.cli.table import print_table
from nri_netdev.domain.links import Link
from nri_netdev.domain.text.names import quote
from nri_netdev.domain.verdict.availability import Availability
from nri_netdev.errors import NriNetdevError


def run(options: argparse.Namespace) -> int:
    """Print interfaces, also those that pods hold: every one, or those that are named, with what giving them does."""
    node = read_node_state(read_settings(options))
    available = Availability(node)
    here = [_device(link, available) for link in sorted(node.inventory.links, key=lambda link: link.ifname)]
    away = [
        {"ifname": one.ifname, "free": False, "why_not": f"is held by {one.owner}"}
        for one in node.held
        if node.inventory.by_name(one.ifname) is None
    ]
    devices = _named(options.interfaces, [*here, *away])
    if options.json:
        print(json.dumps(devices, indent=2))
        return 0
    print_table(DEVICES.head, [DEVICES.row(device, 0) for device in devices])
    for line in effects(devices) if options.interfaces else ():
        print(line)
    return 0


def _named(names: Sequence[str], devices: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The devices of these names, or all of them if none is named.

    Raises:
        NriNetdevError: There is none of such a name.
    """
    known = {name: device for device in devices for name in (*device.get("altnames", ()), device["ifname"])}
    if unknown := [name for name in names if name not in known]:
        raise NriNetdevError(f"interface {quote(unknown[0])} is not on this node, and nobody holds it")
    return [known[name] for name in dict.fromkeys(names)] if names else list(devices)


def _device(link: Link, available: Availability) -> dict[str, Any]:
    node, describes = available.node, available.describes
    policy = node.policy
    master = node.inventory.by_index(link.master) if link.master is not None else None
    reason = available.why_not(link)
    return {
        "ifname": link.ifname,
        "ifindex": link.ifindex,
        "altnames": list(link.altnames),
        "kind": link.kind,
        "driver": link.driver,
        "pci": node.facts_of(link).pci,
        "parent": f"{link.parent_bus}/{link.parent_dev}" if link.parent_dev else None,
        "mac": link.mac,
        "permanent_mac": link.permanent_mac,
        "mtu": link.mtu,
        "state": link.operstate.lower() if link.is_up else "down",
        "master": master.ifname if master else None,
        "addresses": [str(address) for address in node.inventory.addresses.get(link.ifindex, ())],
        "pools": [name for name in policy.pools if policy.is_in_pool(link, name, describes)] if policy else [],
        "rules": [str(rule) for rule in policy.rules if policy.covers(rule, link, describes)] if policy else [],
        "free": reason is None,
        "why_not": reason and reason.text,
        "effects": list(available.effects(link)),
    }
