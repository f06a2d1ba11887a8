"""Policy: which pods may take which interfaces of this node.

The first rule that covers both the pod and the interface decides; if there is none, the interface is refused. Rules
cover interfaces, not the way in which they are requested, so requesting a pool gives a pod nothing more than requesting
its members by name. Values only: read by `nri_netdev.domain.policy.file`, applied by
`nri_netdev.domain.verdict.allocator`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from nri_netdev.domain.links import Link
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.policy.handlers import DEFAULT_HANDLER, Handlers
from nri_netdev.domain.policy.selectors import Selector, matches_glob, yaml_text
from nri_netdev.domain.problem import Obstacle
from nri_netdev.domain.setup.values import Ipam
from nri_netdev.domain.text.names import quote

Describes: TypeAlias = Callable[[Selector, Link], bool]
"""Whether a selector describes an interface of this host."""


MAY_BY_DEFAULT = frozenset({"addresses", "mtu"})
"""What a pod may set where a rule says nothing of it: within the prefixes of the rule and the bounds of the
interface."""
EVERYTHING = "all"
"""As a word of `may`."""


class Operator(StrEnum):
    """How a label is compared with values, as in Kubernetes."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"

    @property
    def takes_values(self) -> bool:
        """Whether it needs values; the others must have none."""
        return self in {Operator.IN, Operator.NOT_IN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One of a label selector's `matchExpressions`."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def is_met(self, labels: Mapping[str, str]) -> bool:
        """Whether labels are as required. As in Kubernetes, an absent label is not in any set."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value is not None and value in self.values
            case Operator.NOT_IN:
                return value is None or value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSelector:
    """Which pods, by their labels; all of it must hold, and empty means every pod."""

    match_labels: Mapping[str, str] = field(default_factory=dict)
    match_expressions: tuple[Requirement, ...] = ()

    def is_met(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels is meant."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.is_met(labels) for requirement in self.match_expressions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may take what, how many, and under which names."""

    number: int
    """Its place, from 1."""
    name: str | None = None
    namespaces: tuple[str, ...] = ()
    """Globs; empty for all."""
    pods: LabelSelector = field(default_factory=LabelSelector)
    runtime_handlers: tuple[str, ...] = ()
    """Empty for all; `DEFAULT_HANDLER` for pods that name none."""
    interfaces: tuple[Selector, ...] = ()
    pools: tuple[str, ...] = ()
    """What it gives, beside `interfaces`."""
    count: int | None = None
    """How many a pod may hold by this rule at one time; 0 refuses, None sets no bound."""
    names: tuple[str, ...] = ()
    """Globs, one of which the name in the container must match; empty for any name."""
    allow_protected: bool = False
    """Whether it gives lifelines too, of those that one of `interfaces` names explicitly."""
    allow_source_routed: bool = False
    """Whether it gives what is a lifeline only for a default route of packets from its own addresses."""
    allow_partial: bool = False
    """Whether it gives an interface on which something of an earlier pod is left."""
    may: frozenset[str] = MAY_BY_DEFAULT
    """What a pod may set on the interfaces that it gives: fields of an entry, or `EVERYTHING`."""
    prefixes: tuple[str, ...] = ()
    """Networks that addresses must come from; empty for any."""
    default_route: bool = False
    """Whether a pod may have a default route by them."""
    share: bool = False
    """Whether it gives macvlans and ipvlans on its interfaces too."""

    @property
    def may_all(self) -> bool:
        """Whether a pod may set everything."""
        return EVERYTHING in self.may

    def __str__(self) -> str:
        return f"rule {self.number}" if self.name is None else f"rule {quote(self.name)}"

    def why_not_for(self, pod: PodSandbox) -> str | None:
        """Why it does not cover a pod; None if it does. The rest of a sentence that begins with the rule."""
        handler = pod.runtime_handler or DEFAULT_HANDLER
        if self.namespaces and not any(matches_glob(pod.namespace, glob) for glob in self.namespaces):
            return f"is for namespaces {listed(self.namespaces)}"
        if not self.pods.is_met(pod.labels):
            return "is for pods with other labels"
        if self.runtime_handlers and handler not in self.runtime_handlers:
            return f"is for the runtime handlers {listed(self.runtime_handlers)}"
        return None

    def why_not_as(self, ifname: str) -> str | None:
        """Why it does not give an interface under this name in the container; None if it does."""
        if not self.names or any(matches_glob(ifname, glob) for glob in self.names):
            return None
        return f"gives interfaces under the names {listed(self.names)} only, not {quote(ifname)}"


def listed(texts: Iterable[str]) -> str:
    """Texts as the items of a YAML list."""
    return ", ".join(map(yaml_text, texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a node's operator allows to be given away; nothing if it is empty."""

    rules: tuple[Rule, ...] = ()
    pools: Mapping[str, tuple[Selector, ...]] = field(default_factory=dict)
    """By name."""
    protected: tuple[Selector, ...] = ()
    """Lifelines in addition to those that are detected."""
    ipam: Mapping[str, Ipam] = field(default_factory=dict)
    """IPAM profiles by name."""
    handlers: Handlers = field(default_factory=Handlers)
    """Which runtime handlers can be given anything at all."""

    def is_in_pool(self, link: Link, pool: str, describes: Describes) -> bool:
        """Whether an interface is a member of a pool; a pool that is not defined has none."""
        return any(describes(one, link) for one in self.pools.get(pool, ()))

    def covers(self, rule: Rule, link: Link, describes: Describes) -> bool:
        """Whether a rule covers an interface."""
        return any(describes(one, link) for one in rule.interfaces) or any(
            self.is_in_pool(link, pool, describes) for pool in rule.pools
        )

    def gives_lifeline(self, rule: Rule, link: Link, lifeline: Obstacle, describes: Describes) -> bool:
        """Whether a rule gives an interface though it is a lifeline for this reason."""
        is_named = any(one.is_explicit and describes(one, link) for one in rule.interfaces)
        return (rule.allow_protected and is_named) or (
            rule.allow_source_routed and lifeline.is_source_route and self.covers(rule, link, describes)
        )
