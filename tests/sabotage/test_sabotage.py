"""A tenant with every capability spoils an interface: it comes home whole, or the claim says what is missing."""

from __future__ import annotations

import re

import pytest

from tests.sabotage.kinds import KINDS
from tests.sabotage.run import sabotage

pytestmark = pytest.mark.root

ROUNDS, SEED = 6, 1
"""Of each kind, the same in each run; `make sabotage` runs hundreds with new seeds."""
_SUMMARY = re.compile(
    r"^(?P<kind>[\w-]+): (?P<rounds>\d+) rounds from seed \d+: (?P<bad>\d+) bad|^([\w-]+): NOT TESTED: "
)


@pytest.fixture(scope="module")
def reports() -> dict[str, str]:
    """What was found, by kind; the last line is its summary. A round that fails is told with its seed."""
    found: dict[str, str] = {}
    lines: list[str] = []
    done = sabotage("--known", "--rounds", str(ROUNDS), "--seed", str(SEED), timeout_s=600)
    for line in done.stdout.splitlines():
        lines.append(line)
        if _SUMMARY.match(line):
            found[line.partition(":")[0]] = "\n".join(lines)
            lines.clear()
    assert found.keys() == KINDS.keys(), done.stdout + done.stderr
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_it_comes_home_whole_or_the_claim_says_what_is_missing(reports: dict[str, str], kind: str) -> None:
    """At random; `python -m tests.sabotage --kind KIND --seed SEED --rounds 1 --shrink` looks closer."""
    summary = reports[kind].splitlines()[-1]
    if "NOT TESTED" in summary:
        pytest.skip(f"NOT TESTED ON THIS KERNEL: {summary}")
    assert " 0 bad" in summary, reports[kind]


def test_a_dump_shows_every_setting() -> None:
    """What the kernel takes from an administrator, some tool tells: or else nothing here could fail."""
    assert sabotage("--unseen", "--kind", "veth", timeout_s=300).stdout.split() == []
