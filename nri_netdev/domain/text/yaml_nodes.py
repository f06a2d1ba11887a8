"""YAML as its author wrote it: values with their lines, within bounds, and without surprises.

The one module that knows PyYAML. It reads the parser's events and never lets PyYAML construct a value:

- YAML 1.1 reads `no`, `0123`, `1e3` and `0x10` as other types than text, and each can name an interface: here a scalar
  is the text as written, and the consumer decides its type.
- A text that is too deep or too long, or that explodes, must be refused before it costs much: composing recurses, and
  libyaml takes time quadratic in the depth, so depth and count are bounded while the events come in.
- Every error names its line, also one that is found later, when a value turns out to be of the wrong type.

Not supported on purpose: keys that are not scalars, tags outside the core schema and, unless allowed, anchors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from nri_netdev.domain.text.names import quote
from nri_netdev.errors import NriNetdevError


class YamlError(NriNetdevError):
    """A text is not the YAML that is accepted here.

    Attributes:
        reason: what is wrong, without its place.
        line: where, counted from 1; None where no line is to blame.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason, line)
        self.reason = reason
        self.line = line

    def __str__(self) -> str:
        return self.reason if self.line is None else f"{self.reason} (line {self.line})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a text may cost."""

    size_bytes: int
    """Of the whole text in UTF-8."""
    depth: int
    """Of lists and mappings within each other."""
    nodes: int
    """Scalars, keys, lists and mappings together."""
    anchors: bool = False
    """Whether `&name`, `*name` and the merge key `<<` are allowed. An alias shares its node, which is never copied."""


ANNOTATION = Limits(size_bytes=256 * 1024, depth=8, nodes=4096)
"""For an annotation: Kubernetes gives all of an object's together 256 KiB (`TotalAnnotationSizeLimitB`)."""
MANIFEST = Limits(size_bytes=16 * 1024 * 1024, depth=64, nodes=1_000_000, anchors=True)
"""For a file of manifests: bundles of custom resource definitions have several MiB and nest 30 deep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlScalar:
    """A text, as written."""

    text: str
    line: int
    is_plain: bool = True
    """Without quotes, so that a reader of YAML could take it for a number, a boolean or nothing."""

    @property
    def is_null(self) -> bool:
        """Whether it is null."""
        return self.is_plain and self.text in {"", "~", "null", "Null", "NULL"}

    @property
    def is_true(self) -> bool:
        """Whether it is true, in any spelling of YAML 1.1."""
        return self.is_plain and self.text.lower() in {"true", "yes", "on", "y"}

    def as_int(self) -> int | None:
        """The whole number that it is in decimal, without quotes or leading zeros; None for anything else."""
        if self.is_plain and re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", self.text, re.ASCII):
            return int(self.text)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlList:
    """A list."""

    items: tuple[Node, ...] = field(repr=False)
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlMapping:
    """A mapping; its keys are unique."""

    pairs: tuple[tuple[YamlScalar, Node], ...] = field(repr=False)
    line: int

    def get(self, key: str) -> Node | None:
        """The value of a key, None if there is none."""
        return next((value for name, value in self.pairs if name.text == key), None)

    def at(self, *path: str) -> Node | None:
        """The value that a path of keys leads to, None if it leads nowhere."""
        node: Node | None = self
        for key in path:
            node = node.get(key) if isinstance(node, YamlMapping) else None
        return node


Node: TypeAlias = YamlScalar | YamlList | YamlMapping

# libyaml is some 30 times faster than the same in Python. PyYAML's wheels have it, others may not.
_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""YAML 1.1's `c-printable`, negated. Checked here for a message that names character and line."""

_CORE = "tag:yaml.org,2002:"
_TAGS: dict[type[yaml.Event], set[str]] = {
    yaml.ScalarEvent: {"!", *(f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null"))},
    yaml.SequenceStartEvent: {"!", f"{_CORE}seq"},
    yaml.MappingStartEvent: {"!", f"{_CORE}map"},
}


def load(text: str, *, limits: Limits = ANNOTATION) -> Node | None:
    """The one document of a text; None if there is none.

    Raises:
        YamlError: It is not YAML, not of the accepted kind, or over a limit.
    """
    documents = load_all(text, limits=limits)
    node = next(documents, None)
    if (second := next(documents, None)) is not None:
        raise YamlError("holds a second document (---); write one", second.line)
    return node


def load_all(text: str, *, limits: Limits = MANIFEST) -> Iterator[Node]:
    """The documents of a text, each as soon as it is read; the limits hold for all together.

    Raises:
        YamlError: As `load`, when the iteration comes to the fault. Nothing can be read after it.
    """
    _check_text(text, limits)
    try:
        yield from _documents(yaml.parse(text, Loader=_LOADER), limits)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise YamlError(f"is not YAML: {error.problem or error.context}", line) from error
    except yaml.YAMLError as error:
        raise YamlError("is not YAML") from error


def kind_of(node: Node) -> str:
    """The type of a node with its article, for a message."""
    if isinstance(node, YamlScalar):
        return "null" if node.is_null else "a text"
    return "a list" if isinstance(node, YamlList) else "a mapping"


def _check_text(text: str, limits: Limits) -> None:
    size_bytes = len(text)
    if size_bytes <= limits.size_bytes and not text.isascii():
        size_bytes = len(text.encode("utf-8", "surrogatepass"))
    if size_bytes > limits.size_bytes:
        raise YamlError(f"is larger than {limits.size_bytes // 1024} KiB")
    if match := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, match.start()) + 1
        raise YamlError(f"holds the character U+{ord(match[0]):04X}, which YAML does not allow", line)


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end is still to come."""

    event: yaml.SequenceStartEvent | yaml.MappingStartEvent
    children: list[Node] = field(default_factory=list)


def _documents(events: Iterable[yaml.Event], limits: Limits) -> Iterator[Node]:
    builder = _Builder(limits)
    for event in events:
        node = builder.feed(event)
        if node is not None:
            yield node


class _Builder:
    """Makes nodes of events, with a stack of its own instead of recursion."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._count = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}

    def feed(self, event: yaml.Event) -> Node | None:
        """Take one event; return the document that it completes."""
        if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._check(event, event.tag)
            self._stack.append(_Open(event))
            if len(self._stack) > self._limits.depth:
                raise YamlError(f"nests deeper than {self._limits.depth} levels", _line(event))
            return None
        if isinstance(event, yaml.ScalarEvent):
            self._check(event, event.tag)
            is_plain = not event.style and event.tag not in {"!", f"{_CORE}str"}
            return self._add(YamlScalar(text=event.value, line=_line(event), is_plain=is_plain), event.anchor)
        if isinstance(event, yaml.CollectionEndEvent):
            opened = self._stack.pop()
            return self._add(self._close(opened), opened.event.anchor)
        if isinstance(event, yaml.AliasEvent):
            return self._add(self._resolve(event))
        if isinstance(event, yaml.DocumentStartEvent):
            self._anchors.clear()
        return None

    def _add(self, node: Node, anchor: str | None = None) -> Node | None:
        if anchor:
            self._anchors[anchor] = node
        if not self._stack:
            return node
        self._stack[-1].children.append(node)
        return None

    def _check(self, event: yaml.NodeEvent, tag: str | None) -> None:
        self._count_one(event)
        if event.anchor and not self._limits.anchors:
            raise YamlError(f"has the anchor {quote(event.anchor)}; anchors are not accepted", _line(event))
        if tag is not None and tag not in _TAGS[type(event)]:
            raise YamlError(f"has the tag {quote(tag)}; write plain values", _line(event))

    def _count_one(self, event: yaml.Event) -> None:
        self._count += 1
        if self._count > self._limits.nodes:
            raise YamlError(f"holds more than {self._limits.nodes} values", _line(event))

    def _resolve(self, event: yaml.AliasEvent) -> Node:
        self._count_one(event)
        anchor = event.anchor or ""
        if not self._limits.anchors:
            raise YamlError(f"has the alias {quote(anchor)}; aliases are not accepted", _line(event))
        if anchor not in self._anchors:
            raise YamlError(f"has the alias {quote(anchor)} of what is not complete before it", _line(event))
        return self._anchors[anchor]

    def _close(self, opened: _Open) -> Node:
        line = _line(opened.event)
        if isinstance(opened.event, yaml.SequenceStartEvent):
            return YamlList(items=tuple(opened.children), line=line)
        pairs: dict[str, tuple[YamlScalar, Node]] = {}
        for key, value in zip(opened.children[::2], opened.children[1::2], strict=True):
            if not isinstance(key, YamlScalar):
                raise YamlError(f"has {kind_of(key)} as a key; a key must be a text", key.line)
            if key.text in pairs:
                first = pairs[key.text][0].line
                raise YamlError(f"has the key {quote(key.text)} twice (first in line {first})", key.line)
            pairs[key.text] = key, value
        if self._limits.anchors:
            self._merge(pairs, opened.event)
        return YamlMapping(pairs=tuple(pairs.values()), line=line)

    def _merge(self, pairs: dict[str, tuple[YamlScalar, Node]], event: yaml.Event) -> None:
        """Merge the mappings under the key `<<`, https://yaml.org/type/merge.html: keys that are there already win."""
        key, source = pairs.get("<<", (None, None))
        if key is None or not key.is_plain or source is None:
            return
        del pairs["<<"]
        for mapping in source.items if isinstance(source, YamlList) else (source,):
            for pair in mapping.pairs if isinstance(mapping, YamlMapping) else ():
                self._count_one(event)
                pairs.setdefault(pair[0].text, pair)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def plain(node: Node) -> object:
    """A node as JSON has it: texts, whole numbers, booleans and null, lists and mappings."""
    match node:
        case YamlList(items=items):
            return [plain(item) for item in items]
        case YamlMapping(pairs=pairs):
            return {key.text: plain(value) for key, value in pairs}
        case _:
            return _plain_scalar(node)


def _plain_scalar(node: YamlScalar) -> object:
    if node.is_null:
        return None
    if node.is_plain and node.text in {"true", "false"}:
        return node.text == "true"
    number = node.as_int()
    return node.text if number is None else number
