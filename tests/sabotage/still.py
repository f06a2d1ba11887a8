"""Dumps of what stands still: the kernel does some things later, by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tests.sabotage.differences import Difference, compare, unnamed
from tests.sabotage.dumps import Dump


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """How to look, and how long.

    Args:
        read: makes a dump.
        patience_s: how long the kernel may take.
        interval_s: between two looks.
        still_s: how long nothing may change to be taken for final.
    """

    read: Callable[[], Dump]
    patience_s: float
    interval_s: float
    still_s: float

    def settled(self) -> Dump:
        """A dump, once the kernel changes nothing any more by itself. Without a carrier addresses stay tentative."""
        last = self.read()
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            time.sleep(self.interval_s)
            now = self.read()
            is_still = not compare(last, now) and not any('"tentative"' in fact.text for fact in now.facts)
            last = now
            if is_still:
                break
        return last

    def differences(self, before: Dump, troubles: Collection[str]) -> list[Difference]:
        """What differs from before, once the kernel has done what it does later."""
        deadline = time.monotonic() + self.patience_s
        still_since, last = time.monotonic(), ""
        while True:
            found = compare(before, self.read())
            if not unnamed(found, troubles) or time.monotonic() > deadline:
                return found
            if str([*map(str, found)]) != last:
                still_since, last = time.monotonic(), str([*map(str, found)])
            if time.monotonic() - still_since > self.still_s:
                return found
            time.sleep(self.interval_s)
