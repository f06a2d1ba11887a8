"""Ten thousand routes and as many neighbours come home, in a time that is printed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.sabotage.run import sabotage

pytestmark = pytest.mark.root


def test_ten_thousand_routes_and_neighbours_come_home(record_property: Callable[[str, object], None]) -> None:
    """Every one of them; how long it takes is for a reader, since the machine is shared."""
    done = sabotage("--scale", "10000", timeout_s=300)
    assert done.returncode == 0, done.stdout + done.stderr
    took = json.loads(done.stdout)
    print(took)
    for name, value in took.items():
        record_property(name, value)
    assert took["differences"] == 0
