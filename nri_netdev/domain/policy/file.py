"""How a policy is written in the configuration: pools, rules and what is protected, as definitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from nri_netdev.domain.pods import MAX_INTERFACES
from nri_netdev.domain.policy.rules import DEFAULT_HANDLER, LabelSelector, Operator, Requirement, Rule
from nri_netdev.domain.policy.selectors import FIELDS, Selector, whole_number
from nri_netdev.domain.text import yaml_nodes
from nri_netdev.domain.text.names import did_you_mean, quote
from nri_netdev.domain.text.shape import ListOf, MapOf, Member, Reader, Record, Text, TextOr, WrongError, boolean


def _like(pattern: str, told: str) -> Text[str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"is not {told}")
        return text

    return Text(parse=parse, json={"type": "string", "pattern": f"^({pattern})$"})


_NAMESPACE = _like(r"[a-z0-9*?]([a-z0-9*?-]{0,61}[a-z0-9*?])?", "a namespace, or a pattern of namespaces with * and ?")
_IFNAMES = _like(r"[!-.0-9;-~]{1,15}", "a name of an interface, or a pattern of names with * and ?")
_POOL = _like(r"[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?", "the name of a pool: lower-case letters, digits and -, at most 11")
_LABEL = _like(r"[A-Za-z0-9._/-]{1,317}", "the key of a label")
_LABEL_VALUE = _like(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", "the value of a label")
_HANDLER = _like(r"[A-Za-z0-9._-]{1,128}", "the name of a runtime handler")
_TITLE = _like(r"[ -~]{1,60}", "a name of at most 60 characters")


@dataclass(frozen=True, slots=True)
class _PoolReference:
    """The name of a pool that must be defined; that is looked at when all is read."""

    def read(self, node: yaml_nodes.Node, path: tuple[str, ...], reader: Reader) -> str | None:
        name = _POOL.read(node, path, reader)
        if name is not None:
            reader.mentioned.append((name, node, path))
        return name

    def schema(self) -> dict[str, Any]:
        return _POOL.schema()


def check_pools(reader: Reader, pools: Collection[str]) -> None:
    """Note the rules that speak of pools that are not defined."""
    for name, node, path in reader.mentioned:
        if name not in pools:
            meant = did_you_mean(name, {pool: pool for pool in pools})
            reader.wrong(f"{quote(name)} is not defined in pools{meant}", node, path)


def number(least: int, most: int) -> Text[int]:
    """A whole number within bounds."""
    return Text(parse=whole_number(least, most), json={"type": "integer", "minimum": least, "maximum": most})


def _selector_member(name: str) -> Member:
    field = FIELDS[name]
    json: dict[str, Any] = {"type": "integer"} if field.is_number else {"type": "string", "pattern": field.pattern}
    return Member(shape=Text(parse=field.read, json=json), text=field.text)


def _selector(**given: Any) -> Selector:
    if not given:
        raise WrongError(f"says nothing; give one of {', '.join(FIELDS)}")
    return Selector(**given)


SELECTOR: TextOr[Selector] = TextOr(
    text=Text(
        parse=lambda text: Selector(interface=str(FIELDS["interface"].read(text))),
        json={"type": "string", "pattern": FIELDS["interface"].pattern},
    ),
    record=Record(members={name: _selector_member(name) for name in FIELDS}, build=_selector),
)
"""A selector: the name of an interface or a pattern of names, or fields that must all hold."""


def _operator(text: str) -> Operator:
    if text not in tuple(Operator):
        raise ValueError(f"is not one of {', '.join(Operator)}")
    return Operator(text)


def _requirement(key: str, operator: Operator, values: tuple[str, ...] = ()) -> Requirement:
    if operator.takes_values != bool(values):
        raise WrongError(f"{operator} needs values" if operator.takes_values else f"{operator} takes no values")
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
                            shape=Text(parse=_operator, json={"enum": list(Operator)}),
                            text="In, NotIn, Exists or DoesNotExist",
                            is_required=True,
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
    """A rule whose number is still to be told."""
    interfaces: tuple[Selector, ...] = given.get("interfaces", ())
    if given.get("allow_protected") and not any(selector.is_explicit for selector in interfaces):
        raise WrongError(
            "has allow_protected: true, which gives away what the node lives by, so one of its interfaces must be "
            "named: by interface without * and ?, altname, mac or pci"
        )
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
                shape=number(0, MAX_INTERFACES),
                text="how many a pod may hold by it at one time; 0 refuses, and there is no bound without it",
            ),
            "names": Member(
                shape=ListOf(item=_IFNAMES, least=1),
                text="names that they may have in the container, with `*` and `?` as above; any name without it",
            ),
            "allow_protected": Member(
                shape=boolean(),
                text="give also what the node lives by, as far as one of `interfaces` names it without a pattern",
                default="false",
            ),
        },
    )
)
POOLS: MapOf[tuple[Selector, ...]] = MapOf(key=_POOL, value=ListOf(item=SELECTOR, least=1))
PROTECTED: ListOf[Selector] = ListOf(item=SELECTOR)


def numbered(rules: tuple[Callable[[int], Rule], ...]) -> tuple[Rule, ...]:
    """Rules as they stand in a file, with their numbers."""
    return tuple(rule(place) for place, rule in enumerate(rules, 1))
