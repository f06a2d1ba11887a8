"""The command line of nri-netdev, except that the process kills itself at a fault point.

    python dies_at_step.py NUMBER run …
    python dies_at_step.py NAME run …

NUMBER counts the fault points that are passed (`nri_netdev.faults`), from 0. With a NAME it is the first of that name;
then each name is told on standard error when it is passed for the first time.
"""

import itertools
import os
import signal
import sys

from nri_netdev import cli
from nri_netdev.faults import hooked

if __name__ == "__main__":
    fatal = sys.argv[1]
    passed = itertools.count()
    names: set[str] = set()

    def die(name: str) -> None:
        """Kill this process if it is time."""
        if not fatal.isdigit() and name not in names:
            names.add(name)
            print(f"passes {name}", file=sys.stderr, flush=True)
        if fatal in {str(next(passed)), name}:
            print(f"dies at {name}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    with hooked(die):
        sys.exit(cli.main(sys.argv[2:]))
