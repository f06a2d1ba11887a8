"""`nri-netdev status`: what the running daemon reports about itself."""

from __future__ import annotations

import argparse
import json
import time

from nri_netdev.cli.inputs import read_settings
from nri_netdev.cli.status_page import page
from nri_netdev.shells.observe.status import read


def run(options: argparse.Namespace) -> int:
    """Print the daemon's status; 0 if it is ready."""
    document = read(read_settings(options).run_dir)
    print(json.dumps(document, indent=2) if options.json else page(document, now_s=time.time()))
    return 0 if document["ready"] else 1
