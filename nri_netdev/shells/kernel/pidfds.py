"""Processes whose end is waited for, by pidfds; implements `nri_netdev.custody.ports.Pidfds`.

A pidfd stays with its process: whoever gets the pid next is not mistaken for it. It is readable once every thread of
the process has ended, so also while nobody has waited for the process yet (pidfd_open(2)).
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Collection
from pathlib import Path

from nri_netdev.domain.claim import Netns
from nri_netdev.shells.kernel.netns import is_same_netns

MAX_WATCHED = 256
"""Processes that are watched at one time. Each takes an open file; a kubelet runs 110 pods unless told otherwise."""

_NO_PROCESS = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOENT})
"""What pidfd_open answers for a number that no process has: that is free, out of range, or a thread's."""


class Pidfds:
    """Watched processes, each under the name that its caller gave it. For one thread at a time, but for `fileno`."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._pidfds: dict[str, int] = {}

    def fileno(self) -> int:
        """An fd that is readable while a watched process has ended; on any thread."""
        return self._epoll.fileno()

    def watch(self, name: str, pid: int, target: Netns) -> bool:
        """Watch a process that is in a netns; without effect if this name is watched already.

        Returns:
            Whether it is watched: not if it is in another netns or has ended, or if too many are watched.
        """
        if name in self._pidfds:
            return True
        if pid <= 0 or len(self._pidfds) >= MAX_WATCHED:
            return False
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return False
        # The netns is read after the pidfd was opened: if the pid has changed hands meanwhile, the pidfd is readable.
        is_there = is_same_netns(f"/proc/{pid}/ns/net", target.dev, target.ino) and not _has_ended(pidfd)
        try:
            if is_there:
                self._epoll.register(pidfd, select.EPOLLIN)
        except OSError:
            is_there = False
        if is_there:
            self._pidfds[name] = pidfd
        else:
            os.close(pidfd)
        return is_there

    def ended(self) -> frozenset[str]:
        """The names of watched processes that have ended."""
        readable = {pidfd for pidfd, _ in self._epoll.poll(0, MAX_WATCHED)}
        return frozenset(name for name, pidfd in self._pidfds.items() if pidfd in readable)

    def keep(self, names: Collection[str]) -> None:
        """Watch no process but those of these names any more."""
        for name in [name for name in self._pidfds if name not in names]:
            pidfd = self._pidfds.pop(name)
            self._epoll.unregister(pidfd)
            os.close(pidfd)

    def close(self) -> None:
        """Watch nothing any more."""
        self.keep(())
        self._epoll.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs: any thread of it. Where no pidfd can be had, whether there is such a process."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        return error.errno not in _NO_PROCESS and Path(f"/proc/{pid}").exists()
    try:
        return not _has_ended(pidfd)
    finally:
        os.close(pidfd)


def _has_ended(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
