"""The plots of cost against scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pygal
from pygal.style import CleanStyle

Scale = Mapping[str, Mapping[int, float]]
"""By title of the plugin: the median by size."""


def draw(path: Path, *, against: str, scale: Scale, unit: float) -> None:
    """Draw an annotated CreateContainer's cost against one size.

    Args:
        path: the file.
        against: what the size is of.
        scale: what was measured.
        unit: what is drawn as 1.
    """
    sizes = sorted({size for points in scale.values() for size in points})
    chart = pygal.XY(
        title=f"An annotated CreateContainer by {against}",
        x_title=against,
        y_title="median, 1 = the Go plugin at the first point",
        x_labels=[{"label": str(size), "value": _position(size)} for size in sizes],
        style=CleanStyle(font_family="sans-serif"),
        js=(),
        disable_xml_declaration=True,
        include_x_axis=True,
        legend_at_bottom=True,
        width=720,
        height=420,
        value_formatter=lambda value: f"{value:.1f}",
        no_prefix=True,
        pretty_print=True,
    )
    for title, points in scale.items():
        chart.add(title, [(_position(size), points[size] / unit) for size in sorted(points)])
    path.write_text(chart.render(is_unicode=True) + "\n", encoding="utf-8")


def _position(size: int) -> float:
    """Sizes are spread over decades."""
    return math.log10(size + 1)
