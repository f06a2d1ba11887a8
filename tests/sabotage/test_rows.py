"""Row by row: one thing that the host or the tenant did, and everything is as before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sabotage.rows import HARDWARE_ROWS, ROWS
from tests.sabotage.run import sabotage

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    """What came of every row, by its name."""
    lines = sabotage("--rows", timeout_s=300).stdout.splitlines()
    return {row["name"]: row for row in map(json.loads, lines)}


@pytest.mark.parametrize("name", [*ROWS, *HARDWARE_ROWS])
def test_everything_is_as_before(outcomes: dict[str, Any], name: str) -> None:
    """No difference, and the claim is gone."""
    outcome = outcomes[name]
    if outcome["missing"]:
        pytest.skip(f"NOT TESTED ON THIS KERNEL: {outcome['missing']}")
    assert outcome["is_whole"], outcome["text"]
