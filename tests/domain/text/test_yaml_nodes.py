"""YAML as written, within bounds, with lines: the same with libyaml and without."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.yaml_nodes import (
    ANNOTATION,
    MANIFEST,
    Node,
    YamlError,
    YamlList,
    YamlMapping,
    YamlScalar,
    load,
    load_all,
)
from tests.domain.work import calls_of

LOADERS = {loader.__name__: loader for loader in (getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader)}


@pytest.fixture(autouse=True, params=LOADERS)
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test with libyaml and with PyYAML's own parser."""
    monkeypatch.setattr(yaml_nodes, "_LOADER", LOADERS[request.param])


def plain(node: Node | None) -> object:
    """A node as Python's own values, every scalar a text."""
    if isinstance(node, YamlScalar):
        return node.text
    if isinstance(node, YamlList):
        return [plain(item) for item in node.items]
    if isinstance(node, YamlMapping):
        return {key.text: plain(value) for key, value in node.pairs}
    return node


@pytest.mark.parametrize(
    "text", ["no", "on", "y", "1e3", "0x10", "0123", "12:30:45", "2001-01-01", "1_000", "~", ".inf"]
)
def test_a_scalar_is_the_text_as_written(text: str) -> None:
    """An interface may be named what YAML 1.1 takes for a boolean, a number or a date."""
    assert plain(load(f"- {text}\n- a: {text}")) == [text, {"a": text}]


def test_every_value_knows_its_line() -> None:
    """What is found wrong later can still be told by line."""
    node = load("# two interfaces\n- ens2f0\n- interface: ens2f1\n  name: net1\n")
    assert isinstance(node, YamlList)
    first, second = node.items
    assert isinstance(second, YamlMapping)
    assert (first.line, second.line) == (2, 3)
    assert [(key.text, key.line, value.line) for key, value in second.pairs] == [("interface", 3, 3), ("name", 4, 4)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-5", -5),
        ("9000", 9000),
        ("!!int 7", 7),
        ("'7'", None),
        ("!!str 7", None),
        ("0x10", None),
        ("010", None),
    ]
    + [(text, None) for text in ("1e3", "1_0", "+1", "1.0", "9" * 30, "true", "٣", "~")],
)
def test_an_int_is_decimal_and_unquoted(text: str, number: int | None) -> None:
    """Where a number is wanted, nothing is guessed."""
    node = load(text)
    assert isinstance(node, YamlScalar)
    assert node.as_int() == number


@pytest.mark.parametrize(
    ("text", "is_null"), [("~", True), ("null", True), ("[]", None), ("'~'", False), ("nil", False)]
)
def test_nothing_is_told_from_the_text_that_looks_like_it(text: str, is_null: bool | None) -> None:
    """`null` is nothing, "null" in quotes is a text."""
    node = load(text)
    assert (node.is_null if isinstance(node, YamlScalar) else None) == is_null


@pytest.mark.parametrize("text", ["", "  \n\n", "# only a comment\n"])
def test_a_text_without_a_document_gives_none(text: str) -> None:
    """Empty is not an error here; the consumer decides."""
    assert load(text) is None


def test_paths_lead_to_values_or_nowhere() -> None:
    """Reading a manifest needs no ladder of checks."""
    node = load("spec: {template: {name: x}}")
    assert isinstance(node, YamlMapping)
    assert plain(node.at("spec", "template", "name")) == "x"
    assert node.at("spec", "template", "name", "more") is None
    assert node.at("status", "x") is None


REFUSED = {
    'has the key "a" twice (first in line 1) (line 2)': "a: 1\na: 2\n",
    'has the anchor "x"; anchors are not accepted (line 1)': "- &x a\n- *x\n",
    'has the alias "x"; aliases are not accepted (line 2)': "- a\n- *x\n",
    'has the tag "tag:yaml.org,2002:python/x"; write plain values (line 1)': "!!python/x [a]",
    'has the tag "!mine"; write plain values (line 2)': "- a\n- !mine b",
    'has the tag "tag:yaml.org,2002:map"; write plain values (line 1)': "- !!map a",
    "has a list as a key; a key must be a text (line 1)": "{[a]: b}",
    "holds a second document (---); write one (line 3)": "- a\n---\n- b\n",
    "nests deeper than 8 levels (line 1)": "[" * 9 + "]" * 9,
    "holds more than 4096 values (line 4096)": "- a\n" * 5000,
    "is larger than 256 KiB": "- a\n" * 66_000,
    "holds the character U+0000, which YAML does not allow (line 2)": "- a\n- b\0\n",
    "holds the character U+001B, which YAML does not allow (line 1)": "\x1b[2J",
    "holds the character U+DC80, which YAML does not allow (line 1)": "\udc80",
}


@pytest.mark.parametrize(("told", "text"), REFUSED.items())
def test_what_is_not_accepted_is_told_with_its_line(told: str, text: str) -> None:
    """Each refusal says what and where."""
    with pytest.raises(YamlError) as caught:
        load(text)
    assert str(caught.value) == told


@pytest.mark.parametrize("text", ["[", "a: b: c", "- a\n b: c", "'", "\t- a", "%x", "@", "{a", "- *", "&"])
def test_what_is_not_yaml_is_told_as_such(text: str) -> None:
    """No exception of the library gets out."""
    with pytest.raises(YamlError, match=r"^is not YAML: .+ \(line \d\)$"):
        load(text)


def test_the_size_is_counted_in_bytes() -> None:
    """A text of few characters and many bytes is as large as it is."""
    with pytest.raises(YamlError, match="larger than 256 KiB"):
        load("é" * (140 * 1024))


HOSTILE = {
    "brackets": "[" * ANNOTATION.size_bytes,
    "braces": "{" * ANNOTATION.size_bytes,
    "dashes": "- " * (ANNOTATION.size_bytes // 2),
    "question marks": "? " * (ANNOTATION.size_bytes // 2),
    "keys": "".join(f"k{n}: a\n" for n in range(30_000)),
    "one word": "x" * ANNOTATION.size_bytes,
    "escapes": '"' + "\\x41" * 65_000 + '"',
    "folded": "a\n" + " b\n" * 80_000,
    "comments": "#" * ANNOTATION.size_bytes,
    "blank": "\n" * ANNOTATION.size_bytes,
    "documents": "--- a\n" * 40_000,
    "laughs": "a: &a [x, x]\n" + "".join(f"k{n}: &k{n} [*a, *a, *a]\n" for n in range(9000)),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_costs_little(text: str) -> None:
    """256 KiB made to hurt take little work, and end in a value or in our own error."""

    def loading() -> None:
        with contextlib.suppress(YamlError):
            load(text)

    assert calls_of(loading) < 9_000_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`?,\n \t\\0~\0é") | st.text())
def test_any_text_gives_a_value_or_our_error(text: str) -> None:
    """Nothing else ever comes out, whatever goes in."""
    for limits in (ANNOTATION, MANIFEST):
        with contextlib.suppress(YamlError):
            list(load_all(text, limits=limits))


JSON = st.recursive(
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abcdef", min_size=1), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_what_is_written_is_read_back(value: object) -> None:
    """A dumped value, its texts quoted or not, is the value again."""
    assert plain(next(load_all(yaml.safe_dump(value)), None)) == value


class TestManifests:
    """What files of manifests may have beyond annotations."""

    def test_documents_come_one_by_one_until_the_fault(self) -> None:
        """A fault in a late document does not hide the early ones."""
        documents = load_all("a: 1\n---\n---\nb: [\n")
        assert plain(next(documents)) == {"a": "1"}
        assert plain(next(documents)) == ""
        with pytest.raises(YamlError, match="is not YAML"):
            next(documents)

    def test_anchors_and_merge_keys_are_followed(self) -> None:
        """As kubectl does: what is there already wins, and the first of several sources."""
        text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\nuse: {<<: [*b, *m], x: 9}\nsame: *b\nquoted: {'<<': 1}\n"
        [node] = load_all(text)
        assert plain(node) == {
            "base": {"x": "1", "y": "2"},
            "more": {"y": "3", "z": "4"},
            "use": {"x": "9", "y": "2", "z": "4"},
            "same": {"x": "1", "y": "2"},
            "quoted": {"<<": "1"},
        }

    @pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: *a\n", "a: &a 1\n---\nb: *a\n"])
    def test_an_alias_needs_what_is_complete_before_it(self, text: str) -> None:
        """Neither loops nor leaks from document to document."""
        with pytest.raises(YamlError, match=r'has the alias "a" of what is not complete before it'):
            list(load_all(text))

    def test_a_billion_laughs_are_shared_not_copied(self) -> None:
        """The bomb is as small in memory as in the file."""
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
        [node] = load_all("\n".join(lines))
        assert len(repr(node)) < 100

    def test_merging_counts(self) -> None:
        """Merge keys are copied, so they are bounded like anything else."""
        keys = ", ".join(f"k{n}: v" for n in range(1000))
        with pytest.raises(YamlError, match="holds more than 1000000 values"):
            list(load_all(f"- &a {{{keys}}}\n" + "- <<: *a\n" * 1100))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: 1, b: [true, false, null, ~, x], c: {d: -7}}", {"a": 1, "b": [True, False, None, None, "x"], "c": {"d": -7}}),
        ("['1', \"true\", 'null', '', yes, 0x10, 1.5, 01]", ["1", "true", "null", "", "yes", "0x10", "1.5", "01"]),
        ("{a: , b: {}, c: []}", {"a": None, "b": {}, "c": []}),
    ],
)  # fmt: skip
def test_a_node_as_json_has_it(text: str, value: object) -> None:
    """What is in quotes is a text, and so is what YAML 1.1 and JSON read differently."""
    node = load(text)
    assert node is not None
    assert yaml_nodes.plain(node) == value
