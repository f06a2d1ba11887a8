"""Puts custody together: ledger, kernel, and the ways home beside the lane."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from nri_netdev.config.settings import Metadata, Settings
from nri_netdev.custody.custody import Custody
from nri_netdev.custody.ports import Returns
from nri_netdev.custody.returning import Beside
from nri_netdev.shells.cni.plugin import Plugins
from nri_netdev.shells.engine.translate import adjustment
from nri_netdev.shells.kernel.node import open_kernel
from nri_netdev.shells.observe.metrics import MOVE_SECONDS, Meters
from nri_netdev.shells.store.handouts import Handouts
from nri_netdev.shells.store.ledger import Ledger


def open_custody(settings: Settings, meters: Meters, *, returns: Returns, plugin_runs: Returns) -> Custody:
    """Custody of this host's interfaces.

    Args:
        settings: what the operator set.
        meters: what is counted.
        returns: goes ways home.
        plugin_runs: runs IPAM plugins.

    Raises:
        StateError: The ledger cannot be used.
    """
    kernel = open_kernel(settings.run_dir, timed=partial(meters.timed, MOVE_SECONDS))
    custody = Custody(
        Ledger(settings.state_dir),
        kernel,
        encode=lambda grants, handout: adjustment(grants, handout).SerializeToString(),
        now_s=time.time,
        monotonic_s=time.monotonic,
        beside=Beside(
            returns=returns,
            plugins=Plugins(tuple(map(Path, settings.cni_path.split(":")))),
            plugin_runs=plugin_runs,
            handouts=Handouts(settings.run_dir) if settings.metadata == Metadata.MAPPINGS else None,
        ),
    )
    custody.evaluator.policy = settings.policy
    return custody
