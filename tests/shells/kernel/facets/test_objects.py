"""Objects that are added again: in whatever order they need, and no longer than that helps."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.facets.facet import Change, Recorded, Site
from nri_netdev.shells.kernel.facets.objects import at_once, one_by_one, put_objects, putter

NEEDS = {b"\1": b"\2", b"\2": b"\3", b"\3": b"", b"\4": b"\5"}
"""Which object each needs to be there first."""
ADD, DELETE = (24, 0), (25, 0)


class Table:
    """What a kernel has, in the order in which it came."""

    def __init__(self, *there: bytes) -> None:
        self.there = [b"", *there]

    def change_all(self, action: str, kind: int, payloads: Sequence[bytes], _flags: int) -> dict[int, KernelError]:
        refused: dict[int, KernelError] = {}
        for position, payload in enumerate(payloads):
            if kind == DELETE[0]:
                self.there.remove(payload)
            elif NEEDS[payload] in self.there:
                self.there.append(payload)
            else:
                refused[position] = KernelError(action=action, errno=errno.ENETUNREACH)
        return refused


def site(table: Table) -> Site:
    rtnl: Any = table
    return Site(rtnl, 7)


def as_it_is(_: Site, payload: bytes) -> bytes:
    return payload


def test_one_that_needs_another_is_added_after_it() -> None:
    """What cannot be added is reported, with the reason."""
    table = Table()
    refusals = put_objects(site(table), [b"\1", b"\4", b"\2", b"\3"], ADD, as_it_is)

    assert table.there == [b"", b"\3", b"\2", b"\1"]
    assert {key: error.errno for key, error in refusals.items()} == {b"\4": errno.ENETUNREACH}


def test_what_was_not_there_goes_before_what_is_missing_comes() -> None:
    """Taken off and added in two batches."""
    table = Table(b"\4")
    change = Change(was={b"\3": b""}, now={b"\4": b""})

    assert putter(ADD, DELETE, as_it_is)(site(table), Recorded(messages=(), ifindex=7), change) == {}
    assert table.there == [b"", b"\3"]


def test_one_that_is_refused_stops_no_other() -> None:
    """Each is tried."""
    done: list[int] = []

    def change(_: Site, key: int) -> None:
        if key == 2:
            raise KernelError(action="change 2", errno=errno.EPERM)
        done.append(key)

    assert {*one_by_one(site(Table()), [1, 2, 3], change)} == {2}
    assert done == [1, 3]


def test_a_request_for_all_that_is_refused_is_refused_for_each() -> None:
    """One that is done refuses none."""

    def change(_: Site) -> None:
        raise KernelError(action="change all", errno=errno.EPERM)

    refusals = at_once(site(Table()), ["a", "b"], change)
    assert {key: error.errno for key, error in refusals.items()} == {"a": errno.EPERM, "b": errno.EPERM}
    assert at_once(site(Table()), ["a", "b"], lambda _: None) == {}
