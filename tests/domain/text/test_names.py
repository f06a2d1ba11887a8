"""Names that the kernel and every runtime take, and no others; and strangers' text told on one harmless line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.text.names import (
    did_you_mean,
    escape,
    printable,
    quote,
    quote_key,
    why_invalid,
    why_invalid_altname,
)


@pytest.mark.parametrize(
    "ifname",
    [
        "eth0",
        "ens2f0np0",
        "enp0s31f6",
        "eth0.100",
        "a",
        "0",
        "0123",
        "1e3",
        "no",
        "...",
        "a-b",
        "a_b",
        "a@b",
        "~",
        "x" * 15,
    ],
)
def test_what_the_kernel_and_every_runtime_take_is_valid(ifname: str) -> None:
    """A name that works is not refused."""
    assert why_invalid(ifname) is None
    assert why_invalid_altname(ifname) is None


@pytest.mark.parametrize(
    ("ifname", "reason"),
    [
        ("", "is empty"),
        ("x" * 16, "is longer than 15 bytes (it has 16)"),
        ("é" * 8, "is longer than 15 bytes (it has 16)"),
        (".", "is a directory, not a name"),
        ("..", "is a directory, not a name"),
        ("all", "is a word that the kernel keeps for /proc/sys/net"),
        ("default", "is a word that the kernel keeps for /proc/sys/net"),
        ("-eth0", 'begins with "-", which means removal to the engine'),
        ("net%d", 'contains "%", a template that runtimes fail on; write the whole name'),
        ("100%", 'contains "%", a template that runtimes fail on; write the whole name'),
        ("a/b", 'contains "/", which the kernel refuses'),
        (
            "eth0:1",
            'contains ":", which the kernel refuses; write eth0: what follows the colon is the label of an address',
        ),
        ("a b", 'contains whitespace (" ")'),
        ("eth0\n", 'contains whitespace ("\\n")'),
        ("a\tb", 'contains whitespace ("\\t")'),
        ("a\vb", 'contains whitespace ("\\x0b")'),
        ("a\fb", 'contains whitespace ("\\x0c")'),
        ("a\0b", 'contains a control character ("\\x00")'),
        ("a\x1cb", 'contains a control character ("\\x1c")'),
        ("a\x7fb", 'contains a control character ("\\x7f")'),
        ("netö", 'contains "ö", which is not ASCII; many tools fail on it'),
        ("a\u00a0b", 'contains "\\xa0", which is not ASCII; many tools fail on it'),
        ("a\u2003b", 'contains "\\u2003", which is not ASCII; many tools fail on it'),
        ("a\udc80b", 'contains "\\udc80", which is not ASCII; many tools fail on it'),
    ],
)
def test_what_would_strand_an_interface_is_refused_with_its_reason(ifname: str, reason: str) -> None:
    """A bad name is told before anything moves, in words that say what to change."""
    assert why_invalid(ifname) == reason


def test_an_alternative_name_may_be_longer() -> None:
    """127 bytes, as the kernel has it."""
    assert why_invalid_altname("x" * 127) is None
    assert why_invalid_altname("x" * 128) == "is longer than 127 bytes (it has 128)"
    assert why_invalid_altname("all") is None
    assert why_invalid_altname("..") == "is a directory, not a name"


@given(st.text(max_size=20))
def test_a_valid_name_is_1_to_15_printable_ascii_characters_without_the_special_ones(text: str) -> None:
    """Whatever the text, no name passes that any of kernel, runc, crun and youki refuses."""
    if why_invalid(text) is None:
        assert 1 <= len(text.encode()) <= 15
        assert all("!" <= char <= "~" and char not in "/:%" for char in text)
        assert text not in {".", "..", "all", "default"}
        assert text[0] != "-"


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=300))
def test_a_quoted_text_is_one_short_printable_line(text: str) -> None:
    """No stranger's text breaks a log line, moves a terminal's cursor or floods a message."""
    quoted = quote(text)
    assert quoted.isprintable()
    assert len(quoted) <= 80 + len('"…"')
    quoted.encode()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("ens2f0", '"ens2f0"'),
        ('say "hi"\\', '"say \\"hi\\"\\\\"'),
        ("a\r\n\tb\0", '"a\\r\\n\\tb\\x00"'),
        ("\u202eevil\U000e0001", '"\\u202eevil\\U000e0001"'),
        ("größe", '"größe"'),
        ("x" * 80, '"' + "x" * 80 + '"'),
        ("x" * 81, '"' + "x" * 80 + '…"'),
        ("\0" * 50, '"' + "\\x00" * 20 + '…"'),
    ],
)
def test_a_text_is_quoted_escaped_and_cut(text: str, quoted: str) -> None:
    """The exact form, as messages show it."""
    assert quote(text) == quoted
    assert escape(text) == quoted[1:-1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('held by "a\\b" é', 'held by "a\\b" é'),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[2J\x9b\u2028\udcff\U000e0001", r"\x1b[2J\x9b\u2028\udcff\U000e0001"),
        ("x" * 1000 + "\0", "x" * 1000 + r"\x00"),
    ],
)
def test_a_printable_text(text: str, shown: str) -> None:
    """Only what cannot be printed is escaped, and nothing is cut."""
    assert printable(text) == shown


def test_a_key_is_told_bare_unless_it_is_strange() -> None:
    """Annotation keys can be copied from a message, and cannot forge one."""
    assert quote_key("nri-netdev.io/container.app") == "nri-netdev.io/container.app"
    assert quote_key("nri-netdev.io/a b\n") == '"nri-netdev.io/a b\\n"'


@pytest.mark.parametrize(
    ("word", "question"),
    [("nmae", ' (did you mean "name"?)'), ("Interface", ' (did you mean "interface"?)'), ("zzz", ""), ("n" * 1000, "")],
)
def test_a_slip_of_the_pen_is_answered_with_a_proposal(word: str, question: str) -> None:
    """What is near a known word is proposed, what is not is not guessed at."""
    assert did_you_mean(word, {"name": "name", "interface": "interface"}) == question
