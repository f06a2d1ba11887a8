"""What came of it, as text: what broke first."""

import dataclasses
import re
from collections.abc import Iterator, Sequence

from tests.newest.pins import Version

_ENGINES = "| engine | NRI | OCI runtime | moves interfaces by itself | passed | failed |"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one thing that was built or tested."""

    what: str
    broke: tuple[str, ...] = ()
    """Each test that failed, with its reason; or why there was nothing to test."""
    row: str = ""
    """A row of the table of engines, as a Markdown table has it."""
    counts: str = ""
    """As pytest tells them."""
    not_tried: str = ""
    """Why it was left out, if that is no failure."""


def of_pytest(what: str, output: str, status: int) -> Outcome:
    """Read what pytest printed.

    Args:
        what: was tested.
        output: of pytest with ``-q``.
        status: with which it ended.
    """
    failed = re.findall(r"^(?:FAILED|ERROR) (.*)$", output, re.MULTILINE)
    counts = re.findall(r"^=* ?((?:\d+ [a-z]+, )*\d+ [a-z]+ in [\d.]+s).*$", output, re.MULTILINE)
    rows = re.findall(r"^\| (?!engine |-).* \|$", output, re.MULTILINE)
    if status and not failed:
        failed = [f"pytest ended with status {status}: {' '.join(output.split()[-40:])}"]
    return Outcome(
        what=what, broke=tuple(failed), row=rows[-1] if rows else "", counts=counts[-1] if counts else "nothing ran"
    )


def text(versions: Sequence[Version], outcomes: Sequence[Outcome]) -> str:
    """Return the report."""
    return "\n\n".join(filter(None, ("\n".join(part) for part in _parts(versions, outcomes))))


def broke(versions: Sequence[Version], outcomes: Sequence[Outcome]) -> list[str]:
    """Return what broke, a line each."""
    pins = [f"{one.part} {one.newest}: {one.wrong}" for one in versions if one.newest and one.wrong]
    return pins + [f"{one.what}: {line}" for one in outcomes for line in one.broke]


def not_tried(versions: Sequence[Version], outcomes: Sequence[Outcome]) -> list[str]:
    """Return of what the newest could not be tried, and why, a line each."""
    unknown = [f"newer than {one.part} {one.pinned}: {one.wrong}" for one in versions if not one.newest]
    return unknown + [f"{one.what}: {one.not_tried}" for one in outcomes if one.not_tried]


def _parts(versions: Sequence[Version], outcomes: Sequence[Outcome]) -> Iterator[list[str]]:
    lines = broke(versions, outcomes)
    yield ["WHAT BROKE", *lines] if lines else ["Nothing broke."]
    lines = not_tried(versions, outcomes)
    yield ["NOT TRIED", *lines] if lines else []
    yield ["| part | pinned | tried |", "|---|---|---|"] + [
        f"| {one.part} | {one.pinned} | {one.newest or one.pinned}{one.note and f'; {one.note}'} |" for one in versions
    ]
    rows = [one.row for one in outcomes if one.row]
    yield [_ENGINES, re.sub("[^|]+", "---", _ENGINES), *rows] if rows else []
    yield [f"{one.what}: {one.counts}" for one in outcomes if one.counts]
