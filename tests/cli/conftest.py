"""Commands as their users call them: in this process, or in a network namespace of their own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nri_netdev import cli
from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.snapshot import Snapshot
from tests.shells.conftest import Net, home, nets  # noqa: F401 - fixtures
from tests.shells.store.test_ledger import claim

POD = """
kind: Pod
metadata:
  name: web
  annotations: {nri-netdev.io/container.app: "[ens1]"}
spec: {containers: [{name: app}]}
"""

POLICY = """
pools:
  fast: [{interface: ens*, kind: veth}]
rules:
  - {name: shop, namespaces: [shop], pools: [fast]}
"""


def run(*arguments: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as error:
        status = int(error.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def in_net(net: Net, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command in a network namespace."""
    command = ["nsenter", f"--net={net.path}", sys.executable, "-m", "nri_netdev", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)


def claim_at_home(net: Net, ifname: str) -> Claim:
    """A claim on an interface that is on the host, marked, with a holder that has ended."""
    index = net.link(ifname).ifindex
    mark = f"nri-netdev-{index:016x}"
    net.ip(f"link property add dev {ifname} altname {mark}")
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    values = {"state": State.RETURNING, "home_ifname": None, "troubles": ()}
    return replace(claim(index, mark=mark, boot_id=boot_id, **values), snapshot=Snapshot(link=net.link(ifname)))
