"""The one tree of errors, its branches named by who must act.

::

    NriNetdevError
    ├── RequestError        the pod's author: an annotation asks for what cannot be
    ├── ConfigurationError  the node's operator: options, configuration file, environment
    ├── PeerError           nobody here: the engine (or what poses as one) broke the protocol
    │   ├── ProtocolError   bytes or messages that the protocol does not allow; the connection is over
    │   └── RemoteError     the peer answered a request of ours with an error status
    ├── KernelError         the kernel refused; carries its errno
    ├── StateError          the node's operator: the ledger or its directory cannot be used
    └── LocalProtocolError  us: our own code asked the wire for what the protocol does not allow

Each says in its text what failed, on what, why, and what to do next.
"""

from __future__ import annotations

import errno as _errno
import os


class NriNetdevError(Exception):
    """Root of every error that this package raises on purpose."""


class RequestError(NriNetdevError):
    """A pod asks for what cannot be given; the text is for its author."""


class ConfigurationError(NriNetdevError):
    """An option, the configuration file or the environment is wrong; the text is for the operator."""


class PeerError(NriNetdevError):
    """The other end of the NRI connection did what it must not, or refused us."""


class ProtocolError(PeerError):
    """Bytes or messages that the protocol does not allow. The connection they came over is dead."""


class RemoteError(PeerError):
    """The peer answered our request with an error status.

    Attributes:
        code: gRPC status code, 1 to 16.
        message: the peer's text.
    """

    def __init__(self, *, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"the engine refused: {self.message} (status {self.code})"


class LocalProtocolError(NriNetdevError):
    """Our own code used the wire wrongly: a bug of ours, never the peer's doing."""


class KernelError(NriNetdevError):
    """The kernel refused an operation.

    Attributes:
        action: what was tried and on what, as in "move ens2f0 into /run/netns/x".
        errno: the kernel's error number.
        reason: the kernel's own words (extended acknowledgement), or "".
        hint: what to do next, or "".
    """

    def __init__(self, *, action: str, errno: int, reason: str = "", hint: str = "") -> None:
        super().__init__(action, errno, reason, hint)
        self.action = action
        self.errno = errno
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        name = _errno.errorcode.get(self.errno, str(self.errno))
        text = f"cannot {self.action}: {self.reason or os.strerror(self.errno)} ({name})"
        return f"{text}; {self.hint}" if self.hint else text


class StateError(NriNetdevError):
    """The ledger or the state directory cannot be used; the text is for the operator."""
