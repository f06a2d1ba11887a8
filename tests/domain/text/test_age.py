"""Durations for people."""

from __future__ import annotations

import pytest

from nri_netdev.domain.text.age import age


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (86400 + 5, "1 d 5 s"), (90061, "1 d 1 h")],
)
def test_an_age_has_two_units(seconds: int, text: str) -> None:
    """For people, not for clocks."""
    assert age(seconds) == text
