"""What a new daemon does first: end the claims of an earlier boot, and take away what a crash has left."""

from __future__ import annotations

import logging

from nri_netdev.custody.claims import Claims, about, reported
from nri_netdev.custody.ports import Kernel
from nri_netdev.custody.settle import Settler
from nri_netdev.domain.claim import MARK_PREFIX, State, find
from nri_netdev.domain.life import Trigger
from nri_netdev.log import event

_log = logging.getLogger(__name__)


def end_earlier_boots(claims: Claims, kernel: Kernel, settler: Settler) -> None:
    """End every claim of an earlier boot: hardware is home since, perhaps misnamed, and virtual devices are gone."""
    boot_id = kernel.host.boot_id()
    for claim in claims.binding():
        if claim.boot_id == boot_id:
            continue
        with reported("put a name right after a reboot", **about(claim)):
            is_gone = claim.snapshot.link.is_virtual or claim.state is State.UNCERTAIN
            link = None if is_gone else find(kernel.host.links(), claim, at_home=True)
            if link is not None and link.ifname != claim.ifname:
                kernel.host.rename(link.ifindex, claim.ifname)
        settler.forget(claim, Trigger.REBOOTED)
        event(_log, logging.INFO, "claim.home", **about(claim), by="reboot")


def sweep(claims: Claims, kernel: Kernel) -> None:
    """Take away pins and marks that belong to no claim."""
    with reported("sweep"):
        for name in kernel.pods.pins() - {claim.netns.pin for claim in claims.binding()}:
            kernel.pods.unpin(name)
        for link in kernel.host.links():
            for altname in link.altnames:
                if altname.startswith(MARK_PREFIX) and claims.get(altname) is None:
                    kernel.host.unmark(link.ifindex, altname)
