"""Snapshot: everything about an interface that a move between namespaces destroys, and what became of putting it back.

Read by `nri_netdev.shells.kernel.capture` before the interface is given away, kept in the ledger as JSON, put back by
`nri_netdev.shells.kernel.homing`. What a move keeps but a container can change (MAC, MTU, names …) is in `link`; what
it destroys (addresses, routes, neighbours, queueing, master, sysctls) is beside it. Messages are kept as the kernel
wrote them, because attributes that nobody here has heard of must come back too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from nri_netdev.domain.links import Address, Link

VERSION = 1
"""The shape of the JSON document, its member `v`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One rtnetlink object - a route, a neighbour, a qdisc … - as the kernel wrote it."""

    text: str
    """For people: `198.51.100.0/24 via 192.0.2.1 table 100`."""
    payload: str
    """Family header and attributes of its `RTM_NEW…` message, in hex, without what the kernel computes by itself."""
    is_expendable: bool = False
    """Whether somebody else brings it back anyway, as a router does with the routes that it advertises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """The device that an interface was enslaved to, and how."""

    ifname: str
    kind: str | None = None
    """`IFLA_INFO_KIND`: bridge, bond …"""
    port: str = ""
    """`IFLA_INFO_SLAVE_DATA` of the interface, attributes in hex."""
    vlans: str = ""
    """`IFLA_AF_SPEC` of a bridge port: its VLANs, attributes in hex."""
    fdb: tuple[Message, ...] = ()
    """Static entries of the bridge's forwarding table that point to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that one interface was at home."""

    link: Link
    """As it was; marks of ours are not among its altnames."""
    taken_s: int = 0
    """When, in seconds since boot (`CLOCK_BOOTTIME`): lifetimes of addresses go on counting."""
    flags: int = 0
    """`IFF_*` that an administrator sets (`nri_netdev.shells.kernel.rtnetlink.ADMIN_FLAGS`), but for `IFF_UP`."""
    settings: Mapping[int, str] = field(default_factory=dict)
    """Further `IFLA_*` that can be set as they are read, by number, in hex: segmentation limits and their like."""
    xdp_id: int | None = None
    """`IFLA_XDP_PROG_ID` of the program attached to it."""
    master: Master | None = None
    addresses: tuple[Address, ...] = ()
    """In the kernel's order, which says what is primary."""
    routes: tuple[Message, ...] = ()
    """In every table, but for those that the kernel makes from addresses."""
    neighbours: tuple[Message, ...] = ()
    """Permanent and proxy entries."""
    qdiscs: tuple[Message, ...] = ()
    """Queueing disciplines that somebody set, parents first."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Those that differ from the netns's default, as `ipv4/conf/rp_filter`."""
    losses: tuple[str, ...] = ()
    """What was there and cannot be put back, for people."""

    def merge(self, newer: Self) -> Self:
        """What is to be restored when an interface is given away again before this snapshot was wholly restored.

        What it was stays; what it has since been given is added.
        """
        return replace(
            self,
            link=replace(self.link, ifindex=newer.link.ifindex),
            master=self.master or newer.master,
            addresses=_union(self.addresses, newer.addresses, lambda a: (a.family, a.address, a.prefixlen, a.peer)),
            routes=_union(self.routes, newer.routes, lambda m: m.text),
            neighbours=_union(self.neighbours, newer.neighbours, lambda m: m.text),
            qdiscs=self.qdiscs or newer.qdiscs,
            sysctls={**newer.sysctls, **self.sysctls},
            losses=_union(self.losses, newer.losses, lambda text: text),
        )

    def is_still(self, later: Self) -> bool:
        """Whether a later snapshot says the same, but that lifetimes have run down meanwhile."""
        passed_s = later.taken_s - self.taken_s
        aged = tuple(
            now if _is_aged(was, now, passed_s) else was
            for was, now in zip(self.addresses, later.addresses, strict=False)
        )
        return replace(self, taken_s=later.taken_s, addresses=aged + self.addresses[len(aged) :]) == later

    def to_json(self) -> dict[str, Any]:
        """The document that `from_json` reads: JSON's own types only."""
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
        """Read what `to_json` wrote, after any number of trips through a file.

        Raises:
            ValueError: It is of another version.
            KeyError, TypeError: It is not such a document.
        """
        if document["v"] != VERSION:
            raise ValueError(f"snapshot of version {document['v']}, where {VERSION} is known")
        master = document["master"]
        return cls(
            link=Link(**{**document["link"], "altnames": tuple(document["link"]["altnames"])}),
            taken_s=document["taken_s"],
            flags=document["flags"],
            settings={int(number): value for number, value in document["settings"].items()},
            xdp_id=document["xdp_id"],
            master=master and Master(**{**master, "fdb": _messages(master["fdb"])}),
            addresses=tuple(Address(**address) for address in document["addresses"]),
            routes=_messages(document["routes"]),
            neighbours=_messages(document["neighbours"]),
            qdiscs=_messages(document["qdiscs"]),
            sysctls=dict(document["sysctls"]),
            losses=tuple(document["losses"]),
        )


def fields_of(value: Any) -> dict[str, Any]:
    """What a dataclass with slots holds; `asdict` copies all of it, which takes ten times as long."""
    return {name: getattr(value, name) for name in value.__slots__}


_LIFETIME_SLACK_S = 2


def _is_aged(was: Address, now: Address, passed_s: int) -> bool:
    """Whether an address is the same, and no more than older."""
    lifetimes = ((was.valid_lft_s, now.valid_lft_s), (was.preferred_lft_s, now.preferred_lft_s))
    return replace(was, valid_lft_s=now.valid_lft_s, preferred_lft_s=now.preferred_lft_s) == now and all(
        before is after if before is None or after is None else abs(before - passed_s - after) <= _LIFETIME_SLACK_S
        for before, after in lifetimes
    )


def _messages(documents: Any) -> tuple[Message, ...]:
    return tuple(Message(**document) for document in documents)


def _union(first: tuple[Any, ...], second: tuple[Any, ...], key: Any) -> tuple[Any, ...]:
    """Everything of the first, then what only the second has."""
    known = {key(item) for item in first}
    return (*first, *(item for item in second if key(item) not in known))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One thing that could not be put back."""

    what: str
    """As in "route 198.51.100.0/24 via 192.0.2.1"."""
    why: str

    def __str__(self) -> str:
        return f"{self.what} could not be restored: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeReport:
    """How an interface is now that it has been brought home."""

    ifindex: int
    ifname: str
    """What it is called now."""
    name_taken_by: Link | None = None
    """Who has the name that it should have; None if it has it."""
    shortfalls: tuple[Shortfall, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it is all that it was."""
        return self.name_taken_by is None and not self.shortfalls

    def troubles(self) -> tuple[str, ...]:
        """What is not as it was, in full sentences; nothing when all is."""
        return tuple(self._troubles())

    def _troubles(self) -> Iterator[str]:
        if self.name_taken_by is not None:
            rival = self.name_taken_by
            yield (
                f"it is called {self.ifname}, because its name is taken by {rival.kind or 'device'} {rival.ifname} "
                f"(index {rival.ifindex}); it gets its name back as soon as that is free"
            )
        yield from map(str, self.shortfalls)
