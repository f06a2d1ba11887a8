"""The locks of a state directory, by which the daemons of a node agree who does what.

The kernel lets go of a lock when its process ends, however that is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO

from nri_netdev.errors import StateError


class Lock:
    """A lock of one name: taken by one process, or shared by several.

    Args:
        directory: the state directory, made if need be.
        name: of the lock's file in it.

    Raises:
        StateError: It cannot be opened.
    """

    def __init__(self, directory: Path, name: str = "lock") -> None:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Whoever can open a file can lock it, so nobody else may.
            self._file: IO[str] = open(directory / name, "a+", encoding="ascii", opener=_private)  # noqa: SIM115
        except OSError as error:
            raise StateError(
                f"cannot open the {name} in {directory}: {error.strerror}", hint="make it writable"
            ) from error

    def take(self) -> int | None:
        """Take the lock if it is free.

        Returns:
            None when it is ours now, else the pid of the process that has it (0 if that is unknown).
        """
        if not self._is_granted(fcntl.LOCK_EX):
            self._file.seek(0)
            text = self._file.read(20).strip()
            return int(text) if text.isdigit() else 0
        self._file.truncate(0)
        with contextlib.suppress(OSError):  # a full disk: then the pid is missing
            os.write(self._file.fileno(), f"{os.getpid()}\n".encode("ascii"))
        return None

    def take_soon(self) -> None:
        """Take the lock as soon as nobody looks at it; nobody may have it."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def share(self) -> None:
        """Share the lock with others that share it, as soon as nobody looks at it; nobody may have taken it."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def release(self) -> None:
        """Let go of the lock; to be had again."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def is_taken(self) -> bool:
        """Whether another process has taken it. Not to be asked while it is ours."""
        return not self._is_free(fcntl.LOCK_SH)

    def is_shared(self) -> bool:
        """Whether other processes share it. Not to be asked while it is ours."""
        return not self._is_free(fcntl.LOCK_EX)

    def close(self) -> None:
        """Let go of the lock for good."""
        self._file.close()

    def _is_free(self, how: int) -> bool:
        is_granted = self._is_granted(how)
        if is_granted:
            self.release()
        return is_granted

    def _is_granted(self, how: int) -> bool:
        try:
            fcntl.flock(self._file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
