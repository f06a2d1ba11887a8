"""The processes of the node; implements `nri_netdev.custody.ports.Processes`."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
from collections.abc import Collection, Iterator
from pathlib import Path

from nri_netdev.domain.claim import Netns
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import pidfds
from nri_netdev.shells.kernel.netns import OWN, netns_id

_PROC = Path("/proc")
_DEATH_S = 1.0
"""How long a process may take to die of SIGKILL."""


class Processes:
    """Every process in `/proc`."""

    def foreign_netns(self, known: Collection[int]) -> Iterator[str]:
        """A path to each netns that a process is in, except home and those whose inode is in `known`."""
        passed = {netns_id(OWN)[1], *known}
        for pid, ino in _netns_of_processes():
            if ino not in passed:
                passed.add(ino)
                yield str(_PROC / str(pid) / "ns/net")

    def has_processes(self, target: Netns) -> bool:
        """Whether a process is in a netns."""
        return any(ino == target.ino for _, ino in _netns_of_processes())

    def is_alive(self, pid: int) -> bool:
        """Whether a process runs: it exists, and is no zombie."""
        return pidfds.is_alive(pid)

    def names(self, pid: int, netns: Netns) -> frozenset[str]:
        """What a process is called: its program's file, its `comm` and its first argument, without their directories.

        Empty if it is not in this netns, so that nothing is taken from a process that has the pid of one that ended.
        """
        process = _PROC / str(pid)
        try:
            if pid <= 0 or netns_id(process / "ns/net") != (netns.dev, netns.ino):
                return frozenset()
            program = os.readlink(process / "exe").removesuffix(" (deleted)")  # noqa: PTH115 - a name, not resolved
            own = [(process / file).read_bytes().partition(b"\0")[0] for file in ("comm", "cmdline")]
        except (OSError, KernelError):
            return frozenset()
        names = (program, *(name.decode(errors="replace").rstrip("\n") for name in own))
        return frozenset(name.rpartition("/")[2] for name in names) - {""}


def kill_in_netns(pid: int, netns_path: str) -> bool:
    """Kill a process if it is in a netns, and wait until it is dead. In another netns it is not killed.

    Returns:
        Whether it is dead.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        return error.errno == errno.ESRCH
    try:
        if netns_id(_PROC / str(pid) / "ns/net") != netns_id(netns_path):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return bool(select.select([pidfd], [], [], _DEATH_S)[0])
    except (OSError, KernelError):
        return False
    finally:
        os.close(pidfd)


def _netns_of_processes() -> Iterator[tuple[int, int]]:
    """Pid and netns inode of every process whose netns can be read."""
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "ns/net").stat().st_ino
