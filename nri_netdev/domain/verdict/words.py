"""The sentences of a verdict that name interfaces, holders and rules."""

from __future__ import annotations

from collections.abc import Sequence

from nri_netdev.domain.claim import Owner
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.policy.rules import Rule
from nri_netdev.domain.problem import Obstacle
from nri_netdev.domain.text.age import age
from nri_netdev.domain.text.names import quote
from nri_netdev.domain.text.pasted import with_advice
from nri_netdev.domain.verdict.node import Held
from nri_netdev.errors import Reason

_FREE_SHOWN = 12
"""Names of interfaces in one sentence."""


def absent(interface: str, inventory: Inventory) -> Obstacle:
    """The host has no interface of this name."""
    link = inventory.by_altname(interface)
    if link is not None:
        text = f"{quote(interface)} is an alternative name of {link.ifname}; write {link.ifname}"
        return Obstacle(text, Reason.ANNOTATION)
    return Obstacle(with_advice(f"interface {quote(interface)} is not on this node", interface), Reason.ABSENT)


def held(holding: Held, at_s: int) -> Obstacle:
    """Somebody holds it, or did and it is on its way home."""
    if holding.state.is_homeward:
        text = (
            f"interface {quote(holding.ifname)} is being returned from {holding.owner} ({holding.state}); retry, or "
            "see `nri-netdev claims`"
        )
        return Obstacle(text, Reason.BUSY)
    since = age(max(0, at_s - holding.since_s))
    return Obstacle(f"interface {quote(holding.ifname)} is held by {holding.owner} for {since}", Reason.HELD)


def protected(lifeline: Obstacle, rule: Rule | None) -> Obstacle:
    """It is a lifeline, and the rule that decides, if any does, does not give lifelines."""
    verb, key = ("give", "allow_source_routed") if lifeline.is_source_route else ("name", "allow_protected")
    rules = f"no rule of this node {verb}s" if rule is None else f"{rule} does not {verb}"
    return Obstacle(f"{lifeline.text}; {rules} it with {key}: true", Reason.POLICY)


def tainted(link: Link, owner: Owner) -> Obstacle:
    """Something of an earlier holder is left on it."""
    return Obstacle(
        f"something of {owner} is left on it that could not be taken off: see `nri-netdev claims`. Take it off, or "
        f"give it as it is, by `nri-netdev release {link.ifname}` or by a rule with allow_partial: true",
        Reason.HELD,
    )


def restoring(link: Link, owner: Owner) -> Obstacle:
    """It is at home, and something is still to be put right, which a share would be in the way of."""
    return Obstacle(
        f"is still being restored after {owner}, and not shared before: retry, see `nri-netdev claims`, or end that by "
        f"`nri-netdev release {link.ifname}`",
        Reason.BUSY,
    )


def clashing(altname: str, link: Link) -> Obstacle:
    """An alternative name, which moves along with its interface, is taken in the pod."""
    text = f"the alternative name {quote(altname)} of {link.ifname} is already taken in the pod"
    return Obstacle(text, Reason.POD)


def leaving(name: str) -> Obstacle:
    """A name is taken in the pod, and will soon be free."""
    text = f"the name {quote(name)} is still taken in the pod, by an interface that is being returned; retry"
    return Obstacle(text, Reason.BUSY)


def unruled(what: str, namespace: str) -> str:
    """No rule gives it to the pod's namespace."""
    return f"no rule of this node gives {what} to namespace {quote(namespace)}"


def limit(rule: Rule, wanted: int | None = None) -> str:
    """What a rule's count allows, and, if more are named, how many that would be."""
    if rule.count == 0:
        return f"{rule} refuses it"
    return f"{rule} gives a pod {rule.count} at most" + (f", and this would be {wanted} of them" if wanted else "")


def free(ifnames: Sequence[str]) -> str:
    """The interfaces that could be given instead: the first twelve, and the number of the others."""
    if not ifnames:
        return "No interface of this node is present and free."
    more = f" and {len(ifnames) - _FREE_SHOWN} more" if len(ifnames) > _FREE_SHOWN else ""
    return f"Present and free: {', '.join(ifnames[:_FREE_SHOWN])}{more}."
