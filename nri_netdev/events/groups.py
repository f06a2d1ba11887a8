"""Events that happen together make one notice: a container with four interfaces gets one notice, not four.

Times are those of the events, so that the same events make the same groups whenever they are received.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nri_netdev.events.notice import Notice
from nri_netdev.events.table import Group, group_of, notice_of
from nri_netdev.shells.observe.listener import LogEvent

TOGETHER_S = 1.0
"""From the first to the last of those in one notice; so long is a notice held back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
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

    def add(self, logged: LogEvent) -> Iterator[Occurrence]:
        """Take an event, and give the notices to which nothing can be added any more."""
        yield from self.closed(logged.at_s)
        if found := group_of(logged.name, logged.fields):
            group, item = found
            growing = self._open.setdefault(group, _Open(logged.at_s, logged.at_s))
            growing.items.append(item)
            growing.last_s = logged.at_s

    def closed(self, now_s: float) -> Iterator[Occurrence]:
        """Give the notices that are complete at a time, in seconds since the epoch."""
        for group in [group for group, growing in self._open.items() if now_s - growing.first_s >= TOGETHER_S]:
            growing = self._open.pop(group)
            yield Occurrence(notice=notice_of(group, growing.items), at_s=growing.last_s)
