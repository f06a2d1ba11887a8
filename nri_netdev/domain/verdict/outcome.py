"""What becomes of a request: grants and problems, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass, field

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.links import Link
from nri_netdev.domain.policy.rules import Rule
from nri_netdev.domain.problem import Problem
from nri_netdev.errors import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One interface, and the entry that gets it."""

    entry: Entry
    """The entry with the interface and the final name inside filled in."""
    link: Link
    rule: Rule | None = None
    """The rule that gives it; None without a policy."""

    @property
    def may_route_default(self) -> bool:
        """Whether the pod may have a default route by it."""
        return self.rule is None or self.rule.default_route


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of one entry of a request."""

    entry: Entry
    grants: tuple[Grant, ...] = ()
    """What it gets if no other entry has problems; empty if it has problems itself."""
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Case:
    """An entry while it is being decided."""

    entry: Entry
    links: tuple[Link, ...] = ()
    """The interfaces chosen for it."""
    grants: list[Grant] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unruled: str = ""
    """What it asks for, if no rule gives that to the pod: then this is its only problem."""

    def refuse(self, message: str, reason: Reason, *, field: str | None = None, hint: str = "") -> None:
        """Add a problem."""
        entry = self.entry
        problem = Problem(key=entry.key, entry=entry.number, message=message, field=field, hint=hint, reason=reason)
        self.problems.append(problem)

    @property
    def outcome(self) -> Outcome:
        """The result."""
        grants = () if self.problems else tuple(self.grants)
        return Outcome(entry=self.entry, grants=grants, problems=tuple(self.problems))
