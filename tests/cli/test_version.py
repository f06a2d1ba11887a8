"""`nri-netdev version`."""

from __future__ import annotations

import pytest

from nri_netdev import __version__
from tests.cli.conftest import run


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """It says which one it is."""
    assert run("version", capsys=capsys) == (0, f"nri-netdev {__version__}\n", "")
