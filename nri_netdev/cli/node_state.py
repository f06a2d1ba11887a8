"""This node as it is now: its interfaces, and the claims in the ledger."""

from __future__ import annotations

import time
from pathlib import Path

from nri_netdev.config.settings import Settings
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.verdict.node import Held, NodeState
from nri_netdev.shells.kernel.attachments import attached_reader
from nri_netdev.shells.kernel.rtnetlink import read_inventory
from nri_netdev.shells.kernel.sysfs import facts_reader, pci_function
from nri_netdev.shells.store.ledger import Ledger


def binding_claims(state_dir: Path) -> tuple[Claim, ...]:
    """The claims in the ledger that keep an interface from others; none when there is no ledger."""
    if not (state_dir / "ledger.db").exists():
        return ()
    with Ledger(state_dir, must_exist=True) as ledger:
        return tuple(claim for claim in ledger.claims() if claim.state.is_binding)


def read_node_state(settings: Settings) -> NodeState:
    """Read everything about this node that a verdict depends on."""
    return NodeState(
        inventory=read_inventory(),
        policy=settings.policy,
        held=tuple(map(Held.of, binding_claims(settings.state_dir))),
        at_s=int(time.time()),
        facts_of=facts_reader(),
        pci_of=pci_function,
        attached_of=attached_reader(),
    )
