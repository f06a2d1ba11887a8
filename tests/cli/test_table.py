"""Tables for people."""

from __future__ import annotations

import pytest

from nri_netdev.cli.table import print_table


def test_columns_are_as_wide_as_need_be(capsys: pytest.CaptureFixture[str]) -> None:
    """Cells of any type start below each other, and no line ends in blanks."""
    print_table(("NAME", "N"), [("ens1f0np0", 1), ("lo", ""), ("x", 1500)])
    assert capsys.readouterr().out == "NAME       N\nens1f0np0  1\nlo\nx          1500\n"


def test_only_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    """Is what a table without rows has."""
    print_table(("NAME", "N"), [])
    assert capsys.readouterr().out == "NAME  N\n"
