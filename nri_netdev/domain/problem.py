"""A problem: one reason why a request cannot be served, and where in the annotations it comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nri_netdev.domain.text.names import told_key
from nri_netdev.errors import Reason

PROBLEMS_TOLD = 8
"""In one message: it must stay readable in `kubectl describe pod`, and an event holds 1024 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason why a request cannot be served, and the place in the annotations that it comes from."""

    key: str
    """The annotation."""
    message: str
    """What is wrong; strangers' text in it is quoted."""
    entry: int | None = None
    """From 1; None where it is about the whole annotation."""
    field: str | None = None
    line: int | None = None
    """Of the annotation's value, from 1; only where the entry is not known."""
    hint: str = ""
    """A sentence of its own that follows, told once however many problems carry it."""
    reason: Reason = Reason.ANNOTATION
    """What kind of refusal it makes, for metrics and programs."""

    @property
    def place(self) -> str:
        """Where it is: `annotation nri-netdev.io/pod, entry 2, field name`."""
        return ", ".join(
            part
            for part in (
                f"annotation {told_key(self.key)}",
                f"entry {self.entry}" if self.entry is not None else "",
                f"field {told_key(self.field)}" if self.field is not None else "",
                f"line {self.line}" if self.line is not None else "",
            )
            if part
        )

    @property
    def told(self) -> str:
        """Message and place, without the hint."""
        return f"{self.message} ({self.place})"

    def __str__(self) -> str:
        return f"{self.told}. {self.hint}" if self.hint else self.told


def explain(problems: Iterable[Problem]) -> str:
    """All problems in one line for the engine, which hands it on to the pod's events.

    The first eight in full and the number of the others, then each hint once.
    """
    every = list(problems)
    told = [problem.told for problem in every[:PROBLEMS_TOLD]]
    if len(every) > PROBLEMS_TOLD:
        told.append(f"and {len(every) - PROBLEMS_TOLD} more")
    hints = dict.fromkeys(problem.hint for problem in every if problem.hint)
    return ". ".join(["; ".join(told), *(hint.removesuffix(".") for hint in hints)]) + ("." if hints else "")
