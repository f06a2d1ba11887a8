"""What differs of a facet is put back, what differs still is told."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import Any

import pytest

from nri_netdev.domain.snapshot import Messages
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.facets.facet import (
    Change,
    Facet,
    Items,
    Key,
    Recorded,
    Refusals,
    Site,
    if_supported,
    restore_facet,
)

WAS: Messages = (b"a=1", b"b=2", b"c=3")


class Shelf(Site):
    """A site without kernel, whose state is a dict."""

    def __init__(self, state: dict[str, bytes]) -> None:
        super().__init__(None, 7)  # type: ignore[arg-type]
        self.state = state
        self.addresses = ()

    def again(self) -> Site:
        return Shelf(self.state)


def _items(recorded: Recorded) -> Items:
    return dict(message.split(b"=") for message in recorded.messages)


def _put(site: Any, _: Recorded, change: Change) -> Refusals:
    refusals: dict[Key, KernelError] = {}
    for key in change.every:
        if key == b"c":
            refusals[key] = KernelError(action="set c", errno=errno.EPERM)
        elif key in change.was:
            site.state[key] = change.was[key]
        else:
            del site.state[key]
    return refusals


FACET = Facet(
    name="letters",
    title="letters",
    read=lambda site: tuple(b"=".join(pair) for pair in site.state.items()),  # type: ignore[attr-defined]
    items=_items,
    what=lambda _site, key: f"letter {key.decode()}",
    show=lambda _site, _key, value: value.decode(),
    put=_put,
    advice="mend",
)


def told(facet: Facet, state: dict[bytes, bytes], **recorded: Any) -> list[str]:
    site: Any = Shelf(state)  # type: ignore[arg-type]
    return [str(each) for each in restore_facet(facet, site, Recorded(messages=WAS, ifindex=7, **recorded))]


def test_what_differs_is_put_back() -> None:
    """Changed, missing and added alike; then there is nothing to tell."""
    state = {b"a": b"9", b"c": b"3", b"d": b"4"}

    assert told(FACET, state) == []
    assert state == {b"a": b"1", b"b": b"2", b"c": b"3"}


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            {b"a": b"1", b"b": b"2", b"c": b"9"},
            "letter c could not be restored: it is 9, and was 3: cannot set c: Operation not permitted (EPERM); mend",
        ),
        (
            {b"a": b"1", b"b": b"2"},
            "letter c could not be restored: cannot set c: Operation not permitted (EPERM); mend",
        ),
    ],
)
def test_what_cannot_be_put_back_is_told(state: dict[bytes, bytes], text: str) -> None:
    """With what it is, what it was, why and what to do."""
    assert told(FACET, state) == [text]


def test_what_cannot_be_taken_off_is_told_and_keeps_the_interface() -> None:
    """Where it would reach the next pod."""
    facet = replace(FACET, put=None, withholds=True)
    site: Any = Shelf({b"a": b"1", b"b": b"2", b"c": b"3", b"d": b"4"})  # type: ignore[dict-item]
    [shortfall] = restore_facet(facet, site, Recorded(messages=WAS, ifindex=7))

    assert shortfall.is_left
    assert str(shortfall).startswith("letter d, which was not there before, could not be taken off: ")


@pytest.mark.parametrize("how", ["flushed", "partial"])
def test_what_is_the_hosts_own_stays(how: str) -> None:
    """What a move has emptied, and what was never recorded, is not compared."""
    facet = replace(FACET, is_flushed=how == "flushed")
    state = {b"a": b"1", b"b": b"2", b"c": b"3", b"d": b"4"}

    assert told(facet, state, is_partial=how == "partial") == []
    assert b"d" in state


def test_what_comes_back_by_itself_is_not_told() -> None:
    """It is tried all the same."""
    facet = replace(FACET, is_expendable=lambda key: key == b"c")

    assert told(facet, {b"a": b"1"}) == []


def test_what_cannot_be_read_here_is_not_compared() -> None:
    """Such as sysfs where it cannot be mounted."""
    assert told(replace(FACET, read=lambda _site: None), {}) == []


def _answer(number: int) -> str:
    if number:
        raise KernelError(action="read", errno=number)
    return "read"


def test_what_no_driver_has_reads_as_none() -> None:
    """Any other refusal is an error."""
    assert if_supported(_answer, 0) == "read"
    assert if_supported(_answer, errno.EOPNOTSUPP) is None
    with pytest.raises(KernelError):
        if_supported(_answer, errno.EPERM)
