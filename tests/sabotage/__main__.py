"""Runs the sabotage test: `python -m tests.sabotage --rounds 500 --seed 1 --kind veth`.

The outer process makes new mount, network and pid namespaces; the inner one is their first process, so that the kernel
removes everything when it ends.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.sabotage.kinds import KINDS

_NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")


def main(arguments: list[str]) -> int:
    """Run the rounds that are asked for; 0 if all came home whole."""
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=500, help="how many of each kind")
    parser.add_argument("--seed", type=int, help="the seed of the first round; each next one has the next seed")
    parser.add_argument(
        "--kind", action="append", choices=KINDS, help="link kinds; all that the kernel has unless given"
    )
    parser.add_argument("--verbose", action="store_true", help="print good rounds too")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.inside:
        return _inside(options)
    with tempfile.TemporaryDirectory(prefix="nri-netdev-sabotage-") as top:
        unshare = ["unshare", *_NAMESPACES, "--", sys.executable, "-m", "tests.sabotage"]
        return subprocess.run([*unshare, *arguments, "--inside", top], check=False).returncode


def _inside(options: argparse.Namespace) -> int:
    from tests.sabotage.node import Node
    from tests.sabotage.rounds import Rounds

    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    bad = total = 0
    kinds_of_difference: Counter[str] = Counter()
    with Node(Path(options.inside)) as node:
        rounds = Rounds(node)
        for kind in options.kind or KINDS:
            why = rounds.is_here(kind)
            if why:
                print(f"{kind}: NOT TESTED: {why}", flush=True)
                continue
            start, wrong = time.monotonic(), 0
            for number in range(options.rounds):
                outcome = rounds.at_random(kind, seed + number)
                if not outcome.is_good or options.verbose:
                    print(f"{kind}, seed {seed + number}:\n{outcome}", flush=True)
                wrong += not outcome.is_good
                kinds_of_difference.update({f"{each.section}: {each.subject}" for each in outcome.unnamed})
                kinds_of_difference.update([outcome.failure] if outcome.failure else [])
            took = time.monotonic() - start
            print(f"{kind}: {options.rounds} rounds from seed {seed}: {wrong} bad, {took:.0f} s", flush=True)
            bad, total = bad + wrong, total + options.rounds
    for what, count in kinds_of_difference.most_common():
        print(f"{count:5} {what}")
    print(f"{total - bad} of {total} rounds came home whole, or said what is missing")
    return 1 if bad or not total else 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
