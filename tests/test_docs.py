"""The docs that are drawn from the code show the code."""

import runpy
import sys
from pathlib import Path

import pytest


def test_the_life_of_a_claim_is_drawn_from_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/custody.md is what the tables in `nri_netdev.domain.claim` say."""
    monkeypatch.setattr(sys, "argv", ["draw.py", "--check"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(Path(__file__).parent.parent / "docs" / "draw.py"), run_name="__main__")

    assert ended.value.code == 0
