"""`nri-netdev run`: the daemon."""

from __future__ import annotations

import argparse

from nri_netdev.lean import protobuf_once, without

with without("ssl"), protobuf_once():
    import asyncio  # noqa: F401 - which would load OpenSSL; nothing here is encrypted

    from nri_netdev.proto import nri_pb2, ttrpc_pb2  # noqa: F401

from nri_netdev import log
from nri_netdev.cli.inputs import read_watched
from nri_netdev.daemon import service


def run(options: argparse.Namespace) -> int:
    """Serve until a signal stops it."""
    watched = read_watched(options)
    log.set_up(watched.settings.log_level, watched.settings.log_format)
    return service.serve(watched)
