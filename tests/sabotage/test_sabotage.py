"""A tenant with every capability spoils an interface: it comes home whole, or the claim says what is missing."""

from __future__ import annotations

import pytest

from tests.sabotage.kinds import KINDS
from tests.sabotage.run import sabotage

pytestmark = pytest.mark.root

ROUNDS = 6
SEEDS = {"veth": 100, "macvlan": 100, "vxlan": 100, "ifb": 100, "bridge-port": 100}
"""The first of the seeds that are run each time, by kind; `make sabotage` runs hundreds."""


@pytest.mark.parametrize("kind", KINDS)
def test_rounds_at_random(kind: str) -> None:
    """New seeds in each run; the seed of one that fails is printed."""
    _run("--rounds", str(ROUNDS), "--kind", kind)


@pytest.mark.parametrize("kind", SEEDS)
def test_rounds_of_known_seeds(kind: str) -> None:
    """The same seeds in each run."""
    _run("--rounds", str(ROUNDS), "--kind", kind, "--seed", str(SEEDS[kind]))


def _run(*arguments: str) -> None:
    done = sabotage(*arguments, timeout_s=300)
    if "NOT TESTED" in done.stdout:
        pytest.skip(f"NOT TESTED ON THIS KERNEL: {done.stdout.splitlines()[0]}")
    assert done.returncode == 0, f"python -m tests.sabotage {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    assert " 0 bad" in done.stdout
