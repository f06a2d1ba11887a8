"""The table of link kinds: what was verified on what, what is told before, and what cannot be given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

HEAD = ("link kind", "lives verified", "comes home", "told before it is given, or why it is not")


@dataclass(slots=True)
class Row:
    """What was found of a kind."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    """How often each outcome, by place."""
    told: tuple[str, ...] = ()
    lost: str = ""
    """What the claim says is missing, as it cannot be otherwise."""
    refusal: str = ""

    def count(self, place: str, outcome: str) -> None:
        """Count one life."""
        self.outcomes.setdefault(place, Counter())[outcome] += 1

    @property
    def verified(self) -> str:
        """Where, and how often."""
        return "; ".join(f"{place}: {lives.total()}" for place, lives in self.outcomes.items())

    @property
    def comes_home(self) -> str:
        """Whether it does, whole."""
        if self.refusal:
            return "is not given"
        failed = sum(lives["failed"] for lives in self.outcomes.values())
        if failed:
            return f"NOT WHOLE {failed} times"
        return f"but for {self.lost}, as the claim tells" if self.lost else "whole"


def table(rows: Mapping[str, Row]) -> list[str]:
    """In lines of Markdown."""
    return [
        *map(_line, (HEAD, ["---"] * len(HEAD))),
        *(
            _line((kind, row.verified, row.comes_home, row.refusal or "; ".join(row.told) or "-"))
            for kind, row in rows.items()
        ),
    ]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
