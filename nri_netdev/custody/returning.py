"""Ways home that are under way: begun by a job of custody, and ended by another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from nri_netdev.domain.snapshot import HomeReport
from nri_netdev.errors import KernelError

Outcome: TypeAlias = HomeReport | KernelError
"""What came of a way home: a report, or why the interface is where it was."""


class StillReturning(Exception):  # noqa: N818 - no error: what is asked for is to be asked again
    """A job has to wait for an interface that is on its way home. It has changed nothing but what may be done twice."""


class AtOnce:
    """Ways home within the job that begins them, for commands and tests."""

    def begin(self, way: Callable[[], HomeReport], then: Callable[[Outcome], None]) -> None:
        """Go the way, and call `then` with what came of it."""
        try:
            outcome: Outcome = way()
        except KernelError as error:
            outcome = error
        then(outcome)
