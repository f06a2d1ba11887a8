"""Custody: what is given away is known, and comes home.

One object owns the ledger and the kernel port; all its methods run on one thread, one after another, so that nothing
here races with itself. Whatever happens - an event of the engine, Synchronize, a link event, the timer, the next
create - ends in `_settle`: read where the interface is, ask `nri_netdev.domain.claim.decide`, do it. Settling twice
changes nothing, and settling after a crash at any instant finishes what was begun: the ledger is written before the
kernel is changed, and where they differ the kernel is believed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from nri_netdev.custody.claims import Book, about, reported
from nri_netdev.custody.evaluate import Asker, Offer, offer, seen_again
from nri_netdev.custody.ports import Found, Kernel, Store, is_mounted, locate, pod_path
from nri_netdev.custody.prepare import Awaited, Draft, Drafts
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import (
    MARK_PREFIX,
    Action,
    Claim,
    Fate,
    Holder,
    Netns,
    Place,
    State,
    decide,
    fate,
    find,
    state_after,
)
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.snapshot import HomeReport
from nri_netdev.domain.verdict.demand import held_for, outstanding
from nri_netdev.domain.verdict.judge import Grant
from nri_netdev.errors import KernelError, RequestError, StateError
from nri_netdev.faults import step
from nri_netdev.log import event

_log = logging.getLogger(__name__)

LOST_AFTER_S = 3.0
"""How long an interface may be in no visible netns before it counts as lost: a netns dies asynchronously, within
milliseconds on an idle machine, and its hardware is nowhere meanwhile."""

_TICKS_UNTIL_AGAIN = 10
GRACE_S = 10.0
"""How long a container may take that an engine was creating when it told what exists."""


class Custody:
    """Every claim of the node, and all that is done with them.

    Args:
        ledger: where claims are kept.
        kernel: the node.
        now_s: the wall clock, in seconds since the epoch.
        monotonic_s: a clock that never goes back.
        policy: who may take what; None to ask only what can be given.
    """

    def __init__(
        self,
        ledger: Store,
        kernel: Kernel,
        *,
        now_s: Callable[[], float],
        monotonic_s: Callable[[], float],
        policy: Policy | None = None,
    ) -> None:
        self.policy = policy
        self._kernel = kernel
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._known: dict[str, Holder] = {}
        self._is_synchronized = False
        self._missing_since: dict[str, float] = {}
        self._ticks = 0
        self._told: tuple[Container, ...] = ()
        """The containers that existed at the last Synchronize."""
        self._graceful: tuple[Collection[str], float] = ((), 0.0)
        """The pods that existed then, and until when their containers may still be about to come."""
        self._book = Book(ledger)
        self._drafts = Drafts(self._book, kernel, now_s)
        self._after_boot()
        self._sweep()

    # -- what others may see ---------------------------------------------------------------------------------------

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Every claim, oldest first."""
        return self._book.claims()

    def holders(self) -> Collection[str]:
        """The ids of every pod and container that an event must be heard of; as they are at any time, on any thread."""
        return self._book.holders()

    @property
    def is_behind(self) -> bool:
        """Whether the ledger has yet to be told something."""
        return self._book.is_behind

    @property
    def has_drafts(self) -> bool:
        """Whether a container is awaited."""
        return len(self._drafts) > 0

    # -- what happens ----------------------------------------------------------------------------------------------

    def prepare(
        self,
        pod: PodSandbox,
        asked: Mapping[str, tuple[Entry, ...]],
        *,
        encode: Callable[[Sequence[Grant]], bytes],
    ) -> None:
        """A pod is there whose containers will ask for interfaces: make ready what can be given.

        Args:
            pod: the pod.
            asked: what each container will ask for, by its name; "" for whichever comes first.
            encode: makes the answer to the engine.
        """
        with contextlib.suppress(RequestError):  # told when the container is created
            netns = self._netns_of(pod)
            if netns is not None:
                for name, entries in asked.items():
                    awaited = Awaited(pod=pod, name=name, entries=entries, netns=netns, encode=encode)
                    self._drafts.make(awaited, self.policy)

    def ready(self, pod_id: str, container: str) -> Draft | None:
        """What was made ready for a container that is being created, if nothing at all has happened since.

        It is durable, so it may be told to the engine; `confirm` is to follow at once. Waits for nothing.
        """
        return None if self._is_known(pod_id, container) else self._drafts.ready(pod_id, container, self.policy)

    def _is_known(self, pod_id: str, container: str) -> bool:
        """Whether there is something to take up, or to take the place of, when a container is created."""
        owners = (claim.owner for claim in self._book.of(pod_id))
        return any(owner.scope is Scope.POD or owner.container == container for owner in owners)

    def confirm(self, draft: Draft, container_id: str, container: str) -> None:
        """A draft is given to the container that has come; `confirmed` is to follow when there is time."""
        self._book.confirm(draft.confirmed(container_id, container, int(self._now_s())))
        self._drafts.take(draft)
        step("custody.confirmed")
        self._known[draft.awaited.pod.id] = self._known[container_id] = Holder.PENDING

    def confirmed(self, container_id: str) -> None:
        """Write down which container has been given what was made ready, and what its interfaces are just now."""
        unwritten = self._book.unwritten(container_id)
        for claim in unwritten:
            with reported("look again", **about(claim)):
                claim = dataclasses.replace(claim, snapshot=seen_again(self._kernel, claim))  # noqa: PLW2901
            self._book.put(claim)
            step("custody.promised")
            event(_log, logging.INFO, "claim.promised", **about(claim), inside=claim.inside)
        if unwritten:
            self.refresh_drafts()

    def create(
        self, pod: PodSandbox, container: Container, entries: Sequence[Entry], *, move: bool = False
    ) -> tuple[Grant, ...]:
        """A container is to be created that asks for interfaces: decide, and promise what is granted.

        Args:
            pod: the pod that it will be in.
            container: the container.
            entries: what it asks for.
            move: whether to move the interfaces in at once, instead of leaving that to the runtime.

        Returns:
            What the runtime is to move for this container; nothing for what is inside already. `confirmed` is to follow
            when there is time.

        Raises:
            RequestError: It may not be; nothing was given, nothing has changed.
        """
        if not move and not self._is_known(pod.id, container.name):
            draft = self._drafts.standing(pod.id, container.name, entries, self.policy)
            if draft is not None:
                self.confirm(draft, container.id, container.name)
                return draft.grants
        self._drafts.drop_of(pod.id, container.name)
        for claim in self._open(pod.id, container.name):
            self._bind(claim, is_over=True)
        self._supersede(pod, container)
        wanted = {entry.interface for entry in entries}
        for claim in self.claims:
            is_free_soon = claim.state.is_homeward or self._holder(claim) is Holder.ENDED
            if claim.ifname in wanted or claim.owner.pod_id == pod.id or ("" in wanted and is_free_soon):
                self._settle(claim)
        netns = self._netns_of(pod)
        asked = self.missing(pod, container, entries)
        before = [claim for claim in self._own(pod, container) if claim.owner.scope is Scope.POD]
        made = offer(
            self._kernel,
            asked,
            Asker(pod=pod, container=container, netns=netns),
            claims=self.claims,
            drafts=self._book.drafts(),
            policy=self.policy,
            now_s=self._now_s,
        )
        self._drafts.drop(ifnames={claim.ifname for claim in made.claims})
        again = [self._again(claim, entry, container) for entry in entries for claim in held_for(entry, before)]
        if made.claims and netns is not None:
            self._promise(made, netns)
        self._known[pod.id] = self._known[container.id] = Holder.PENDING
        if not move and not made.would_fail:
            return (*filter(None, again), *made.grants)
        try:
            self._move_in(container.id)
        except RequestError:
            self.ended(container.id)
            raise
        return ()

    def _again(self, claim: Claim, entry: Entry, container: Container) -> Grant | None:
        """What the pod was promised and has not got yet comes with this container."""
        found = self._locate(claim)
        if found.place is not Place.HOST or found.link is None:
            return None
        self._kernel.pin(claim.netns)
        if claim.mark not in found.link.altnames:
            self._kernel.mark(found.link.ifindex, claim.mark)  # a daemon died before it could
        owner = dataclasses.replace(claim.owner, container_id=container.id, container=container.name)
        self._book.put(dataclasses.replace(claim, owner=owner))
        return Grant(entry=dataclasses.replace(entry, interface=claim.ifname, name=claim.inside), link=found.link)

    def starting(
        self, pod: PodSandbox, container: Container, entries: Sequence[Entry], *, may_move: bool = True
    ) -> tuple[str, ...]:
        """A container is about to start, or runs already: all that it asks for must be inside, complete.

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
        for claim in self._open(pod.id, container.name):
            self._bind_to(claim, container)
        missed = self.missing(pod, container, entries)
        if missed:
            self.create(pod, container, missed)
        self.confirmed(container.id)
        for claim in self._book.of(container.id):
            is_known = not container.pid or claim.owner.scope is Scope.POD
            self._settle(claim if is_known else self._book.put(dataclasses.replace(claim, pid=container.pid)))
        moved = self._move_in(container.id, may_move=may_move)
        self._known[container.id] = Holder.RUNNING
        return moved

    def missing(self, pod: PodSandbox, container: Container, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """What a container asks for and neither it nor its pod holds."""
        own = self._own(pod, container)
        return tuple(filter(None, (outstanding(entry, held_for(entry, own)) for entry in entries)))

    def _own(self, pod: PodSandbox, container: Container) -> list[Claim]:
        """The claims of a container and of its pod."""
        holders = {(Scope.POD, pod.id), (Scope.CONTAINER, container.id)}
        return [claim for claim in self.claims if (claim.owner.scope, claim.owner.holder_id) in holders]

    def ended(self, holder_id: str) -> None:
        """A container or a pod has ended: what it holds comes home. A pod's end ends its containers' claims too."""
        self._drafts.drop(pod_id=holder_id)
        self._known[holder_id] = Holder.ENDED
        for claim in self._book.of(holder_id):
            if claim.owner.pod_id == holder_id:
                self._known[claim.owner.container_id] = Holder.ENDED
            self._settle(claim)
        holders = self.holders()
        self._known = {name: holder for name, holder in self._known.items() if name in holders}

    def synchronize(self, pods: Iterable[PodSandbox], containers: Iterable[Container]) -> None:
        """The engine has told all that exists: whatever is not in it has ended."""
        self.forget_drafts()
        pods, self._told = tuple(pods), tuple(containers)
        self._graceful = frozenset(pod.id for pod in pods), self._monotonic_s() + GRACE_S
        known = {pod.id: Holder.PENDING for pod in pods}
        known |= {c.id: Holder.RUNNING if c.is_running else Holder.PENDING for c in self._told}
        self._known = {name: known.get(name, Holder.ENDED) for name in self.holders()}
        self._is_synchronized = True
        self.settle()

    def _bind(self, claim: Claim, *, is_over: bool = False) -> None:
        """Find out what became of a draft that a daemon has died over.

        An engine may be about to create a container that it has not told of yet. So as long as its pod exists, what is
        at home is not taken for lost at once.

        Args:
            claim: the draft.
            is_over: whether its pod has ended, or another container comes in its place.
        """
        its = [] if is_over else [c for c in self._told if c.pod_id == claim.owner.pod_id and claim.owner.is_of(c.name)]
        pods, until_s = self._graceful
        is_early = not is_over and claim.owner.pod_id in pods and self._monotonic_s() < until_s
        with reported("find out about a draft", **about(claim)):
            found = self._locate(claim)
            became = fate(
                claim,
                found.place,
                found.link,
                has_container=bool(its),
                is_awaited=any(not container.is_running for container in its),
                may_come=is_early and (not its or claim.owner.scope is Scope.POD),
            )
            if became is Fate.GIVEN:
                self._bind_to(claim, min(its, key=lambda container: container.is_running))
            elif became is Fate.ENDED:
                self._settle(self._book.put(dataclasses.replace(claim, state=State.RETURNING)))
            elif became is Fate.NOTHING:
                if found.place is Place.HOST and found.link is not None:
                    self._kernel.unmark(found.link.ifindex, claim.mark)
                self._forget(claim)

    def _bind_to(self, claim: Claim, container: Container) -> None:
        owner = dataclasses.replace(claim.owner, container_id=container.id, container=container.name)
        pid = container.pid if owner.scope is Scope.CONTAINER else 0
        self._known[container.id] = Holder.RUNNING if container.is_running else Holder.PENDING
        self._settle(self._book.put(dataclasses.replace(claim, owner=owner, pid=pid)))

    def _is_open(self, claim: Claim) -> bool:
        """Whether it is not known yet what became of it."""
        return not claim.owner.container_id and not claim.state.is_homeward

    def _open(self, pod_id: str, container: str) -> Iterator[Claim]:
        """The drafts of a pod's container that a daemon has died over."""
        return (claim for claim in self._book.of(pod_id) if self._is_open(claim) and claim.owner.is_of(container))

    def refresh_drafts(self) -> None:
        """Something has changed: what was made ready must be so for what is now."""
        self._drafts.refresh(self.policy)

    def forget_drafts(self) -> None:
        """Nothing is made ready any more: for a new connection to the engine, or the end of the daemon."""
        self._drafts.drop_all()

    def settle(self) -> None:
        """Look at every claim, and do whatever must be done."""
        for claim in self.claims:
            self._settle(claim)

    def tick(self) -> None:
        """The timer: what no event tells - releases asked for, pods that went unseen, interfaces in transit.

        What could not be brought home is tried again now and then.
        """
        self._ticks += 1
        self._book.catch_up()
        for claim in self.claims:
            if self._is_abandoned(claim):
                self._known[claim.owner.pod_id] = self._known[claim.owner.container_id] = Holder.ENDED
                self._settle(claim)
            elif (
                claim.mark in self._missing_since
                or self._is_open(claim)
                or (claim.state is State.RETURNING and self._ticks % _TICKS_UNTIL_AGAIN == 0)
            ):
                self._settle(claim)
        for mark in self._book.releases():
            self.release(mark)
        self.refresh_drafts()
        self._drafts.renew()

    def release(self, mark: str) -> tuple[str, ...]:
        """Bring an interface home whoever holds it, and forget the claim, whatever is still wrong.

        Returns:
            What could not be put right.
        """
        claim = self._book.put(dataclasses.replace(self._book[mark], state=State.RETURNING))
        self._settle(claim)
        left = self._book.get(mark)
        if left is None:
            return ()
        with contextlib.suppress(KernelError):
            found = self._locate(left)
            if found.place is Place.HOST and found.link is not None:
                self._kernel.unmark(found.link.ifindex, mark)
        self._forget(left)
        event(_log, logging.WARNING, "claim.released", **about(left), troubles=left.troubles)
        return left.troubles

    # -- the one way -----------------------------------------------------------------------------------------------

    def _settle(self, claim: Claim) -> None:
        """Read, decide, act. Never raises for what the kernel refuses: that is told and tried again."""
        if self._is_open(claim):
            if self._is_synchronized:
                self._bind(claim, is_over=self._holder(claim) is Holder.ENDED)
            return
        with reported("settle", **about(claim)):
            found = self._locate(claim)
            holder = self._holder(claim)
            action = decide(claim.state, found.place, holder)
            after = state_after(claim.state, found.place, holder)
            if found.place is not Place.NOWHERE:
                self._missing_since.pop(claim.mark, None)
            if after is not claim.state:
                claim = self._book.put(dataclasses.replace(claim, state=after))
                step("custody.turned")
            _DO[action](self, claim, found)

    def _nothing(self, claim: Claim, found: Found) -> None:
        """Wait or keep; a trouble that is over is forgotten."""
        del found
        if claim.troubles:
            self._book.put(dataclasses.replace(claim, troubles=()))

    def _adopt(self, claim: Claim, found: Found) -> None:
        if found.link is None or found.netns_path is None:
            return
        self._kernel.complete(found.netns_path, found.link.ifindex, claim.inside, claim.snapshot)
        step("custody.completed")
        self._book.put(dataclasses.replace(claim, state=State.HELD, ifindex=found.link.ifindex, troubles=()))
        event(
            _log,
            logging.INFO,
            "claim.arrived",
            **about(claim),
            inside=claim.inside,
            ifindex=found.link.ifindex,
        )

    def _stray(self, claim: Claim, found: Found) -> None:
        self._book.trouble(claim, f"{claim.ifname} is {_PLACES[found.place]}, not where {claim.owner} should have it")

    def _fetch(self, claim: Claim, found: Found) -> None:
        if found.link is None or found.netns_path is None:
            return
        report = self._kernel.bring_home(found.netns_path, found.link.ifindex, claim.snapshot, claim.mark)
        step("custody.fetched")
        self._at_home(claim, report)

    def _restore(self, claim: Claim, found: Found) -> None:
        if found.link is None:
            return
        report = self._kernel.restore(claim.snapshot, found.link.ifindex, claim.mark)
        step("custody.restored")
        self._at_home(claim, report)

    def _at_home(self, claim: Claim, report: HomeReport) -> None:
        troubles = report.troubles()
        if troubles:
            renamed = report.ifname if report.ifname != claim.ifname else None
            claim = self._book.put(dataclasses.replace(claim, state=State.PARTIAL, home_ifname=renamed))
            self._book.trouble(claim, *troubles)
            return
        self._forget(claim)
        step("custody.forgotten")
        self._kernel.unmark(report.ifindex, claim.mark)
        event(_log, logging.INFO, "claim.home", **about(claim))

    def _lose(self, claim: Claim, found: Found) -> None:
        del found
        since = self._missing_since.setdefault(claim.mark, self._monotonic_s())
        if claim.state is not State.LOST and self._monotonic_s() - since < LOST_AFTER_S:
            return
        why = "died with its netns" if claim.snapshot.link.is_virtual else "is in no netns that can be seen"
        lost = self._book.put(dataclasses.replace(claim, state=State.LOST))
        self._book.trouble(
            lost,
            f"{claim.ifname} cannot be found: it {why}; once it is gone for good, `nri-netdev release {claim.ifname}`",
        )

    # -- reading ---------------------------------------------------------------------------------------------------

    def _holder(self, claim: Claim) -> Holder:
        if claim.owner.scope is Scope.POD and self._known.get(claim.owner.holder_id) is Holder.RUNNING:
            return Holder.PENDING
        default = Holder.ENDED if self._is_synchronized else Holder.UNKNOWN
        return self._known.get(claim.owner.holder_id, default)

    def _locate(self, claim: Claim) -> Found:
        return locate(self._kernel, claim)

    def _netns_of(self, pod: PodSandbox) -> Netns | None:
        """The pod's netns; None for a pod on the host network."""
        if pod.netns_path is None:
            return None
        try:
            netns = self._kernel.netns(pod.netns_path)
        except KernelError as error:
            raise RequestError(
                f"{error}; is the directory of network namespaces mounted into the daemon with propagation?"
            ) from error
        return None if self._kernel.is_home(netns) else netns

    def _is_abandoned(self, claim: Claim) -> bool:
        """Whether the pod went without a word: the engine's mount of its netns is gone and no process is left in it."""
        if claim.state.is_homeward or self._is_open(claim):
            return False
        return not is_mounted(self._kernel, claim.netns) and not self._kernel.has_processes(claim.netns)

    # -- giving ----------------------------------------------------------------------------------------------------

    def _supersede(self, pod: PodSandbox, container: Container) -> None:
        """A new container takes the place of a dead one of the same name, whose end may not have been told yet."""
        for claim in self.claims:
            owner = claim.owner
            if (owner.scope, owner.pod_id, owner.container) != (Scope.CONTAINER, pod.id, container.name):
                continue
            if owner.container_id == container.id or (claim.state is State.HELD and self._kernel.is_alive(claim.pid)):
                continue
            self._known[owner.container_id] = Holder.ENDED

    def _promise(self, made: Offer, netns: Netns) -> None:
        """Make a promise durable, then prepare host and netns for it; on any refusal all is as it was."""
        try:
            step("custody.deciding")
            self._book.promise(made.claims, instead_of=made.inherited)
        except StateError as error:
            raise RequestError(f"{error}; nothing is given until then") from error
        try:
            step("custody.promised")
            self._kernel.pin(netns)
            for claim in made.claims:
                step("custody.pinned")
                self._kernel.mark(claim.snapshot.link.ifindex, claim.mark)
            step("custody.marked")
        except KernelError as error:
            for claim in made.claims:
                self._settle(self._book.put(dataclasses.replace(claim, state=State.RETURNING)))
            raise RequestError(str(error)) from error
        for old in made.inherited:
            with contextlib.suppress(KernelError):
                self._kernel.unmark(old.snapshot.link.ifindex, old.mark)
        for claim in made.claims:
            event(_log, logging.INFO, "claim.promised", **about(claim), inside=claim.inside)

    def _move_in(self, container_id: str, *, may_move: bool = True) -> tuple[str, ...]:
        """Move in what is promised to a container and still on the host, and check that all of it is complete.

        Returns:
            The interfaces that were moved.

        Raises:
            RequestError: Something is not inside.
        """
        moved: list[str] = []
        failures: list[str] = []
        for claim in self._book.of(container_id):
            try:
                if self._book[claim.mark].state is State.PLANNED:
                    self._help_in(claim, may_move=may_move)
                    moved.append(claim.ifname)
                self._check_inside(self._book[claim.mark])
            except KernelError as error:
                failures.append(f"interface {claim.ifname} did not arrive: {error}")
            except RequestError as error:
                failures.append(str(error))
        if failures:
            raise RequestError("; ".join(failures))
        return tuple(moved)

    def _help_in(self, claim: Claim, *, may_move: bool) -> None:
        found = self._locate(claim)
        path = pod_path(self._kernel, claim.netns)
        if found.place is not Place.HOST or found.link is None or path is None:
            raise RequestError(f"interface {claim.ifname} did not arrive: it is {_PLACES[found.place]}")
        if not may_move:
            raise RequestError(
                f"interface {claim.ifname} did not arrive: engine or OCI runtime ignored linux.netDevices; use NRI "
                "0.11 and runc 1.4, crun 1.22 or youki 0.6 or newer, or set injection: auto"
            )
        self._kernel.send(found.link.ifindex, path, claim.inside)
        step("custody.sent")
        self._settle(claim)

    def _check_inside(self, claim: Claim) -> None:
        """What is held is in the pod under its name, up, with its addresses."""
        found = self._locate(claim)
        if claim.state is not State.HELD or found.place is not Place.POD or not found.link or not found.netns_path:
            raise RequestError(f"interface {claim.ifname} did not arrive: it is {_PLACES[found.place]}")
        self._kernel.complete(found.netns_path, found.link.ifindex, claim.inside, claim.snapshot)

    # -- keeping ---------------------------------------------------------------------------------------------------

    def _forget(self, claim: Claim) -> None:
        self._missing_since.pop(claim.mark, None)
        self._book.drop(claim)
        step("custody.dropped")
        if not self._book.needs(claim.netns):
            with reported("unpin", **about(claim)):
                self._kernel.unpin(claim.netns.pin)

    def _after_boot(self) -> None:
        """After a reboot nothing is held: hardware is at home, perhaps misnamed, and what was virtual is gone."""
        boot_id = self._kernel.boot_id()
        for claim in self.claims:
            if claim.boot_id == boot_id:
                continue
            with reported("put a name right after a reboot", **about(claim)):
                is_gone = claim.snapshot.link.is_virtual or not claim.owner.container_id
                link = None if is_gone else find(self._kernel.links(None), claim, at_home=True)
                if link is not None and link.ifname != claim.ifname:
                    self._kernel.rename(link.ifindex, claim.ifname)
            self._forget(claim)
            event(_log, logging.INFO, "claim.home", **about(claim), by="reboot")

    def _sweep(self) -> None:
        """Take away what a crash may have left: pins and marks of no claim."""
        with reported("sweep"):
            for name in self._kernel.pins() - {claim.netns.pin for claim in self.claims}:
                self._kernel.unpin(name)
            for link in self._kernel.links(None):
                for altname in link.altnames:
                    if altname.startswith(MARK_PREFIX) and altname not in self._book:
                        self._kernel.unmark(link.ifindex, altname)


_DO: dict[Action, Callable[[Custody, Claim, Found], None]] = {
    Action.WAIT: Custody._nothing,
    Action.KEEP: Custody._nothing,
    Action.ADOPT: Custody._adopt,
    Action.STRAY: Custody._stray,
    Action.FETCH: Custody._fetch,
    Action.RESTORE: Custody._restore,
    Action.LOSE: Custody._lose,
}


_PLACES = {
    Place.HOST: "still on the host",
    Place.POD: "in the pod",
    Place.AWAY: "in another network namespace",
    Place.NOWHERE: "in no network namespace that can be seen",
}
