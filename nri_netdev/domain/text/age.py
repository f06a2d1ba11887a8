"""Durations for people."""

from __future__ import annotations


def age(seconds: int) -> str:
    """A duration in the two largest of days, hours, minutes and seconds: `1 h 5 min`."""
    parts = [
        (seconds // 86400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    ]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"
