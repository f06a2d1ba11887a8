"""Decides what a container gets: from the cached inventory first, then from each granted interface read again.

Changes nothing; `nri_netdev.custody.custody` makes promises of an evaluation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from socket import AF_INET6

from nri_netdev.custody.ports import Kernel
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import MARK_PREFIX, Claim, Netns, Owner, State, steady
from nri_netdev.domain.links import Inventory, Link, PodNetnsView
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.policy.handlers import guest_among
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.problem import Problem, refusal
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.domain.verdict.judge import judge
from nri_netdev.domain.verdict.node import Held, NodeState, PodNetns
from nri_netdev.domain.verdict.outcome import Grant
from nri_netdev.domain.verdict.whole_pod import refused, why_nothing
from nri_netdev.errors import Reason, RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A container, and the netns that it will run in."""

    pod: PodSandbox
    container: Container
    netns: Netns | None
    """None on the host network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that a container asked for, and that it can be given."""

    grants: tuple[Grant, ...] = ()
    claims: tuple[Claim, ...] = ()
    """One for each grant, with a snapshot of the interface."""
    inherited: tuple[Claim, ...] = ()
    """Claims that these replace: of interfaces at home that are not fully restored. Their snapshots are merged in."""
    has_ipv6: bool = True
    """Whether interfaces may have IPv6 addresses in the pod."""

    @property
    def would_fail(self) -> bool:
        """Whether the runtime's move would fail: crun's does for an IPv6 address where the pod has IPv6 disabled."""
        addresses = (address for claim in self.claims for address in claim.snapshot.addresses)
        return not self.has_ipv6 and any(address.family == AF_INET6 for address in addresses)


class Evaluator:
    """Evaluates requests against the live host.

    Args:
        kernel: the node.
        now_s: the wall clock, in seconds since the epoch.
        policy: who may take what; None to ask only what can be given, by whatever rule. It may be exchanged.
    """

    def __init__(self, kernel: Kernel, *, now_s: Callable[[], float], policy: Policy | None = None) -> None:
        self._kernel = kernel
        self._now_s = now_s
        self.policy = policy
        self._guests: dict[str, frozenset[str]] = {}
        """Names of processes that have shown a guest, by runtime handler."""

    def evaluate(
        self,
        asked: Sequence[Entry],
        asker: Asker,
        *,
        taken: Collection[Claim],
        reserved: Collection[Claim] = (),
    ) -> Evaluation:
        """Decide what a container can be given.

        The cached inventory is tried first. If that ends in a refusal, or a granted interface turns out to have
        changed, the whole host is read again and the request is decided once more.

        Args:
            asked: entries that the container has no interface for yet.
            asker: the container.
            taken: every claim.
            reserved: interfaces prepared for other containers; taken only if nothing else will do.

        Raises:
            RequestError: Not all of it can be given; the text has every reason.
            KernelError: Something cannot be read.
        """
        if not asked:
            return Evaluation()
        pod = self._view(asker)
        for is_fresh in (False, True):
            inventory = self._kernel.host.inventory(is_fresh=is_fresh)
            heirs = _heirs(taken, inventory)
            others = [claim for claim in taken if heirs.get(claim.ifname) is not claim]
            held = others if is_fresh else [*others, *reserved]
            grants, problems = self._judge(asked, asker, (pod, inventory), held=held, heirs=heirs)
            if problems and is_fresh:
                raise refusal(problems)
            snapshots = [] if problems else [self._snapshot(grant) for grant in grants]
            if snapshots and all(steady(g.link) == steady(s.link) for g, s in zip(grants, snapshots, strict=True)):
                return replace(self._evaluation(grants, snapshots, asker, heirs), has_ipv6=pod.has_ipv6)
        raise RequestError("the interfaces that are asked for are being changed just now; retry", reason=Reason.BUSY)

    def grants(self, asked: Sequence[Entry], asker: Asker, *, taken: Collection[Claim]) -> tuple[Grant, ...]:
        """Decide from the cached inventory alone; empty if not everything can be given.

        Args:
            asked: entries of the container.
            asker: the container.
            taken: claims of others.

        Raises:
            KernelError: Something cannot be read.
        """
        known = self._view(asker), self._kernel.host.inventory()
        grants, _ = self._judge(asked, asker, known, held=taken, heirs={})
        return grants

    def check_runtime(self, asked: Sequence[Entry], asker: Asker) -> None:
        """See that a container would see what it asks for, as its processes show.

        Raises:
            RequestError: It is a guest.
        """
        obstacle = why_nothing(asker.pod, self._pod_netns(asker), self.policy)
        if asked and obstacle:
            raise refusal(refused(asked, obstacle))

    def forget_runtimes(self) -> None:
        """The engine is another one, perhaps, with other runtimes."""
        self._guests.clear()

    def snapshot_again(self, claim: Claim) -> Snapshot:
        """A new snapshot of a claimed interface; the claim's own if the runtime has begun to move the interface.

        Raises:
            KernelError: The interface is no longer at home.
        """
        if claim.is_share:
            return claim.snapshot
        link = self._kernel.host.link(claim.snapshot.link.ifindex)
        if claim.mark not in link.altnames:
            return claim.snapshot
        snapshot = self._kernel.host.snapshot(link.ifindex)
        is_untouched = self._kernel.host.link(link.ifindex) == link and link.is_up == claim.snapshot.link.is_up
        return snapshot if is_untouched else claim.snapshot

    def _snapshot(self, grant: Grant) -> Snapshot:
        """What the interface is; of one that is shared, and so does not leave, no more than which it is."""
        if grant.entry.is_shared:
            return Snapshot(link=self._kernel.host.link(grant.link.ifindex))
        return self._kernel.host.snapshot(grant.link.ifindex)

    def _view(self, asker: Asker) -> PodNetnsView:
        return self._kernel.pods.view(asker.netns.path) if asker.netns else PodNetnsView()

    def _judge(
        self,
        asked: Sequence[Entry],
        asker: Asker,
        known: tuple[PodNetnsView, Inventory],
        *,
        held: Collection[Claim],
        heirs: Mapping[str, Claim],
    ) -> tuple[tuple[Grant, ...], tuple[Problem, ...]]:
        """The verdict by what is known of the pod's netns and of the host."""
        pod, inventory = known
        node = NodeState(
            inventory=inventory,
            policy=self.policy,
            held=tuple(map(Held.of, held)),
            tainted={name: claim.owner for name, claim in heirs.items() if claim.is_tainted},
            restoring={name: claim.owner for name, claim in heirs.items()},
            at_s=int(self._now_s()),
            facts_of=self._kernel.host.facts(),
            pci_of=self._kernel.pci_of,
            attached_of=self._kernel.attached,
        )
        leaving = (claim for claim in held if claim.netns == asker.netns and claim.state is State.RETURNING)
        names = frozenset(name for claim in leaving for name in claim.names)
        netns = replace(self._pod_netns(asker, pod.links), leaving=names)
        return judge(asked, node, netns=netns, pod=asker.pod)

    def _pod_netns(self, asker: Asker, links: Iterable[Link] = ()) -> PodNetns:
        """What matters of the pod's netns."""
        names = frozenset(name for link in links for name in (link.ifname, *link.altnames))
        return PodNetns(is_host=asker.netns is None, names=names, processes=self._process_names(asker))

    def _process_names(self, asker: Asker) -> frozenset[str]:
        """What the processes are called that the asker's pod has before its containers run.

        A container that runs may have any name. Names that show a guest are remembered: CRI-O reports no process of a
        pod, and that of a container only at its start.
        """
        if asker.netns is None:
            return frozenset()
        pids = (asker.pod.pid, 0 if asker.container.is_running else asker.container.pid)
        names = frozenset().union(*(self._kernel.processes.names(pid, asker.netns) for pid in pids if pid))
        handler = asker.pod.runtime_handler
        if guest_among(names):
            self._guests[handler] = names
        return names | self._guests.get(handler, frozenset())

    def _evaluation(
        self, grants: Sequence[Grant], snapshots: Sequence[Snapshot], asker: Asker, heirs: Mapping[str, Claim]
    ) -> Evaluation:
        if asker.netns is None:
            return Evaluation()
        since_s, boot_id = int(self._now_s()), self._kernel.host.boot_id()
        claims = [
            Claim(
                mark=f"{MARK_PREFIX}{os.urandom(6).hex()}",
                owner=_owner(grant, asker),
                key=grant.entry.key,
                number=grant.entry.number,
                inside=grant.entry.inside,
                netns=asker.netns,
                snapshot=heirs[grant.link.ifname].snapshot.merge(snapshot) if grant.link.ifname in heirs else snapshot,
                since_s=since_s,
                boot_id=boot_id,
                setup=grant.entry.setup,
                may_route_default=grant.may_route_default,
            )
            for grant, snapshot in zip(grants, snapshots, strict=True)
        ]
        inherited = tuple(heirs[claim.ifname] for claim in claims if claim.ifname in heirs)
        return Evaluation(grants=tuple(grants), claims=tuple(claims), inherited=inherited)


def _heirs(claims: Collection[Claim], inventory: Inventory) -> Mapping[str, Claim]:
    """Claims that a new one may replace, by interface: at home under their own name, and not fully restored."""
    return {
        claim.ifname: claim
        for claim in claims
        if claim.state is State.PARTIAL and claim.home_ifname is None and inventory.by_name(claim.ifname) is not None
    }


def _owner(grant: Grant, asker: Asker) -> Owner:
    pod, container = asker.pod, asker.container
    return Owner(
        scope=grant.entry.scope,
        pod_id=pod.id,
        pod_uid=pod.uid,
        namespace=pod.namespace,
        pod=pod.name,
        container_id=container.id,
        container=container.name,
    )
