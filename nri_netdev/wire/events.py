"""The events of a `PluginSession`: values, one class for each thing that can happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from nri_netdev.errors import PeerError, ProtocolError
from nri_netdev.proto import nri_pb2
from nri_netdev.wire.methods import EventKind
from nri_netdev.wire.versions import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A request of the engine; it must be answered exactly once.

    Attributes:
        stream_id: of the request.
        method: the rpc, as it came.
        timeout_nano: nanoseconds that the engine waits, counted from when it sent; 0 is without limit.
        message: the whole request.
    """

    stream_id: int
    method: str
    timeout_nano: int
    message: Message = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Pending):
    """An event of a pod or container; the answer is `PluginSession.reply` or `PluginSession.refuse`.

    It looks the same whether the engine sent an rpc of its own or a StateChange.

    Attributes:
        kind: the event.
        pod: as the engine sent it.
        container: as the engine sent it; empty where the event is a pod's.
    """

    kind: EventKind
    pod: nri_pb2.PodSandbox = field(repr=False)
    container: nri_pb2.Container = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The engine has accepted our name and index. May come after `Configured`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The engine has refused to register us. It leaves the socket open; nothing more will come."""

    error: PeerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """The engine has described itself.

    Attributes:
        config: text from the engine's directory of plugin configurations; "" for a plugin that connected by
            itself.
        runtime_name: "containerd" or "cri-o".
        runtime_version: as the engine spells it.
        registration_timeout_ms: how long the engine waits until we are synchronized; 0 if it does not say (before
            NRI 0.7).
        request_timeout_ms: how long the engine waits for each answer; 0 if it does not say (before NRI 0.7).
        nri_version: such as "v0.12.0"; "" if the engine does not say (before NRI 0.12).
        nri_release: the release of NRI, by that or by the engine's version; None if it cannot be known.
        events: the mask that the session answered; 0 if `PluginSession.configure` must answer.
        request: for `PluginSession.configure`.
    """

    config: str
    runtime_name: str
    runtime_version: str
    registration_timeout_ms: int
    request_timeout_ms: int
    nri_version: str
    nri_release: Release | None
    events: int
    request: Pending


@dataclass(frozen=True, slots=True, kw_only=True)
class Synchronized:
    """All pods and containers that the engine knows; the answer is `PluginSession.reply(request, ...)`.

    Attributes:
        pods: what the session's filter keeps of each, in no order; stopped ones may be among them.
        containers: likewise; those created or running.
        pod_count: how many pods there are, kept or not.
        container_count: how many containers.
        request: the last part, which waits for the answer.
    """

    pods: tuple[Any, ...] = field(repr=False)
    containers: tuple[Any, ...] = field(repr=False)
    pod_count: int
    container_count: int
    request: Pending


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCompleted:
    """The result of `PluginSession.call`: a message or an error.

    Attributes:
        call_id: as `call` returned it.
        message: the engine's answer; None if there is an error.
        error: `RemoteError` if the engine refused, `ProtocolError` if its answer makes no sense.
    """

    call_id: int
    message: Message | None
    error: PeerError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownRequested:
    """The engine asks us to end; answered already. No known engine does so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The last event: nothing more is received or sent.

    Attributes:
        error: what the engine did wrong; None if it closed between two messages.
    """

    error: ProtocolError | None


Event = Registered | Refused | Configured | Synchronized | Request | CallCompleted | ShutdownRequested | Closed
"""Everything that `PluginSession.receive_data` returns."""
