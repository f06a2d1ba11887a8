"""A tree as the lines of a Helm template, with a condition wherever a variant of it differs.

What no variant changes is written as it is. A mapping differs by its keys, a list by its elements; anything else is one
value or the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import yaml

Fields = dict[str, Any]
Variants = Mapping[str, Any]
"""What stands in the place of a value, by the condition of a template; None if nothing does."""
At = tuple[str, ...]
"""Where a field is: KIND/NAME of the object, and the keys that lead there; that of a list's element is its name."""

FIRST = ("apiVersion", "kind", "metadata", "name")
"""Keys by which a reader knows what follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """What the lines of any tree are made by."""

    fields: Mapping[At, Iterable[str]]
    """Fields with lines of their own, whether the tree has them or not. No variant may change them."""
    more: Mapping[At, Iterable[str]]
    """Lines after those of a mapping."""
    leaf: Callable[[str, Any], str | None]
    """What is written in the place of a value, by its key; None writes the value."""

    def object(self, key: str, base: Fields | None, variants: Variants) -> Iterator[str]:
        """The lines of an object, which the base or a variant may be without.

        Raises:
            SystemExit: variants change the same thing to different values, or what has lines of its own.
        """
        if base is None:
            return self._choice((key,), None, _present(variants))
        return _unless_absent(variants, self._mapping((key,), base, _present(variants)))

    def _mapping(self, at: At, base: Fields, variants: Variants) -> Iterator[str]:
        others = {condition: one for condition, one in variants.items() if one != base}
        own = {place[-1] for place in self.fields if place[:-1] == at}
        keys = {*base, *(key for one in others.values() for key in one), *own}
        for key in sorted(keys, key=lambda key: (FIRST.index(key) if key in FIRST else len(FIRST), key)):
            inner = {condition: one.get(key) for condition, one in others.items() if one.get(key) != base.get(key)}
            yield from self._entry((*at, key), base.get(key), inner)
        yield from self.more.get(at, ())

    def _entry(self, at: At, base: Any, variants: Variants) -> Iterator[str]:
        """The lines of a key of a mapping."""
        if at in self.fields:
            if variants:
                raise SystemExit(f"{'.'.join(at)} is set by a value, and by {' and '.join(variants)}")
            yield from self.fields[at]
        elif _are_all(dict, base, variants):
            yield f"{at[-1]}:"
            yield from indented(self._mapping(at, base, variants))
        elif _are_all(list, base, variants):
            yield f"{at[-1]}:"
            yield from self._list(at, base, variants)
        elif variants:
            yield from self._choice(at, base, variants)
        elif (text := self.leaf(at[-1], base)) is not None:
            yield f"{at[-1]}: {text}"
        else:
            yield from _plain({at[-1]: base})

    def _list(self, at: At, base: Sequence[Any], variants: Variants) -> Iterator[str]:
        before: dict[int, list[tuple[str, Any]]] = {}
        instead: dict[int, dict[str, Any]] = {}
        known = [_identity(one) for one in base]
        for condition, others in variants.items():
            matcher = SequenceMatcher(None, known, [_identity(one) for one in others], autojunk=False)
            for tag, i, i_end, j, j_end in matcher.get_opcodes():
                for n in range(i, i_end):
                    instead.setdefault(n, {})[condition] = others[j + n - i] if tag == "equal" else None
                if tag != "equal":
                    before.setdefault(i_end, []).extend((condition, one) for one in others[j:j_end])
        for n in range(len(base) + 1):
            for condition, one in before.get(n, ()):
                yield from when(f"if {condition}", self._element(at, one, {}))
            if n < len(base):
                yield from self._element(at, base[n], {c: v for c, v in instead.get(n, {}).items() if v != base[n]})

    def _element(self, at: At, base: Any, variants: Variants) -> Iterator[str]:
        if isinstance(base, dict):
            inner = list(self._mapping((*at, _identity(base)), base, _present(variants)))
            lines = [*(["-"] if inner[0].startswith("{{") else []), *indented(inner)]
            lines[0] = "-" + lines[0][1:]
        else:
            lines = list(_plain([base]))
        return _unless_absent(variants, lines)

    def _choice(self, at: At, base: Any, variants: Variants) -> Iterator[str]:
        """One value or the other, of which one may be none."""
        value, *different = {json.dumps(one): one for one in variants.values()}.values()
        if different:
            raise SystemExit(f"{'.'.join(at)} is changed in different ways by {' and '.join(variants)}")
        yield f"{{{{- if {_any(variants)} }}}}"
        yield from self._value(at, value)
        if base is not None:
            yield "{{- else }}"
            yield from self._value(at, base)
        yield "{{- end }}"

    def _value(self, at: At, value: Any) -> Iterator[str]:
        if value is None:
            return iter(())
        return self._entry(at, value, {}) if len(at) > 1 else self._mapping(at, value, {})


def when(condition: str, lines: Iterable[str]) -> list[str]:
    """Lines in a block of a template."""
    return [f"{{{{- {condition} }}}}", *lines, "{{- end }}"]


def indented(lines: Iterable[str]) -> Iterator[str]:
    """Lines one level further in."""
    return (f"  {line}" if line else "" for line in lines)


def escaped(line: str) -> str:
    """A line that a template gives as it is."""
    return line.replace("{{", '{{ "{{" }}')


def joined(lines: Iterable[str]) -> list[str]:
    """The same lines, where blocks that follow each other under one condition are one."""
    done: list[str] = []
    opened: list[str] = []
    closed = ""
    for line in lines:
        word = line.strip().removeprefix("{{- ").partition(" ")[0] if "{{-" in line else ""
        if word in {"if", "with", "range"}:
            opened.append(line)
            if line == closed:
                done.pop()
                closed = ""
                continue
        elif word == "else":
            opened[-1] = ""
        closed = opened.pop() if word == "end" else ""
        done.append(line)
    return done


def _present(variants: Variants) -> dict[str, Any]:
    return {condition: one for condition, one in variants.items() if one is not None}


def _unless_absent(variants: Variants, lines: Iterable[str]) -> Iterator[str]:
    absent = [condition for condition, one in variants.items() if one is None]
    return iter(when(f"if not ({_any(absent)})", lines) if absent else lines)


def _any(conditions: Iterable[str]) -> str:
    one, *others = conditions
    return f"or {' '.join(f'({other})' for other in (one, *others))}" if others else one


def _are_all(kind: type, base: Any, variants: Variants) -> bool:
    """Whether a filled mapping or list differs by what is in it."""
    return bool(base) and all(isinstance(one, kind) for one in (base, *variants.values()))


def _identity(element: Any) -> str:
    """What an element of a list is known by."""
    return str(element["name"]) if isinstance(element, dict) and "name" in element else json.dumps(element)


def _plain(value: Any) -> Iterator[str]:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1 << 20)
    return map(escaped, text.splitlines())
