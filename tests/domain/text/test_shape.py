"""A shape reads what it describes, notes every flaw with its path, and says the same as a JSON schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.shape import (
    Flaw,
    FlawKind,
    ListOf,
    MapOf,
    Member,
    OneOrList,
    Reader,
    Record,
    Shape,
    Text,
    TextOr,
    Unfit,
    UnfitError,
    boolean,
    like,
    unobjected,
    whole_number,
    words,
)

NAME = like(r"[a-z]+", "a name")
SEVERAL: OneOrList[str] = OneOrList(item=NAME, most=2)


def _not_alike(pair: Mapping[str, str]) -> Iterator[Unfit]:
    if pair.get("a") == pair.get("b"):
        yield ("b",), "is the same as a"
        yield (), "has nothing of its own"


UNALIKE: Record[dict[str, str]] = Record(
    build=dict, unfit=_not_alike, members={"a": Member(shape=NAME, text="x"), "b": Member(shape=NAME, text="x")}
)


def read(shape: Shape[Any], text: str) -> tuple[Any, list[Flaw]]:
    """What a shape makes of a text, and the flaws."""
    node = yaml_nodes.load(text)
    assert node is not None
    reader = Reader()
    return shape.read(node, (), reader), reader.flaws


def messages(shape: Shape[Any], text: str) -> list[str]:
    """The flaws of a text, each after its path."""
    _, flaws = read(shape, text)
    assert flaws
    return [f"{'.'.join(flaw.path)}: {flaw.message}" for flaw in flaws]


def _pair(a: str, b: int = 0) -> tuple[str, int]:
    if a == "odd" and not b % 2:
        raise UnfitError("is odd, and b is even")
    return a, b


PAIR: Record[tuple[str, int]] = Record(
    build=_pair,
    members={
        "a": Member(shape=NAME, text="a word", is_required=True, slips=("first",)),
        "bee": Member(shape=whole_number(0, 9), text="a digit", default="0", argument="b"),
    },
)
GO: Record[dict[str, Any]] = Record(
    build=dict, is_go=True, most=4, members={"hostIf": Member(shape=NAME, text="x", is_required=True)}
)


@pytest.mark.parametrize(
    ("shape", "text", "value"),
    [
        (NAME, "abc", "abc"),
        (like(r"[a-z]+", "a name", change=str.lower), "ABC", "abc"),
        (unobjected(lambda text: "is short" if len(text) < 2 else None), "ab", "ab"),
        (whole_number(0, 64), "64", 64),
        (words("up", "down"), "up", "up"),
        (boolean(), "false", False),
        (ListOf(item=NAME), "[]", ()),
        (ListOf(item=NAME, least=1), "[a, b]", ("a", "b")),
        (MapOf(key=NAME, value=boolean()), "{a: true, b: false}", {"a": True, "b": False}),
        (SEVERAL, "a", ("a",)),
        (SEVERAL, "[a, b]", ("a", "b")),
        (ListOf(item=NAME, most=2), "[a, b]", ("a", "b")),
        (UNALIKE, "{a: x, b: y}", {"a": "x", "b": "y"}),
        (whole_number(0, 4294967295), "4294967295", 4294967295),
        (PAIR, "{bee: 3, a: x}", ("x", 3)),
        (PAIR, "{a: x}", ("x", 0)),
        (TextOr(text=Text(parse=lambda text: (text, 7)), record=PAIR), "short", ("short", 7)),
        (TextOr(text=Text(parse=lambda text: (text, 7)), record=PAIR), "{a: x}", ("x", 0)),
        (GO, "{HOSTIF: a, other: [x], more: }", {"hostIf": "a"}),
    ],
)
def test_a_value_is_read(shape: Shape[Any], text: str, value: object) -> None:
    """Of what fits, without a flaw."""
    assert read(shape, text) == (value, [])


@pytest.mark.parametrize(
    ("shape", "text", "told"),
    [
        (NAME, "[a]", [": must be a text, not a list"]),
        (NAME, "null", [": must be a text, not null"]),
        (NAME, "A", [': "A" is not a name']),
        (unobjected(lambda _: "is bad"), "x", [': "x" is bad']),
        (whole_number(1, 64), "01", [': "01" is not a whole number from 1 to 64']),
        (whole_number(1, 64), "65", [': "65" is not a whole number from 1 to 64']),
        (words("up", "down"), "Up", [': "Up" is not one of up, down']),
        (boolean(), "yes", [': "yes" is neither true nor false']),
        (ListOf(item=NAME), "{}", [": must be a list, not a mapping"]),
        (ListOf(item=NAME, least=1), "[]", [": must not be empty; leave it out, or say what you mean"]),
        (ListOf(item=NAME), "[a, B, c, D]", ['2: "B" is not a name', '4: "D" is not a name']),
        (ListOf(item=NAME, most=2), "[a, B, c]", [": has 3 items; it may have 2"]),
        (SEVERAL, "[]", [": must not be empty; leave it out, or say what you mean"]),
        (SEVERAL, "[a, b, c]", [": has 3 items; it may have 2"]),
        (SEVERAL, "[a, B]", ['2: "B" is not a name']),
        (SEVERAL, "B", [': "B" is not a name']),
        (MapOf(key=NAME, value=NAME, most=1), "{a: b, c: D}", [": has 2 keys; it may have 1"]),
        (UNALIKE, "{a: x, b: x}", ["b: is the same as a", ": has nothing of its own"]),
        (UNALIKE, "{a: x, b: X}", ['b: "X" is not a name']),
        (ListOf(item=UNALIKE), "[{}, {a: x}]", ["1.b: is the same as a", "1: has nothing of its own"]),
        (MapOf(key=NAME, value=NAME), "a", [": must be a mapping, not a text"]),
        (MapOf(key=NAME, value=NAME), "{A: a, b: B}", [': "A" is not a name', 'b: "B" is not a name']),
        (PAIR, "[a]", [": must be a mapping, not a list"]),
        (PAIR, "{bee: x}", ['bee: "x" is not a whole number from 0 to 9', ": lacks a: a word"]),
        (PAIR, "{a: x, Bee: 1}", [': has the unknown key "Bee" (did you mean "bee"?)']),
        (PAIR, "{a: x, first: 1}", [': has the unknown key "first" (did you mean "a"?)']),
        (PAIR, "{a: x, zzzzz: 1}", [': has the unknown key "zzzzz"; known: a, bee']),
        (PAIR, "{a: odd, bee: 2}", [": is odd, and b is even"]),
        (PAIR, "{a: x, bee: }", ["bee: must be a text, not null"]),
        (
            Record(build=dict, one_of=("a", "b"), members=PAIR.members),
            "{bee: 1}",
            [": lacks a: a word", ": needs a or b"],
        ),
        (TextOr(text=NAME, record=PAIR), "[a]", [": must be a text, not a list"]),
        (GO, "{hostIf: a, hostif: b}", ["hostIf: is given twice, in different case"]),
        (GO, "{hostif: A}", ['hostIf: "A" is not a name']),
        (GO, "{hostIf: ''}", [": lacks hostIf: x"]),
        (GO, "{a: , b: , c: , d: , e: }", [": has 5 keys; it may have 4"]),
    ],
)
def test_every_flaw_is_noted_with_its_path(shape: Shape[Any], text: str, told: list[str]) -> None:
    """In the order of the document."""
    assert messages(shape, text) == told


def test_a_flaw_knows_kind_and_node() -> None:
    """So that each reader words its place in its own way."""
    _, [flaw] = read(PAIR, "a: x\nfrist: z")
    assert (flaw.kind, flaw.path, flaw.node.line) == (FlawKind.UNKNOWN_KEY, (), 2)
    assert flaw.shown == '"frist" (did you mean "a"?)'


def test_what_does_not_go_together_is_shown_at_its_place() -> None:
    """That of the key's value, where there is one; else that of the whole."""
    _, flaws = read(UNALIKE, "a: x\nb:\n  x")
    assert [(flaw.kind, flaw.node.line) for flaw in flaws] == [(FlawKind.UNFIT, 3), (FlawKind.UNFIT, 1)]


def test_not_every_unknown_key_is_compared_with_all() -> None:
    """That takes time, and a hostile text has many; the rest is refused all the same."""
    keys = ", ".join(f"frist{n}: z" for n in range(40))
    _, flaws = read(PAIR, f"{{a: x, {keys}}}")
    assert len(flaws) == 40
    assert [flaw for flaw in flaws if "did you mean" in flaw.shown] == flaws[:32]


def test_a_schema_says_the_same() -> None:
    """Of each shape."""
    assert ListOf(item=NAME, least=1).schema() == {
        "type": "array",
        "items": {"type": "string", "pattern": "^[a-z]+$"},
        "minItems": 1,
    }
    assert PAIR.schema() == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "a": {"description": "a word", "type": "string", "pattern": "^[a-z]+$"},
            "bee": {"description": "a digit", "default": "0", "type": "integer", "minimum": 0, "maximum": 9},
        },
        "required": ["a"],
    }
    listed = Member(shape=ListOf(item=NAME), text="words", default=("a", "b"))
    assert Record(build=dict, members={"l": listed}).schema()["properties"]["l"]["default"] == ["a", "b"]
    assert like("[a-z]", "x", change=str.lower, pattern_written="[A-Za-z]").schema()["pattern"] == "^[A-Za-z]$"
    assert MapOf(key=NAME, value=boolean()).schema()["additionalProperties"] == {"type": "boolean"}
    assert ListOf(item=NAME, most=3).schema()["maxItems"] == 3
    assert MapOf(key=NAME, value=NAME, most=3).schema()["maxProperties"] == 3
    assert SEVERAL.schema() == {
        "anyOf": [NAME.schema(), {"type": "array", "items": NAME.schema(), "minItems": 1, "maxItems": 2}]
    }
    assert TextOr(text=NAME, record=PAIR).schema() == {"anyOf": [NAME.schema(), PAIR.schema()]}
