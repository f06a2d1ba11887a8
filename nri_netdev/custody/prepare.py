"""What containers will be given, prepared before they are created, while nobody waits.

An engine reports a pod some time before it creates the pod's containers, and every other pod of the node waits for each
of our answers. So what a pod's annotations ask for is evaluated as soon as the pod is there, and everything is done
that must precede a promise: snapshot, ledger, pin, mark. When the container is created, only whether anything has
changed since is left to check; if so, all is done from the beginning. A prepared claim binds nobody: until it is given,
whoever comes first gets the interface (docs/adr/0012, 0013).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from nri_netdev.custody.claims import Claims, reported
from nri_netdev.custody.evaluate import Asker, Evaluator
from nri_netdev.custody.locate import is_mounted, mark, unmark
from nri_netdev.custody.ports import Kernel
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import Claim, Netns, lasting
from nri_netdev.domain.life import Trigger
from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.metadata import Handout
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.errors import KernelError, RequestError
from nri_netdev.faults import step

Encode: TypeAlias = Callable[[Sequence[Grant], Handout | None], bytes]
"""Makes the answer to the engine of what is granted and what is handed out."""
HandOut: TypeAlias = Callable[[PodSandbox, Iterable[Entry], Sequence[Claim]], Handout | None]
"""See `nri_netdev.custody.handing.Handing.handout`."""

MAX_PREPARED = 64
"""Containers that are prepared for at one time; each takes an open file, and a node starts a few at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A container that is still to be created, and what it will ask for."""

    pod: PodSandbox
    name: str
    """Its name; "" for whichever of the pod's comes first."""
    entries: tuple[Entry, ...]
    netns: Netns
    """The pod's."""

    @property
    def key(self) -> tuple[str, str]:
        """The ids by which it is found: of its pod, and its name."""
        return self.pod.id, self.name

    @property
    def asker(self) -> Asker:
        """Who asks, as far as that is known."""
        return Asker(pod=self.pod, container=Container(id="", name=self.name, pod_id=self.pod.id), netns=self.netns)


class Basis(NamedTuple):
    """Everything that an evaluation depends on: while it is the same, so is the outcome."""

    host: int | None
    """Revision of the host's netns."""
    pod: int | None
    """Revision of the pod's netns."""
    policy: Policy | None
    claims: int
    """Revision of the claims."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What one container will be given."""

    expected: Expected
    grants: tuple[Grant, ...]
    claims: tuple[Claim, ...]
    """One for each grant, whose container is not known yet."""
    basis: Basis
    links: tuple[Link, ...]
    """The interfaces, marked."""
    answer: bytes
    """The encoded answer to the engine."""

    @property
    def is_watched(self) -> bool:
        """Whether the kernel reports every change of the interfaces: it does not for those that are down."""
        return all(link.is_up and (link.has_carrier or link.link is None) for link in self.links)


class Preparations:
    """What is prepared for every expected container of the node.

    Args:
        claims: the claims.
        kernel: the node.
        evaluator: decides what can be given.
        encode: makes the answer to the engine of what is granted and what is handed out.
        hand_out: what a container gets beside its interfaces.
    """

    def __init__(
        self, claims: Claims, kernel: Kernel, evaluator: Evaluator, *, encode: Encode, hand_out: HandOut
    ) -> None:
        self._claims = claims
        self._kernel = kernel
        self._evaluator = evaluator
        self._encode = encode
        self._hand_out = hand_out
        self._prepared: dict[tuple[str, str], Prepared] = {}

    def __len__(self) -> int:
        return len(self._prepared)

    # -- preparing -------------------------------------------------------------------------------------------------

    def prepare(self, expected: Expected) -> None:
        """Prepare for a container; without effect where what it asks for cannot be given now."""
        if len(self._prepared) >= MAX_PREPARED or not expected.entries or expected.key in self._prepared:
            return
        try:
            with reported("keep a netns"):
                self._kernel.pods.pin(expected.netns)
                self._prepare(expected)
        except RequestError:
            pass  # the container is refused with the reason when it is created
        finally:
            self._let_go(expected.netns)

    def _prepare(self, expected: Expected) -> None:
        self._kernel.watch.begin()
        basis = self._basis(expected)
        every_claim = (*self._claims.binding(), *self._claims.prepared())
        made = self._evaluator.evaluate(expected.entries, expected.asker, taken=every_claim)
        if made.inherited or made.would_fail or any(claim.setup.vf for claim in made.claims):
            return
        answer = self._encode(made.grants, self._hand_out(expected.pod, expected.entries, made.claims))
        step("prepare.evaluated")
        self._claims.prepare(made.claims)
        try:
            for claim in made.claims:
                step("prepare.written")
                mark(self._kernel, claim)
            step("prepare.marked")
            links = self._links(made.claims)
            self._kernel.host.revision()  # the marks are no change
        except KernelError:
            self._end(made.claims)
            raise
        self._prepared[expected.key] = Prepared(
            expected=expected, grants=made.grants, claims=made.claims, basis=basis, links=links, answer=answer
        )

    # -- taking ----------------------------------------------------------------------------------------------------

    def ready(self, pod_id: str, container: str) -> Prepared | None:
        """What is prepared for a container, if certainly nothing has changed since. Waits for nothing."""
        prepared = self._of(pod_id, container)
        if prepared is None or not prepared.is_watched:
            return None
        now = Basis(
            self._kernel.host.cached_revision(),
            self._kernel.pods.cached_revision(prepared.expected.netns),
            self._evaluator.policy,
            self._claims.revision,
        )
        is_called = self._kernel.host.is_called
        is_same = prepared.basis == now and all(is_called(link.ifindex, link.ifname) for link in prepared.links)
        return prepared if is_same else None

    def unchanged(self, pod_id: str, container: str, entries: Sequence[Entry]) -> Prepared | None:
        """What is prepared for a container, if it is what it asks for and nothing has changed since."""
        prepared = self._of(pod_id, container)
        is_same = prepared is not None and prepared.expected.entries == tuple(entries) and self._is_unchanged(prepared)
        return prepared if is_same else None

    def take(self, prepared: Prepared) -> None:
        """Remove what has been given to its container."""
        del self._prepared[prepared.expected.key]

    def _of(self, pod_id: str, container: str) -> Prepared | None:
        return self._prepared.get((pod_id, container)) or self._prepared.get((pod_id, ""))

    def _basis(self, expected: Expected) -> Basis:
        host, pod = self._kernel.host.revision(), self._kernel.pods.revision(expected.netns)
        return Basis(host, pod, self._evaluator.policy, self._claims.revision)

    def _is_unchanged(self, prepared: Prepared) -> bool:
        return prepared.basis == self._basis(prepared.expected) and prepared.links == self._links(prepared.claims)

    def _links(self, claims: Sequence[Claim]) -> tuple[Link, ...]:
        return tuple(self._kernel.host.link(claim.snapshot.link.ifindex) for claim in claims)

    # -- keeping up ------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Prepare anew where something has changed, and withdraw what nobody can come for."""
        if not self._prepared:
            with reported("look for changes"):
                self._kernel.watch.touched(())
        for prepared in tuple(self._prepared.values()):
            with reported("look at a prepared claim"):
                if not is_mounted(self._kernel, prepared.expected.netns):  # the pod went, and no event came
                    self._withdraw(prepared)
                elif not self._may_stay(prepared):
                    self._withdraw(prepared)
                    self.prepare(prepared.expected)

    def _may_stay(self, prepared: Prepared) -> bool:
        try:
            return self._is_unchanged(prepared) or self._is_unaffected(prepared)
        except KernelError:
            return False  # its interface is gone

    def _is_unaffected(self, prepared: Prepared) -> bool:
        """Whether what has changed concerns others only; then it rests on how things are now."""
        expected = prepared.expected
        basis, links = self._basis(expected), self._links(prepared.claims)
        if basis.pod != prepared.basis.pod or [*map(lasting, links)] != [*map(lasting, prepared.links)]:
            return False
        addresses = self._kernel.host.inventory().addresses
        for claim in prepared.claims:
            if claim.is_share:
                continue
            if _plain(addresses.get(claim.snapshot.link.ifindex, ())) != _plain(claim.snapshot.addresses):
                return False
        own = {claim.mark for claim in prepared.claims}
        others = [claim for claim in self._claims.prepared() if claim.mark not in own]
        grants = self._evaluator.grants(expected.entries, expected.asker, taken=(*self._claims.binding(), *others))
        if [*map(_given, grants)] != [*map(_given, prepared.grants)]:
            return False
        self._prepared[expected.key] = replace(prepared, basis=basis, links=links)
        return True

    def renew_snapshots(self) -> None:
        """Take the snapshots again of what has changed, in ways too on which no verdict depends."""
        with reported("look for changes"):
            every = [claim.snapshot.link.ifindex for prepared in self._prepared.values() for claim in prepared.claims]
            touched = self._kernel.watch.touched(every)
            for key, prepared in tuple(self._prepared.items()) if touched else ():
                with reported("look at a prepared claim"):
                    claims = tuple(self._renewed(claim, touched) for claim in prepared.claims)
                    if claims != prepared.claims:
                        self._claims.prepare(claims)
                        self._prepared[key] = replace(prepared, claims=claims)

    def _renewed(self, claim: Claim, touched: Collection[int]) -> Claim:
        ifindex = claim.snapshot.link.ifindex
        if claim.is_share:
            return claim
        return replace(claim, snapshot=self._kernel.host.snapshot(ifindex)) if ifindex in touched else claim

    # -- withdrawing -----------------------------------------------------------------------------------------------

    def withdraw(self, *, pod_id: str | None = None, ifnames: Collection[str] = ()) -> None:
        """Withdraw what is prepared for a pod, and whatever has one of these interfaces."""
        for (pod, _), prepared in tuple(self._prepared.items()):
            if pod == pod_id or any(claim.ifname in ifnames for claim in prepared.claims):
                self._withdraw(prepared)

    def withdraw_of(self, pod_id: str, container: str) -> None:
        """Withdraw what is prepared for a container."""
        prepared = self._of(pod_id, container)
        if prepared is not None:
            self._withdraw(prepared)

    def withdraw_all(self) -> None:
        """Withdraw everything: for a new connection to the engine, or the end of the daemon."""
        for prepared in tuple(self._prepared.values()):
            self._withdraw(prepared)

    def _withdraw(self, prepared: Prepared) -> None:
        """Nothing was given, so there is nothing to restore but the marks."""
        self.take(prepared)
        self._end(prepared.claims)
        self._let_go(prepared.expected.netns)

    def _end(self, claims: Sequence[Claim]) -> None:
        self._claims.end(Trigger.WITHDRAWN, *claims)
        for claim in claims:
            with contextlib.suppress(KernelError):  # an interface that is gone
                unmark(self._kernel, claim, claim.snapshot.link.ifindex)

    def _let_go(self, netns: Netns) -> None:
        """Take the pin away if nobody needs it."""
        if not self._claims.needs(netns):
            with reported("unpin"):
                self._kernel.pods.unpin(netns.pin)


def _given(grant: Grant) -> tuple[object, ...]:
    """What a claim keeps of a grant; a policy may change it, by an IPAM profile or a rule's `default_route`."""
    return grant.link.ifindex, grant.entry.inside, grant.entry.setup, grant.may_route_default


def _plain(addresses: Iterable[Address]) -> list[tuple[str, int, int]]:
    """Addresses without what runs down."""
    return [(address.address, address.prefixlen, address.flags) for address in addresses]
