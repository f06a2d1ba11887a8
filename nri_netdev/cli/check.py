"""What the doctor finds: one check and its result, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from nri_netdev.domain.text.names import printable


class CheckVerdict(StrEnum):
    """What the result of a check means."""

    OK = "ok"
    NOTE = "note"
    """It works, and could be better."""
    CHANGE = "change"
    """It will not work until this is changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check and its result."""

    topic: str
    found: str
    verdict: CheckVerdict = CheckVerdict.OK
    advice: str = ""
    """What to change, with the exact lines; "" if nothing."""


def page(checks: Sequence[Check]) -> str:
    """Lay checks out in lines of verdict, topic and what was found; advice stands below."""
    width = max(len(check.topic) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{check.verdict:<6}  {check.topic:<{width}}  {check.found}")
        lines += [f"{'':<{width + 10}}{line}" for line in check.advice.splitlines()]
    return "\n".join(map(printable, lines))
