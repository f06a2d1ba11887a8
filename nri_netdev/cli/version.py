"""`nri-netdev version`."""

from __future__ import annotations

import argparse

from nri_netdev import __version__


def run(_: argparse.Namespace) -> int:
    """Print the version."""
    print(f"nri-netdev {__version__}")
    return 0
