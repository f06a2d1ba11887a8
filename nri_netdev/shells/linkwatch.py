"""Changes of the links of this netns, as the kernel tells them: an fd for an event loop to wait on.

What has changed is not told, only that something has: whoever is interested reads the links again, and so a message
that the kernel had to drop (`ENOBUFS`) costs nothing.
"""

from __future__ import annotations

import errno
import socket
from types import TracebackType
from typing import Self

from nri_netdev.shells.netns import translated

_NETLINK_ROUTE = 0
_RTMGRP_LINK = 1
_BUFFER_BYTES = 65536


class LinkWatch:
    """Listens from when it is made, in the netns of the thread that makes it.

    Raises:
        KernelError: The socket cannot be had.
    """

    def __init__(self) -> None:
        with translated("listen for changes of interfaces"):
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_ROUTE
            )
            self._socket.bind((0, _RTMGRP_LINK))

    def fileno(self) -> int:
        """Readable when something has changed."""
        return self._socket.fileno()

    def read(self) -> bool:
        """Whether anything has changed since the last call. Never blocks."""
        has_changed = False
        while True:
            try:
                self._socket.recv(_BUFFER_BYTES)
            except BlockingIOError:
                return has_changed
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
            has_changed = True

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
