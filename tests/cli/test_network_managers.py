"""Programs that set up interfaces by themselves are told, with what has them leave those alone that are given away.

The real ones are in tests/vm/test_neighbours.py, where what is advised here is done.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nri_netdev.cli.check import Check, CheckVerdict
from nri_netdev.cli.network_managers import manager_checks

FREE = {2: "ens1", 3: "ens2", 4: "ens3"}
LINKS, DEVICES = "run/systemd/netif/links", "run/NetworkManager/devices"


def node(proc: Path, comm: str, directory: str, states: dict[int, str]) -> None:
    """Make a process, and what it has written."""
    process = proc / str(100 + len(comm))
    place = process / "root" / directory
    place.mkdir(parents=True)
    (process / "comm").write_text(f"{comm}\n")
    for ifindex, text in states.items():
        (place / str(ifindex)).write_text(text)


def found(proc: Path) -> list[Check]:
    """The checks of a node; some of what is in /proc is no process, and some cannot be read."""
    (proc / "sys").mkdir(exist_ok=True)
    (proc / "77").mkdir(exist_ok=True)
    return [*manager_checks(FREE, proc=proc)]


def test_networkd(tmp_path: Path) -> None:
    """As it tells of a link that it has configured, of one that it leaves alone, and of none."""
    states = {
        2: "ADMIN_STATE=configured\nOPER_STATE=routable\n",
        3: "ADMIN_STATE=unmanaged\n",
        9: "ADMIN_STATE=failed\n",
    }
    node(tmp_path, "systemd-network", LINKS, states)

    [check] = found(tmp_path)

    assert check.verdict is CheckVerdict.NOTE
    assert check.found.startswith("systemd-networkd manages ens1: when such an interface comes home")
    assert "[Match]\nName=ens1\n[Link]\nUnmanaged=yes\n" in check.advice


def test_network_manager(tmp_path: Path) -> None:
    """As it tells of two that it manages; it has no file, or another word, for what it does not."""
    node(
        tmp_path,
        "NetworkManager",
        DEVICES,
        {2: "[device]\nmanaged=true\n", 3: "[device]\nmanaged=true\n", 4: "[device]\nmanaged=false\n"},
    )

    [check] = found(tmp_path)

    assert check.verdict is CheckVerdict.NOTE
    assert check.found.startswith("NetworkManager manages ens1 and ens2: ")
    assert "[keyfile]\nunmanaged-devices+=interface-name:ens1;interface-name:ens2\n" in check.advice


@pytest.mark.parametrize(("comm", "directory"), [("systemd-network", LINKS), ("NetworkManager", DEVICES)])
def test_one_that_leaves_alone_what_is_given_away(tmp_path: Path, comm: str, directory: str) -> None:
    """All is well."""
    node(tmp_path, comm, directory, {9: "ADMIN_STATE=configured\nmanaged=true\n"})

    [check] = found(tmp_path)

    assert check.verdict is CheckVerdict.OK
    assert check.found.endswith("manages no interface that can be given away")


def test_one_that_has_ended(tmp_path: Path) -> None:
    """What it has left behind says nothing."""
    node(tmp_path, "sleep", DEVICES, {2: "[device]\nmanaged=true\n"})

    assert found(tmp_path) == []
