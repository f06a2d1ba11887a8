"""What a pod's annotations ask for one container: the entries, or every reason why they cannot be read.

Pure and without the host: that an interface exists and may be given is for `nri_netdev.domain.verdict.judge`, which
tells its reasons as the same `Problem`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from nri_netdev.domain.annotations.grammars import (
    ALL_PREFIXES,
    ANNOTATION_PREFIX,
    CONTAINER_KEY_PREFIX,
    CONTAINER_PREFIXES,
    PEERS_WORDS,
    POD_KEY,
    RULES,
    Grammar,
    Rules,
    Source,
    Use,
    sources,
)
from nri_netdev.domain.pods import MAX_INTERFACES
from nri_netdev.domain.policy.selectors import FieldError, Selector, is_glob, read_field, whole_number
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.names import (
    POOL_NAME,
    did_you_mean,
    fill,
    quote,
    told_key,
    why_invalid,
    why_invalid_pattern,
)

_MAX_FIELDS = 32
"""Of an entry: enough for what Go ignores, and little enough to tell of each."""

_STARTS = ("nri-netdev.io", "network-devices.n", "netdevice")
"""What the keys that concern us begin with: few, since every annotation of every pod is held against them."""
_ENCODED_STARTS = re.compile(b"|".join(re.escape(start.encode()) for start in _STARTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One interface that is asked for, or `count` of them."""

    interface: str
    """Its name on the host, valid as a name; "" where `selector` and `pool` say which may be given."""
    name: str | None = None
    """Its wanted name in the container, valid as a name, or a pattern with `{n}` and `{pool}`; None to keep the
    host's."""
    key: str
    """The annotation that asks."""
    number: int
    """The place in that annotation's list, from 1."""
    scope: Scope
    grammar: Grammar
    selector: Selector | None = None
    """What it must be, beside the name; None where anything will do."""
    pool: str | None = None
    """The pool that it must be in."""
    count: int = 1
    """How many are asked for; 1 for one that is named."""

    @property
    def inside(self) -> str:
        """The name that it gets in the container: final once the verdict has said which interface it is."""
        return self.interface if self.name is None else self.name

    @property
    def is_pattern(self) -> bool:
        """Whether the wanted name is a pattern, to be filled in by the verdict; the peers' grammars have none."""
        return self.grammar is Grammar.NATIVE and self.name is not None and "{" in self.name

    @property
    def fixed_inside(self) -> str | None:
        """The name in the container, where it is known before the verdict."""
        return None if not self.inside or self.is_pattern else self.inside

    @property
    def wanted(self) -> str:
        """What is asked for, for people: `ens2f0`, `2 of pool fast`, `{driver: ice}`."""
        parts = [self.interface] if self.interface else []
        parts += [f"pool {self.pool}"] if self.pool else []
        parts += [str(self.selector)] if self.selector else []
        return (f"{self.count} of " if self.count > 1 else "") + " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What annotations ask for one container."""

    entries: tuple[Entry, ...] = ()
    """Empty if nothing is asked, and if there is any problem."""
    problems: tuple[Problem, ...] = ()
    """All of them."""


def mentions(annotations: Mapping[str, str]) -> bool:
    """Whether any annotation could concern us; if not, `parse` would find nothing.

    On the path of every container of the node: a microsecond for ten annotations.
    """
    for key in annotations:  # noqa: SIM110  any() with a generator takes twice as long
        if key.startswith(_STARTS):
            return True
    return False


def may_mention(encoded: bytes | memoryview) -> bool:
    """Whether a message may hold an annotation that `mentions` would see; if not, it need not be decoded.

    Protobuf keeps the bytes of a string together, as they are.
    """
    return _ENCODED_STARTS.search(encoded) is not None


def concerning(annotations: Mapping[str, str]) -> dict[str, str]:
    """Those that could concern us: `parse` looks at no others."""
    return {key: value for key, value in annotations.items() if key.startswith(_STARTS)}


def names_container(annotations: Mapping[str, str]) -> str | None:
    """The first key that asks for one container by its name; None if there is none."""
    return next((key for key in sorted(annotations) if key.startswith(CONTAINER_PREFIXES)), None)


def parse(annotations: Mapping[str, str], *, container: str) -> Parsed:
    """Read what a pod's annotations ask for one of its containers.

    Never raises, whatever the annotations hold, and takes a few milliseconds at most.

    Args:
        annotations: the pod's.
        container: the container's name in the pod; "" where the engine does not know it.
    """
    found = sources(annotations, container=container)
    problems = [*_unknown_keys(annotations), *_rivals(found)]
    entries: list[Entry] = []
    for source in found:
        for result in _read(annotations[source.key], source):
            if isinstance(result, Entry):
                entries.append(result)
            else:
                problems.append(result)
    problems.extend(_duplicates(entries))
    total = sum(entry.count for entry in entries)
    if total > MAX_INTERFACES and not problems:
        message = f"{total} interfaces are asked for in all; at most {MAX_INTERFACES} can be"
        problems.append(Problem(key=entries[-1].key, message=message))
    return Parsed(entries=() if problems else tuple(entries), problems=tuple(problems))


def _unknown_keys(annotations: Mapping[str, str]) -> Iterator[Problem]:
    """Our own prefix with what we do not know behind it: ignoring a slip would start the container without."""
    for key in annotations:
        if key.startswith(f"{ANNOTATION_PREFIX}/") and key != POD_KEY and not key.startswith(CONTAINER_KEY_PREFIX):
            yield Problem(key=key, message=f"unknown annotation key{_key_meant(key)}")


def _key_meant(key: str) -> str:
    head, _, container = key.removeprefix(f"{ANNOTATION_PREFIX}/").partition(".")
    keys = {"pod": POD_KEY, "container": CONTAINER_KEY_PREFIX + (container or "NAME")}
    return did_you_mean(head, keys)


def _rivals(found: Iterable[Source]) -> Iterator[Problem]:
    """Two annotations for one scope, of which the author can mean only one."""
    for scope in Scope:
        natives = [source.key for source in found if (source.scope, source.grammar) == (scope, Grammar.NATIVE)]
        peers = [source.key for source in found if source.scope is scope and source.grammar is not Grammar.NATIVE]
        for rival in (natives + peers)[1:] if natives else ():
            message = f"asks for the same {scope} as annotation {told_key(natives[0])}; keep one of the two"
            yield Problem(key=rival, message=message)


def _duplicates(entries: Iterable[Entry]) -> Iterator[Problem]:
    interfaces: dict[str, Entry] = {}
    names: dict[str, Entry] = {}
    for entry in entries:
        same = interfaces.setdefault(entry.interface, entry) if entry.interface else entry
        alike = names.setdefault(entry.inside, entry) if entry.fixed_inside else entry
        if same is not entry:
            message = f"interface {quote(entry.interface)} is asked for twice, first in {_seen_from(entry, same)}"
        elif alike is not entry:
            message = (
                f"the name {quote(entry.inside)} is wanted twice, first for {quote(alike.wanted)} "
                f"in {_seen_from(entry, alike)}"
            )
        else:
            continue
        yield Problem(key=entry.key, entry=entry.number, message=message)


def _seen_from(entry: Entry, other: Entry) -> str:
    place = f"entry {other.number}"
    return place if other.key == entry.key else f"annotation {told_key(other.key)}, {place}"


# -- one annotation ----------------------------------------------------------------------------------------------


def _read(text: str, source: Source) -> Iterator[Entry | Problem]:
    rules = RULES[source.grammar]
    try:
        node = yaml_nodes.load(text)
    except yaml_nodes.YamlError as error:
        yield Problem(key=source.key, message=f"the annotation {error.reason}", line=error.line)
        return
    if node is None or (isinstance(node, yaml_nodes.Scalar) and node.is_null):
        if not rules.is_go:
            yield Problem(key=source.key, message="the annotation is empty; write a list of interfaces, or [] for none")
    elif not isinstance(node, yaml_nodes.Sequence):
        told, begin = yaml_nodes.kind_of(node), '; begin each with "- "'
        yield Problem(key=source.key, message=f"the annotation must be a list of interfaces, not {told}{begin}")
    elif len(node.items) > MAX_INTERFACES:
        message = f"{len(node.items)} interfaces are asked for; at most {MAX_INTERFACES} can be"
        yield Problem(key=source.key, message=message)
    else:
        for number, item in enumerate(node.items, 1):
            yield from _entry(item, number, source, rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """A field with its name as documented and its valid value."""

    use: Use
    field: str
    value: Any


def _entry(node: yaml_nodes.Node, number: int, source: Source, rules: Rules) -> Iterator[Entry | Problem]:
    problem = partial(Problem, key=source.key, entry=number)
    if isinstance(node, yaml_nodes.Scalar) and not rules.is_go and not node.is_null:
        results = [_value(Use.INTERFACE, "interface", node, problem, is_go=False)]
    elif isinstance(node, yaml_nodes.Mapping):
        if len(node.pairs) > _MAX_FIELDS:
            yield problem(message=f"an entry of {len(node.pairs)} fields; no grammar has so many")
            return
        results = list(_fields(node, rules, problem))
    else:
        forms = "a mapping" if rules.is_go else "the name of an interface or a mapping"
        yield problem(message=f"an entry must be {forms}, not {yaml_nodes.kind_of(node)}")
        return
    problems = [result for result in results if isinstance(result, Problem)]
    given = [result for result in results if isinstance(result, _Given)]
    if not problems and not any(result.use in {Use.INTERFACE, Use.SELECT, Use.POOL} for result in given):
        problems = [problem(message=f"no interface is named; add the field {rules.field_for(Use.INTERFACE)}")]
    if problems:
        yield from problems
        return
    values = {result.use: result.value for result in given if result.use is not Use.SELECT}
    selecting = {result.field: result.value for result in given if result.use is Use.SELECT}
    interface = values.get(Use.INTERFACE, "")
    if is_glob(interface) and not rules.is_go:
        selecting["interface"], interface = interface, ""
    entry = Entry(
        interface=interface,
        name=values.get(Use.INSIDE),
        key=source.key,
        number=number,
        scope=source.scope,
        grammar=source.grammar,
        selector=Selector(**selecting) if selecting else None,
        pool=values.get(Use.POOL),
        count=values.get(Use.COUNT, 1),
    )
    unfit = list(_unfit(entry, problem))
    yield from unfit or (entry,)


def _unfit(entry: Entry, problem: partial[Problem]) -> Iterator[Problem]:
    """What is wrong in an entry though each of its fields is right."""
    if entry.count > 1 and entry.interface:
        yield problem(message=f"{entry.count} of one interface are asked for; name a pool or a pattern", field="count")
    if entry.name is None or entry.grammar is not Grammar.NATIVE:
        return
    if POOL_NAME in entry.name and entry.pool is None:
        yield problem(message=f"name {quote(entry.name)} has {POOL_NAME}, and no pool is asked for", field="name")
    elif entry.count > 1 and "{n}" not in entry.name:
        yield problem(message=f"{entry.count} interfaces cannot all have the name {quote(entry.name)}; add {{n}}")
    elif why := why_invalid(fill(entry.name, pool=entry.pool or "", n=entry.count - 1)):
        yield problem(message=f"name {quote(entry.name)}, filled in, {why}", field="name")


def _fields(node: yaml_nodes.Mapping, rules: Rules, problem: partial[Problem]) -> Iterator[_Given | Problem]:
    seen: set[str] = set()
    for key, value in node.pairs:
        field = rules.field_named(key.text)
        if field is None:
            if not rules.is_go:
                meant = did_you_mean(key.text, {name: name for name in rules.fields} | PEERS_WORDS)
                yield problem(message=f"unknown field {quote(key.text)}{meant}", field=key.text)
            continue
        if field in seen:
            yield problem(message=f"the field {field} is given twice, in different case", field=field)
            continue
        seen.add(field)
        use = rules.fields[field]
        if not rules.is_go or not _is_absent_to_go(value, use):
            yield _value(use, field, value, problem, is_go=rules.is_go)


def _value(use: Use, field: str, value: yaml_nodes.Node, problem: partial[Problem], *, is_go: bool) -> _Given | Problem:
    """One field, read; in Go's grammars a name is never a pattern."""
    if use is Use.LATER:
        return problem(message=f"not yet supported: {field}", field=field)
    if not isinstance(value, yaml_nodes.Scalar) or value.is_null:
        return problem(message=f"{field} must be a text, not {yaml_nodes.kind_of(value)}", field=field)
    try:
        return _Given(use=use, field=field, value=_READERS[use](field, value.text, is_go))
    except FieldError as error:
        return problem(message=str(error), field=field)


def _name_of(why: Callable[[str], str | None]) -> Callable[[str, str, bool], str]:
    """A reader of names, given what may be wrong with them in the native grammar."""

    def read(field: str, text: str, is_go: bool) -> str:
        reason = why_invalid(text) if is_go else why(text)
        if reason is not None:
            raise FieldError(f"{field} {quote(text)} {reason}")
        return text

    return read


def _count(field: str, text: str, _: bool) -> int:
    try:
        return whole_number(1, MAX_INTERFACES)(text)
    except FieldError as error:
        raise FieldError(f"{field} {quote(text)} {error}") from None


_READERS: Mapping[Use, Callable[[str, str, bool], object]] = {
    Use.INTERFACE: _name_of(lambda text: why_invalid(text.replace("*", "x").replace("?", "x"))),
    Use.SELECT: lambda field, text, _: read_field(field, text),
    Use.POOL: _name_of(why_invalid),
    Use.COUNT: _count,
    Use.INSIDE: _name_of(why_invalid_pattern),
}


def _is_absent_to_go(value: yaml_nodes.Node, use: Use) -> bool:
    """Whether Go's decoder makes the same of it as of no field at all: null, "", and 0 where a number is wanted."""
    if not isinstance(value, yaml_nodes.Scalar):
        return False
    return value.is_null or not value.text or (use is Use.LATER and value.as_int() == 0)


__all__ = [
    "ALL_PREFIXES",
    "ANNOTATION_PREFIX",
    "CONTAINER_KEY_PREFIX",
    "POD_KEY",
    "Entry",
    "Grammar",
    "Parsed",
    "mentions",
    "parse",
    "quote",
]
