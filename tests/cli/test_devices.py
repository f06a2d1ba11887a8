"""`nri-netdev devices`, in a network namespace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import POLICY, in_net
from tests.shells.conftest import Net


@pytest.mark.root
def test_devices(home: Net, tmp_path: Path) -> None:
    """Every interface with what it is, and whether it is free or why not; for people and for programs."""
    for command in (
        "link add br0 type bridge",
        "link add ens1 type veth peer name ens2",
        "link set ens2 master br0",
        "link set ens1 mtu 1400 up",
        "addr add 192.0.2.5/24 dev ens1",
    ):
        home.ip(command)
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}\nrun_dir: {tmp_path}\n{POLICY}")
    options = ("--config", tmp_path / "config.yaml")
    done = in_net(home, "devices", *options)
    assert done.returncode == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert lines["NAME"].split() == "NAME KIND DRIVER PCI MAC MTU STATE MASTER ADDRESSES POOLS RULES FREE".split()  # noqa: SIM905
    assert lines["ens1"].endswith("yes")
    assert "192.0.2.5/24" in lines["ens1"]
    assert "no: is the loopback device" in lines["lo"]
    assert "no: " in lines["br0"]
    assert " br0 " in lines["ens2"]
    shown = {row["ifname"]: row for row in json.loads(in_net(home, "devices", "--json", *options).stdout)}
    assert shown["ens1"]["free"] is True
    assert (shown["ens1"]["pools"], shown["ens1"]["rules"]) == (["fast"], ['rule "shop"'])
    assert (shown["br0"]["pools"], shown["br0"]["rules"]) == ([], [])
    assert shown["ens1"]["mtu"] == 1400
    assert shown["ens1"]["addresses"][0] == "192.0.2.5/24"
    assert shown["ens2"]["master"] == "br0"
    assert shown["ens2"]["free"] is False
