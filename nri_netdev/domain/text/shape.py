"""Definitions of what YAML may hold: one definition reads a node, finds every flaw, and gives a JSON schema.

A shape reads a node of `nri_netdev.domain.text.yaml_nodes` into a value and notes all flaws, each with its path. How a
flaw's place is worded is for who reads: a line and path of a file, or an entry and field of an annotation.

Stricter than YAML on purpose: null is never a value, since a key whose value a template left empty must not mean
"anything".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Generic, Protocol, TypeVar

from nri_netdev.domain.text.names import did_you_mean, quote
from nri_netdev.domain.text.yaml_nodes import Node, YamlList, YamlMapping, YamlScalar, kind_of

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S", bound=str)


class FlawKind(Enum):
    """What is wrong with a node."""

    TYPE = auto()
    """It is not a text, list or mapping, whichever it must be."""
    TEXT = auto()
    """Its text is no value."""
    TOO_FEW = auto()
    TOO_MANY = auto()
    UNKNOWN_KEY = auto()
    """The node is the key; the path is that of the mapping."""
    TWICE = auto()
    """The node is the second key."""
    LACKING = auto()
    """A key that is required is not there."""
    UNFIT = auto()
    """Its members do not go together, though each is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing that is wrong in a document."""

    kind: FlawKind
    path: tuple[str, ...]
    """Keys, and places in lists counted from 1; empty for the whole."""
    node: Node
    message: str
    """The rest of a sentence that begins with the path."""
    shown: str = ""
    """An unknown key in quotes, and what was probably meant."""


class UnfitError(ValueError):
    """The members of a record do not go together. Its text is the rest of a sentence that begins with the path."""


Unfit = tuple[tuple[str, ...], str]
"""A path within a record, and the rest of a sentence that begins with it: what does not go with the other members."""


@dataclass(slots=True)
class Reader:
    """What one reading has collected."""

    flaws: list[Flaw] = field(default_factory=list)
    mentioned: list[tuple[YamlScalar, tuple[str, ...]]] = field(default_factory=list)
    """Names of what must be defined elsewhere in the document, each with its path."""
    guesses: int = 32
    """How many unknown keys are still compared with all known ones: that takes time, and a hostile text has many."""
    is_lenient: bool = False
    """Whether the document was accepted before: what has flaws is left out, and the rest is read all the same, however
    much it is and whether or not it goes together."""

    def flaw(self, kind: FlawKind, node: Node, path: tuple[str, ...], message: str, shown: str = "") -> None:
        """Note a flaw."""
        self.flaws.append(Flaw(kind=kind, node=node, path=path, message=message, shown=shown))

    def wrong_type(self, wanted: str, node: Node, path: tuple[str, ...]) -> None:
        """Note that a node is not of the type that is wanted."""
        self.flaw(FlawKind.TYPE, node, path, f"must be {wanted}, not {kind_of(node)}")


class Shape(Protocol[T_co]):
    """What one node may be."""

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> T_co | None:
        """The value; None where there is none, mostly since a flaw was noted."""

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Generic[T]):
    """A scalar."""

    parse: Callable[[str], T]
    """Raises `ValueError` with the rest of a sentence that begins with the text."""
    json: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> T | None:
        """The value that the text means."""
        if not isinstance(node, YamlScalar) or node.is_null:
            reader.wrong_type("a text", node, path)
            return None
        try:
            return self.parse(node.text)
        except ValueError as error:
            reader.flaw(FlawKind.TEXT, node, path, f"{quote(node.text)} {error}")
            return None

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        return dict(self.json)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf(Generic[T]):
    """A list."""

    item: Shape[T]
    least: int = 0
    """How many items it must have."""
    most: int | None = None
    """How many it may have."""

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> tuple[T, ...] | None:
        """Its items without those that have flaws."""
        if not isinstance(node, YamlList):
            reader.wrong_type("a list", node, path)
            return None
        if len(node.items) < self.least:
            reader.flaw(FlawKind.TOO_FEW, node, path, "must not be empty; leave it out, or say what you mean")
        if self.most is not None and len(node.items) > self.most and not reader.is_lenient:
            reader.flaw(FlawKind.TOO_MANY, node, path, f"has {len(node.items)} items; it may have {self.most}")
            return None
        items = [self.item.read(item, (*path, str(place)), reader) for place, item in enumerate(node.items, 1)]
        return tuple(item for item in items if item is not None)

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        bounds = {"minItems": self.least or None, "maxItems": self.most}
        return {"type": "array", "items": self.item.schema()} | {k: v for k, v in bounds.items() if v is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOrList(Generic[T]):
    """A list, or one item of it in its place."""

    item: Shape[T]
    most: int | None = None
    """How many items it may have."""

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> tuple[T, ...] | None:
        """The items; a single one for what is no list."""
        if isinstance(node, YamlList):
            return self._list.read(node, path, reader)
        found = self.item.read(node, path, reader)
        return None if found is None else (found,)

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        return {"anyOf": [self.item.schema(), self._list.schema()]}

    @property
    def _list(self) -> ListOf[T]:
        return ListOf(item=self.item, least=1, most=self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf(Generic[T]):
    """A mapping with keys of the author's choice."""

    key: Text[str]
    value: Shape[T]
    most: int | None = None
    """How many keys it may have."""

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> dict[str, T] | None:
        """Its pairs without those that have flaws."""
        if not isinstance(node, YamlMapping):
            reader.wrong_type("a mapping", node, path)
            return None
        if self.most is not None and len(node.pairs) > self.most and not reader.is_lenient:
            reader.flaw(FlawKind.TOO_MANY, node, path, f"has {len(node.pairs)} keys; it may have {self.most}")
            return None
        found: dict[str, T] = {}
        for name, child in node.pairs:
            key = self.key.read(name, path, reader)
            value = self.value.read(child, (*path, name.text), reader)
            if key is not None and value is not None:
                found[key] = value
        return found

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        return {
            "type": "object",
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
            **({"maxProperties": self.most} if self.most is not None else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One key of a record."""

    shape: Shape[Any]
    text: str
    """What it means, for the docs."""
    example: str = ""
    """For the docs."""
    default: str | tuple[str, ...] | None = None
    """For the docs and the schema; the items of a list."""
    is_required: bool = False
    argument: str | None = None
    """What the record's constructor calls it, where that is not the key."""
    slips: tuple[str, ...] = ()
    """Other words that are written for the key, in lower case; they are refused with a question for this key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Generic[T]):
    """A mapping with known keys, made into a value."""

    members: Mapping[str, Member]
    build: Callable[..., T]
    """Called with the members that are given, by argument; raises `UnfitError`."""
    one_of: tuple[str, ...] = ()
    """Keys of which at least one must be given."""
    most: int | None = None
    """How many keys it may have, known or not."""
    is_go: bool = False
    """Go's `encoding/json`: keys in any case, unknown keys ignored, null and an empty text the same as no key."""
    unfit: Callable[[Any], Iterable[Unfit]] | None = None
    """Finds what does not go together in a value, though each member is right."""
    _meant: Mapping[str, str] = field(init=False, repr=False, compare=False)
    """Members by what may be written for them, in lower case. Built once: a hostile text has many unknown keys."""

    def __post_init__(self) -> None:
        words = {word: key for key, member in self.members.items() for word in (key.lower(), *member.slips)}
        object.__setattr__(self, "_meant", words)

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> T | None:
        """The value; None if there is any flaw, to a lenient reader if it cannot be made of the rest."""
        if not isinstance(node, YamlMapping):
            reader.wrong_type("a mapping", node, path)
            return None
        if self.most is not None and len(node.pairs) > self.most and not reader.is_lenient:
            message = f"has {len(node.pairs)} keys; it may have {self.most}"
            reader.flaw(FlawKind.TOO_MANY, node, path, message)
            return None
        before = len(reader.flaws)
        given = self._given(node, path, reader)
        if len(reader.flaws) > before and not (reader.is_lenient and self._has_required(given)):
            return None
        try:
            value = self.build(**given)
        except UnfitError as error:
            reader.flaw(FlawKind.UNFIT, node, path, str(error))
            return None
        if reader.is_lenient:
            return value
        for where, message in self.unfit(value) if self.unfit is not None else ():
            reader.flaw(FlawKind.UNFIT, node.at(*where[:1]) or node, (*path, *where), message)
        return value if len(reader.flaws) == before else None

    def _given(self, node: YamlMapping, path: tuple[str, ...], reader: Reader) -> dict[str, Any]:
        """The members that are given, by argument."""
        given: dict[str, Any] = {}
        seen: set[str] = set()
        present: set[str] = set()
        for key, child in node.pairs:
            name = self._known(key.text)
            if name is None:
                if not self.is_go:
                    self._note_unknown(key, path, reader)
                continue
            if name in seen:
                reader.flaw(FlawKind.TWICE, key, (*path, name), "is given twice, in different case")
                continue
            seen.add(name)
            if self.is_go and _is_nothing(child):
                continue
            present.add(name)
            member = self.members[name]
            value = member.shape.read(child, (*path, name), reader)
            if value is not None:
                given[member.argument or name] = value
        for name, member in self.members.items():
            if member.is_required and name not in present:
                reader.flaw(FlawKind.LACKING, node, path, f"lacks {name}: {member.text}")
        if self.one_of and not present & set(self.one_of):
            reader.flaw(FlawKind.LACKING, node, path, f"needs {' or '.join(self.one_of)}")
        return given

    def _has_required(self, given: Mapping[str, Any]) -> bool:
        required = ((member.argument or name) for name, member in self.members.items() if member.is_required)
        return all(argument in given for argument in required)

    def _known(self, key: str) -> str | None:
        """The member that a key means, in its documented spelling."""
        if key in self.members or not self.is_go:
            return key if key in self.members else None
        return next((name for name in self.members if name.lower() == key.lower()), None)

    def _note_unknown(self, key: YamlScalar, path: tuple[str, ...], reader: Reader) -> None:
        meant = did_you_mean(key.text, self._meant) if reader.guesses > 0 else ""
        reader.guesses -= 1
        known = "" if meant else f"; known: {', '.join(self.members)}"
        shown = quote(key.text) + meant
        reader.flaw(FlawKind.UNKNOWN_KEY, key, path, f"has the unknown key {shown}{known}", shown)

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        required = [name for name, member in self.members.items() if member.is_required]
        alternatives = [{"required": [name]} for name in self.one_of]
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {"description": member.text} | _default(member) | member.shape.schema()
                for name, member in self.members.items()
            },
            **({"required": required} if required else {}),
            **({"anyOf": alternatives} if alternatives else {}),
        }


def _is_nothing(node: Node) -> bool:
    return isinstance(node, YamlScalar) and (node.is_null or not node.text)


def _default(member: Member) -> dict[str, Any]:
    default = list(member.default) if isinstance(member.default, tuple) else member.default
    return {} if default is None else {"default": default}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOr(Generic[T]):
    """A scalar as the short form of a record."""

    text: Text[T]
    record: Record[T]

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> T | None:
        """The value of whichever it is."""
        shape: Shape[T] = self.record if isinstance(node, YamlMapping) else self.text
        return shape.read(node, path, reader)

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        return {"anyOf": [self.text.schema(), self.record.schema()]}


# -- texts -------------------------------------------------------------------------------------------------------------


def like(
    pattern: str, meaning: str, *, change: Callable[[str], str] = str, pattern_written: str | None = None
) -> Text[str]:
    """A text that a pattern matches as a whole.

    Args:
        pattern: the pattern.
        meaning: what such a text is, for a message: `the name of a driver`.
        change: applied before the text is matched; the result is the value.
        pattern_written: the pattern before the change, for the schema; None where it is the same.
    """

    def parse(text: str) -> str:
        changed = change(text)
        if not re.fullmatch(pattern, changed, re.ASCII):
            raise ValueError(f"is not {meaning}")
        return changed

    return Text(parse=parse, json={"type": "string", "pattern": f"^{pattern_written or pattern}$"})


def unobjected(why_not: Callable[[str], str | None], **json: Any) -> Text[str]:
    """A text that a check, as `nri_netdev.domain.text.names.why_invalid`, has no objection to."""

    def parse(text: str) -> str:
        if why := why_not(text):
            raise ValueError(why)
        return text

    return Text(parse=parse, json={"type": "string", **json})


def whole_number(least: int, most: int) -> Text[int]:
    """A number within bounds, decimal and without leading zeros."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"0|[1-9][0-9]{0,9}", text, re.ASCII) or not least <= int(text) <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(text)

    return Text(parse=parse, json={"type": "integer", "minimum": least, "maximum": most})


def words(*allowed: S) -> Text[S]:
    """One of a few words, or of the members of a `StrEnum`."""
    known = {str(word): word for word in allowed}

    def parse(text: str) -> S:
        if text not in known:
            raise ValueError(f"is not one of {', '.join(known)}")
        return known[text]

    return Text(parse=parse, json={"enum": list(allowed)})


def boolean() -> Text[bool]:
    """`true` or `false`, and none of YAML's other words for them."""

    def parse(text: str) -> bool:
        if text not in {"true", "false"}:
            raise ValueError("is neither true nor false")
        return text == "true"

    return Text(parse=parse, json={"type": "boolean"})
