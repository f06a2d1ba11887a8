"""Problems: reasons why a request cannot be served, each with its place in the annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nri_netdev.domain.text.names import quote_key
from nri_netdev.errors import Reason, RequestError

PROBLEMS_SHOWN = 8
"""In one message: it must stay readable in `kubectl describe pod`, and an event holds 1024 bytes."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why an interface cannot be given, before it is known which entry asks for it."""

    text: str
    """The rest of a sentence that begins with the interface: "is a bridge that …"; or a whole one."""
    reason: Reason
    hint: str = ""
    """As of `Problem`."""
    is_source_route: bool = False
    """Whether a rule that gives interfaces with source routes of their own gives it all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason why a request cannot be served, and its place in the annotations."""

    key: str
    """The annotation."""
    message: str
    """What is wrong; text from annotations is quoted in it."""
    entry: int | None = None
    """From 1; None for a problem of the whole annotation."""
    field: str | None = None
    line: int | None = None
    """Of the annotation's value, from 1; only where the entry is not known."""
    hint: str = ""
    """A sentence of its own, shown once however many problems have it."""
    reason: Reason = Reason.ANNOTATION
    """The kind of refusal, for metrics and programs."""

    @property
    def place(self) -> str:
        """The place in the annotations: `annotation nri-netdev.io/pod, entry 2, field name`."""
        return ", ".join(
            part
            for part in (
                f"annotation {quote_key(self.key)}",
                f"entry {self.entry}" if self.entry is not None else "",
                f"field {quote_key(self.field)}" if self.field is not None else "",
                f"line {self.line}" if self.line is not None else "",
            )
            if part
        )

    @property
    def with_place(self) -> str:
        """Message and place, without the hint."""
        return f"{self.message} ({self.place})"

    def __str__(self) -> str:
        return f"{self.with_place}. {self.hint}" if self.hint else self.with_place


def summary(problems: Sequence[Problem]) -> str:
    """All problems in one line, which the engine passes on to the pod's events.

    The first eight in full and the number of the others, then each hint once.
    """
    shown = [problem.with_place for problem in problems[:PROBLEMS_SHOWN]]
    if len(problems) > PROBLEMS_SHOWN:
        shown.append(f"and {len(problems) - PROBLEMS_SHOWN} more")
    hints = dict.fromkeys(problem.hint for problem in problems if problem.hint)
    return ". ".join(["; ".join(shown), *(hint.removesuffix(".") for hint in hints)]) + ("." if hints else "")


def refusal(problems: Sequence[Problem]) -> RequestError:
    """The error that refuses a request for all of its problems, of which there is at least one."""
    return RequestError(summary(problems), reason=Reason.first(problem.reason for problem in problems))
