"""Custody: whatever interface is given away is known, and comes home.

One object for every claim of the node and everything that is done with them. All its methods run one after another
(`nri_netdev.daemon.lane`), so that nothing here races with itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from nri_netdev.custody.arrival import Arrival
from nri_netdev.custody.claims import Claims, about, reported
from nri_netdev.custody.deaths import Deaths
from nri_netdev.custody.evaluate import Asker, Evaluation, Evaluator
from nri_netdev.custody.handing import Handing
from nri_netdev.custody.holders import Holders
from nri_netdev.custody.leases import Leases
from nri_netdev.custody.locate import is_mounted
from nri_netdev.custody.ports import Kernel, Store
from nri_netdev.custody.prepare import Encode, Expected, Preparations, Prepared
from nri_netdev.custody.promise import Promiser
from nri_netdev.custody.returning import Beside, StillReturning
from nri_netdev.custody.settle import Settler
from nri_netdev.custody.startup import end_earlier_boots, sweep
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import Claim, Netns, State
from nri_netdev.domain.effects import effects
from nri_netdev.domain.life import Report
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.errors import KernelError, NriNetdevError, Reason, RequestError
from nri_netdev.faults import step
from nri_netdev.log import event

_log = logging.getLogger(__name__)

_TICKS_UNTIL_RETRY = 10
_DETECTION_S = 15
"""How long after it was given an interface is looked at for addresses that another host has."""
_MAY_BE_OVER_SOON = frozenset({Reason.BUSY, Reason.HELD, Reason.POOL, Reason.ABSENT})
"""Refusals that an interface which comes home may end."""


class Custody:
    """Every claim of the node, and all that is done with them.

    Args:
        ledger: where claims are kept.
        kernel: the node.
        encode: makes the answer to the engine of what is granted.
        now_s: the wall clock, in seconds since the epoch.
        monotonic_s: a clock that never goes back, in seconds.
        beside: what takes long and is done beside the jobs; None to do it within them, without plugins.
    """

    def __init__(
        self,
        ledger: Store,
        kernel: Kernel,
        *,
        encode: Encode,
        now_s: Callable[[], float],
        monotonic_s: Callable[[], float],
        beside: Beside | None = None,
    ) -> None:
        self._kernel = kernel
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._ticks = 0
        self._unlogged: set[str] = set()
        """Marks of the claims whose promise is to be logged, when there is time."""
        self._claims = Claims(ledger)
        self._holders = Holders()
        beside = beside or Beside()
        self.leases = Leases(ledger, beside.plugins, beside.plugin_runs, monotonic_s)
        """Addresses of IPAM plugins."""
        self.settler = Settler(
            self._claims, self._holders, kernel, monotonic_s=monotonic_s, returns=beside.returns, leases=self.leases
        )
        """The way to settle a claim."""
        self.deaths = Deaths(self._claims, self._holders, kernel, self.settler)
        """The ends of containers that the engine has not told."""
        self._promiser = Promiser(self._claims, self._holders, kernel, self.settler, self.deaths)
        self.arrival = Arrival(self._claims, kernel, self.settler, self.leases)
        """What is done when a container starts."""
        self.handing = Handing(self._claims, kernel, self.settler, beside.handouts)
        """What containers get beside their interfaces."""
        self.evaluator = Evaluator(kernel, now_s=now_s)
        """Decides what can be given. Its `policy` may be exchanged; without one anything may be given."""
        self.preparations = Preparations(
            self._claims, kernel, self.evaluator, encode=encode, hand_out=self.handing.handout
        )
        """What is prepared for containers that are still to be created."""
        end_earlier_boots(self._claims, kernel, self.settler)
        sweep(self._claims, kernel)

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Every claim that keeps its interface from others, oldest first."""
        return self._claims.binding()

    def holders(self) -> Collection[str]:
        """Live view of the ids of pods and containers that have claims; safe to read from any thread."""
        return self._claims.holders()

    @property
    def is_behind(self) -> bool:
        """Whether something is left to do though nobody holds anything: in the ledger, for plugins, in directories."""
        return self._claims.is_behind or self.leases.is_any or self.handing.is_behind

    # -- before and at CreateContainer -----------------------------------------------------------------------------

    def prepare(self, pod: PodSandbox, asked: Mapping[str, tuple[Entry, ...]]) -> None:
        """Prepare what the containers of a new pod will ask for, as far as it can be given.

        Args:
            pod: the pod.
            asked: what each container will ask for, by its name; "" for whichever comes first.
        """
        with contextlib.suppress(RequestError):  # the container is refused with the reason when it is created
            netns = self._netns_of(pod)
            if netns is not None:
                for name, entries in asked.items():
                    self.preparations.prepare(Expected(pod=pod, name=name, entries=entries, netns=netns))

    def ready(self, pod_id: str, container: str) -> Prepared | None:
        """What is prepared for a container that is being created, if certainly nothing has changed since.

        It is durable, so its answer may be sent to the engine; `give` is to follow at once. Waits for nothing.
        """
        return None if self._is_known(pod_id, container) else self.preparations.ready(pod_id, container)

    def give(self, prepared: Prepared, container_id: str, container: str) -> None:
        """Give what is prepared to the container that has come; `record` is to follow when there is time."""
        self._claims.give(prepared.claims, container_id, container, int(self._now_s()))
        self.preparations.take(prepared)
        self._unlogged.update(claim.mark for claim in prepared.claims)
        step("custody.confirmed")
        self._holders.report(Report.CREATED, prepared.expected.pod.id, container_id)

    def record(self, container_id: str) -> None:
        """Write down what was given to a container as prepared, with snapshots of its interfaces as they are now."""
        unwritten = self._claims.unwritten(container_id)
        for claim in unwritten:
            with reported("look again", **about(claim)):
                claim = dataclasses.replace(claim, snapshot=self.evaluator.snapshot_again(claim))  # noqa: PLW2901
            self._claims.put(claim)
            step("custody.promised")
        for claim in self._claims.of(container_id):
            if claim.mark in self._unlogged:
                self._unlogged.discard(claim.mark)
                told = {"effects": found} if (found := self._effects(claim)) else {}
                event(_log, logging.INFO, "claim.promised", **about(claim), inside=claim.inside, **told)
        self.arrival.expect(container_id)
        if unwritten:
            self.preparations.refresh()

    def _effects(self, claim: Claim) -> tuple[str, ...]:
        """What giving an interface away does besides, for the log."""
        was = claim.snapshot
        if claim.is_share:
            return ()
        with reported("look for effects", **about(claim)):
            attached = self._kernel.attached(was.link)
            children = [child.link for child in was.children]
            return effects(was.link, addresses=was.addresses, children=children, attached=attached)
        return ()

    def create(
        self, pod: PodSandbox, container: Container, entries: Sequence[Entry], *, move: bool = False
    ) -> tuple[Grant, ...]:
        """Decide on a container that is being created and asks for interfaces, and promise what is granted.

        Args:
            pod: the pod that it will be in.
            container: the container.
            entries: what it asks for.
            move: whether to move the interfaces in at once, instead of leaving that to the runtime.

        Returns:
            What the runtime is to move for this container; nothing for what is inside already. `record` is to follow
            when there is time.

        Raises:
            RequestError: It is refused; nothing was given, nothing has changed.
            StillReturning: An interface that it may get is on its way home; to be called again when that is there.
        """
        if not move and not self._is_known(pod.id, container.name):
            prepared = self.preparations.unchanged(pod.id, container.name, entries)
            if prepared is not None:
                self.give(prepared, container.id, container.name)
                return prepared.grants
        self.preparations.withdraw_of(pod.id, container.name)
        for claim in self._uncertain(pod.id, container.name):
            self.settler.resolve(claim, is_over=True)
        self._promiser.make_way(pod, container, entries)
        netns = self._netns_of(pod)
        asked = self.missing(pod, container, entries)
        own = self._promiser.own(pod, container)
        asker = Asker(pod=pod, container=container, netns=netns)
        made = self._evaluate(asked, asker)
        self.preparations.withdraw(ifnames={claim.ifname for claim in made.claims})
        again = self._promiser.again(entries, own, container)
        if made.claims and netns is not None:
            self._promiser.promise(made, netns)
            self._unlogged.update(claim.mark for claim in made.claims)
        self._holders.report(Report.CREATED, pod.id, container.id)
        if not move and not made.would_fail:
            return (*again, *made.grants)
        try:
            self.arrival.complete(container.id)
        except NriNetdevError:
            self.end(container.id)
            raise
        return ()

    def missing(self, pod: PodSandbox, container: Container, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """What a container asks for and neither it nor its pod holds."""
        return self._promiser.missing(pod, container, entries)

    # -- from StartContainer to the end ----------------------------------------------------------------------------

    def start(
        self, pod: PodSandbox, container: Container, entries: Sequence[Entry], *, may_move: bool = True
    ) -> tuple[str, ...]:
        """See that all that a container asks for is inside, complete; it is about to start, or runs already.

        What it was never promised, because no daemon was there when it was created, is promised now.

        Args:
            pod: its pod.
            container: the container.
            entries: what it asks for.
            may_move: whether to move in what the runtime has left on the host.

        Returns:
            The interfaces that had to be moved in here: the runtime did not.

        Raises:
            RequestError: Something is not inside, and could not be put there.
        """
        self._check_runtime(pod, container, entries)
        for claim in self._uncertain(pod.id, container.name):
            self.settler.bind(claim, container)
        self._promiser.take_over(pod, container, entries)
        missed = self.missing(pod, container, entries)
        if missed:
            self.create(pod, container, missed)
        self.record(container.id)
        self.deaths.watch(container)
        for claim in self._claims.of(container.id):
            self.settler.settle(claim)
        try:
            moved = self.arrival.complete(container.id, may_move=may_move)
        except NriNetdevError:
            self.arrival.give_back(container.id)
            raise
        self.handing.arrived(pod)
        self._holders.report(Report.STARTED, container.id)
        return moved

    def end(self, holder_id: str) -> None:
        """Bring home what a container or pod held that has ended. A pod's end ends its containers' claims too."""
        self.preparations.withdraw(pod_id=holder_id)
        self._holders.report(Report.STOPPED, holder_id)
        for claim in self._claims.of(holder_id):
            if claim.owner.pod_id == holder_id:
                self._holders.report(Report.STOPPED, claim.owner.container_id)
            self.settler.settle(claim)
        self._holders.forget_all_but(self.holders())
        self.deaths.keep()
        self.leases.release_unneeded(self._claims.is_away)
        self.handing.keep()
        self._unlogged.intersection_update(claim.mark for claim in self.claims)

    def synchronize(
        self, pods: Iterable[PodSandbox], containers: Collection[Container], *, shares_pids: bool = False
    ) -> None:
        """Take the engine's list of all that exists: whatever is not in it has ended.

        Args:
            pods: every pod.
            containers: every container.
            shares_pids: whether the engine is in our pid namespace, so that its pids mean the same here.
        """
        self.preparations.withdraw_all()
        self.evaluator.forget_runtimes()
        self._holders.synchronize(pods, containers, concern=self.holders(), now_s=self._monotonic_s())
        self.deaths.synchronize(containers, shares_pids=shares_pids)
        self.settle()
        self.deaths.settle()

    # -- at any time -----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Look at every claim, and do whatever must be done now."""
        for claim in self.claims:
            if self.settler.is_due(claim):
                self.settler.settle(claim)

    def tick(self) -> None:
        """Do what no event asks for: releases, holders that went without an event, interfaces in transit, retries."""
        self._ticks += 1
        self._claims.catch_up()
        self.deaths.settle()
        is_retry = self._ticks % _TICKS_UNTIL_RETRY == 0
        for claim in self.claims:
            if self._is_abandoned(claim):
                self._holders.report(Report.STOPPED, claim.owner.pod_id, claim.owner.container_id)
                self.settler.settle(claim)
            elif (
                self.settler.is_missing(claim)
                or self.settler.lacks_address(claim)
                or (is_retry and self.settler.runs_without(claim))
                or claim.state is State.UNCERTAIN
                or (claim.state is State.RETURNING and is_retry)
                or (claim.state is State.PARTIAL and self.settler.is_due(claim))
                or (self.settler.may_be_duplicate(claim) and self._now_s() - claim.since_s < _DETECTION_S)
            ):
                self.settler.settle(claim)
        for mark in self._claims.releases():
            self.release(mark)
        self.leases.release_unneeded(self._claims.is_away)
        self.deaths.keep()
        self.handing.keep()
        self.preparations.refresh()
        self.preparations.renew_snapshots()

    def release(self, mark: str) -> tuple[str, ...]:
        """Bring an interface home whoever holds it, and forget the claim, whatever is still wrong.

        Returns:
            What could not be put right.
        """
        claim = self._claims.get(mark)
        return () if claim is None or self.settler.is_under_way(claim) else self.settler.release(claim)

    # -- within ----------------------------------------------------------------------------------------------------

    def _evaluate(self, asked: Sequence[Entry], asker: Asker) -> Evaluation:
        """Decide on a request; if an interface that is on its way home may change the outcome, once that is there.

        Raises:
            RequestError: It is refused.
            StillReturning: It is to be decided again when an interface has come home.
        """
        under_way = [claim for claim in self.claims if self.settler.is_under_way(claim)]
        try:
            made = self.evaluator.evaluate(asked, asker, taken=self.claims, reserved=self._claims.prepared())
        except RequestError as error:
            if under_way and error.reason in _MAY_BE_OVER_SOON:
                raise StillReturning from error
            raise
        if any(self.settler.is_under_way(claim) for claim in made.inherited):
            raise StillReturning
        return made

    def _is_known(self, pod_id: str, container: str) -> bool:
        """Whether a container that is created has claims already: its pod's, or those of one of its name."""
        owners = (claim.owner for claim in self._claims.of(pod_id))
        return any(owner.scope is Scope.POD or owner.container == container for owner in owners)

    def _uncertain(self, pod_id: str, container: str) -> list[Claim]:
        """The uncertain claims that may be those of a pod's container."""
        claims = self._claims.of(pod_id)
        return [claim for claim in claims if claim.state is State.UNCERTAIN and claim.owner.is_of(container)]

    def _netns_of(self, pod: PodSandbox) -> Netns | None:
        """The pod's netns; None for a pod on the host network."""
        if pod.netns_path is None:
            return None
        try:
            netns = self._kernel.pods.netns(pod.netns_path)
        except KernelError as error:
            raise RequestError(
                f"{error}; is the directory of network namespaces mounted into the daemon with propagation?",
                reason=Reason.POD,
            ) from error
        return None if self._kernel.pods.is_home(netns) else netns

    def _check_runtime(self, pod: PodSandbox, container: Container, entries: Sequence[Entry]) -> None:
        """See that a container that is about to start is no guest; only now has it a process that may show it."""
        try:
            asker = Asker(pod=pod, container=container, netns=self._netns_of(pod))
        except RequestError:  # arrival finds the interfaces, or has the reason
            return
        if asker.netns is not None:
            self.evaluator.check_runtime(entries, asker)

    def _is_abandoned(self, claim: Claim) -> bool:
        """Whether the pod went without an event: its netns is neither mounted by the engine nor in use by a process."""
        if not claim.state.is_given:
            return False
        return not is_mounted(self._kernel, claim.netns) and not self._kernel.processes.has_processes(claim.netns)
