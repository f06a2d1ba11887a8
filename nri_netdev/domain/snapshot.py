"""Snapshots: everything that the kernel tells of an interface before it is given away; and reports of restoring it.

`nri_netdev.shells.kernel.capture` reads a snapshot, the ledger keeps it as JSON, and `nri_netdev.shells.kernel.restore`
restores it. `Snapshot.facets` has the kernel's own messages, one list for each kind of state: nothing is decoded before
it is compared at home, so that attributes which nobody knows yet are kept too.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.setup.values import PLAIN, Setup
from nri_netdev.domain.snapshot_v1 import facets_of_v1

VERSION = 2
"""Version of the JSON document, its member `v`."""

Messages = tuple[bytes, ...]
"""What a facet was read as: bodies of the kernel's messages."""

_COMPRESSED_BYTES = 4096
"""A facet that is larger is compressed in the ledger: an interface may have thousands of routes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """The device that an interface was enslaved to."""

    ifname: str
    kind: str | None = None
    """`IFLA_INFO_KIND`: bridge, bond …"""
    own_mac: str | None = None
    """The MAC address that the port has of its own, where the master gives its ports another."""
    gives_mtu: bool = True
    """Whether the port had the MTU of the master, where the master gives its ports its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A device of the host on top of an interface, which goes down with it, such as a VLAN or a macvlan."""

    link: Link
    addresses: tuple[Address, ...] = ()
    facets: Mapping[str, Messages] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What an interface was at home."""

    link: Link
    """The interface then; its altnames lack the mark."""
    taken_s: int = 0
    """Time of the snapshot, in seconds since boot (`CLOCK_BOOTTIME`), because lifetimes of addresses run down."""
    master: Master | None = None
    addresses: tuple[Address, ...] = ()
    """In the kernel's order, in which the first of a network is its primary address."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Values that differ from the netns's default, by keys like `ipv4/conf/rp_filter`."""
    facets: Mapping[str, Messages] = field(default_factory=dict)
    """Everything else, by the names of `nri_netdev.shells.kernel.facets`; without a facet that could not be read."""
    ifindex: int = 0
    """The interface's in the messages of `facets`; 0 where they have been made without it."""
    children: tuple[Child, ...] = ()
    """Devices on top of it, those below first."""

    def merge(self, newer: Self) -> Self:
        """The snapshot to restore when an interface is given away again before this one was fully restored.

        It has everything of this one, and whatever only the newer one has.
        """
        return replace(
            self,
            link=replace(self.link, ifindex=newer.link.ifindex),
            master=self.master or newer.master,
            addresses=_union(self.addresses, newer.addresses, lambda a: (a.family, a.address, a.prefixlen, a.peer)),
            sysctls={**newer.sysctls, **self.sysctls},
            facets=self._merged_facets(newer),
            children=_union(self.children, newer.children, lambda child: child.link.ifname),
        )

    def _merged_facets(self, newer: Self) -> Mapping[str, Messages]:
        if newer.ifindex != self.ifindex:  # its messages name it otherwise
            return self.facets
        lists = LISTS & {*self.facets} & {*newer.facets}
        both = {name: _union(self.facets[name], newer.facets[name], bytes) for name in lists}
        return {**newer.facets, **self.facets, **both}

    def to_json(self) -> dict[str, Any]:
        """The document that `from_json` reads, of JSON's types only."""
        return {
            **fields_of(self),
            "v": VERSION,
            "link": fields_of(self.link),
            "master": self.master and fields_of(self.master),
            "addresses": [*map(fields_of, self.addresses)],
            "facets": _encoded(self.facets),
            "children": [
                {
                    "link": fields_of(child.link),
                    "addresses": [*map(fields_of, child.addresses)],
                    "facets": _encoded(child.facets),
                }
                for child in self.children
            ],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a document that `to_json` wrote, now or in an earlier release.

        Raises:
            ValueError: The document has another version.
            KeyError, TypeError: It is no such document.
        """
        if document["v"] == 1:
            document = _from_v1(document)
        elif document["v"] != VERSION:
            raise ValueError(f"snapshot of version {document['v']}, where {VERSION} is known")
        master = document["master"]
        return cls(
            link=_link(document["link"]),
            taken_s=document["taken_s"],
            master=master and Master(**master),
            addresses=tuple(Address(**address) for address in document["addresses"]),
            sysctls=dict(document["sysctls"]),
            facets=_decoded(document["facets"]),
            ifindex=document["ifindex"],
            children=tuple(
                Child(
                    link=_link(child["link"]),
                    addresses=tuple(Address(**address) for address in child["addresses"]),
                    facets=_decoded(child["facets"]),
                )
                for child in document["children"]
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """An interface that is to come home: what it was there, and what was done with it in the pod."""

    snapshot: Snapshot
    mark: str
    setup: Setup = PLAIN
    """What was set on it in the pod, of which something may stay there."""
    others: tuple[Setup, ...] = ()
    """What is set in the same netns for others, which stays."""
    pod_path: str | None = None
    """The netns that it was given to, if it is in another: what was made on it may have stayed there."""


LISTS = frozenset({"routes", "others_routes", "neighbours", "nexthops", "rules", "fdb", "multicast"})
"""Facets that are lists of objects, of which a newer snapshot may have more."""


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass with slots, by name; `asdict` copies the values and takes ten times as long."""
    return {name: getattr(value, name) for name in value.__slots__}


def _link(document: Mapping[str, Any]) -> Link:
    return Link(**{**document, "altnames": tuple(document["altnames"])})


def _encoded(facets: Mapping[str, Messages]) -> dict[str, Any]:
    """Lists of messages in hex; a long one as one compressed text."""
    return {name: _packed(messages) for name, messages in facets.items()}


def _packed(messages: Messages) -> list[str] | str:
    if sum(map(len, messages)) <= _COMPRESSED_BYTES:
        return [message.hex() for message in messages]
    framed = b"".join(struct.pack("<I", len(message)) + message for message in messages)
    return base64.b64encode(zlib.compress(framed, 1)).decode()


def _decoded(document: Mapping[str, Any]) -> dict[str, Messages]:
    return {name: tuple(_unpacked(value)) for name, value in document.items()}


def _unpacked(value: list[str] | str) -> Iterator[bytes]:
    if not isinstance(value, str):
        yield from map(bytes.fromhex, value)
        return
    framed = zlib.decompress(base64.b64decode(value))
    offset = 0
    while offset < len(framed):
        (length,) = struct.unpack_from("<I", framed, offset)
        yield framed[offset + 4 : offset + 4 + length]
        offset += 4 + length


def _from_v1(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of the release before facets, as one of this version."""
    link = {**document["link"]}
    link.pop("slave_kind", None)  # written by still earlier releases
    master = document["master"]
    return {
        "link": link,
        "taken_s": document["taken_s"],
        "master": master and {"ifname": master["ifname"], "kind": master["kind"]},
        "addresses": document["addresses"],
        "sysctls": document["sysctls"],
        "facets": facets_of_v1(document),
        "ifindex": 0,
        "children": (),
    }


def _union(first: tuple[Any, ...], second: tuple[Any, ...], key: Any) -> tuple[Any, ...]:
    """All of the first, then those whose key only the second has."""
    known = {key(item) for item in first}
    return (*first, *(item for item in second if key(item) not in known))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One thing that could not be restored."""

    what: str
    """For people: `route 198.51.100.0/24 via 192.0.2.1`."""
    why: str
    is_extra: bool = False
    """Whether it was not there before and could not be taken off."""
    is_left: bool = False
    """Whether something of the pod is in it that would reach the next one."""

    def __str__(self) -> str:
        if self.is_extra:
            return f"{self.what}, which was not there before, could not be taken off: {self.why}"
        return f"{self.what} could not be restored: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeReport:
    """The result of restoring an interface."""

    ifindex: int
    ifname: str
    """Its present name."""
    name_taken_by: Link | None = None
    """The interface that has its name now; None if it has the name itself."""
    shortfalls: tuple[Shortfall, ...] = ()

    @property
    def is_tainted(self) -> bool:
        """Whether something of the pod is left on it that would reach the next one."""
        return any(shortfall.is_left for shortfall in self.shortfalls)

    def troubles(self) -> tuple[str, ...]:
        """What was not restored, in full sentences; empty if everything was."""
        return tuple(self._troubles())

    def _troubles(self) -> Iterator[str]:
        if self.name_taken_by is not None:
            rival = self.name_taken_by
            yield (
                f"it is called {self.ifname}, because its name is taken by {rival.kind or 'device'} {rival.ifname} "
                f"(index {rival.ifindex}); it gets its name back as soon as that is free"
            )
        yield from map(str, self.shortfalls)
