"""Drafts: what a container that is still to be created will be given, made ready while nobody waits.

An engine tells of a pod some time before it creates the pod's containers, and has every other pod of the node wait for
the answer to each of these. So what a pod's annotations ask for is judged as soon as the pod is there, and all is done
that must be done before an interface may be given: snapshot, ledger, pin, mark. When the container is created nothing
is left but to see that everything still is as it was; if not, it is done from the beginning. A draft binds nobody:
until it is confirmed, whoever comes first gets the interface (docs/adr/0012).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from nri_netdev.custody.claims import Book, reported
from nri_netdev.custody.evaluate import Asker, granted, offer
from nri_netdev.custody.ports import Kernel, is_mounted
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import Claim, Netns, lasting
from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.verdict.judge import Grant
from nri_netdev.errors import KernelError, RequestError
from nri_netdev.faults import step

MAX_DRAFTS = 64
"""Containers that are awaited at one time; each takes an open file, and a node starts a few at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A container that is still to be created."""

    pod: PodSandbox
    name: str
    """Its name; "" for whichever of the pod's comes first."""
    entries: tuple[Entry, ...]
    """What it will ask for."""
    netns: Netns
    """The pod's."""
    encode: Callable[[Sequence[Grant]], bytes]
    """Makes the answer to the engine of what is granted."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.pod.id, self.name

    @property
    def asker(self) -> Asker:
        """Who asks, as far as that is known."""
        return Asker(pod=self.pod, container=Container(id="", name=self.name, pod_id=self.pod.id), netns=self.netns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a container will be given."""

    awaited: Awaited
    grants: tuple[Grant, ...]
    claims: tuple[Claim, ...]
    """One for each grant, whose container is not known yet."""
    basis: tuple[object, ...]
    """What was so when it was judged: the news of the host and of the pod, the policy, what others were promised."""
    links: tuple[Link, ...]
    """The interfaces, marked."""
    answer: bytes
    """What is to be said to the engine, encoded."""

    @property
    def is_told(self) -> bool:
        """Whether the kernel would tell every change of the interfaces: it does not of those that are down."""
        return all(link.is_up and (link.has_carrier or link.link is None) for link in self.links)

    def confirmed(self, container_id: str, container: str, now_s: int) -> tuple[Claim, ...]:
        """The claims of the container that has come, by its id and name."""
        return tuple(
            replace(claim, owner=replace(claim.owner, container_id=container_id, container=container), since_s=now_s)
            for claim in self.claims
        )


class Drafts:
    """Every draft of the node.

    Args:
        book: where claims and drafts are written.
        kernel: the node.
        now_s: the wall clock, in seconds since the epoch.
    """

    def __init__(self, book: Book, kernel: Kernel, now_s: Callable[[], float]) -> None:
        self._book = book
        self._kernel = kernel
        self._now_s = now_s
        self._drafts: dict[tuple[str, str], Draft] = {}

    def __len__(self) -> int:
        return len(self._drafts)

    def make(self, awaited: Awaited, policy: Policy | None) -> None:
        """Make ready what a container will ask for; without effect where that cannot be given now."""
        if len(self._drafts) >= MAX_DRAFTS or not awaited.entries or awaited.key in self._drafts:
            return
        try:
            with reported("keep a netns"):
                self._kernel.pin(awaited.netns)
                self._make(awaited, policy)
        except RequestError:
            pass  # the container is told why when it is created
        finally:
            self._let_go(awaited.netns)

    def _make(self, awaited: Awaited, policy: Policy | None) -> None:
        basis = self._basis(awaited, policy)
        made = offer(
            self._kernel,
            awaited.entries,
            awaited.asker,
            claims=(*self._book.claims(), *self._book.drafts()),
            policy=policy,
            now_s=self._now_s,
        )
        if made.inherited or made.would_fail:
            return
        answer = awaited.encode(made.grants)
        step("drafts.judged")
        self._book.draft(made.claims)
        try:
            for claim in made.claims:
                step("drafts.written")
                self._kernel.mark(claim.snapshot.link.ifindex, claim.mark)
            step("drafts.marked")
            links = self._links(made.claims)
            self._kernel.news()  # the marks, which are none
        except KernelError:
            self._strike(made.claims)
            raise
        self._drafts[awaited.key] = Draft(
            awaited=awaited,
            grants=made.grants,
            claims=made.claims,
            basis=basis,
            links=links,
            answer=answer,
        )

    def ready(self, pod_id: str, container: str, policy: Policy | None) -> Draft | None:
        """The draft of a container, if it is sure that everything still is as it was. Waits for nothing."""
        draft = self._of(pod_id, container)
        if draft is None or not draft.is_told:
            return None
        news = self._kernel.last_news(), self._kernel.last_news(draft.awaited.netns)
        is_so = draft.basis == (*news, policy, self._book.promised)
        return draft if is_so and all(self._kernel.is_called(k.ifindex, k.ifname) for k in draft.links) else None

    def standing(self, pod_id: str, container: str, entries: Sequence[Entry], policy: Policy | None) -> Draft | None:
        """The draft of a container, if it is what it asks for and everything still is as it was."""
        draft = self._of(pod_id, container)
        is_so = draft is not None and draft.awaited.entries == tuple(entries) and self._stands(draft, policy)
        return draft if is_so else None

    def _of(self, pod_id: str, container: str) -> Draft | None:
        return self._drafts.get((pod_id, container)) or self._drafts.get((pod_id, ""))

    def _basis(self, awaited: Awaited, policy: Policy | None) -> tuple[object, ...]:
        return self._kernel.news(), self._kernel.news(awaited.netns), policy, self._book.promised

    def _stands(self, draft: Draft, policy: Policy | None) -> bool:
        return draft.basis == self._basis(draft.awaited, policy) and draft.links == self._links(draft.claims)

    def _links(self, claims: Sequence[Claim]) -> tuple[Link, ...]:
        return tuple(self._kernel.link(claim.snapshot.link.ifindex) for claim in claims)

    def take(self, draft: Draft) -> None:
        """A draft has been confirmed."""
        del self._drafts[draft.awaited.key]

    def refresh(self, policy: Policy | None) -> None:
        """Judge anew whatever is no longer as it was, and forget what nobody can come for."""
        for draft in tuple(self._drafts.values()):
            with reported("look at a draft"):
                if not is_mounted(self._kernel, draft.awaited.netns):  # the pod went without a word
                    self._drop(draft)
                elif not self._may_stand(draft, policy):
                    self._drop(draft)
                    self.make(draft.awaited, policy)

    def _may_stand(self, draft: Draft, policy: Policy | None) -> bool:
        try:
            return self._stands(draft, policy) or self._judge_again(draft, policy)
        except KernelError:
            return False  # its interface is gone

    def _judge_again(self, draft: Draft, policy: Policy | None) -> bool:
        """Let a draft stand if what has changed concerns others; whether it does."""
        basis, links = self._basis(draft.awaited, policy), self._links(draft.claims)
        if basis[1] != draft.basis[1] or [*map(lasting, links)] != [*map(lasting, draft.links)]:
            return False
        addresses = self._kernel.inventory().addresses
        if any(
            _plain(addresses.get(c.snapshot.link.ifindex, ())) != _plain(c.snapshot.addresses) for c in draft.claims
        ):
            return False
        own = {claim.mark for claim in draft.claims}
        grants = granted(
            self._kernel,
            draft.awaited.entries,
            draft.awaited.asker,
            claims=(*self._book.claims(), *(other for other in self._book.drafts() if other.mark not in own)),
            policy=policy,
            now_s=self._now_s,
        )
        if [*map(_given, grants)] != [*map(_given, draft.grants)]:
            return False
        self._drafts[draft.awaited.key] = replace(draft, basis=basis, links=links)
        return True

    def renew(self) -> None:
        """Take the snapshots again, as not every change is told: then they are never older than the timer's pause."""
        for key, draft in tuple(self._drafts.items()):
            with reported("look at a draft"):
                claims = tuple(map(self._renewed, draft.claims))
                if claims != draft.claims:
                    self._book.draft(claims)
                    self._drafts[key] = replace(draft, claims=claims)

    def _renewed(self, claim: Claim) -> Claim:
        now = self._kernel.snapshot(claim.snapshot.link.ifindex)
        return claim if claim.snapshot.is_still(now) else replace(claim, snapshot=now)

    def drop(self, *, pod_id: str | None = None, ifnames: Collection[str] = ()) -> None:
        """Forget all drafts of a pod, and all that have one of these interfaces."""
        for (pod, _), draft in tuple(self._drafts.items()):
            if pod == pod_id or any(claim.ifname in ifnames for claim in draft.claims):
                self._drop(draft)

    def drop_of(self, pod_id: str, container: str) -> None:
        """Forget the draft of a container."""
        draft = self._of(pod_id, container)
        if draft is not None:
            self._drop(draft)

    def drop_all(self) -> None:
        """Forget every draft."""
        for draft in tuple(self._drafts.values()):
            self._drop(draft)

    def _drop(self, draft: Draft) -> None:
        """Nothing was given, so there is nothing to restore but the marks."""
        self.take(draft)
        self._strike(draft.claims)
        self._let_go(draft.awaited.netns)

    def _strike(self, claims: Sequence[Claim]) -> None:
        self._book.drop(*claims)
        for claim in claims:
            with contextlib.suppress(KernelError):  # an interface that is gone
                self._kernel.unmark(claim.snapshot.link.ifindex, claim.mark)

    def _let_go(self, netns: Netns) -> None:
        """Take the pin away if nobody needs it."""
        if not self._book.needs(netns):
            with reported("unpin"):
                self._kernel.unpin(netns.pin)


def _given(grant: Grant) -> tuple[int, str]:
    return grant.link.ifindex, grant.entry.inside


def _plain(addresses: Iterable[Address]) -> list[tuple[str, int, int]]:
    """Addresses without what runs down."""
    return [(address.address, address.prefixlen, address.flags) for address in addresses]
