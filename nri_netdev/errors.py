"""The one tree of errors, its branches named by who must act.

::

    NriNetdevError
    ├── RequestError        the pod's author: an annotation asks for something that cannot be given
    ├── ConfigurationError  the node's operator: options, configuration file, environment
    ├── PeerError           nobody here: the engine, or whatever poses as one, broke the protocol
    │   ├── ProtocolError   bytes or messages that the protocol does not allow; the connection is over
    │   └── RemoteError     the peer answered a request of ours with an error status
    ├── KernelError         the kernel refused; carries its errno
    ├── PluginError         the node's operator: an IPAM plugin refuses, fails or is not there
    ├── ClusterError        the cluster's operator: the API server refuses, or cannot be reached
    ├── StateError          the node's operator: the ledger or its directory cannot be used
    └── LocalProtocolError  us: our own code asked the wire for something that the protocol does not allow

The text of each has the operation, its object, the cause, and what to do next.
"""

from __future__ import annotations

import errno as _errno
import os
from collections.abc import Iterable
from enum import StrEnum


class NriNetdevError(Exception):
    """Root of every error that this package raises on purpose."""


class Reason(StrEnum):
    """Why a request is refused: the label `reason` of metrics. Where several apply, the first in this order counts."""

    BUG = "bug"
    """Our own code failed."""
    BUSY = "busy"
    """It could not be done in time, or not just now; to try again may do."""
    LEDGER = "ledger"
    """The ledger cannot be used."""
    ARRIVAL = "arrival"
    """An interface is not in its pod when the container starts."""
    POLICY = "policy"
    """No rule of the node gives it, or not so many, or not under this name."""
    ABSENT = "absent"
    """There is no such interface on the node."""
    HELD = "held"
    """Somebody else has it."""
    LIFELINE = "lifeline"
    """The node lives by it, or the kernel never lets it leave its netns."""
    POOL = "pool"
    """The pool is not defined, or has too little for this pod."""
    RUNTIME = "runtime"
    """The pod's containers would not see an interface: their OCI runtime runs them as guests."""
    POD = "pod"
    """The pod's netns does not allow it: the host's network, or a name that is taken."""
    ANNOTATION = "annotation"
    """The annotation is wrong."""
    OTHER = "other"

    @classmethod
    def first(cls, reasons: Iterable[Reason]) -> Reason:
        """The one that counts among several."""
        order: tuple[Reason, ...] = tuple(cls)
        return min(reasons, key=order.index)


class RequestError(NriNetdevError):
    """A pod asks for something that cannot be given; the text is for its author.

    Attributes:
        reason: the kind of refusal, for metrics and programs.
    """

    def __init__(self, text: str, *, reason: Reason = Reason.OTHER) -> None:
        super().__init__(text)
        self.reason = reason


class ConfigurationError(NriNetdevError):
    """An option, the configuration file or the environment is wrong; the text is for the operator."""


class PeerError(NriNetdevError):
    """The other end of the NRI connection broke the protocol, or refused a request."""


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
        refusal: the kind of refusal where a pod is refused because of this.
    """

    def __init__(
        self, *, action: str, errno: int, reason: str = "", hint: str = "", refusal: Reason = Reason.OTHER
    ) -> None:
        super().__init__(action, errno, reason, hint)
        self.refusal = refusal
        self.action = action
        self.errno = errno
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        name = _errno.errorcode.get(self.errno, str(self.errno))
        text = f"cannot {self.action}: {self.reason or os.strerror(self.errno)} ({name})"
        return f"{text}; {self.hint}" if self.hint else text


class PluginError(NriNetdevError):
    """An IPAM plugin of CNI refused, failed or cannot be run.

    Attributes:
        plugin: its name.
        command: ADD or DEL.
        reason: why, in the plugin's own words if `is_answer`.
        hint: what to do next, or "".
        has_run: whether it was started; if not, it has done nothing.
        is_answer: whether it ended by itself and said why, rather than being killed or not understood.
    """

    def __init__(
        self, *, plugin: str, command: str, reason: str, hint: str = "", has_run: bool = True, is_answer: bool = False
    ) -> None:
        super().__init__(plugin, command, reason, hint)
        self.plugin = plugin
        self.command = command
        self.reason = reason
        self.hint = hint
        self.has_run = has_run
        self.is_answer = is_answer

    def __str__(self) -> str:
        doing = "give an address" if self.command == "ADD" else "take an address back"
        text = f"the IPAM plugin {self.plugin} did not {doing}: {self.reason}"
        return f"{text}; {self.hint}" if self.hint else text


class ClusterError(NriNetdevError):
    """The API server of Kubernetes refused a request, or cannot be reached.

    Attributes:
        action: what was asked, as in "PATCH /api/v1/namespaces/default/events/web".
        status: that of HTTP; 0 if there was no answer.
        reason: its kind, of Kubernetes' `Status`: "Forbidden", "NotFound" …; "" if it has none.
        message: the server's own words, or those of the system.
        retry_after_s: how long the server wants to be left alone.
    """

    def __init__(
        self, *, action: str, status: int = 0, reason: str = "", message: str = "", retry_after_s: float = 0.0
    ) -> None:
        super().__init__(action, status, reason, message)
        self.action = action
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def is_passing(self) -> bool:
        """Whether the same request may well be granted later: nothing is wrong with it."""
        return self.status in {0, 401, 408, 409, 429} or self.status >= 500

    def __str__(self) -> str:
        if not self.status:
            return f"cannot reach the API server for {self.action}: {self.message}"
        return f"the API server refused {self.action}: {self.message or self.reason} (status {self.status})"


class StateError(NriNetdevError):
    """The ledger or the state directory cannot be used; the text is for the operator.

    Attributes:
        problem: what failed, on what, and why.
        hint: what to do next, or "".
    """

    def __init__(self, problem: str, *, hint: str = "") -> None:
        super().__init__(problem, hint)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem}; {self.hint}" if self.hint else self.problem


def refusal_for(error: NriNetdevError, text: str = "") -> RequestError:
    """The error that refuses a request because of another error; to be raised from that.

    Args:
        error: the cause.
        text: the text of the refusal, if not that of the cause.
    """
    reason = Reason.OTHER
    if isinstance(error, StateError):
        reason = Reason.LEDGER
    elif isinstance(error, PluginError):
        reason = Reason.ARRIVAL
    elif isinstance(error, KernelError):
        reason = error.refusal
    return RequestError(text or str(error), reason=reason)
