"""This node as commands see it: the claims in the ledger, and the interfaces of the host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nri_netdev.cli.node_state import binding_claims, read_node_state
from nri_netdev.config.settings import Settings
from nri_netdev.domain.claim import State
from nri_netdev.shells.kernel.sysfs import pci_function
from nri_netdev.shells.store.ledger import Ledger
from tests.shells.store.test_ledger import claim


def test_no_ledger(tmp_path: Path) -> None:
    """Has no claims, and none is made."""
    assert binding_claims(tmp_path / "state") == ()
    assert not (tmp_path / "state").exists()


def test_what_is_prepared_binds_nobody(tmp_path: Path) -> None:
    """Every other claim does, in the order of the ledger."""
    claims = [replace(claim(number), state=state) for number, state in enumerate(State, 1)]
    with Ledger(tmp_path) as ledger:
        ledger.write(put=claims)
    assert binding_claims(tmp_path) == tuple(one for one in claims if one.state is not State.PREPARED)


def test_the_node(tmp_path: Path) -> None:
    """Its interfaces, what is held, and the policy."""
    with Ledger(tmp_path) as ledger:
        ledger.write(put=[claim(1), replace(claim(2), state=State.PREPARED)])
    settings = Settings(state_dir=tmp_path)
    node = read_node_state(settings)
    assert node.inventory.by_name("lo") is not None
    assert node.policy is settings.policy
    assert node.pci_of is pci_function
    assert [one.ifname for one in node.held] == ["ens1"]
    assert node.at_s > claim(1).since_s
