"""Runs the sabotage test: `python -m tests.sabotage --rounds 500 --seed 1 --kind veth`.

The outer process makes new mount, network and pid namespaces; the inner one is their first process, so that the kernel
removes everything when it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sabotage.kinds import KINDS

if TYPE_CHECKING:
    from tests.sabotage.rounds import Outcome, Rounds

KNOWN: dict[str, tuple[int, ...]] = dict.fromkeys(
    ("veth", "macvlan", "macvtap", "vxlan", "ifb", "bridge-port"), (100, 101)
)
"""Seeds that are run in each `make test`; what they mean changes with the tables of settings."""
_NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")


def main(arguments: list[str]) -> int:
    """Run the rounds that are asked for; 0 if all came home whole."""
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=500, help="how many of each kind")
    parser.add_argument("--seed", type=int, help="the seed of the first round; each next one has the next seed")
    parser.add_argument(
        "--kind", action="append", choices=KINDS, help="link kinds; all that the kernel has unless given"
    )
    parser.add_argument("--each", action="store_true", help="every setting alone, instead of rounds at random")
    parser.add_argument("--rows", action="store_true", help="the cases of tests.sabotage.rows, as lines of JSON")
    parser.add_argument("--idle", action="store_true", help="no container: shows what changes by itself")
    parser.add_argument("--scale", type=int, help="one interface with so many routes and neighbours; prints seconds")
    parser.add_argument("--unseen", action="store_true", help="which settings no tool shows")
    parser.add_argument("--known", action="store_true", help="the known seeds first")
    parser.add_argument("--row", action="append", help="one of these, in words")
    parser.add_argument("--shrink", action="store_true", help="look for the fewest settings that go wrong")
    parser.add_argument("--verbose", action="store_true", help="print good rounds too")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.inside:
        return _inside(options)
    with tempfile.TemporaryDirectory(prefix="nri-netdev-sabotage-") as top:
        unshare = ["unshare", *_NAMESPACES, "--", sys.executable, "-m", "tests.sabotage"]
        # The inner process ends when this end of the pipe is closed, which the kernel does if this process is killed.
        with subprocess.Popen([*unshare, *arguments, "--inside", top], stdin=subprocess.PIPE) as inner:
            return inner.wait()


def _inside(options: argparse.Namespace) -> int:
    from tests.sabotage.node import Node
    from tests.sabotage.rounds import Rounds

    threading.Thread(target=_end_with_outer, name="outer", daemon=True).start()
    with Node(Path(options.inside)) as node:
        if options.scale:
            from tests.sabotage.scale import measure

            print(json.dumps(measure(node, options.scale)), flush=True)
            return 0
        if options.unseen:
            found = [name for kind in options.kind for name in Rounds(node).unseen(kind)]
            print("\n".join(found), flush=True)
            return 1 if found else 0
        if options.rows or options.row:
            return _rows(Rounds(node), options.row)
        return _Report(options, Rounds(node)).run()


def _end_with_outer() -> None:
    """Exit when the outer process does; the kernel then ends every process of the pid namespace."""
    os.read(0, 1)
    os._exit(1)


def _rows(rounds: Rounds, names: list[str] | None) -> int:
    """Run the cases of `tests.sabotage.rows`, in which nothing may be left to the claim to tell."""
    from tests.sabotage.rows import HARDWARE_ROWS, ROWS

    rows = {**ROWS, **HARDWARE_ROWS}
    is_good = True
    for name in names or rows:
        case = rows[name]
        why = rounds.lacking(case.kind).get(case.variant, "")
        outcome = None if why else rounds.run(case)
        is_whole = outcome is not None and outcome.is_whole
        is_good &= is_whole or bool(why)
        told = {"name": name, "missing": why, "is_whole": is_whole, "text": str(outcome)}
        print(f"{name}: {'whole' if is_whole else why or outcome}" if names else json.dumps(told), flush=True)
    return 0 if is_good else 1


class _Report:
    """Runs what is asked for, and prints what was found."""

    def __init__(self, options: argparse.Namespace, rounds: Rounds) -> None:
        self._options = options
        self._rounds = rounds
        self._found: Counter[str] = Counter()
        self._total = self._bad = 0

    def run(self) -> int:
        """Go through the kinds; 0 if all came home whole."""
        given = self._options.seed
        seed = given if given is not None else random.SystemRandom().randrange(1_000_000)
        for kind in self._options.kind or KINDS:
            lacking = self._rounds.lacking(kind)
            if not self._rounds.present(kind):
                print(f"{kind}: NOT TESTED: {lacking[0]}", flush=True)
                continue
            for variant, why in lacking.items():
                print(f"{kind}, variant {variant}: NOT TESTED: {why}", flush=True)
            start, bad, total = time.monotonic(), self._bad, self._total
            for name, outcome in self._outcomes(kind, seed):
                self._take(name, outcome)
            took, rounds = time.monotonic() - start, self._total - total
            print(f"{kind}: {rounds} rounds from seed {seed}: {self._bad - bad} bad, {took:.0f} s", flush=True)
        for what, count in self._found.most_common():
            print(f"{count:5} {what}")
        print(f"{self._total - self._bad} of {self._total} rounds came home whole, or said what is missing")
        return 1 if self._bad or not self._total else 0

    def _outcomes(self, kind: str, seed: int) -> Iterator[tuple[str, Outcome]]:
        if self._options.each:
            yield from self._rounds.each(kind)
            return
        known = KNOWN.get(kind, ()) if self._options.known else ()
        for number in (*known, *range(seed, seed + self._options.rounds)):
            do = self._rounds.idle if self._options.idle else self._rounds.at_random
            yield f"seed {number}", do(kind, number)

    def _take(self, name: str, outcome: Outcome) -> None:
        self._total += 1
        self._bad += not outcome.is_good
        if outcome.is_good and not self._options.verbose:
            return
        if self._options.shrink and not outcome.is_good:
            outcome = self._rounds.shrunk(outcome)
        print(f"{outcome.case.kind}, {name}:\n{outcome}", flush=True)
        self._found.update({f"{each.section}: {each.subject}" for each in outcome.unnamed})
        self._found.update([outcome.failure] if outcome.failure else [])


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
