"""Tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from nri_netdev.domain.text.names import printable


def print_table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> None:
    """Print a head and rows; each column is as wide as its widest cell.

    What cannot be printed is escaped: a pod may give an interface any name.
    """
    texts = [[printable(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
