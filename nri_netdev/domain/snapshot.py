"""Snapshots: everything about an interface that a move between namespaces destroys; and reports of restoring it.

`nri_netdev.shells.kernel.capture` reads a snapshot before the interface is given away, the ledger keeps it as JSON, and
`nri_netdev.shells.kernel.restore` restores it. `Snapshot.link` has what a move keeps and a container can change (MAC,
MTU, names …); the other fields have what a move destroys (addresses, routes, neighbours, qdiscs, master, sysctls).
Kernel objects are kept as the kernel wrote them, so that attributes unknown to us are restored too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from nri_netdev.domain.links import Address, Link

VERSION = 1
"""Version of the JSON document, its member `v`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelObject:
    """A route, a neighbour, a qdisc or an entry of a bridge's table, as the kernel wrote it."""

    text: str
    """For people: `route 198.51.100.0/24 via 192.0.2.1 table 100`."""
    payload: str
    """Family header and attributes of its `RTM_NEW…` message, in hex, without those that the kernel computes."""
    is_expendable: bool = False
    """Whether it comes back by itself, as routes do that a router advertises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """The device that an interface was enslaved to, and the settings of the port."""

    ifname: str
    kind: str | None = None
    """`IFLA_INFO_KIND`: bridge, bond …"""
    port: str = ""
    """`IFLA_INFO_SLAVE_DATA` of the interface, attributes in hex."""
    vlans: str = ""
    """`IFLA_AF_SPEC` of a bridge port: its VLANs, attributes in hex."""
    fdb: tuple[KernelObject, ...] = ()
    """Static entries of the bridge's forwarding table that point to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What an interface was at home."""

    link: Link
    """The interface then; its altnames lack the mark."""
    taken_s: int = 0
    """Time of the snapshot, in seconds since boot (`CLOCK_BOOTTIME`), because lifetimes of addresses run down."""
    flags: int = 0
    """`IFF_*` that an administrator sets (`nri_netdev.shells.kernel.messages.ADMIN_FLAGS`), except `IFF_UP`."""
    settings: Mapping[int, str] = field(default_factory=dict)
    """Further `IFLA_*` by number, in hex, such as segmentation limits."""
    xdp_id: int | None = None
    """`IFLA_XDP_PROG_ID` of the program attached to it."""
    master: Master | None = None
    addresses: tuple[Address, ...] = ()
    """In the kernel's order, in which the first of a network is its primary address."""
    routes: tuple[KernelObject, ...] = ()
    """Routes in every table, except those that the kernel makes from addresses."""
    neighbours: tuple[KernelObject, ...] = ()
    """Permanent and proxy entries."""
    qdiscs: tuple[KernelObject, ...] = ()
    """Qdiscs that somebody set, parents first."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Values that differ from the netns's default, by keys like `ipv4/conf/rp_filter`."""
    losses: tuple[str, ...] = ()
    """What cannot be restored, for people."""

    def merge(self, newer: Self) -> Self:
        """The snapshot to restore when an interface is given away again before this one was fully restored.

        It has everything of this one, and whatever only the newer one has.
        """
        return replace(
            self,
            link=replace(self.link, ifindex=newer.link.ifindex),
            master=self.master or newer.master,
            addresses=_union(self.addresses, newer.addresses, lambda a: (a.family, a.address, a.prefixlen, a.peer)),
            routes=_union(self.routes, newer.routes, lambda each: each.text),
            neighbours=_union(self.neighbours, newer.neighbours, lambda each: each.text),
            qdiscs=self.qdiscs or newer.qdiscs,
            sysctls={**newer.sysctls, **self.sysctls},
            losses=_union(self.losses, newer.losses, lambda text: text),
        )

    def is_still(self, later: Self) -> bool:
        """Whether a later snapshot is the same except for lifetimes, which have run down."""
        passed_s = later.taken_s - self.taken_s
        aged = tuple(
            now if _is_aged(was, now, passed_s) else was
            for was, now in zip(self.addresses, later.addresses, strict=False)
        )
        return replace(self, taken_s=later.taken_s, addresses=aged + self.addresses[len(aged) :]) == later

    def to_json(self) -> dict[str, Any]:
        """The document that `from_json` reads, of JSON's types only."""
        master = self.master
        return {
            **fields_of(self),
            "v": VERSION,
            "link": fields_of(self.link),
            "settings": {str(number): value for number, value in self.settings.items()},
            "master": master and {**fields_of(master), "fdb": [*map(fields_of, master.fdb)]},
            "addresses": [*map(fields_of, self.addresses)],
            "routes": [*map(fields_of, self.routes)],
            "neighbours": [*map(fields_of, self.neighbours)],
            "qdiscs": [*map(fields_of, self.qdiscs)],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a document that `to_json` wrote, now or in an earlier release.

        Raises:
            ValueError: The document has another version.
            KeyError, TypeError: It is no such document.
        """
        if document["v"] != VERSION:
            raise ValueError(f"snapshot of version {document['v']}, where {VERSION} is known")
        master = document["master"]
        link = {**document["link"], "altnames": tuple(document["link"]["altnames"])}
        link.pop("slave_kind", None)  # written by earlier releases
        return cls(
            link=Link(**link),
            taken_s=document["taken_s"],
            flags=document["flags"],
            settings={int(number): value for number, value in document["settings"].items()},
            xdp_id=document["xdp_id"],
            master=master and Master(**{**master, "fdb": _objects(master["fdb"])}),
            addresses=tuple(Address(**address) for address in document["addresses"]),
            routes=_objects(document["routes"]),
            neighbours=_objects(document["neighbours"]),
            qdiscs=_objects(document["qdiscs"]),
            sysctls=dict(document["sysctls"]),
            losses=tuple(document["losses"]),
        )


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass with slots, by name; `asdict` copies the values and takes ten times as long."""
    return {name: getattr(value, name) for name in value.__slots__}


_LIFETIME_SLACK_S = 2


def _is_aged(was: Address, now: Address, passed_s: int) -> bool:
    """Whether an address is the same except for lifetimes that have run down."""
    lifetimes = ((was.valid_lft_s, now.valid_lft_s), (was.preferred_lft_s, now.preferred_lft_s))
    return replace(was, valid_lft_s=now.valid_lft_s, preferred_lft_s=now.preferred_lft_s) == now and all(
        before is after if before is None or after is None else abs(before - passed_s - after) <= _LIFETIME_SLACK_S
        for before, after in lifetimes
    )


def _objects(documents: Any) -> tuple[KernelObject, ...]:
    return tuple(KernelObject(**document) for document in documents)


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

    def __str__(self) -> str:
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
