"""Selectors: interfaces described by what they are - name, address, hardware, link - instead of listed.

One table, `FIELDS`, says how each field is written; annotations, the configuration, its JSON schema and the reference
in the docs all come from it. What a selector asks of an interface beyond what rtnetlink tells is a `Facts`, fetched
only where a selector has such a field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

from nri_netdev.domain.links import Link
from nri_netdev.domain.text.names import quote, why_invalid, why_invalid_altname

HARDWARE = "hardware"
"""The word for the kind of what has none: a device with a parent on a bus, PCI or another."""


class LinkState(StrEnum):
    """Whether an interface can carry packets now."""

    UP = "up"
    """Set up, with carrier."""
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What sysfs knows of an interface beyond rtnetlink; None for what it does not have or say."""

    pci: str | None = None
    """The PCI address that it sits on, itself or below it, as a virtio device does: `0000:3b:00.0`."""
    pci_id: str | None = None
    """PCI vendor and device in hex: `15b3:1019`."""
    numa_node: int | None = None
    speed_mbps: int | None = None
    """Of the link, as negotiated; None while it is down."""
    pf: str | None = None
    """The PCI address of its physical function, for a virtual function of SR-IOV."""


FactsOf: TypeAlias = Callable[[Link], Facts]
"""Fetches the facts of an interface; asked only where they matter."""


def no_facts(_: Link) -> Facts:
    """Know nothing, as where there is no sysfs."""
    return Facts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """All that is set must hold; what is not set does not matter."""

    interface: str | None = None
    """Its name on the host; `*` and `?` stand for others."""
    altname: str | None = None
    mac: str | None = None
    pci: str | None = None
    device: str | None = None
    driver: str | None = None
    kind: str | None = None
    numa_node: int | None = None
    min_speed_mbps: int | None = None
    state: LinkState | None = None
    vf_of: str | None = None

    @property
    def is_explicit(self) -> bool:
        """Whether it can only mean what its author has named: by name, alternative name, MAC or PCI address."""
        named = self.interface is not None and not is_glob(self.interface)
        return named or any((self.altname, self.mac, self.pci))

    @property
    def is_plain(self) -> bool:
        """Whether it says a name of an interface, or a pattern of one, and nothing else."""
        return self == Selector(interface=self.interface)

    def __str__(self) -> str:
        """`{driver: ice, state: up}`, or the mere name or pattern, as it can be written in YAML."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.is_plain and self.interface is not None:
            return yaml_text(self.interface)
        told = (f"{name}: {yaml_text(str(value))}" for name, value in given.items() if value is not None)
        return f"{{{', '.join(told)}}}"


_PLAIN_YAML = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*|[1-9][0-9]*", re.ASCII)


_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def yaml_text(text: str) -> str:
    """A text as a scalar in flow YAML: bare where every reader takes it for a text, else in single quotes."""
    return (
        text if _PLAIN_YAML.fullmatch(text) and text.lower() not in _YAML_WORDS else "'" + text.replace("'", "''") + "'"
    )


# -- matching ----------------------------------------------------------------------------------------------------------


def is_glob(text: str) -> bool:
    """Whether a text is a pattern and not a name."""
    return "*" in text or "?" in text


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = {"*": ".*", "?": "."}
    # Several stars in a row are one, so that no pattern takes long to fail.
    text = "".join(pieces.get(char) or re.escape(char) for char in re.sub(r"\*+", "*", pattern))
    return re.compile(text, re.DOTALL)


def matches_glob(text: str, pattern: str) -> bool:
    """Whether a whole text is what a pattern says: `*` for any characters, `?` for any one, all else for itself."""
    return _compiled(pattern).fullmatch(text) is not None


def matches(selector: Selector, link: Link, facts_of: FactsOf, links: Collection[Link] = ()) -> bool:
    """Whether an interface is what a selector describes.

    Args:
        selector: the description.
        link: the interface.
        facts_of: fetches what rtnetlink does not tell.
        links: every link of the host, to find a physical function by name.
    """
    s = selector
    return (
        (s.interface is None or matches_glob(link.ifname, s.interface))
        and (s.altname is None or s.altname in link.altnames)
        and (s.mac is None or s.mac == (link.permanent_mac or link.mac))
        and (s.driver is None or s.driver == link.driver)
        and (s.kind is None or s.kind == kind_of(link))
        and (s.state is None or (s.state is LinkState.UP) == is_link_up(link))
        and (not _asks_facts(s) or _matches_facts(s, facts_of(link), facts_of, links))
    )


def _asks_facts(s: Selector) -> bool:
    return bool(s.pci or s.device or s.vf_of) or not (s.numa_node is None and s.min_speed_mbps is None)


def _matches_facts(s: Selector, facts: Facts, facts_of: FactsOf, links: Collection[Link]) -> bool:
    return (
        (s.pci is None or s.pci == facts.pci)
        and (s.device is None or (facts.pci_id is not None and matches_glob(facts.pci_id, s.device)))
        and (s.numa_node is None or s.numa_node == facts.numa_node)
        and (s.min_speed_mbps is None or (facts.speed_mbps or 0) >= s.min_speed_mbps)
        and (s.vf_of is None or (facts.pf is not None and facts.pf == _pci_of(s.vf_of, facts_of, links)))
    )


def _pci_of(pf: str, facts_of: FactsOf, links: Collection[Link]) -> str | None:
    """The PCI address of a physical function that is named by its address or by an interface of the host."""
    if _PCI.fullmatch(pf):
        return pf
    link = next((link for link in links if pf == link.ifname or pf in link.altnames), None)
    return facts_of(link).pci if link else None


def kind_of(link: Link) -> str | None:
    """The kind as selectors say it."""
    return link.kind or (HARDWARE if link.parent_dev else None)


def is_link_up(link: Link) -> bool:
    """Whether an interface is up and has carrier."""
    return link.is_up and link.has_carrier


def ordered(links: Iterable[Link]) -> tuple[Link, ...]:
    """Links in the order in which they are given away: up first, hardware before virtual, then by name, 9 before 10."""
    return tuple(sorted(links, key=lambda link: (not is_link_up(link), link.is_virtual, natural(link.ifname))))


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts numbers within texts as numbers."""
    return tuple((int(digits or 0), rest) for rest, digits in re.findall(r"(\D*)(\d*)", text, re.ASCII))


# -- writing -----------------------------------------------------------------------------------------------------------

_PCI = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]", re.ASCII)


class FieldError(ValueError):
    """A text is no value of a field; says the rest of a sentence that begins with the field and the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """How one field of a selector is written."""

    read: Callable[[str], object]
    """From the text; raises `FieldError`."""
    text: str
    """What it means, for the reference."""
    example: str
    pattern: str | None = None
    """Of the text, for the JSON schema, where it is not a number."""
    is_number: bool = False


def _name(text: str) -> str:
    why = why_invalid(text.replace("*", "x").replace("?", "x") if is_glob(text) else text)
    if why is not None:
        raise FieldError(why)
    return text


def _altname(text: str) -> str:
    why = why_invalid_altname(text)
    if why is not None:
        raise FieldError(why)
    return text


def _like(pattern: str, *, told: str, change: Callable[[str], str] = str) -> Callable[[str], str]:
    def read(text: str) -> str:
        changed = change(text)
        if not re.fullmatch(pattern, changed, re.ASCII):
            raise FieldError(f"is not {told}")
        return changed

    return read


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A reader of numbers within bounds, decimal and without leading zeros."""

    def read(text: str) -> int:
        if not re.fullmatch(r"0|[1-9][0-9]{0,8}", text, re.ASCII) or not least <= int(text) <= most:
            raise FieldError(f"is not a whole number from {least} to {most}")
        return int(text)

    return read


def _pci(text: str) -> str:
    lower = text.lower()
    full = lower if lower.count(":") > 1 else f"0000:{lower}"
    if not _PCI.fullmatch(full):
        raise FieldError("is not a PCI address as 0000:3b:00.0")
    return full


def _pf(text: str) -> str:
    try:
        return _pci(text)
    except FieldError:
        return _name(text) if not is_glob(text) and ":" not in text else _pci(text)


def _state(text: str) -> LinkState:
    if text not in tuple(LinkState):
        raise FieldError("is neither up nor down")
    return LinkState(text)


_MAC = "[0-9a-f]{2}(:[0-9a-f]{2}){5,19}"
_WORD = "[a-zA-Z0-9_.-]{1,32}"

FIELDS: Mapping[str, Field] = {
    "interface": Field(
        read=_name,
        text="name on the host; `*` stands for any characters, `?` for one",
        example="ens2f*",
        pattern="^[!-.0-9;-~]{1,15}$",
    ),
    "altname": Field(read=_altname, text="an alternative name", example="enp59s0f0", pattern="^[!-.0-9;-~]{1,127}$"),
    "mac": Field(
        read=_like(_MAC, told="a MAC address as 02:00:5e:10:00:01", change=str.lower),
        text="permanent MAC address; of a device without one, its current MAC address",
        example="02:00:5e:10:00:01",
        pattern="^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5,19}$",
    ),
    "pci": Field(
        read=_pci,
        text="PCI address, also of the PCI device that a virtio interface belongs to",
        example="0000:3b:00.0",
        pattern=r"^([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\.[0-7]$",
    ),
    "device": Field(
        read=_like(r"[0-9a-f]{4}:([0-9a-f]{4}|\*)", told="a PCI vendor and device as 15b3:1019", change=str.lower),
        text="PCI vendor and device in hex; `*` for any device of the vendor",
        example="15b3:1019",
        pattern=r"^[0-9A-Fa-f]{4}:([0-9A-Fa-f]{4}|\*)$",
    ),
    "driver": Field(
        read=_like(_WORD, told="the name of a driver"), text="kernel driver", example="ice", pattern=f"^{_WORD}$"
    ),
    "kind": Field(
        read=_like(_WORD, told="a kind as macvlan"),
        text=f"kind as `ip -details link` shows it; `{HARDWARE}` for devices on a bus that have none",
        example="macvlan",
        pattern=f"^{_WORD}$",
    ),
    "numa_node": Field(read=whole_number(0, 1023), text="NUMA node of its PCI device", example="1", is_number=True),
    "min_speed_mbps": Field(
        read=whole_number(1, 10_000_000),
        text="speed of the link in Mbit/s, at least; a link that is down has none",
        example="25000",
        is_number=True,
    ),
    "state": Field(read=_state, text="`up`: set up, with carrier; else `down`", example="up", pattern="^(up|down)$"),
    "vf_of": Field(
        read=_pf,
        text="SR-IOV virtual function of this physical function, named by interface or PCI address",
        example="ens2f0",
        pattern="^[!-.0-~]{1,16}$",
    ),
}
"""How a selector is written, by field."""


def read_field(name: str, text: str) -> object:
    """The value of a field of a selector.

    Raises:
        FieldError: It is none: the whole sentence.
    """
    try:
        return FIELDS[name].read(text)
    except FieldError as error:
        raise FieldError(f"{name} {quote(text)} {error}") from None


def selector(given: Mapping[str, str]) -> Selector:
    """A selector of texts by field.

    Raises:
        FieldError: One of them is wrong.
        KeyError: There is no such field.
    """
    return Selector(**{name: read_field(name, text) for name, text in given.items()})  # type: ignore[arg-type]
