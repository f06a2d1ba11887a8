"""`nri-netdev health`: the answer of the running daemon to a gRPC probe."""

from __future__ import annotations

import argparse

from nri_netdev.cli.inputs import read_settings
from nri_netdev.domain.address import ListenAddress
from nri_netdev.errors import ConfigurationError
from nri_netdev.shells.observe.health import check


def run(options: argparse.Namespace) -> int:
    """Probe the daemon; 0 if it serves."""
    where = read_settings(options).health
    if not where:
        raise ConfigurationError("health: set where the daemon answers: health in the configuration file, or --health")
    serves = check(ListenAddress.parse_all(where)[0], options.service)
    print("serving" if serves else "not serving")
    return 0 if serves else 1
