"""An offer: what a container that asks can be given. Judged by what is known of the host, and what is given seen again.

Changes nothing. `nri_netdev.custody.custody` makes a promise of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from socket import AF_INET6

from nri_netdev.custody.ports import Kernel
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import MARK_PREFIX, Claim, Netns, Owner, State, steady
from nri_netdev.domain.links import Inside, Inventory
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.problem import Problem, explain
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.domain.verdict.judge import Grant, PodNetns, judge
from nri_netdev.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A container, and where it will be."""

    pod: PodSandbox
    container: Container
    netns: Netns | None
    """None on the host network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What can be given, all of it."""

    grants: tuple[Grant, ...] = ()
    claims: tuple[Claim, ...] = ()
    """One for each grant, with what the interface was before anybody had it."""
    inherited: tuple[Claim, ...] = ()
    """Claims that these take the place of: of interfaces at home that are not yet all that they were."""
    has_ipv6: bool = True
    """Whether they may have IPv6 addresses in the pod."""

    @property
    def would_fail(self) -> bool:
        """Whether a runtime would fail at it: crun does where an address is IPv6 and the pod has that turned off."""
        addresses = (address for claim in self.claims for address in claim.snapshot.addresses)
        return not self.has_ipv6 and any(address.family == AF_INET6 for address in addresses)


def offer(
    kernel: Kernel,
    asked: Sequence[Entry],
    asker: Asker,
    *,
    claims: Collection[Claim],
    drafts: Collection[Claim] = (),
    policy: Policy | None,
    now_s: Callable[[], float],
) -> Offer:
    """What a container can be given.

    The host is first judged by what it has told of itself. Where that ends in a refusal, or with an interface that
    turns out to be another than it was judged to be, all of the host is read anew and judged again.

    Args:
        kernel: the node.
        asked: what the container asks for and does not have.
        asker: the container.
        claims: every claim there is.
        drafts: interfaces that others may come to ask for: better left to them, if there is a choice.
        policy: who may take what; None to ask only what can be given.
        now_s: the wall clock, in seconds since the epoch.

    Raises:
        RequestError: It cannot be given all of it; with every reason.
        KernelError: Something cannot be read.
    """
    if not asked:
        return Offer()
    pod = kernel.inside(asker.netns.path) if asker.netns else Inside()
    for is_fresh in (False, True):
        inventory = kernel.inventory(is_fresh=is_fresh)
        heirs = _heirs(claims, inventory)
        others = [claim for claim in claims if heirs.get(claim.ifname) is not claim]
        taken = others if is_fresh else [*others, *drafts]
        grants, problems = _judged(kernel, asked, asker, pod, inventory, claims=taken, policy=policy, now_s=now_s)
        if problems and is_fresh:
            raise RequestError(explain(problems))
        snapshots = [] if problems else [kernel.snapshot(grant.link.ifindex) for grant in grants]
        if snapshots and all(steady(g.link) == steady(s.link) for g, s in zip(grants, snapshots, strict=True)):
            made = _offer(kernel, grants, snapshots, asker=asker, heirs=heirs, now_s=int(now_s()))
            return replace(made, has_ipv6=pod.has_ipv6)
    raise RequestError("the interfaces that are asked for are being changed just now; retry")


def granted(
    kernel: Kernel,
    asked: Sequence[Entry],
    asker: Asker,
    *,
    claims: Collection[Claim],
    policy: Policy | None,
    now_s: Callable[[], float],
) -> tuple[Grant, ...]:
    """What a container would be granted, by what the host has told of itself; nothing if not all of it.

    Args:
        kernel: the node.
        asked: what the container asks for.
        asker: the container.
        claims: what others have.
        policy: who may take what.
        now_s: the wall clock, in seconds since the epoch.

    Raises:
        KernelError: Something cannot be read.
    """
    pod = kernel.inside(asker.netns.path) if asker.netns else Inside()
    grants, _ = _judged(kernel, asked, asker, pod, kernel.inventory(), claims=claims, policy=policy, now_s=now_s)
    return grants


def seen_again(kernel: Kernel, claim: Claim) -> Snapshot:
    """A snapshot of this moment; the one that there is if the runtime has begun to move the interface.

    Raises:
        KernelError: It is at home no more.
    """
    link = kernel.link(claim.snapshot.link.ifindex)
    if claim.mark not in link.altnames:
        return claim.snapshot
    snapshot = kernel.snapshot(link.ifindex)
    is_untouched = kernel.link(link.ifindex) == link and link.is_up == claim.snapshot.link.is_up
    return snapshot if is_untouched else claim.snapshot


def _judged(
    kernel: Kernel,
    asked: Sequence[Entry],
    asker: Asker,
    pod: Inside,
    inventory: Inventory,
    *,
    claims: Collection[Claim],
    policy: Policy | None,
    now_s: Callable[[], float],
) -> tuple[tuple[Grant, ...], tuple[Problem, ...]]:
    names = frozenset(name for link in pod.links for name in (link.ifname, *link.altnames))
    return judge(
        asked,
        inventory=inventory,
        netns=PodNetns(is_host=asker.netns is None, names=names),
        claims=claims,
        now_s=int(now_s()),
        policy=policy,
        pod=asker.pod,
        facts_of=kernel.facts(),
    )


def _heirs(claims: Collection[Claim], inventory: Inventory) -> Mapping[str, Claim]:
    """The claims that new ones can take the place of, by interface."""
    return {
        claim.ifname: claim
        for claim in claims
        if claim.state is State.PARTIAL and claim.home_ifname is None and inventory.by_name(claim.ifname) is not None
    }


def _offer(
    kernel: Kernel,
    grants: Sequence[Grant],
    snapshots: Sequence[Snapshot],
    *,
    asker: Asker,
    heirs: Mapping[str, Claim],
    now_s: int,
) -> Offer:
    if asker.netns is None:
        return Offer()
    pod, container = asker.pod, asker.container
    claims = [
        Claim(
            mark=f"{MARK_PREFIX}{os.urandom(6).hex()}",
            owner=Owner(
                scope=grant.entry.scope,
                pod_id=pod.id,
                pod_uid=pod.uid,
                namespace=pod.namespace,
                pod=pod.name,
                container_id=container.id,
                container=container.name,
            ),
            key=grant.entry.key,
            number=grant.entry.number,
            inside=grant.entry.inside,
            netns=asker.netns,
            snapshot=snapshot,
            since_s=now_s,
            boot_id=kernel.boot_id(),
        )
        for grant, snapshot in zip(grants, snapshots, strict=True)
    ]
    return Offer(
        grants=tuple(grants),
        claims=tuple(
            replace(claim, snapshot=heirs[claim.ifname].snapshot.merge(claim.snapshot))
            if claim.ifname in heirs
            else claim
            for claim in claims
        ),
        inherited=tuple(heirs[claim.ifname] for claim in claims if claim.ifname in heirs),
    )
