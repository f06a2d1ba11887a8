"""Reads the annotations of a pod for one container: into entries, or into every reason why they cannot be read.

Independent of the host: `nri_netdev.domain.verdict.judge` decides whether an interface exists and may be given, and
returns its reasons as the same `Problem`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from nri_netdev.domain.annotations.grammars import (
    ANNOTATION_PREFIX,
    CONTAINER_KEY_PREFIX,
    GRAMMARS,
    Grammar,
    GrammarSpec,
    Source,
    setup_in,
    setup_of_peer,
    sources,
)
from nri_netdev.domain.annotations.keys import why_unknown
from nri_netdev.domain.pods import MAX_INTERFACES
from nri_netdev.domain.policy.selectors import FIELDS, Selector, is_glob
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.fields import document_of, of_one, read_setup
from nri_netdev.domain.setup.values import PLAIN, Setup
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.names import POOL_NAME, fill, quote, quote_key, why_invalid
from nri_netdev.domain.text.pasted import with_advice
from nri_netdev.domain.text.shape import Flaw, FlawKind, Reader

_OURS = f"{ANNOTATION_PREFIX}/"
_GUESSES = 32
"""How many unknown keys of a pod are compared with the known ones: that takes time, and a hostile pod has many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One interface that is asked for, or `count` of them."""

    interface: str
    """Its name on the host, valid as a name; "" where `selector` and `pool` define which may be given."""
    name: str | None = None
    """Its wanted name in the container, valid as a name, or a pattern with `{n}` and `{pool}`; None to keep the
    host's."""
    key: str
    """The annotation that it is from."""
    number: int
    """The place in that annotation's list, from 1."""
    scope: Scope
    grammar: Grammar
    selector: Selector | None = None
    """Conditions on it beside the name; None for none."""
    pool: str | None = None
    """The pool that it must be in."""
    count: int = 1
    """How many are asked for; 1 where the interface is named."""
    setup: Setup = PLAIN
    """What is to be set on it in the pod."""
    is_short: bool = False
    """Whether it is a mere name, or another plugin's: then the container gets no more than the interface."""

    @property
    def inside(self) -> str:
        """The name that it gets in the container: final once the verdict has chosen the interface."""
        return self.interface if self.name is None else self.name

    @property
    def is_shared(self) -> bool:
        """Whether it asks for a device of its own on the interface, which stays on the host."""
        return self.setup.share is not None

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices on it in the pod."""
        return tuple(child.name for child in self.setup.children)

    @property
    def is_pattern(self) -> bool:
        """Whether the wanted name is a pattern that the verdict fills in; the peers' grammars have none."""
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


Results = tuple[Entry | Problem, ...]
"""What one annotation holds."""


def read(text: str, source: Source) -> Results:
    """Read one annotation, whichever container it is for: what a caller keeps may serve all containers of the pod.

    Never raises, whatever the text is, and takes some 30 milliseconds at most.
    """
    return tuple(_read(text, source))


def parse(annotations: Mapping[str, str], *, container: str, read: Callable[[str, Source], Results] = read) -> Parsed:
    """Read what a pod's annotations ask for one of its containers.

    Never raises, whatever the annotations hold.

    Args:
        annotations: the pod's.
        container: the container's name in the pod; "" where the engine does not know it.
        read: reads one annotation, or knows it already.
    """
    results = {source: read(annotations[source.key], source) for source in sources(annotations, container=container)}
    return together(results, unknown_keys(annotations))


def together(results: Mapping[Source, Results], unknown: Iterable[Problem] = ()) -> Parsed:
    """Put together what the annotations for one container hold.

    Args:
        results: by annotation, natives first.
        unknown: the problems of the pod's other annotations.
    """
    problems = [*unknown, *_rivals(results)]
    entries: list[Entry] = []
    for result in (result for each in results.values() for result in each):
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


def unknown_keys(annotations: Mapping[str, str]) -> Iterator[Problem]:
    """Unknown keys with our prefix: were a slip ignored, the container would start without its interface."""
    guesses = _GUESSES
    for key in annotations:
        is_ours = key.startswith(_OURS) and not key.startswith(CONTAINER_KEY_PREFIX)
        if is_ours and (why := why_unknown(key, guess=guesses > 0)):
            guesses -= 1
            yield Problem(key=key, message=why)


def _rivals(found: Iterable[Source]) -> Iterator[Problem]:
    """Two annotations for one scope: the author can mean only one of them."""
    for scope in Scope:
        natives = [source.key for source in found if (source.scope, source.grammar) == (scope, Grammar.NATIVE)]
        peers = [source.key for source in found if source.scope is scope and source.grammar is not Grammar.NATIVE]
        for rival in (natives + peers)[1:] if natives else ():
            message = f"asks for the same {scope} as annotation {quote_key(natives[0])}; keep one of the two"
            yield Problem(key=rival, message=message)


def _duplicates(entries: Sequence[Entry]) -> Iterator[Problem]:
    interfaces: dict[str, Entry] = {}
    names: dict[str, Entry] = {}
    for entry in entries:
        same = interfaces.setdefault(entry.interface, entry) if entry.interface else entry
        same = entry if entry.is_shared and same.is_shared else same
        alike = names.setdefault(entry.inside, entry) if entry.fixed_inside else entry
        if same is not entry:
            message = f"interface {quote(entry.interface)} is asked for twice, first in {_place_for(entry, same)}"
        elif alike is not entry:
            message = (
                f"the name {quote(entry.inside)} is wanted twice, first for {quote(alike.wanted)} "
                f"in {_place_for(entry, alike)}"
            )
        else:
            continue
        yield Problem(key=entry.key, entry=entry.number, message=message)
    yield from _devices_twice(entries, names)


def _devices_twice(entries: Iterable[Entry], names: dict[str, Entry]) -> Iterator[Problem]:
    """Devices in the pod whose name something else there has; a VRF may be that of several interfaces.

    Args:
        entries: the entries.
        names: the names that interfaces have, and whose.
    """
    vrfs: dict[str, Entry] = {}
    for entry in entries:
        for name in entry.devices:
            alike = names.setdefault(name, entry)
            if alike is not entry or name == entry.fixed_inside:
                message = f"the name {quote(name)} is wanted twice, first in {_place_for(entry, alike)}"
                yield Problem(key=entry.key, entry=entry.number, message=message)
    for entry in entries:
        if (vrf := entry.setup.vrf) is None:
            continue
        alike = vrfs.setdefault(vrf.name, entry)
        if alike.setup.vrf != vrf:
            message = f"the VRF {quote(vrf.name)} has another table in {_place_for(entry, alike)}"
            yield Problem(key=entry.key, entry=entry.number, message=message, field="vrf.table")
        elif vrf.name in names:
            message = f"the name {quote(vrf.name)} is wanted twice, first in {_place_for(entry, names[vrf.name])}"
            yield Problem(key=entry.key, entry=entry.number, message=message, field="vrf.name")


def _place_for(entry: Entry, other: Entry) -> str:
    place = f"entry {other.number}"
    return place if other.key == entry.key else f"annotation {quote_key(other.key)}, {place}"


# -- one annotation ----------------------------------------------------------------------------------------------


def _read(text: str, source: Source) -> Iterator[Entry | Problem]:
    spec = GRAMMARS[source.grammar]
    try:
        node = yaml_nodes.load(text)
    except yaml_nodes.YamlError as error:
        message = with_advice(f"the annotation {error.reason}", _written(text, error.line, spec))
        yield Problem(key=source.key, message=message, line=error.line)
        return
    if node is None or (isinstance(node, yaml_nodes.YamlScalar) and node.is_null):
        if not spec.is_go:
            yield Problem(key=source.key, message="the annotation is empty; write a list of interfaces, or [] for none")
    elif not isinstance(node, yaml_nodes.YamlList):
        kind, begin = yaml_nodes.kind_of(node), '; begin each with "- "'
        yield Problem(key=source.key, message=f"the annotation must be a list of interfaces, not {kind}{begin}")
    elif len(node.items) > MAX_INTERFACES:
        message = f"{len(node.items)} interfaces are asked for; at most {MAX_INTERFACES} can be"
        yield Problem(key=source.key, message=message)
    else:
        reader = Reader()
        for number, item in enumerate(node.items, 1):
            reader.flaws.clear()
            yield from _entry(item, number, source, reader)


def _entry(node: yaml_nodes.Node, number: int, source: Source, reader: Reader) -> Iterator[Entry | Problem]:
    spec = GRAMMARS[source.grammar]
    problem = partial(Problem, key=source.key, entry=number)
    given = spec.entry.read(node, (), reader)
    if given is None:
        alone = _key_alone(node)
        yield from (_problem(flaw, spec, problem, alone=alone) for flaw in reader.flaws)
        return
    interface = given.get("interface", "")
    selecting = {name: given[name] for name in FIELDS if name in given and name != "interface"}
    if is_glob(interface) and not spec.is_go:
        selecting["interface"], interface = interface, ""
    entry = Entry(
        interface=interface,
        name=given.get("name"),
        key=source.key,
        number=number,
        scope=source.scope,
        grammar=source.grammar,
        selector=Selector(**selecting) if selecting else None,
        pool=given.get("pool"),
        count=given.get("count", 1),
        setup=_setup(given, node, spec),
        is_short=spec.is_go or isinstance(node, yaml_nodes.YamlScalar),
    )
    unfit = list(_unfit(entry, spec, problem))
    yield from unfit or (entry,)


def _setup(given: Mapping[str, Any], node: yaml_nodes.Node, spec: GrammarSpec) -> Setup:
    """What an entry asks to be set."""
    if spec.is_go:
        return read_setup(setup_of_peer(given))
    setup = setup_in(given)
    if setup.is_plain or not isinstance(node, yaml_nodes.YamlMapping):
        return PLAIN
    return replace(setup, document=document_of(node))


def _written(text: str, line: int | None, spec: GrammarSpec) -> str:
    """What a line of an annotation gives for an interface, though it is no YAML."""
    lines = text.splitlines()
    if line is None or not 1 <= line <= len(lines):
        return ""
    item = lines[line - 1].strip().removeprefix("- ").strip()
    return item.removeprefix(f"{spec.interface_field}: ").strip()


def _key_alone(node: yaml_nodes.Node) -> str:
    """An entry as it was written, if it is a key without a value, as `- ens9:` is; else ""."""
    match node:
        case yaml_nodes.YamlMapping(pairs=[(key, yaml_nodes.YamlScalar(is_null=True))]):
            return f"{key.text}:"
    return ""


def _problem(flaw: Flaw, spec: GrammarSpec, problem: partial[Problem], *, alone: str = "") -> Problem:
    """A flaw of an entry, in the words for annotations."""
    match flaw:
        case Flaw(kind=FlawKind.TYPE, path=()):
            return problem(message=f"an entry must be {spec.forms}, not {yaml_nodes.kind_of(flaw.node)}")
        case Flaw(kind=FlawKind.TOO_MANY, path=(), node=yaml_nodes.YamlMapping(pairs=pairs)):
            return problem(message=f"an entry of {len(pairs)} fields; no grammar has so many")
        case Flaw(kind=FlawKind.UNKNOWN_KEY, node=yaml_nodes.YamlScalar(text=key)):
            is_a_slip = bool(alone) and flaw.shown != quote(key)  # then what was meant is told already
            message = with_advice(f"unknown field {flaw.shown}", "" if is_a_slip else alone)
            return problem(message=message, field=".".join((*flaw.path, key)))
        case Flaw(kind=FlawKind.TEXT, path=()):  # the short form
            field = spec.interface_field
        case Flaw(path=()):
            return problem(message=f"an entry {flaw.message}")
        case _:
            field = ".".join(flaw.path)
    article = "the field " if flaw.kind is FlawKind.TWICE else ""
    return problem(message=f"{article}{field} {flaw.message}", field=field)


def _unfit(entry: Entry, spec: GrammarSpec, problem: partial[Problem]) -> Iterator[Problem]:
    """What is wrong in an entry though each of its fields is right."""
    if not entry.interface and entry.selector is None and entry.pool is None:
        yield problem(message=f"no interface is named; add the field {spec.interface_field}")
        return
    if entry.count > 1 and entry.interface:
        yield problem(message=f"{entry.count} of one interface are asked for; name a pool or a pattern", field="count")
    if entry.count > 1:
        for field in of_one(entry.setup):
            message = f"{field} is for one interface, and {entry.count} are asked for; write an entry for each"
            yield problem(message=message, field=field)
    if entry.name is None or spec.is_go:
        return
    if POOL_NAME in entry.name and entry.pool is None:
        yield problem(message=f"name {quote(entry.name)} has {POOL_NAME}, and no pool is asked for", field="name")
    elif entry.count > 1 and "{n}" not in entry.name:
        yield problem(message=f"{entry.count} interfaces cannot all have the name {quote(entry.name)}; add {{n}}")
    elif why := why_invalid(fill(entry.name, pool=entry.pool or "", n=entry.count - 1)):
        yield problem(message=f"name {quote(entry.name)}, filled in, {why}", field="name")
