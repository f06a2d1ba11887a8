"""`nri-netdev events`: tells pods what became of their interfaces, as Events of Kubernetes."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from nri_netdev import log
from nri_netdev.domain.address import ListenAddress
from nri_netdev.errors import ConfigurationError
from nri_netdev.events.service import EventService
from nri_netdev.shells.kube.client import ApiClient
from nri_netdev.shells.kube.cluster import from_kubeconfig, in_cluster
from nri_netdev.shells.observe.listener import Listener


def run(options: argparse.Namespace) -> int:
    """Serve until a signal stops it."""
    level, form = options.log_level or "info", options.log_format or "text"
    for name, value, known in (("--log-level", level, log.LEVELS), ("--log-format", form, log.FORMATS)):
        if value not in known:
            raise ConfigurationError(f"{name} is one of {', '.join(known)}")
    node = options.node or os.environ.get("NODE_NAME", "")
    if not node:
        raise ConfigurationError("events: say --node NAME, or set NODE_NAME in the environment")
    try:
        path = ListenAddress.parse(options.events).path
    except ValueError:
        path = None
    if path is None:
        raise ConfigurationError("--events is unix:///PATH")
    server = from_kubeconfig(options.kubeconfig) if options.kubeconfig else in_cluster(os.environ)
    log.set_up(level, form)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    EventService(Listener(path), ApiClient(server), node=node).run()
    return 0
