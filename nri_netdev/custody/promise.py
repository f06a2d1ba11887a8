"""The promise: what a container is given becomes durable before the engine hears of it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterable, Sequence

from nri_netdev.custody.claims import Claims
from nri_netdev.custody.deaths import Deaths
from nri_netdev.custody.evaluate import Evaluation
from nri_netdev.custody.holders import Holders
from nri_netdev.custody.locate import mark
from nri_netdev.custody.ports import Kernel
from nri_netdev.custody.settle import Settler
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import Claim, Netns, State
from nri_netdev.domain.life import Place, Report, Trigger
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.verdict.demand import held_for, outstanding
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.errors import KernelError, StateError, refusal_for
from nri_netdev.faults import step

_log = logging.getLogger(__name__)


class Promiser:
    """Makes promises of evaluations.

    Args:
        claims: the claims.
        holders: what the engine says.
        kernel: the node.
        settler: settles the claims of a promise that came to nothing.
        deaths: knows which holders are dead.
    """

    def __init__(self, claims: Claims, holders: Holders, kernel: Kernel, settler: Settler, deaths: Deaths) -> None:
        self._claims = claims
        self._holders = holders
        self._kernel = kernel
        self._settler = settler
        self._deaths = deaths
        self._tried: set[tuple[str, str]] = set()
        """Containers that are being created, and marks of claims that were tried again to make way for them."""

    def own(self, pod: PodSandbox, container: Container) -> list[Claim]:
        """The claims of a container and of its pod."""
        holders = {(Scope.POD, pod.id), (Scope.CONTAINER, container.id)}
        return [claim for claim in self._claims.binding() if (claim.owner.scope, claim.owner.holder_id) in holders]

    def missing(self, pod: PodSandbox, container: Container, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """What a container asks for and neither it nor its pod holds."""
        own = self.own(pod, container)
        return tuple(filter(None, (outstanding(entry, held_for(entry, own)) for entry in entries)))

    def make_way(self, pod: PodSandbox, container: Container, entries: Sequence[Entry]) -> None:
        """Settle whatever may stand in the way of a container that is being created."""
        self._deaths.report()
        self._supersede(pod, container)
        wanted = {entry.interface for entry in entries}
        binding = self._claims.binding()
        marks = {claim.mark for claim in binding}
        self._tried = {(tried, mark) for tried, mark in self._tried if mark in marks}
        for claim in binding:
            is_free_soon = claim.state.is_homeward or self._holders.has_ended(claim)
            if claim.ifname in wanted or claim.owner.pod_id == pod.id or ("" in wanted and is_free_soon):
                self._try(claim, container)

    def _try(self, claim: Claim, container: Container) -> None:
        """Settle a claim; one that is to come home only once: its container is decided on again after each try."""
        if claim.state.is_homeward:
            if (container.id, claim.mark) in self._tried:
                return
            self._tried.add((container.id, claim.mark))
        self._settler.settle(claim)

    def _supersede(self, pod: PodSandbox, container: Container) -> None:
        """End a dead container of the same name, whose end the engine may not have reported yet."""
        for claim in self._claims.binding():
            owner = claim.owner
            if (owner.scope, owner.pod_id, owner.container) != (Scope.CONTAINER, pod.id, container.name):
                continue
            is_alive = claim.state is State.HELD and self._kernel.processes.is_alive(claim.pid)
            if owner.container_id != container.id and not is_alive:
                self._holders.report(Report.STOPPED, owner.container_id)

    def take_over(self, pod: PodSandbox, container: Container, entries: Iterable[Entry]) -> None:
        """Have a container that starts bring in what its pod was promised and has not got: another was to, and did not.

        Args:
            pod: its pod.
            container: the container.
            entries: what it asks for.
        """
        pods = [claim for claim in self.own(pod, container) if claim.owner.scope is Scope.POD]
        for claim in (claim for entry in entries for claim in held_for(entry, pods)):
            if claim.state is State.PLANNED and claim.owner.container_id != container.id:
                owner = dataclasses.replace(claim.owner, container_id=container.id, container=container.name)
                self._claims.put(dataclasses.replace(claim, owner=owner))

    def again(self, entries: Sequence[Entry], own: Sequence[Claim], container: Container) -> tuple[Grant, ...]:
        """What was promised and has not come yet: to the pod, or to the container by a daemon whose answer was lost.

        Args:
            entries: what the container asks for.
            own: the claims that it and its pod had before it was decided on.
            container: the container.
        """
        grants = [self._again(claim, entry, container) for entry in entries for claim in held_for(entry, own)]
        return tuple(filter(None, grants))

    def _again(self, claim: Claim, entry: Entry, container: Container) -> Grant | None:
        found = self._settler.locate(claim)
        if found.place is not Place.HOST or found.link is None:  # a share comes when the container starts
            return None
        self._kernel.pods.pin(claim.netns)
        if claim.mark not in found.link.altnames:
            self._kernel.host.mark(found.link.ifindex, claim.mark)  # a daemon died before it could
        owner = dataclasses.replace(claim.owner, container_id=container.id, container=container.name)
        self._claims.put(dataclasses.replace(claim, owner=owner))
        return Grant(entry=dataclasses.replace(entry, interface=claim.ifname, name=claim.inside), link=found.link)

    def promise(self, made: Evaluation, netns: Netns) -> None:
        """Make a promise durable, then prepare host and netns for it.

        Raises:
            RequestError: Ledger or kernel refuse; everything is as it was.
        """
        try:
            step("custody.deciding")
            given = self._claims.promise(made.claims, instead_of=made.inherited)
        except StateError as error:
            raise refusal_for(error, f"{error}; nothing is given until then") from error
        try:
            step("custody.promised")
            self._kernel.pods.pin(netns)
            for claim in given:
                step("custody.pinned")
                mark(self._kernel, claim)
            step("custody.marked")
            for claim in given:
                if claim.setup.vf is not None:
                    self._kernel.setups.set_vf(claim.snapshot.link, claim.setup.vf)
                    step("custody.vf_set")
        except KernelError as error:
            for claim in given:
                self._settler.settle(self._claims.advance(claim, Trigger.REFUSED))
            raise refusal_for(error) from error
        for old in made.inherited:
            with contextlib.suppress(KernelError):
                self._kernel.host.unmark(old.snapshot.link.ifindex, old.mark)
