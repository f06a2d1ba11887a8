"""What would happen to a pod's entries on this node now, and by which rule: the verdict, told line by line. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from nri_netdev.domain.annotations.request import Entry, parse
from nri_netdev.domain.claim import Claim, Netns, Owner
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.policy.selectors import FactsOf, no_facts
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.domain.verdict.allocator import Desk, Grant, Outcome, PodNetns


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would become of one entry, or of what is wrong with the annotations as a whole."""

    container: str
    asked: str
    """Annotation, entry, and what is asked for."""
    steps: tuple[str, ...] = ()
    """What each rule says, up to the one that decides."""
    verdict: str = ""
    """What would be given, or why nothing would be."""
    is_granted: bool = False


def explain_pod(
    pod: PodSandbox,
    containers: Sequence[str],
    *,
    inventory: Inventory,
    policy: Policy,
    claims: Collection[Claim] = (),
    names: frozenset[str] = frozenset({"lo", "eth0"}),
    is_host_network: bool = False,
    now_s: int = 0,
    facts_of: FactsOf = no_facts,
) -> tuple[Explanation, ...]:
    """Decide on each container of a pod in turn, and say why.

    Args:
        pod: who asks; with its annotations.
        containers: names, in the order in which they are created.
        inventory: the host, now.
        policy: what may be given to whom.
        claims: every claim that holds an interface.
        names: those taken in the pod's netns; before there is one, what every pod has.
        is_host_network: whether the pod is on the host network.
        now_s: wall clock, for the age of a holder.
        facts_of: fetches what rtnetlink does not tell of an interface.
    """
    told: list[Explanation] = []
    given: list[Claim] = []
    done: set[tuple[str, int]] = set()
    for container in containers:
        parsed = parse(pod.annotations, container=container)
        told += [_unreadable(problem, container) for problem in parsed.problems]
        entries = [entry for entry in parsed.entries if (entry.key, entry.number) not in done]
        if is_host_network:
            told += [_refused(entry, container, (), "the pod is on the host network") for entry in entries]
            continue
        taken = {claim.ifname for claim in given}
        desk = Desk(
            inventory=replace(inventory, links=tuple(link for link in inventory.links if link.ifname not in taken)),
            netns=PodNetns(names=names | {claim.inside for claim in given}),
            claims=[*claims, *given],
            now_s=now_s,
            policy=policy,
            pod=pod,
            facts_of=facts_of,
        )
        outcomes = desk.outcomes(entries)
        told += [_told(outcome, container, desk, outcomes) for outcome in outcomes]
        if not any(outcome.problems for outcome in outcomes):
            grants = [grant for outcome in outcomes for grant in outcome.grants]
            given += [_claim(grant, pod, container) for grant in grants]
            done |= {(entry.key, entry.number) for entry in entries if entry.scope is Scope.POD}
    return tuple(told)


def _unreadable(problem: Problem, container: str) -> Explanation:
    return Explanation(container=container, asked=problem.place, verdict=f"refused: {problem.message}")


def _refused(entry: Entry, container: str, steps: tuple[str, ...], reason: str) -> Explanation:
    return Explanation(container=container, asked=_asked(entry), steps=steps, verdict=f"refused: {reason}")


def _asked(entry: Entry) -> str:
    inside = f" as {entry.name}" if entry.name else ""
    return f"{Problem(key=entry.key, entry=entry.number, message='').place}: {entry.wanted}{inside}"


def _told(outcome: Outcome, container: str, desk: Desk, outcomes: Sequence[Outcome]) -> Explanation:
    entry = outcome.entry
    named = desk.inventory.by_name(entry.interface)
    links = [grant.link for grant in outcome.grants] or ([named] if named else [])
    steps = tuple(step for link in links for step in _steps(desk, link))
    if outcome.problems:
        reasons = [problem.message + (f". {problem.hint}" if problem.hint else "") for problem in outcome.problems]
        return _refused(entry, container, steps, "; ".join(reasons))
    gives = ", ".join(f"{grant.link.ifname} as {grant.entry.inside}" for grant in outcome.grants)
    if any(other.problems for other in outcomes):
        return _refused(entry, container, steps, f"would give {gives}, if the other entries were right")
    verdict = f"gives {gives}"
    return Explanation(container=container, asked=_asked(entry), steps=steps, verdict=verdict, is_granted=True)


def _steps(desk: Desk, link: Link) -> Iterator[str]:
    """What each rule says of an interface and the pod, up to the one that decides."""
    rules = desk.policy.rules if desk.policy else ()
    for rule in rules:
        if reason := rule.why_not_for(desk.pod):
            yield f"{link.ifname}: {rule} {reason}"
        elif desk.policy is not None and not desk.policy.covers(rule, link, desk.sees):
            yield f"{link.ifname}: {rule} does not speak of it"
        else:
            yield f"{link.ifname}: {rule} decides"
            return
    yield f"{link.ifname}: no rule speaks of it" if rules else f"{link.ifname}: this node has no rules"


def _claim(grant: Grant, pod: PodSandbox, container: str) -> Claim:
    """The claim that a grant would become, for the containers that come after."""
    scope = grant.entry.scope
    return Claim(
        mark="",
        owner=Owner(
            scope=scope,
            pod_id=pod.id,
            pod_uid=pod.uid,
            namespace=pod.namespace,
            pod=pod.name,
            container_id="",
            container=container,
        ),
        key=grant.entry.key,
        number=grant.entry.number,
        inside=grant.entry.inside,
        netns=Netns(path="", dev=0, ino=0),
        snapshot=Snapshot(link=grant.link),
        since_s=0,
        boot_id="",
    )
