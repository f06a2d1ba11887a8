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
    assert shown["ens1"]["effects"] == []


@pytest.mark.root
def test_one_device_is_told_with_what_does_not_come_along(home: Net, tmp_path: Path) -> None:
    """Addresses, children and qdiscs; each interface that is named, and no other."""
    for command in (
        "link add ens1 type veth peer name ens2",
        "link property add dev ens1 altname left",
        "link add vx0 type vxlan id 5 dev ens1 dstport 4789",
        "addr add 192.0.2.5/24 dev ens1",
        "addr add 192.0.2.6/24 dev ens1 valid_lft 3600 preferred_lft 3600",
    ):
        home.ip(command)
    home.run("tc", "qdisc", "add", "dev", "ens1", "clsact")
    (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}\nrun_dir: {tmp_path}\n")
    options = ("--config", tmp_path / "config.yaml")
    effects = [
        "its address 192.0.2.6/24 does not come along: leased or autoconfigured",
        "vx0 of the host would be deleted by the kernel, for good",
        "its qdiscs (clsact) do not come along, nor do their classes and filters",
    ]

    done = in_net(home, "devices", "left", *options)

    assert (done.returncode, done.stderr) == (0, "")
    head, row, *told = done.stdout.splitlines()
    assert head.startswith("NAME")
    assert row.startswith("ens1 ")
    assert "no: carries vx0 of the host (the kernel would delete vx0)" in row
    assert told == [f"ens1: {text}" for text in effects]
    assert [device["effects"] for device in json.loads(in_net(home, "devices", "ens1", "--json", *options).stdout)] == [
        effects
    ]
    unknown = in_net(home, "devices", "ens1", "ens9", *options)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == 'nri-netdev: interface "ens9" is not on this node, and nobody holds it\n'


@pytest.mark.root
def test_what_a_rule_gives_to_some_is_free(home: Net, tmp_path: Path) -> None:
    """A lifeline too; and it is not said that no rule gives it."""
    for command in (
        "link add ens1 type veth peer name ens2",
        "link set ens2 up",
        "link set ens1 up",
        "addr add 192.0.2.5/24 dev ens1",
        "route add default via 192.0.2.1 table 102",
        "rule add from 192.0.2.5 lookup 102",
    ):
        home.ip(command)
    rule = "rules: [{namespaces: [shop], interfaces: ['ens*'], allow_source_routed: %s}]\n"
    found = {}
    for value in ("true", "false"):
        (tmp_path / "config.yaml").write_text(f"state_dir: {tmp_path}\nrun_dir: {tmp_path}\n{rule % value}")
        done = in_net(home, "devices", "ens1", "--json", "--config", tmp_path / "config.yaml")
        [found[value]] = json.loads(done.stdout)

    assert (found["true"]["free"], found["true"]["why_not"]) == (True, None)
    assert found["false"]["why_not"] == (
        "carries a default route of table 102, which only rules with `from` reach; no rule of this node gives it with "
        "allow_source_routed: true"
    )
