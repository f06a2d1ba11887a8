"""The shapes of a policy in the configuration: pools, rules and protected interfaces."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from nri_netdev.domain.pods import MAX_INTERFACES
from nri_netdev.domain.policy.handlers import DEFAULT_HANDLER
from nri_netdev.domain.policy.rules import EVERYTHING, MAY_BY_DEFAULT, LabelSelector, Operator, Requirement, Rule
from nri_netdev.domain.policy.selectors import FIELDS, IFNAMES, Selector
from nri_netdev.domain.setup.fields import FIELDS as SETUP_FIELDS
from nri_netdev.domain.setup.ipam import PROFILE, ProfileShape
from nri_netdev.domain.setup.texts import NETWORK
from nri_netdev.domain.setup.values import Ipam
from nri_netdev.domain.text.names import did_you_mean, quote
from nri_netdev.domain.text.shape import (
    FlawKind,
    ListOf,
    MapOf,
    Member,
    Reader,
    Record,
    Text,
    TextOr,
    UnfitError,
    boolean,
    like,
    whole_number,
    words,
)
from nri_netdev.domain.text.yaml_nodes import Node, YamlScalar

# Each in parentheses, as the published schema has them.
_NAMESPACE = like(r"([a-z0-9*?]([a-z0-9*?-]{0,61}[a-z0-9*?])?)", "a namespace, or a pattern of namespaces with * and ?")
_INSIDE = like(r"([!-.0-9;-~]{1,15})", "a name of an interface, or a pattern of names with * and ?")
_POOL = like(r"([a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?)", "the name of a pool: lower-case letters, digits and -, at most 11")
_LABEL = like(r"([A-Za-z0-9._/-]{1,317})", "the key of a label")
_LABEL_VALUE = like(r"(([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?)", "the value of a label")
_HANDLER = like(r"([A-Za-z0-9._-]{1,128})", "the name of a runtime handler")
_HANDLERS = like(r"([A-Za-z0-9._*?-]{1,128})", "a runtime handler, or a pattern of handlers with * and ?")
_TITLE = like(r"([ -~]{1,60})", "a name of at most 60 characters")


@dataclass(frozen=True, slots=True)
class _PoolReference:
    """The name of a pool that must be defined; `check_pools` checks that when all is read."""

    def read(self, node: Node, path: tuple[str, ...], reader: Reader) -> str | None:
        name = _POOL.read(node, path, reader)
        if name is not None and isinstance(node, YamlScalar):
            reader.mentioned.append((node, path))
        return name

    def schema(self) -> dict[str, Any]:
        return _POOL.schema()


def check_pools(reader: Reader, pools: Collection[str]) -> None:
    """Note where a rule names a pool that is not defined."""
    for node, path in reader.mentioned:
        if node.text not in pools:
            meant = did_you_mean(node.text, {pool: pool for pool in pools})
            reader.flaw(FlawKind.TEXT, node, path, f"{quote(node.text)} is not defined in pools{meant}")


def _selector(**given: Any) -> Selector:
    if not given:
        raise UnfitError(f"says nothing; give one of {', '.join(FIELDS)}")
    return Selector(**given)


SELECTOR: TextOr[Selector] = TextOr(
    text=Text(parse=lambda text: Selector(interface=IFNAMES.parse(text)), json=IFNAMES.json),
    record=Record(members=FIELDS, build=_selector),
)
"""A selector: the name of an interface or a pattern of names, or fields that must all hold."""


def _requirement(key: str, operator: Operator, values: tuple[str, ...] = ()) -> Requirement:
    if operator.takes_values != bool(values):
        raise UnfitError(f"{operator} needs values" if operator.takes_values else f"{operator} takes no values")
    return Requirement(key=key, operator=operator, values=values)


PODS: Record[LabelSelector] = Record(
    build=LabelSelector,
    members={
        "matchLabels": Member(
            shape=MapOf(key=_LABEL, value=_LABEL_VALUE),
            text="labels that the pod has, with these values",
            argument="match_labels",
        ),
        "matchExpressions": Member(
            shape=ListOf(
                item=Record(
                    build=_requirement,
                    members={
                        "key": Member(shape=_LABEL, text="a label", is_required=True),
                        "operator": Member(
                            shape=words(*Operator), text="In, NotIn, Exists or DoesNotExist", is_required=True
                        ),
                        "values": Member(shape=ListOf(item=_LABEL_VALUE), text="for In and NotIn"),
                    },
                ),
            ),
            text="what holds for the pod's labels",
            argument="match_expressions",
        ),
    },
)
"""A label selector, as in Kubernetes."""


def _rule(**given: Any) -> Callable[[int], Rule]:
    """A rule that lacks its number."""
    interfaces: tuple[Selector, ...] = given.get("interfaces", ())
    if given.get("allow_protected") and not any(selector.is_explicit for selector in interfaces):
        raise UnfitError(
            "has allow_protected: true, which gives away what the node lives by, so one of its interfaces must be "
            "named: by interface without * and ?, altname, mac or pci"
        )
    if "may" in given:
        given["may"] = frozenset(given["may"])
    return lambda number: Rule(number=number, **given)


RULES: ListOf[Callable[[int], Rule]] = ListOf(
    item=Record(
        build=_rule,
        one_of=("interfaces", "pools"),
        members={
            "name": Member(shape=_TITLE, text="what messages call this rule; its number without one"),
            "namespaces": Member(
                shape=ListOf(item=_NAMESPACE, least=1),
                text="namespaces that it is for; `*` stands for any characters, `?` for one",
                is_required=True,
            ),
            "pods": Member(shape=PODS, text="labels of the pods that it is for; every pod without it"),
            "runtime_handlers": Member(
                shape=ListOf(item=_HANDLER, least=1),
                text=(
                    f"runtime handlers of the pods that it is for, `{DEFAULT_HANDLER}` for those that name none; every "
                    "handler without it"
                ),
            ),
            "interfaces": Member(shape=ListOf(item=SELECTOR, least=1), text="selectors of what it gives"),
            "pools": Member(shape=ListOf(item=_PoolReference(), least=1), text="pools that it gives"),
            "count": Member(
                shape=whole_number(0, MAX_INTERFACES),
                text="how many a pod may hold by it at one time; 0 refuses, and there is no bound without it",
            ),
            "names": Member(
                shape=ListOf(item=_INSIDE, least=1),
                text="names that they may have in the container, with `*` and `?` as above; any name without it",
            ),
            "allow_protected": Member(
                shape=boolean(),
                text="give also what the node lives by, as far as one of `interfaces` names it without a pattern",
                default="false",
            ),
            "allow_source_routed": Member(
                shape=boolean(),
                text=(
                    "give also what carries a default route for packets from its own addresses only, as nodes of "
                    "clouds have one for each interface; no other lifeline"
                ),
                default="false",
            ),
            "allow_partial": Member(
                shape=boolean(),
                text=(
                    "give also an interface on which something of an earlier pod is left that could not be taken off, "
                    "such as a BPF program or an entry of a forwarding table"
                ),
                default="false",
            ),
            "may": Member(
                shape=ListOf(item=words(EVERYTHING, *sorted({*SETUP_FIELDS} - {"keep_addresses", "share"}))),
                text=(
                    "what a pod may set on them, and on devices that it makes on them: fields of an entry, as "
                    "`addresses` (with it `keep_addresses`), `mtu` and `routes`, or `all`"
                ),
                default=tuple(sorted(MAY_BY_DEFAULT)),
            ),
            "prefixes": Member(
                shape=ListOf(item=NETWORK, least=1),
                text=(
                    "networks that `addresses` must come from, and what a pod itself has an IPAM plugin give; any "
                    "without it"
                ),
            ),
            "default_route": Member(
                shape=boolean(), text="let a pod have a default route by one of them", default="false"
            ),
            "share": Member(
                shape=boolean(),
                text=(
                    "give macvlans and ipvlans on them too, lifelines that are found included, as the interface itself "
                    "stays at home; not what `protected` selects, unless `allow_protected` gives that"
                ),
                default="false",
            ),
        },
    )
)
POOLS: MapOf[tuple[Selector, ...]] = MapOf(key=_POOL, value=ListOf(item=SELECTOR, least=1))
PROTECTED: ListOf[Selector] = ListOf(item=SELECTOR)
IPAM_PROFILES: MapOf[Ipam] = MapOf(key=PROFILE, value=ProfileShape())
"""What IPAM plugins are told, by names that entries give."""
HANDLERS: ListOf[str] = ListOf(item=_HANDLERS)
"""Patterns of runtime handlers; `DEFAULT_HANDLER` stands for that of pods that name none."""


def numbered(rules: tuple[Callable[[int], Rule], ...]) -> tuple[Rule, ...]:
    """Rules in the order of the file, with their numbers."""
    return tuple(rule(place) for place, rule in enumerate(rules, 1))
