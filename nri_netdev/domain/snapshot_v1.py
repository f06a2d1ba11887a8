"""Snapshots of the release before facets, read from the ledger of a node that is upgraded while interfaces are away.

They had decoded fields, and of routes and the like the payloads to restore. A link message is made of the fields, as
far as they went: what such a snapshot did not have is not compared.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

_IFINFO = struct.Struct("=BxHiII")
_IFLA_ADDRESS, _IFLA_MTU, _IFLA_TXQLEN, _IFLA_IFALIAS, _IFLA_GROUP = 1, 4, 13, 20, 27
_IFLA_INFO_SLAVE_KIND, _IFLA_INFO_SLAVE_DATA = 4, 5
_OBJECTS = ("routes", "neighbours", "qdiscs")


def facets_of_v1(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """The facets, in hex, that a document of version 1 has.

    Raises:
        KeyError, TypeError, ValueError: It is no such document.
    """
    facets = {name: [each["payload"] for each in document[name]] for name in _OBJECTS}
    return {
        **facets,
        **_port(document["master"] or {}),
        "link_v1": [_link_message(document).hex()],
        "losses_v1": [loss.encode().hex() for loss in document["losses"]],
    }


def _port(master: Mapping[str, Any]) -> dict[str, list[str]]:
    """The facets of a bridge's port."""
    if master.get("kind") != "bridge":
        return {}
    kind = _packed(_IFLA_INFO_SLAVE_KIND, b"bridge\0") + _packed(_IFLA_INFO_SLAVE_DATA, bytes.fromhex(master["port"]))
    vlans = master["vlans"]
    return {
        "port": [kind.hex()],
        "port_vlans": [vlans[at + 8 : at + 16] for at in range(0, len(vlans), 16)],  # 4 bytes after each header
        "port_fdb": [each["payload"] for each in master["fdb"]],
    }


def _link_message(document: Mapping[str, Any]) -> bytes:
    """An `RTM_NEWLINK` of what was kept of the link."""
    link = document["link"]
    attrs = {
        _IFLA_MTU: struct.pack("=I", link["mtu"]),
        _IFLA_GROUP: struct.pack("=I", link["group"]),
        **{int(number): bytes.fromhex(value) for number, value in document["settings"].items()},
    }
    if link["mac"] is not None:
        attrs[_IFLA_ADDRESS] = bytes.fromhex(link["mac"].replace(":", ""))
    if link["txqueuelen"] is not None:
        attrs[_IFLA_TXQLEN] = struct.pack("=I", link["txqueuelen"])
    if link["alias"]:
        attrs[_IFLA_IFALIAS] = link["alias"].encode("utf-8", "surrogateescape") + b"\0"
    packed = (_packed(number, value) for number, value in attrs.items())
    return _IFINFO.pack(0, 0, 0, document["flags"], 0) + b"".join(packed)


def _packed(number: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, number) + value + bytes(-len(value) % 4)
