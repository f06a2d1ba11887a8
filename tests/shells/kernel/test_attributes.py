"""Netlink attributes as bytes: what is packed is found again, and what is malformed ends the list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.shells.kernel.attributes import (
    NLA_F_NESTED,
    attributes,
    change,
    from_text,
    pack,
    pack_all,
    to_int,
    to_text,
    u32,
    walk,
)

PAIRS = st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=9)), max_size=5)


@given(PAIRS)
def test_what_is_packed_is_found(pairs: list[tuple[int, bytes]]) -> None:
    """In order, behind a header, whatever the padding; of one type the last counts."""
    data = b"head" + pack_all(pairs)

    assert len(data) % 4 == 0
    assert list(walk(data, 4)) == pairs
    assert attributes(data, 4) == dict(pairs)


@given(PAIRS, st.integers(0, 60))
def test_what_is_cut_off_ends_the_list(pairs: list[tuple[int, bytes]], length: int) -> None:
    """Only whole attributes are found."""
    found = list(walk(pack_all(pairs)[:length]))

    assert found == pairs[: len(found)]


@given(st.binary(max_size=40))
def test_any_bytes_can_be_walked(data: bytes) -> None:
    """And the list ends."""
    assert len(list(walk(data))) <= len(data) / 4


def test_a_change_keeps_flags_and_header() -> None:
    """A value is replaced or dropped by its type; the others stay as they were."""
    payload = b"head" + pack(1 | NLA_F_NESTED, b"abc") + pack(2, b"x") + pack(3, b"yz")
    changed = change(payload, 4, {1: b"longer", 2: None}.get)

    assert changed == b"head" + pack(1 | NLA_F_NESTED, b"longer") + pack(3, b"yz")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.integers(0, 2**32 - 1))
def test_texts_and_numbers_are_read_as_written(text: str, number: int) -> None:
    """None stays None; bytes that are not UTF-8 come back as they were."""
    assert to_text(from_text(text)) == text
    assert to_int(u32(number)) == number
    assert to_text(None) is to_int(None) is None
    assert from_text(to_text(b"\xff\0") or "") == b"\xff\0"
