"""Events that happen together told together: a container with four interfaces gets one notice, not four.

Times are those of the events, so that the same events make the same groups whenever they are heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nri_netdev.events.notice import Notice
from nri_netdev.events.table import Group, group_of, notice_of
from nri_netdev.shells.observe.listener import ToldEvent

TOGETHER_S = 1.0
"""From the first to the last of those that are told together; so long is a notice held back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A notice, and when it was due."""

    notice: Notice
    at_s: float
    """Seconds since the epoch."""


@dataclass(slots=True)
class _Open:
    first_s: float
    last_s: float
    items: list[str] = field(default_factory=list)


class Groups:
    """Gathers events into notices."""

    def __init__(self) -> None:
        self._open: dict[Group, _Open] = {}
        """Those that may grow, the oldest first."""

    def add(self, told: ToldEvent) -> Iterator[Happening]:
        """Take an event, and give the notices to which nothing can be added any more."""
        yield from self.closed(told.at_s)
        if found := group_of(told.name, told.fields):
            group, item = found
            growing = self._open.setdefault(group, _Open(told.at_s, told.at_s))
            growing.items.append(item)
            growing.last_s = told.at_s

    def closed(self, now_s: float) -> Iterator[Happening]:
        """Give the notices that are complete at a time, in seconds since the epoch."""
        for group in [group for group, growing in self._open.items() if now_s - growing.first_s >= TOGETHER_S]:
            growing = self._open.pop(group)
            yield Happening(notice=notice_of(group, growing.items), at_s=growing.last_s)
