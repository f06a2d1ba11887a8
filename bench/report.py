"""The results, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.measures import Figures, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A measure, and what it should be."""

    measure: str
    title: str
    goal: float | None = None
    """The most that it may be, as a ratio to the Go plugin's, or absolute."""
    is_absolute: bool = False


ROWS = (
    Row(measure="plain_p50_us", title="CreateContainer, not annotated, p50 (µs)", goal=0.65),
    Row(measure="plain_p99_us", title="CreateContainer, not annotated, p99 (µs)", goal=0.65),
    Row(measure="one_core_plain_p50_us", title="CreateContainer, not annotated, all on one core, p50 (µs)"),
    Row(measure="one_core_plain_p99_us", title="CreateContainer, not annotated, all on one core, p99 (µs)"),
    Row(
        measure="plain_life_p50_us",
        title="full life of a container that asks for nothing, from RunPodSandbox to RemovePodSandbox, p50 (µs)",
    ),
    Row(measure="annotated_p50_us", title="CreateContainer, annotated, p50 (µs)", goal=1.0),
    Row(measure="annotated_p99_us", title="CreateContainer, annotated, p99 (µs)", goal=1.0),
    Row(measure="annotated_pod_p50_us", title="RunPodSandbox and CreateContainer together, annotated, p50 (µs)"),
    Row(measure="life_p50_us", title="full life of an annotated container, p50 (µs)"),
    Row(measure="life_p99_us", title="full life of an annotated container, p99 (µs)"),
    Row(measure="synchronize_ms", title="Synchronize with 5,000 pods and containers (ms)", goal=0.7),
    Row(measure="registered_ms", title="start to registered (ms)", goal=300, is_absolute=True),
    Row(measure="idle_peak_mib", title="peak RSS, idle (MiB)", goal=45, is_absolute=True),
    Row(measure="residents_peak_mib", title="peak RSS, after 5,000 pods (MiB)", goal=45, is_absolute=True),
)

Rounds = Mapping[str, Sequence[Figures]]
"""By name of the plugin: the figures of each round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the table: medians over the rounds."""

    title: str
    ours: float
    go: float
    ratio: float
    """The median of the rounds' ratios."""
    goal: str
    is_met: bool | None
    """None where there is no goal."""


def lines(rounds: Rounds) -> list[Line]:
    """The table."""
    found = []
    for row in ROWS:
        both = zip(rounds["ours"], rounds["go"], strict=True)
        pairs = [(ours[row.measure], go[row.measure]) for ours, go in both]
        ours, ratio = median(first for first, _ in pairs), median(first / second for first, second in pairs)
        found.append(
            Line(
                title=row.title,
                ours=ours,
                go=median(second for _, second in pairs),
                ratio=ratio,
                goal="" if row.goal is None else f"≤ {row.goal:g}" + (" absolute" if row.is_absolute else ""),
                is_met=None if row.goal is None else (ours if row.is_absolute else ratio) <= row.goal,
            )
        )
    return found


_MET = {True: "met", False: "not met", None: ""}


def text(table: Iterable[Line]) -> str:
    """For a terminal."""
    rows = [("measure", "ours", "Go", "ours / Go", "goal", "")]
    rows += [
        (line.title, f"{line.ours:.1f}", f"{line.go:.1f}", f"{line.ratio:.2f}", line.goal, _MET[line.is_met])
        for line in table
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def markdown(table: Iterable[Line]) -> str:
    """For the docs: ratios only, for another machine has other times."""
    rows = ["| measure | ours / Go | goal | |", "|---|---|---|---|"]
    for line in table:
        title, _, unit = line.title.rpartition(" (")
        is_absolute = "absolute" in line.goal
        told = f"{line.ratio:.2f}" + (f" ({line.ours:.0f} {unit.rstrip(')')})" if is_absolute else "")
        rows.append(f"| {title} | {told} | {line.goal} | {_MET[line.is_met]} |")
    return "\n".join(rows)


def growth_text(samples: Sequence[Sample]) -> str:
    """First and last of a long run."""
    first, last = samples[0], samples[-1]
    return (
        f"from {first.events} to {last.events} events in {last.elapsed_s:.0f} s: RSS {first.rss_mib:.1f} to "
        f"{last.rss_mib:.1f} MiB, open files {first.fds} to {last.fds}, plain life "
        f"{first.plain_p50_us:.0f} to {last.plain_p50_us:.0f} µs, annotated life {first.annotated_p50_us:.0f} to "
        f"{last.annotated_p50_us:.0f} µs (medians)"
    )


GROWTH_MIB = 1.0
"""So much more memory after a long run than after its first tenth still counts as none."""


def growth_markdown(samples: Sequence[Sample]) -> str:
    """For the docs: the last line of the table."""
    first, last = samples[0], samples[-1]
    is_met = last.rss_mib - first.rss_mib <= GROWTH_MIB and last.fds <= first.fds
    return (
        f"| RSS and open files after {last.events:,} events, beside those after {first.events:,} | "
        f"{last.rss_mib - first.rss_mib:+.1f} MiB, {last.fds - first.fds:+d} | none | {_MET[is_met]} |"
    )


def document(**parts: Any) -> dict[str, Any]:
    """For programs."""
    samples: Sequence[Sample] = parts.pop("growth")
    table: Iterable[Line] = parts.pop("table")
    return {**parts, "table": [asdict(line) for line in table], "growth": [asdict(sample) for sample in samples]}
