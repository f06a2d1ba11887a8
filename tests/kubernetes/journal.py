"""What daemons log, those included that are gone."""

import contextlib
import itertools
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from tests.e2e.machine import Machine

_LOGS = Path("/var/log/pods")
_KEPT = Path("/var/log/kept")
_LINE = re.compile(r"\S+ stderr F (\S+)Z ([A-Z]+ .*)")
"""What an engine writes before each line, then a line of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of a log, and when it was written, in seconds since the epoch."""

    time_s: float
    text: str


class Journal:
    """The logs of all daemons of a machine from now on. The kubelet deletes a pod's log with the pod; here it stays.

    Args:
        machine: where they run.
    """

    def __init__(self, machine: Machine) -> None:
        self._logs, self._kept = machine.path(_LOGS), machine.path(_KEPT)
        self._kept.mkdir(exist_ok=True)
        self._begun_s = time.time()

    @contextlib.contextmanager
    def kept(self) -> Iterator[Self]:
        """Give each log a second name, for as long as the block lasts, soon after it is there."""
        is_over = threading.Event()

        def keep() -> None:
            while not is_over.wait(0.1):
                self._keep()

        thread = threading.Thread(target=keep)
        thread.start()
        try:
            yield self
        finally:
            is_over.set()
            thread.join()

    def entries(self, pattern: str) -> Sequence[Entry]:
        """Return the lines in which a regular expression is found, oldest first."""
        self._keep()
        lines = (line for log in self._kept.iterdir() for line in log.read_text(errors="replace").splitlines())
        found = (Entry(time_s=_seconds(match[1]), text=match[2]) for match in map(_LINE.fullmatch, lines) if match)
        ours = (entry for entry in found if entry.time_s >= self._begun_s and re.search(pattern, entry.text))
        return sorted(ours, key=lambda entry: entry.time_s)

    def gaps_s(self) -> Sequence[float]:
        """Return how long it took until the next daemon had taken over, for each that handed over."""
        turns = self.entries(r"daemon\.(handed_over|took_over)")
        pairs = itertools.pairwise(turns)
        return [new.time_s - old.time_s for old, new in pairs if "handed_over" in old.text and "took_over" in new.text]

    def _keep(self) -> None:
        for log in self._logs.glob("nri-netdev_*/nri-netdev/*.log"):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                os.link(log, self._kept / f"{log.parents[1].name}-{log.name}")


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(f"{moment}+00:00").timestamp()
