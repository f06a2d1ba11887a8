"""The settings in force, and how a change of them comes into force."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from nri_netdev.config.settings import Settings
from nri_netdev.config.watched import Reload, Watched
from nri_netdev.log import event

_log = logging.getLogger(__name__)


class InForce:
    """The settings in force.

    Args:
        settings: what the operator has set.
        watched: where they come from, to be read again; None if they never change.
        apply: puts changed ones into force.
    """

    def __init__(self, settings: Settings, watched: Watched | None, apply: Callable[[Settings], None]) -> None:
        self.settings = settings
        self._watched = watched
        self._apply = apply
        self._reading = threading.Lock()
        """The timer reads the configuration again, and whatever an engine passes comes on another thread."""

    def reload(self) -> None:
        """Read the configuration again; what is wrong in it is logged, and the old one stays in force."""
        if self._watched is not None:
            self._read(self._watched.reload)

    def configure(self, text: str) -> None:
        """Take what an engine passes to its plugins."""
        watched = self._watched
        if watched is not None:
            self._read(lambda: watched.configure(text))

    def _read(self, read: Callable[[], Reload | None]) -> None:
        with self._reading:
            change = read()
            if change is not None:
                self._take(change)

    def _take(self, change: Reload) -> None:
        for problem in change.problems:
            event(_log, logging.ERROR, "config.refused", problem=problem, effect="the old one stays in force")
        if change.needs_restart:
            event(_log, logging.WARNING, "config.needs_restart", settings=change.needs_restart)
        if not change.problems:
            self.settings = change.settings
            self._apply(change.settings)
            event(_log, logging.INFO, "config.in_force", rules=len(change.settings.policy.rules))
