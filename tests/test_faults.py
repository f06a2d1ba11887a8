"""Fault points do nothing, unless a test has put a hook in their place."""

from __future__ import annotations

import pytest

from nri_netdev.faults import hooked, step


def test_a_hook_is_called_with_each_name_and_no_longer_than_its_block() -> None:
    """Hooks within each other: the inner one is called, and the outer one again afterwards."""
    outer: list[str] = []
    inner: list[str] = []
    step("nobody.listens")
    with hooked(outer.append):
        step("a.b")
        with hooked(inner.append):
            step("c.d")
        step("e.f")
    step("nobody.listens")

    assert (outer, inner) == (["a.b", "e.f"], ["c.d"])


def test_a_hook_that_raises_is_taken_off_all_the_same() -> None:
    """Else a test that kills the program would kill the next one."""

    def kill(_: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), hooked(kill):
        step("a.b")
    step("a.b")
