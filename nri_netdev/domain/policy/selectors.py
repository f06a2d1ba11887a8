"""Selectors describe interfaces by name, address, hardware and link.

One table, `FIELDS`, defines how each field is written, for annotations, the configuration, its JSON schema and the
docs. `Facts` are properties of an interface that rtnetlink does not report; they are fetched only where a selector has
a field for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

from nri_netdev.domain.links import Link
from nri_netdev.domain.text.names import why_invalid, why_invalid_altname
from nri_netdev.domain.text.shape import Member, Text, like, unobjected, whole_number

HARDWARE = "hardware"
"""The kind of devices for which the kernel has none and that have a parent on a bus, PCI or another."""


class LinkState(StrEnum):
    """Whether an interface can carry packets now."""

    UP = "up"
    """Set up, with carrier."""
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Properties of an interface from sysfs that rtnetlink does not report; None where unknown."""

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
"""Fetches the facts of an interface; called only where they matter."""


def no_facts(_: Link) -> Facts:
    """No facts, for a place without sysfs."""
    return Facts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Conditions on an interface: every field that is set must hold."""

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
        """Whether it names one interface: by name, alternative name, MAC or PCI address."""
        named = self.interface is not None and not is_glob(self.interface)
        return named or any((self.altname, self.mac, self.pci))

    @property
    def is_plain(self) -> bool:
        """Whether it has a name or a pattern of names and no other field."""
        return self == Selector(interface=self.interface)

    def __str__(self) -> str:
        """`{driver: ice, state: up}`, or the mere name or pattern, as it can be written in YAML."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.is_plain and self.interface is not None:
            return yaml_text(self.interface)
        shown = (f"{name}: {yaml_text(str(value))}" for name, value in given.items() if value is not None)
        return f"{{{', '.join(shown)}}}"


_PLAIN_YAML = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*|[1-9][0-9]*", re.ASCII)


_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def yaml_text(text: str) -> str:
    """A text as a scalar in flow YAML: bare where every reader reads it as text, else in single quotes."""
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
    """Whether a pattern matches a whole text: `*` any characters, `?` any one, every other character itself."""
    return _compiled(pattern).fullmatch(text) is not None


def matches(selector: Selector, link: Link, facts_of: FactsOf, links: Collection[Link] = ()) -> bool:
    """Whether a selector matches an interface.

    Args:
        selector: the description.
        link: the interface.
        facts_of: fetches what rtnetlink does not report.
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
    if is_pci(pf):
        return pf
    link = next((link for link in links if pf == link.ifname or pf in link.altnames), None)
    return facts_of(link).pci if link else None


def kind_of(link: Link) -> str | None:
    """The kind, as selectors have it."""
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


def is_pci(text: str) -> bool:
    """Whether a text is a PCI address, in full and in lower case."""
    return _PCI.fullmatch(text) is not None


def _why_no_pattern(text: str) -> str | None:
    return why_invalid(text.replace("*", "x").replace("?", "x"))


def _pci(text: str) -> str:
    lower = text.lower()
    full = lower if lower.count(":") > 1 else f"0000:{lower}"
    if not _PCI.fullmatch(full):
        raise ValueError("is not a PCI address as 0000:3b:00.0")
    return full


def _pf(text: str) -> str:
    try:
        return _pci(text)
    except ValueError:
        if is_glob(text) or ":" in text:
            raise
    return _IFNAME.parse(text)


def _state(text: str) -> LinkState:
    if text not in tuple(LinkState):
        raise ValueError("is neither up nor down")
    return LinkState(text)


def _pattern(pattern: str) -> Mapping[str, str]:
    return {"type": "string", "pattern": pattern}


_WORD = "[a-zA-Z0-9_.-]{1,32}"
_NUMBER = {"type": "integer"}
_IFNAME = unobjected(why_invalid)
IFNAMES = unobjected(_why_no_pattern, pattern="^[!-.0-9;-~]{1,15}$")
"""The name of an interface, or a pattern of names."""

FIELDS: Mapping[str, Member] = {
    "interface": Member(
        shape=IFNAMES, text="name on the host; `*` stands for any characters, `?` for one", example="ens2f*"
    ),
    "altname": Member(
        shape=unobjected(why_invalid_altname, pattern="^[!-.0-9;-~]{1,127}$"),
        text="an alternative name",
        example="enp59s0f0",
    ),
    "mac": Member(
        shape=like(
            "[0-9a-f]{2}(:[0-9a-f]{2}){5,19}",
            "a MAC address as 02:00:5e:10:00:01",
            change=str.lower,
            pattern_written="[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5,19}",
        ),
        text="permanent MAC address; of a device without one, its current MAC address",
        example="02:00:5e:10:00:01",
    ),
    "pci": Member(
        shape=Text(parse=_pci, json=_pattern(r"^([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\.[0-7]$")),
        text="PCI address, also of the PCI device that a virtio interface belongs to",
        example="0000:3b:00.0",
    ),
    "device": Member(
        shape=like(
            r"[0-9a-f]{4}:([0-9a-f]{4}|\*)",
            "a PCI vendor and device as 15b3:1019",
            change=str.lower,
            pattern_written=r"[0-9A-Fa-f]{4}:([0-9A-Fa-f]{4}|\*)",
        ),
        text="PCI vendor and device in hex; `*` for any device of the vendor",
        example="15b3:1019",
    ),
    "driver": Member(shape=like(_WORD, "the name of a driver"), text="kernel driver", example="ice"),
    "kind": Member(
        shape=like(_WORD, "a kind as macvlan"),
        text=f"kind as `ip -details link` shows it; `{HARDWARE}` for devices on a bus that have none",
        example="macvlan",
    ),
    "numa_node": Member(
        shape=replace(whole_number(0, 1023), json=_NUMBER), text="NUMA node of its PCI device", example="1"
    ),
    "min_speed_mbps": Member(
        shape=replace(whole_number(1, 10_000_000), json=_NUMBER),
        text="speed of the link in Mbit/s, at least; a link that is down has none",
        example="25000",
    ),
    "state": Member(
        shape=Text(parse=_state, json=_pattern("^(up|down)$")),
        text="`up`: set up, with carrier; else `down`",
        example="up",
    ),
    "vf_of": Member(
        shape=Text(parse=_pf, json=_pattern("^[!-.0-~]{1,16}$")),
        text="SR-IOV virtual function of this physical function, named by interface or PCI address",
        example="ens2f0",
    ),
}
"""How a selector is written: the fields of `Selector`."""
