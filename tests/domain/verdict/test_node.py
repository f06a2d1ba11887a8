"""What a verdict knows of the node."""

from __future__ import annotations

from dataclasses import replace

from nri_netdev.domain.claim import State
from nri_netdev.domain.verdict.node import Held
from tests.domain.policy.test_rules import claim_on


def test_a_claim_holds_its_interface() -> None:
    """Under its name on the host, whatever it is called inside, and for its owner."""
    claim = replace(claim_on("ens1", since_s=7, state=State.PARTIAL), inside="net1", home_ifname="dev3")
    held = Held.of(claim)
    assert held == Held(link=claim.snapshot.link, owner=claim.owner, since_s=7, state=State.PARTIAL, home_ifname="dev3")
    assert held.ifname == "ens1"
