"""`python -m bench`: this daemon and a Go plugin in turn, A B A B, and a table of what came of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from bench import contender, host, measures, programs, report
from bench.contender import Contender, Engine
from bench.measures import SHORT, WHOLE, Figures, Sample, Size
from bench.programs import Programs

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "speed.md"
BEGIN, END = "<!-- measured by `make bench` -->\n", "<!-- /measured -->\n"
RESULTS = programs.CACHE / "results.json"
LOG = programs.CACHE / "plugins.log"


def main() -> int:
    """Run it; the exit status is 0 whatever is measured, for a benchmark is no test."""
    options = _options()
    made = programs.build()
    host.enter(["bench", *sys.argv[1:]])
    size = SHORT if options.short else WHOLE
    if options.rounds:
        size = replace(size, rounds=options.rounds)
    plugins = (contender.ours(), contender.go(made))
    if options.soak:
        with Engine(made, LOG) as engine:
            print(report.growth_text(measures.growth(engine, plugins[0], size, seconds=options.soak * 60)))
    else:
        _measure(made, plugins, size, options)
    return 0


def _measure(made: Programs, plugins: tuple[Contender, Contender], size: Size, options: argparse.Namespace) -> None:
    rounds: dict[str, list[Figures]] = defaultdict(list)
    with Engine(made, LOG) as engine:
        alone = engine.times("create", size.plain).rest_us
        for number in range(size.rounds):
            for plugin in plugins:
                _say(f"round {number + 1} of {size.rounds}: {plugin.title}")
                rounds[plugin.name].append(measures.one_round(engine, plugin, size))
    with host.on_one_core(), Engine(made, LOG) as engine:
        for number in range(size.rounds):
            for plugin in plugins:
                _say(f"round {number + 1} of {size.rounds} on one core: {plugin.title}")
                figures = measures.plain(engine, plugin, size)
                rounds[plugin.name][number] |= {f"one_core_{name}": value for name, value in figures.items()}
    table = report.lines(rounds)
    print(report.text(table), flush=True)
    print(f"of every CreateContainer the engine's side takes {measures.percentile(alone, 50):.1f} µs by itself")
    if options.quick:
        return
    scales: dict[str, dict[str, dict[int, float]]] = {}
    with Engine(made, LOG) as engine:
        for against, measure in measures.SCALES.items():
            for plugin in plugins:
                _say(f"scale by {against}: {plugin.title}")
                scales.setdefault(against, {})[plugin.title] = measure(engine, plugin, size)
        _say("growth")
        samples = measures.growth(engine, plugins[0], size)
    print(report.growth_text(samples))
    for against, scale in scales.items():
        print(f"annotated CreateContainer, median in µs by {against}:")
        for title, points in scale.items():
            print(f"  {title}: " + ", ".join(f"{number}: {time_us:.0f}" for number, time_us in points.items()))
    document = report.document(
        machine=host.shape(), rounds=rounds, engine_alone_us=alone, table=table, scales=scales, growth=samples
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    plots = options.plots or options.json.parent
    _draw(plots, scales)
    if options.docs:
        _write_page(table, scales, samples)


def _draw(directory: Path, scales: dict[str, dict[str, dict[int, float]]]) -> None:
    from bench import plots  # noqa: PLC0415 - the library is in the dependency group `bench` only

    directory.mkdir(parents=True, exist_ok=True)
    for against, scale in scales.items():
        *_, peer = scale.values()
        plots.draw(directory / f"speed-{against.split()[0]}.svg", against=against, scale=scale, unit=peer[min(peer)])


def _write_page(
    table: list[report.Line], scales: dict[str, dict[str, dict[int, float]]], samples: list[Sample]
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    told = (
        f"On {host.shape()}; the median of the rounds.\n\n{report.markdown(table)}\n{report.growth_markdown(samples)}\n"
    )
    PAGE.write_text(f"{head}{BEGIN}{told}{END}{tail}", encoding="utf-8")
    _draw(DOCS, scales)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure this daemon beside a Go plugin.")
    parser.add_argument("--short", action="store_true", help="as little as shows that it works")
    parser.add_argument("--quick", action="store_true", help="the table alone")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each plugin has its turn (5)")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="watch memory, files and latency so long instead")
    parser.add_argument("--json", type=Path, metavar="FILE", default=RESULTS, help="where everything is written")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="where the plots are written (beside the JSON)")
    parser.add_argument("--docs", action="store_true", help="write the table and the plots into docs, too")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
