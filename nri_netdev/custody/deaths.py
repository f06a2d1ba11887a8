"""Ends that the kernel tells: a container whose first process has ended, has ended, whatever the engine says of it.

An engine may tell late, or never: it hangs, it was restarted, a plugin before us has failed at the event. Other
processes of the container may live on in a shared pid namespace; for the engine, too, it ends with its first process.

Only that process counts that a daemon has seen in the pod's netns. So a pid of another pid namespace, or that of a
runtime's helper, ends nobody. A pod-level claim has no process: it ends with its pod.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterable

from nri_netdev.custody.claims import Claims, about
from nri_netdev.custody.holders import Holders
from nri_netdev.custody.ports import Kernel
from nri_netdev.custody.settle import Settler
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.life import Report
from nri_netdev.domain.pods import Container
from nri_netdev.domain.scope import Scope
from nri_netdev.log import event

_log = logging.getLogger(__name__)


class Deaths:
    """Watches the first process of every container that holds an interface.

    Args:
        claims: the claims; the pid of each is that of a process that a daemon has seen in the pod's netns, or 0.
        holders: what the engine says; it is told of each container that has died.
        kernel: the node.
        settler: brings home what they held.
    """

    def __init__(self, claims: Claims, holders: Holders, kernel: Kernel, settler: Settler) -> None:
        self._claims = claims
        self._holders = holders
        self._kernel = kernel
        self._settler = settler
        self._shares_pids = False
        """Whether a pid means the same here as to the engine. Until it does, a free pid says nothing."""

    # -- watching --------------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """An fd that is readable while a watched process has ended, until `settle`; on any thread."""
        return self._kernel.pidfds.fileno()

    def watch(self, container: Container) -> None:
        """Watch the first process of a container that holds something, if it is in the pod's netns."""
        for claim in self._claims.of(container.id):
            is_watched = claim.owner.scope is Scope.CONTAINER and self._kernel.pidfds.watch(
                container.id, container.pid, claim.netns
            )
            if is_watched and claim.pid != container.pid:
                self._claims.put(dataclasses.replace(claim, pid=container.pid))

    def synchronize(self, containers: Iterable[Container], *, shares_pids: bool) -> None:
        """Take the pids of the engine's list.

        Args:
            containers: every container.
            shares_pids: whether the engine is in our pid namespace.
        """
        self._shares_pids = shares_pids
        for container in containers:
            self.watch(container)

    def keep(self) -> None:
        """Watch no process any more but those of containers that hold something."""
        self._kernel.pidfds.keep({c.owner.container_id for c in self._claims.binding() if self._may_die(c)})

    def close(self) -> None:
        """Watch nothing any more."""
        self._kernel.pidfds.close()

    # -- the dead --------------------------------------------------------------------------------------------------

    def is_dead(self, container: Container) -> bool:
        """Whether the process of a container that the engine lists as running has ended."""
        return self._shares_pids and container.pid > 0 and not self._kernel.processes.is_alive(container.pid)

    def report(self) -> None:
        """Report every container that has died as stopped, as the engine would; nothing moves yet.

        Processes that the ledger alone knows, after a restart, are watched from now on.
        """
        ended = self._kernel.pidfds.ended()
        dead = [c for c in self._claims.binding() if self._may_die(c) and self._has_died(c, ended)]
        for claim in dead:
            event(_log, logging.INFO, "holder.died", **about(claim), pid=claim.pid, engine_has_told=False)
        self._holders.report(Report.STOPPED, *(claim.owner.container_id for claim in dead))
        self.keep()

    def settle(self) -> None:
        """Bring home what containers held that have died, and what could not be brought home when they ended."""
        self.report()
        for claim in self._claims.binding():
            if claim.state.is_given and self._holders.has_ended(claim):
                self._settler.settle(claim)
        self._holders.forget_all_but(self._claims.holders())

    # -- within ----------------------------------------------------------------------------------------------------

    def _may_die(self, claim: Claim) -> bool:
        """Whether the holder has a known process, and is not known to have ended."""
        return claim.state.is_given and claim.pid > 0 and not self._holders.has_ended(claim)

    def _has_died(self, claim: Claim, ended: Collection[str]) -> bool:
        """Whether its process has ended, by its pidfd, or, where there is none, by its pid."""
        container_id = claim.owner.container_id
        if container_id in ended:
            return True
        is_watched = self._kernel.pidfds.watch(container_id, claim.pid, claim.netns)
        return not is_watched and self._shares_pids and not self._kernel.processes.is_alive(claim.pid)
