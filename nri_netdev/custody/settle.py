"""The one way to settle a claim: read where its interface is, decide by the tables of `nri_netdev.domain.life`, act.

Every occasion takes it, and taking it twice changes nothing. There is no separate recovery: after a crash at any
instant the next occasion finishes what was begun, since the ledger is written before the kernel is changed, and where
they differ the kernel is believed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
from collections.abc import Callable, Mapping
from functools import partial

from nri_netdev.custody.claims import Claims, about, reported
from nri_netdev.custody.holders import Holders
from nri_netdev.custody.leases import Leases
from nri_netdev.custody.locate import Found, locate, pod_path, unmark
from nri_netdev.custody.ports import Kernel, Returns
from nri_netdev.custody.returning import AtOnce, Outcome, StillReturning
from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.life import Action, Liveness, Place, Report, Trigger, decide, resolve, trace_of
from nri_netdev.domain.pods import Container
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.leases import with_result
from nri_netdev.domain.setup.values import NewShare, Setup, Share
from nri_netdev.domain.snapshot import Away, HomeReport, Snapshot
from nri_netdev.errors import KernelError, Reason, RequestError
from nri_netdev.faults import step
from nri_netdev.log import event

_log = logging.getLogger(__name__)

LOST_AFTER_S = 3.0
"""How long an interface may be in no visible netns before it counts as lost: a netns dies asynchronously, within
milliseconds on an idle machine, and its hardware is nowhere meanwhile."""

_AGAIN_AFTER_S, _DOUBLINGS = 3.0, 7
AGAIN_AT_LATEST_S = _AGAIN_AFTER_S * 2**_DOUBLINGS
"""How long an interface that is home, but not whole, is left alone before it is tried again: longer each time. To try
may set it down and up, and whoever uses it is not to suffer from what will never succeed."""

PLACES = {
    Place.HOST: "still on the host",
    Place.POD: "in the pod",
    Place.AWAY: "in another network namespace",
    Place.NOWHERE: "in no network namespace that can be seen",
}
"""Where an interface is, in words for messages."""


class Settler:
    """Settles claims.

    Args:
        claims: the claims.
        holders: what the engine says.
        kernel: the node.
        monotonic_s: a clock that never goes back, in seconds.
        returns: goes ways home.
        leases: addresses of IPAM plugins.
    """

    def __init__(
        self,
        claims: Claims,
        holders: Holders,
        kernel: Kernel,
        *,
        monotonic_s: Callable[[], float],
        returns: Returns,
        leases: Leases,
    ) -> None:
        self._claims = claims
        self._holders = holders
        self._kernel = kernel
        self._monotonic_s = monotonic_s
        self._returns = returns
        self._leases = leases
        self._under_way: set[str] = set()
        """Marks of the claims whose interfaces are on their way home."""
        self._missing_since: dict[str, float] = {}
        self._tries: dict[str, tuple[int, float]] = {}
        """How often an interface has come home not whole, and when it last did, by marks."""

    def settle(self, claim: Claim) -> None:
        """Read, decide, act. What the kernel refuses is logged and tried again; nothing is raised."""
        if claim.state is State.PREPARED or self.is_under_way(claim):
            return
        if claim.state is State.UNCERTAIN:
            if self._holders.is_synchronized:
                self.resolve(claim, is_over=self._holders.has_ended(claim))
            return
        with reported("settle", **about(claim)):
            found = self.locate(claim)
            trigger, action = decide(claim.state, found.place, self._holders.of(claim))
            if found.place is not Place.NOWHERE:
                self._missing_since.pop(claim.mark, None)
            if trigger is not None:
                claim = self._claims.advance(claim, trigger)
                step("custody.turned")
            _DO[action](self, claim, found)

    def resolve(self, claim: Claim, *, is_over: bool = False) -> None:
        """Find out what became of an uncertain claim.

        Args:
            claim: the claim.
            is_over: whether its pod has ended, or another container takes its place.
        """
        with reported("find out about a prepared claim", **about(claim)):
            candidate, container = self._holders.candidate(claim, is_over=is_over, now_s=self._monotonic_s())
            found = self.locate(claim)
            action = resolve(trace_of(claim, found.place, found.link), candidate)
            if action is Action.BIND and container is not None:
                self.bind(claim, container)
            elif action is Action.RETURN:
                self.settle(self._claims.advance(claim, Trigger.ENDED))
            elif action is Action.WITHDRAW:
                if found.place is Place.HOST and found.link is not None:
                    self._kernel.host.unmark(found.link.ifindex, claim.mark)
                self.forget(claim, Trigger.WITHDRAWN)

    def bind(self, claim: Claim, container: Container) -> None:
        """Make an uncertain claim a container's own."""
        owner = dataclasses.replace(claim.owner, container_id=container.id, container=container.name)
        has_process = owner.scope is Scope.CONTAINER and self._kernel.pidfds.watch(
            container.id, container.pid, claim.netns
        )
        self._holders.report(Report.STARTED if container.is_running else Report.CREATED, container.id)
        self.settle(self._claims.advance(claim, Trigger.GIVEN, owner=owner, pid=container.pid if has_process else 0))

    def release(self, claim: Claim) -> tuple[str, ...]:
        """Bring an interface home whoever holds it, and forget the claim, whatever is still wrong.

        Returns:
            What could not be put right.
        """
        returns, self._returns = self._returns, AtOnce()
        try:
            self.settle(self._claims.advance(claim, Trigger.RELEASED))
        finally:
            self._returns = returns
        left = self._claims.get(claim.mark)
        if left is None:
            return ()
        with contextlib.suppress(KernelError):
            found = self.locate(left)
            if found.place is Place.HOST and found.link is not None:
                self._kernel.host.unmark(found.link.ifindex, left.mark)
        self.forget(left, Trigger.GIVEN_UP)
        event(_log, logging.WARNING, "claim.released", **about(left), troubles=left.troubles)
        return left.troubles

    def forget(self, claim: Claim, trigger: Trigger) -> None:
        """Forget a claim that is over, and let go of its netns if nobody else needs that."""
        self._missing_since.pop(claim.mark, None)
        self._tries.pop(claim.mark, None)
        self._claims.end(trigger, claim)
        step("custody.dropped")
        if not self._claims.needs(claim.netns):
            with reported("unpin", **about(claim)):
                self._kernel.pods.unpin(claim.netns.pin)

    def locate(self, claim: Claim) -> Found:
        """Where the interface of a claim is now."""
        return locate(self._kernel, claim)

    def is_under_way(self, claim: Claim) -> bool:
        """Whether its interface is on its way home just now: then nothing may be done with it."""
        return claim.mark in self._under_way

    def wait_for(self, holder_id: str) -> None:
        """Nothing, once all that an ended container or pod held is home, or could not be brought home.

        Raises:
            StillReturning: Some of it is on its way; to be called again when it is there.
        """
        if any(self.is_under_way(claim) for claim in self._claims.of(holder_id)):
            raise StillReturning

    def setup_of(self, claim: Claim) -> Setup | None:
        """What is to be set on an interface, with what an IPAM plugin has given; None while it has not."""
        if claim.setup.ipam is None:
            return claim.setup
        lease = self._leases.get(claim.mark)
        if lease is None or lease.result is None:
            return None
        return with_result(claim.setup, lease.result, may_route_default=claim.may_route_default)

    def is_missing(self, claim: Claim) -> bool:
        """Whether its interface was in no visible netns when it was last settled."""
        return claim.mark in self._missing_since

    def may_be_duplicate(self, claim: Claim) -> bool:
        """Whether it may turn out only later that an address of what is held is another host's."""
        setup = self.setup_of(claim)
        return claim.state is State.HELD and setup is not None and setup.detects_duplicates

    def runs_without(self, claim: Claim) -> bool:
        """Whether a container runs though its interface is not complete: a daemon died before that was so."""
        return claim.state is State.PLANNED and self._holders.of(claim) is Liveness.RUNNING

    def lacks_address(self, claim: Claim) -> bool:
        """Whether a container runs without the address that an IPAM plugin is to give."""
        return claim.setup.ipam is not None and self.runs_without(claim)

    def is_due(self, claim: Claim) -> bool:
        """Whether it may be settled though nobody waits for it; false for what was tried a moment ago in vain."""
        if claim.state is not State.PARTIAL:
            return True
        tries, since = self._tries.get(claim.mark, (0, 0.0))
        return not tries or self._monotonic_s() - since >= _AGAIN_AFTER_S * 2 ** min(tries - 1, _DOUBLINGS)

    # -- actions ---------------------------------------------------------------------------------------------------

    def _wait(self, claim: Claim, _: Found) -> None:
        """Nothing is to be done; a trouble that is over is forgotten."""
        if claim.troubles:
            self._claims.put(dataclasses.replace(claim, troubles=()))

    def adopt(self, claim: Claim, found: Found) -> None:
        """Complete what has arrived, set on it what was asked for, and note that it is held.

        Raises:
            KernelError: Some of it is refused.
        """
        if found.link is None or found.netns_path is None:
            return
        ifindex, pods = found.link.ifindex, self._kernel.pods
        share = claim.setup.share
        if share is not None and claim.mark not in found.link.altnames:  # a daemon died before it could mark it
            self._kernel.setups.share(claim.snapshot.link.ifindex, found.netns_path, new_share(claim, share))
        setup = self.setup_of(claim)
        if setup is None:  # its addresses are still to come
            self._ask(claim)
            return
        self._refuse_own(claim, setup)
        kept = claim.kept_addresses
        pods.complete(found.netns_path, ifindex, claim.inside, kept, is_up=True)
        step("custody.completed")
        if not setup.is_plain:
            self._kernel.setups.apply(found.netns_path, ifindex, setup, kept)
            step("custody.set_up")
        if setup.rdma:
            self._kernel.setups.give_rdma(found.netns_path, ifindex, claim.snapshot)
        self._claims.advance(claim, Trigger.ARRIVED, ifindex=ifindex, troubles=())
        event(_log, logging.INFO, "claim.arrived", **about(claim), inside=claim.inside, ifindex=ifindex)

    def _adopt(self, claim: Claim, found: Found) -> None:
        """Adopt what nobody waits for; who runs without what it asked for is told of."""
        try:
            self.adopt(claim, found)
        except KernelError as error:
            if self.runs_without(claim):
                text = f"{claim.owner} runs, and {claim.inside} is not as it asked: {error}"
                self._claims.trouble(claim, text)
            raise

    def _refuse_own(self, claim: Claim, setup: Setup) -> None:
        """See that a share takes no packets of the node.

        Raises:
            KernelError: It would have an address of the node; an IPAM plugin gave it, as an annotation cannot.
        """
        if not claim.is_share:
            return
        own = self._kernel.host.inventory().own_addresses
        for address in setup.addresses or ():
            if address.ip in own:
                raise KernelError(
                    action=f"give {claim.inside} the address {address.ip}",
                    errno=errno.EADDRINUSE,
                    reason="it is an address of the node, and an IPAM plugin gave it; exclude it there",
                    refusal=Reason.ARRIVAL,
                )

    def _ask(self, claim: Claim) -> None:
        """Have the address asked for of what a container that runs has already: a daemon died before it could."""
        if self._holders.of(claim) is not Liveness.RUNNING:
            return  # whoever starts the container asks
        try:
            self._leases.obtain(claim)
        except StillReturning:
            pass
        except RequestError as error:
            self._claims.trouble(claim, str(error))

    def _keep(self, claim: Claim, found: Found) -> None:
        """Nothing is to be done, but addresses that turned out to be another's are told."""
        troubles: tuple[str, ...] = ()
        if self.may_be_duplicate(claim) and found.link is not None and found.netns_path is not None:
            others = self._kernel.setups.duplicates(found.netns_path, found.link.ifindex)
            troubles = tuple(
                f"{claim.inside} of {claim.owner} has an address that another host of its network has: {address}"
                for address in others
            )
        if troubles:
            self._claims.trouble(claim, *troubles)
        else:
            self._wait(claim, found)

    def _stray(self, claim: Claim, found: Found) -> None:
        if claim.is_share and found.place is Place.HOST:
            text = f"the device of {claim.owner} on {claim.ifname} is gone: somebody has deleted it, or {claim.ifname}"
        else:
            text = f"{claim.ifname} is {PLACES[found.place]}, not where {claim.owner} should have it"
        self._claims.trouble(claim, text)

    def _fetch(self, claim: Claim, found: Found) -> None:
        if found.link is not None and found.netns_path is not None:
            given_to = pod_path(self._kernel, claim.netns) if found.place is Place.AWAY else None
            others = self._claims.beside(claim)
            away = Away(snapshot=claim.snapshot, mark=claim.mark, setup=claim.setup, pod_path=given_to, others=others)
            go = self._delete if claim.is_share else self._kernel.pods.bring_home
            self._return(claim, partial(go, found.netns_path, found.link.ifindex, away))

    def _delete(self, netns_path: str, ifindex: int, away: Away) -> HomeReport:
        """The way home of a device on an interface that never left."""
        self._kernel.setups.unshare(netns_path, ifindex, away.setup, away.others, away.pod_path)
        return _at_home_already(away.snapshot)

    def _restore(self, claim: Claim, found: Found) -> None:
        if claim.is_share:
            self._at_home(claim, _at_home_already(claim.snapshot))
        elif found.link is not None:
            way = partial(self._kernel.host.restore, claim.snapshot, found.link.ifindex, claim.mark)
            self._return(claim, way)

    def _return(self, claim: Claim, way: Callable[[], HomeReport]) -> None:
        """Begin a way home; what comes of it is seen to when it is gone."""
        self._under_way.add(claim.mark)
        try:
            self._returns.begin(way, partial(self._returned, claim.mark))
        except BaseException:
            self._under_way.discard(claim.mark)
            raise

    def _returned(self, mark: str, outcome: Outcome) -> None:
        self._under_way.discard(mark)
        claim = self._claims.get(mark)
        if claim is None:
            return
        with reported("bring home", **about(claim)):
            if isinstance(outcome, KernelError):
                raise outcome
            step("custody.returned")
            self._at_home(claim, outcome)
            self._leases.release_unneeded(self._claims.is_away)

    def _at_home(self, claim: Claim, report: HomeReport) -> None:
        troubles = report.troubles()
        if troubles:
            tries, _ = self._tries.get(claim.mark, (0, 0.0))
            self._tries[claim.mark] = (tries + 1, self._monotonic_s())
            home_ifname = report.ifname if report.ifname != claim.ifname else None
            tainted = report.is_tainted
            claim = self._claims.advance(claim, Trigger.INCOMPLETE, home_ifname=home_ifname, is_tainted=tainted)
            self._claims.trouble(claim, *troubles)
            return
        self.forget(claim, Trigger.HOME)
        step("custody.forgotten")
        unmark(self._kernel, claim, report.ifindex)
        event(_log, logging.INFO, "claim.home", **about(claim))

    def _lose(self, claim: Claim, _: Found) -> None:
        since = self._missing_since.setdefault(claim.mark, self._monotonic_s())
        if claim.state is not State.LOST and self._monotonic_s() - since < LOST_AFTER_S:
            return
        link = claim.snapshot.link
        if self._kernel.is_unplugged(link):
            self.forget(claim, Trigger.UNPLUGGED)
            reason = f"its device {link.parent_dev} is no longer on the {link.parent_bus} bus"
            event(_log, logging.WARNING, "claim.gone", **about(claim), reason=reason)
            return
        is_virtual = link.is_virtual
        why = (
            "died with its netns, or was moved on without its mark" if is_virtual else "is in no netns that can be seen"
        )
        lost = self._claims.advance(claim, Trigger.VANISHED)
        self._claims.trouble(
            lost,
            f"{claim.ifname} cannot be found: it {why}; once it is gone for good, `nri-netdev release {claim.ifname}`",
        )


def new_share(claim: Claim, share: Share) -> NewShare:
    """The device that a claim is of, to be made."""
    setup = claim.setup
    return NewShare(
        ifname=claim.inside, mark=claim.mark, kind=share.kind, mode=share.mode, mac=setup.mac, mtu=setup.mtu
    )


def _at_home_already(snapshot: Snapshot) -> HomeReport:
    return HomeReport(ifindex=snapshot.link.ifindex, ifname=snapshot.link.ifname)


_DO: Mapping[Action, Callable[[Settler, Claim, Found], None]] = {
    Action.WAIT: Settler._wait,
    Action.KEEP: Settler._keep,
    Action.ADOPT: Settler._adopt,
    Action.STRAY: Settler._stray,
    Action.FETCH: Settler._fetch,
    Action.RESTORE: Settler._restore,
    Action.LOSE: Settler._lose,
}
