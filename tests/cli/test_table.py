"""Tables for people."""

from __future__ import annotations

import pytest

from nri_netdev.cli.table import print_table


def test_columns_are_as_wide_as_need_be(capsys: pytest.CaptureFixture[str]) -> None:
    """Cells of any type start below each other, and no line ends in blanks."""
    print_table(("NAME", "N"), [("ens1f0np0", 1), ("lo", ""), ("x", 1500)])
    assert capsys.readouterr().out == "NAME       N\nens1f0np0  1\nlo\nx          1500\n"


def test_what_cannot_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Is escaped, and nothing is cut: a line stays a line, and a column a column."""
    print_table(("NAME", "N"), [("\x1b[31mx\udcff\n", "a" * 100), ('"\\é', 1)])
    head, odd, plain = capsys.readouterr().out.splitlines()
    assert odd == rf"\x1b[31mx\udcff\n  {'a' * 100}"
    assert [head, plain] == [f"{cell:17}  {number}" for cell, number in (("NAME", "N"), ('"\\é', 1))]


def test_only_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    """Is what a table without rows has."""
    print_table(("NAME", "N"), [])
    assert capsys.readouterr().out == "NAME  N\n"
