"""Puts custody together: ledger, kernel, and the ways home beside the lane."""

from __future__ import annotations

import time
from functools import partial

from nri_netdev.config.settings import Settings
from nri_netdev.custody.custody import Custody
from nri_netdev.custody.ports import Returns
from nri_netdev.shells.engine.translate import adjustment
from nri_netdev.shells.kernel.node import open_kernel
from nri_netdev.shells.observe.metrics import MOVE_SECONDS, Meters
from nri_netdev.shells.store.ledger import Ledger


def open_custody(settings: Settings, meters: Meters, returns: Returns) -> Custody:
    """Custody of this host's interfaces.

    Raises:
        StateError: The ledger cannot be used.
    """
    kernel = open_kernel(settings.run_dir, timed=partial(meters.timed, MOVE_SECONDS))
    custody = Custody(
        Ledger(settings.state_dir),
        kernel,
        encode=lambda grants: adjustment(grants).SerializeToString(),
        now_s=time.time,
        monotonic_s=time.monotonic,
        returns=returns,
    )
    custody.evaluator.policy = settings.policy
    return custody
