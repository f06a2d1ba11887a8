"""Custody of a real node, put together; what it does then is in `test_ends.py` and `tests/e2e`."""

from __future__ import annotations

from pathlib import Path

import pytest

from nri_netdev.config.settings import Settings
from nri_netdev.custody.returning import AtOnce
from nri_netdev.daemon.assembly import open_custody
from nri_netdev.errors import StateError
from nri_netdev.shells.observe.metrics import Meters


def test_without_a_ledger_there_is_none(tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StateError, match="state directory"):
        open_custody(
            Settings(state_dir=tmp_path / "state", run_dir=tmp_path), Meters(), returns=AtOnce(), plugin_runs=AtOnce()
        )
