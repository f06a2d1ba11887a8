"""Definitions of what a YAML document may hold: one definition reads it, tells every problem and is a JSON schema.

A shape reads a node of `nri_netdev.domain.text.yaml_nodes` into a value and reports what is wrong, all of it, each
with line and path. Stricter than YAML on purpose: nothing is never a value, since a key whose value a template forgot
to fill in must not be taken for "anything".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.names import did_you_mean, escape, quote

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One thing that is wrong in a document."""

    message: str
    """What follows in a sentence that begins with the path."""
    path: tuple[str, ...] = ()
    """Keys, and places in lists counted from 1; empty for the document."""
    line: int | None = None

    def __str__(self) -> str:
        """`12: rules.2.count must be …`."""
        path = ".".join(map(escape, self.path)) or "the configuration"
        return f"{self.line}: {path} {self.message}" if self.line else f"{path} {self.message}"


class WrongError(ValueError):
    """What was read is wrong though every part of it is right; says what follows in a sentence that begins with it."""


@dataclass(slots=True)
class Reader:
    """Where one reading collects what is wrong."""

    wrongs: list[Wrong] = field(default_factory=list)
    mentioned: list[tuple[str, yaml_nodes.Node, tuple[str, ...]]] = field(default_factory=list)
    """Names of what must be defined elsewhere in the document, each with its place."""

    def wrong(self, message: str, node: yaml_nodes.Node, path: Iterable[str]) -> None:
        """Note that something is wrong."""
        self.wrongs.append(Wrong(message=message, path=tuple(path), line=node.line))


class Shape(Protocol[T_co]):
    """What one node may be."""

    def read(self, node: yaml_nodes.Node, path: tuple[str, ...], reader: Reader) -> T_co | None:
        """The value; None where anything was wrong, which is noted."""

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Generic[T]):
    """A scalar."""

    parse: Callable[[str], T]
    """Raises `ValueError` with the rest of a sentence that begins with the text."""
    json: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})

    def read(self, node: yaml_nodes.Node, path: tuple[str, ...], reader: Reader) -> T | None:
        """The value that the text means."""
        if not isinstance(node, yaml_nodes.Scalar) or node.is_null:
            reader.wrong(f"must be a text, not {yaml_nodes.kind_of(node)}", node, path)
            return None
        try:
            return self.parse(node.text)
        except ValueError as error:
            reader.wrong(f"{quote(node.text)} {error}", node, path)
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

    def read(self, node: yaml_nodes.Node, path: tuple[str, ...], reader: Reader) -> tuple[T, ...] | None:
        """Its items; those that are wrong are left out, and noted."""
        if not isinstance(node, yaml_nodes.Sequence):
            reader.wrong(f"must be a list, not {yaml_nodes.kind_of(node)}", node, path)
            return None
        if len(node.items) < self.least:
            reader.wrong("must not be empty; leave it out, or say what you mean", node, path)
        items = [self.item.read(item, (*path, str(place)), reader) for place, item in enumerate(node.items, 1)]
        return tuple(item for item in items if item is not None)

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        return {"type": "array", "items": self.item.schema()} | ({"minItems": self.least} if self.least else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf(Generic[T]):
    """A mapping with keys of the author's choice."""

    key: Text[str]
    value: Shape[T]

    def read(self, node: yaml_nodes.Node, path: tuple[str, ...], reader: Reader) -> dict[str, T] | None:
        """Its pairs; those that are wrong are left out, and noted."""
        if not isinstance(node, yaml_nodes.Mapping):
            reader.wrong(f"must be a mapping, not {yaml_nodes.kind_of(node)}", node, path)
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
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One key of a record."""

    shape: Shape[Any]
    text: str
    """What it means, for the reference."""
    is_required: bool = False
    default: str | None = None
    """Told in the reference."""
    argument: str | None = None
    """What the record's constructor calls it, where that is not the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Generic[T]):
    """A mapping with known keys, made into a value."""

    members: Mapping[str, Member]
    build: Callable[..., T]
    """Called with the members that are given; raises `WrongError` if they do not go together."""
    one_of: tuple[str, ...] = ()
    """Keys of which at least one must be given."""

    def read(self, node: yaml_nodes.Node, path: tuple[str, ...], reader: Reader) -> T | None:
        """The value; None if any member is wrong."""
        values = self.values(node, path, reader)
        if values is None:
            return None
        try:
            return self.build(**values)
        except WrongError as error:
            reader.wrong(str(error), node, path)
            return None

    def values(self, node: yaml_nodes.Node, path: tuple[str, ...], reader: Reader) -> dict[str, Any] | None:
        """The members that are given, by argument; None if anything is wrong."""
        if not isinstance(node, yaml_nodes.Mapping):
            reader.wrong(f"must be a mapping, not {yaml_nodes.kind_of(node)}", node, path)
            return None
        before = len(reader.wrongs)
        given: dict[str, Any] = {}
        for key, child in node.pairs:
            member = self.members.get(key.text)
            if member is None:
                meant = did_you_mean(key.text, {name.lower(): name for name in self.members})
                known = "" if meant else f"; known: {', '.join(self.members)}"
                reader.wrong(f"has the unknown key {quote(key.text)}{meant}{known}", key, path)
                continue
            given[member.argument or key.text] = member.shape.read(child, (*path, key.text), reader)
        keys = {key.text for key, _ in node.pairs}
        for name, member in self.members.items():
            if member.is_required and name not in keys:
                reader.wrong(f"lacks {name}: {member.text}", node, path)
        if self.one_of and not keys & set(self.one_of):
            reader.wrong(f"needs {' or '.join(self.one_of)}", node, path)
        return given if len(reader.wrongs) == before else None

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


def _default(member: Member) -> dict[str, Any]:
    return {} if member.default is None else {"default": member.default}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOr(Generic[T]):
    """A scalar as the short form of a record."""

    text: Text[T]
    record: Record[T]

    def read(self, node: yaml_nodes.Node, path: tuple[str, ...], reader: Reader) -> T | None:
        """The value of whichever it is."""
        shape: Shape[T] = self.record if isinstance(node, yaml_nodes.Mapping) else self.text
        return shape.read(node, path, reader)

    def schema(self) -> dict[str, Any]:
        """As JSON schema."""
        return {"anyOf": [self.text.schema(), self.record.schema()]}


def words(*allowed: str) -> Text[str]:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"is not one of {', '.join(allowed)}")
        return text

    return Text(parse=parse, json={"enum": list(allowed)})


def boolean() -> Text[bool]:
    """`true` or `false`, and none of YAML's other words for them."""

    def parse(text: str) -> bool:
        if text not in {"true", "false"}:
            raise ValueError("is neither true nor false")
        return text == "true"

    return Text(parse=parse, json={"type": "boolean"})
