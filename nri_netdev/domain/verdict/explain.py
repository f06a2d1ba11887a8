"""Explains what would become of a pod's entries on this node now, and by which rule. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from nri_netdev.domain.annotations.request import Entry, parse
from nri_netdev.domain.claim import Owner
from nri_netdev.domain.links import Link
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.problem import Problem
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.words import summary_of
from nri_netdev.domain.verdict.allocator import Allocator
from nri_netdev.domain.verdict.availability import PodAvailability
from nri_netdev.domain.verdict.node import Held, NodeState, PodNetns
from nri_netdev.domain.verdict.outcome import Grant, Outcome
from nri_netdev.domain.verdict.whole_pod import why_nothing

_BEFORE = PodNetns(names=frozenset({"lo", "eth0"}))
"""The netns of a pod that does not exist yet, on the pod network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would become of one entry; or a problem of the annotations as a whole."""

    container: str
    asked: str
    """Annotation, entry, and the interfaces that it asks for."""
    sets: tuple[str, ...] = ()
    """What would be set on them in the pod."""
    steps: tuple[str, ...] = ()
    """The result of each rule, up to the one that decides."""
    verdict: str = ""
    """The interfaces that would be given, or why none would be."""
    is_granted: bool = False
    effects: tuple[str, ...] = ()
    """What giving these interfaces does besides: what does not come along, and what of the host suffers."""


def explain_pod(
    pod: PodSandbox, containers: Sequence[str], node: NodeState, netns: PodNetns = _BEFORE
) -> tuple[Explanation, ...]:
    """Decide on each container of a pod in turn, and explain each entry.

    Args:
        pod: the pod, with its annotations.
        containers: names, in the order in which they are created.
        node: the node.
        netns: the pod's netns.
    """
    explanations: list[Explanation] = []
    given: list[Grant] = []
    held: list[Held] = []
    done: set[tuple[str, int]] = set()
    nothing = why_nothing(pod, netns, node.policy)
    for container in containers:
        parsed = parse(pod.annotations, container=container)
        explanations += [_unreadable(problem, container) for problem in parsed.problems]
        entries = [entry for entry in parsed.entries if (entry.key, entry.number) not in done]
        if nothing:
            reason = _with_hint(nothing.text, nothing.hint)
            explanations += [_refused(entry, container, (), reason) for entry in entries]
            continue
        names = netns.names | {name for grant in given for name in (grant.entry.inside, *grant.entry.devices)}
        allocator = Allocator(_without(node, held), pod, names=names)
        outcomes = allocator.allocate(entries)
        explanations += [_explained(outcome, container, allocator.available, outcomes) for outcome in outcomes]
        if not any(outcome.problems for outcome in outcomes):
            grants = [grant for outcome in outcomes for grant in outcome.grants]
            given += grants
            held += [_held(grant, pod, container, node.at_s) for grant in grants]
            done |= {(entry.key, entry.number) for entry in entries if entry.scope is Scope.POD}
    return tuple(explanations)


def _without(node: NodeState, held: Collection[Held]) -> NodeState:
    """The node after further interfaces have left it, and others are shared."""
    away = {holding.ifname for holding in held if holding.share is None}
    links = tuple(link for link in node.inventory.links if link.ifname not in away)
    return replace(node, inventory=replace(node.inventory, links=links), held=(*node.held, *held))


def _held(grant: Grant, pod: PodSandbox, container: str, since_s: int) -> Held:
    owner = Owner(
        scope=grant.entry.scope,
        pod_id=pod.id,
        pod_uid=pod.uid,
        namespace=pod.namespace,
        pod=pod.name,
        container_id="",
        container=container,
    )
    return Held(link=grant.link, owner=owner, since_s=since_s, share=grant.entry.setup.share)


def _unreadable(problem: Problem, container: str) -> Explanation:
    return Explanation(container=container, asked=problem.place, verdict=f"refused: {problem.message}")


def _refused(entry: Entry, container: str, steps: tuple[str, ...], reason: str) -> Explanation:
    return Explanation(container=container, asked=_asked(entry), steps=steps, verdict=f"refused: {reason}")


def _with_hint(text: str, hint: str) -> str:
    return f"{text}. {hint}" if hint else text


def _asked(entry: Entry) -> str:
    inside = f" as {entry.name}" if entry.name else ""
    return f"{Problem(key=entry.key, entry=entry.number, message='').place}: {entry.wanted}{inside}"


def _explained(
    outcome: Outcome, container: str, available: PodAvailability, outcomes: Sequence[Outcome]
) -> Explanation:
    entry = outcome.entry
    named = available.node.inventory.by_name(entry.interface)
    links = [grant.link for grant in outcome.grants] or ([named] if named else [])
    steps = tuple(step for link in links for step in _steps(available, link))
    leaving = () if entry.is_shared else links
    told = tuple(f"{link.ifname}: {text}" for link in leaving for text in available.effects(link))
    if outcome.problems:
        reasons = [_with_hint(problem.message, problem.hint) for problem in outcome.problems]
        return replace(_refused(entry, container, steps, "; ".join(reasons)), effects=told)
    gives = ", ".join(f"{grant.link.ifname} as {grant.entry.inside}" for grant in outcome.grants)
    if any(other.problems for other in outcomes):
        reason = f"would give {gives}, if the other entries were right"
        return replace(_refused(entry, container, steps, reason), effects=told, sets=summary_of(entry.setup))
    return Explanation(
        container=container,
        asked=_asked(entry),
        sets=summary_of(entry.setup),
        steps=steps,
        verdict=f"gives {gives}",
        is_granted=True,
        effects=told,
    )


def _steps(available: PodAvailability, link: Link) -> Iterator[str]:
    """The result of each rule for an interface and the pod, up to the one that decides."""
    policy = available.node.policy
    rules = policy.rules if policy else ()
    for rule in rules:
        if reason := rule.why_not_for(available.pod):
            yield f"{link.ifname}: {rule} {reason}"
        elif policy is not None and not policy.covers(rule, link, available.describes):
            yield f"{link.ifname}: {rule} does not speak of it"
        else:
            yield f"{link.ifname}: {rule} decides"
            return
    yield f"{link.ifname}: no rule speaks of it" if rules else f"{link.ifname}: this node has no rules"
