"""Ways home that are under way: begun by a job of custody, and ended by another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from nri_netdev.custody.ports import HandoutStore, Leasing, Returns
from nri_netdev.domain.setup.leases import Lease, LeaseResult
from nri_netdev.domain.snapshot import HomeReport
from nri_netdev.errors import KernelError, PluginError

T = TypeVar("T")
Outcome: TypeAlias = HomeReport | KernelError
"""What came of a way home: a report, or why the interface is where it was."""


class StillReturning(Exception):  # noqa: N818 - no error: what is asked for is to be asked again
    """A job has to wait for an interface that is on its way home, or for an address that a plugin is about to give.

    It has changed nothing but what may be done twice.
    """


class NoPlugins:
    """No IPAM plugin, for commands and tests that need none."""

    def add(self, lease: Lease) -> LeaseResult:
        """Refuse."""
        raise PluginError(plugin=lease.plugin, command="ADD", reason="there are no plugins here", has_run=False)

    def delete(self, lease: Lease) -> None:
        """Refuse."""
        raise PluginError(plugin=lease.plugin, command="DEL", reason="there are no plugins here", has_run=False)


class AtOnce:
    """Ways home within the job that begins them, for commands and tests."""

    def begin(self, way: Callable[[], T], then: Callable[[T | KernelError], None]) -> None:
        """Go the way, and call `then` with what came of it."""
        try:
            outcome: T | KernelError = way()
        except KernelError as error:
            outcome = error
        then(outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What takes long, and so is done beside the jobs of custody."""

    returns: Returns = field(default_factory=AtOnce)
    """Goes ways home."""
    plugins: Leasing = field(default_factory=NoPlugins)
    """The IPAM plugins."""
    plugin_runs: Returns = field(default_factory=AtOnce)
    """Runs them."""
    handouts: HandoutStore | None = None
    """Keeps what pods are told; None to tell them nothing."""
