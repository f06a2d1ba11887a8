"""What commands show people, made of the documents that they print for programs.

So a document that comes from elsewhere, as from another node (`nri_netdev.cli.netdev`), is shown alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nri_netdev.cli import status_page
from nri_netdev.cli.check import Check, CheckVerdict, page
from nri_netdev.domain.text.age import age
from nri_netdev.domain.text.names import printable

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How a list of items is shown."""

    head: tuple[str, ...]
    row: Callable[[Item, int], tuple[object, ...]]
    """Cells below the head, of an item at a time in seconds since the epoch."""


def _claim(claim: Item, now_s: int) -> tuple[object, ...]:
    return (
        claim["ifname"] if claim["share"] is None else f"{claim['ifname']} ({claim['share']})",
        claim["state"],
        claim["holder"],
        age(now_s - claim["since_s"]),
        claim["place"],
        claim["ifname_now"] or "-",
        claim["claim"],
        "; ".join(claim["troubles"]) or "-",
    )


def _device(device: Item, _: int) -> tuple[object, ...]:
    """A device that is not on the host has only a name and a holder."""
    return (
        device["ifname"],
        *(device.get(name) or "-" for name in ("kind", "driver", "pci", "mac")),
        device.get("mtu", "-"),
        *(device.get(name) or "-" for name in ("state", "master")),
        *(" ".join(device.get(name, ())) or "-" for name in ("addresses", "pools")),
        ", ".join(device.get("rules", ())) or "-",
        "yes" if device["free"] else f"no: {device['why_not']}",
    )


CLAIMS = Table(head=("INTERFACE", "STATE", "HOLDER", "SINCE", "PLACE", "NAME NOW", "CLAIM", "WRONG"), row=_claim)
DEVICES = Table(
    head=("NAME", "KIND", "DRIVER", "PCI", "MAC", "MTU", "STATE", "MASTER", "ADDRESSES", "POOLS", "RULES", "FREE"),
    row=_device,
)


def explained(explanations: Sequence[Item]) -> str:
    """The page of `explain`: each entry with its rules, what decides, what is set, and what suffers."""
    lines = []
    for one in explanations:
        lines.append(f"{one['pod']}, container {one['container']}, {one['asked']}")
        sets = [f"sets {'; '.join(one['sets'])}"] if one["sets"] else []
        lines += [f"  {line}" for line in (*one["steps"], one["verdict"], *sets, *one["effects"])]
    return "\n".join(map(printable, lines)) or "Nothing is asked for."


def examined(checks: Sequence[Item]) -> str:
    """The page of `doctor`."""
    return page([Check(**{**check, "verdict": CheckVerdict(check["verdict"])}) for check in checks])


def effects(devices: Sequence[Item]) -> list[str]:
    """What giving devices does, in lines below their table."""
    return [printable(f"{device['ifname']}: {text}") for device in devices for text in device.get("effects", ())]


TABLES: Mapping[str, Table] = {"claims": CLAIMS, "devices": DEVICES}
"""Commands whose document is a list, a row for each item."""
PAGES: Mapping[str, Callable[[Any, int], str]] = {
    "status": lambda document, now_s: status_page.page(document, now_s=now_s),
    "explain": lambda document, _: explained(document),
    "doctor": lambda document, _: examined(document),
}
"""Commands whose document is shown as a page, of the document and a time in seconds since the epoch."""
