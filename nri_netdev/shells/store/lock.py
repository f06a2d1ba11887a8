"""The lock of a state directory: one daemon serves it, others wait."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO

from nri_netdev.errors import StateError


class Lock:
    """The lock that makes one daemon the owner of a state directory; released by the kernel when its process ends."""

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Whoever can open a file can lock it, so nobody else may.
            self._file: IO[str] = open(directory / "lock", "a+", encoding="ascii", opener=_private)  # noqa: SIM115
        except OSError as error:
            raise StateError(
                f"cannot open the lock in {directory}: {error.strerror}", hint="make it writable"
            ) from error

    def take(self) -> int | None:
        """Take the lock if it is free.

        Returns:
            None when it is ours now, else the pid of the process that has it (0 if that is unknown).
        """
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            text = self._file.read(20).strip()
            return int(text) if text.isdigit() else 0
        self._file.truncate(0)
        with contextlib.suppress(OSError):  # a full disk: then the pid is missing
            os.write(self._file.fileno(), f"{os.getpid()}\n".encode("ascii"))
        return None

    def close(self) -> None:
        """Let go of the lock."""
        self._file.close()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
