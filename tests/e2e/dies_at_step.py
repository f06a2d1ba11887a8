"""The command line of nri-netdev, except that the process kills itself at a fault point.

    python dies_at_step.py NUMBER run …

NUMBER counts the fault points that are passed (`nri_netdev.faults`), from 0.
"""

import itertools
import os
import signal
import sys

from nri_netdev import cli
from nri_netdev.faults import hooked

if __name__ == "__main__":
    fatal = int(sys.argv[1])
    passed = itertools.count()

    def die(name: str) -> None:
        """Kill this process if it is time."""
        if next(passed) == fatal:
            print(f"dies at {name}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    with hooked(die):
        sys.exit(cli.main(sys.argv[2:]))
