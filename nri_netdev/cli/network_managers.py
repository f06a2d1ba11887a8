"""Programs of the host that set up its interfaces by themselves, and how to have them leave alone what is given away.

Each writes below /run which interfaces it has in hand, by ifindex, and leaves the files there when it ends. What they
do when an interface comes home was seen in tests/vm/test_neighbours.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nri_netdev.cli.check import Check, CheckVerdict
from nri_netdev.domain.children import listing

PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkManager:
    """One such program."""

    name: str
    comm: str
    """Of its process; the kernel keeps 15 characters."""
    directory: str
    """Where it writes what it has in hand, below the root directory."""
    manages: Callable[[str], bool]
    """Whether it manages an interface, by what it writes of it."""
    does: str
    """What it does when an interface comes home."""
    advice: Callable[[Collection[str]], str]
    """How to have it leave interfaces alone, by their names."""


def _networkd_advice(ifnames: Collection[str]) -> str:
    return (
        "write to /etc/systemd/network/00-nri-netdev.network\n"
        f"[Match]\nName={' '.join(ifnames)}\n[Link]\nUnmanaged=yes\n"
        "and then: networkctl reload"
    )


def _network_manager_advice(ifnames: Collection[str]) -> str:
    return (
        "write to /etc/NetworkManager/conf.d/90-nri-netdev.conf\n"
        f"[keyfile]\nunmanaged-devices+={';'.join(f'interface-name:{name}' for name in ifnames)}\n"
        "and then: systemctl reload NetworkManager"
    )


MANAGERS = (
    NetworkManager(
        name="systemd-networkd",
        comm="systemd-network",
        directory="run/systemd/netif/links",
        manages=lambda text: "ADMIN_STATE=" in text and "ADMIN_STATE=unmanaged" not in text,
        does="it sets it up anew, and removes routing rules that it did not make",
        advice=_networkd_advice,
    ),
    NetworkManager(
        name="NetworkManager",
        comm="NetworkManager",
        directory="run/NetworkManager/devices",
        manages=lambda text: "managed=true" in text.splitlines(),
        does="it may start a connection on it, and changes how it makes IPv6 addresses",
        advice=_network_manager_advice,
    ),
)


def manager_checks(free: Mapping[int, str], *, proc: Path = PROC) -> Iterator[Check]:
    """Tell which of the interfaces that can be given away another program has in hand.

    Args:
        free: names of the interfaces, by ifindex.
        proc: of the host's processes.
    """
    running = dict(_running(proc, {manager.comm for manager in MANAGERS}))
    for manager in MANAGERS:
        root = running.get(manager.comm)
        if root is None:
            continue
        states = {ifname: _text(root / manager.directory / str(ifindex)) for ifindex, ifname in free.items()}
        managed = sorted(ifname for ifname, state in states.items() if manager.manages(state))
        if not managed:
            yield Check(topic="network", found=f"{manager.name} manages no interface that can be given away")
            continue
        yield Check(
            topic="network",
            found=f"{manager.name} manages {listing(managed)}: when such an interface comes home, {manager.does}",
            verdict=CheckVerdict.NOTE,
            advice=manager.advice(managed),
        )


def _running(proc: Path, comms: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """The root directories of processes, by what they are called."""
    wanted = {*comms}
    for process in proc.iterdir():
        comm = _text(process / "comm").rstrip("\n") if process.name.isdecimal() else ""
        if comm in wanted:
            yield comm, process / "root"


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
