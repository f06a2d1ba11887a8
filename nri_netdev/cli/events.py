"""`nri-netdev events`: writes what became of pods' interfaces as Events of Kubernetes."""

from __future__ import annotations

import argparse
import os
import random
import signal

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
    rng = random.Random()  # noqa: S311 - jitter, not a secret
    service = EventService(Listener(path), ApiClient(server), node=node, rng=rng)

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # the second one ends it at once
        service.end()

    signal.signal(signal.SIGTERM, end)
    service.run()
    return 0
