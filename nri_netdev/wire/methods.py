"""The table of NRI's rpcs and events: the messages of each, and its bit in the mask of events.

Source: containerd/nri, pkg/api/api.proto and pkg/api/event.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from google.protobuf.message import Message

from nri_netdev.errors import LocalProtocolError
from nri_netdev.proto import nri_pb2

PLUGIN_SERVICE: Final = "nri.pkg.api.v1alpha1.Plugin"
RUNTIME_SERVICE: Final = "nri.pkg.api.v1alpha1.Runtime"

CONFIGURE: Final = "Configure"
SYNCHRONIZE: Final = "Synchronize"
SHUTDOWN: Final = "Shutdown"
STATE_CHANGE: Final = "StateChange"
REGISTER_PLUGIN: Final = "RegisterPlugin"
UPDATE_CONTAINERS: Final = "UpdateContainers"


class EventKind(IntEnum):
    """The events of pods and containers, by their number in NRI."""

    RUN_POD_SANDBOX = 1
    STOP_POD_SANDBOX = 2
    REMOVE_POD_SANDBOX = 3
    CREATE_CONTAINER = 4
    POST_CREATE_CONTAINER = 5
    START_CONTAINER = 6
    POST_START_CONTAINER = 7
    UPDATE_CONTAINER = 8
    POST_UPDATE_CONTAINER = 9
    STOP_CONTAINER = 10
    REMOVE_CONTAINER = 11
    UPDATE_POD_SANDBOX = 12
    POST_UPDATE_POD_SANDBOX = 13
    VALIDATE_CONTAINER_ADJUSTMENT = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One event as an rpc.

    Attributes:
        kind: the event.
        method: its rpc in the service Plugin.
        request: the message that the engine sends.
        response: the message that the plugin answers.
        is_state_change: whether engines up to NRI 0.11 send it as a StateChange instead.
        has_container: whether it is about a container, not a pod alone.
    """

    kind: EventKind
    method: str
    request: type[Message]
    response: type[Message]
    is_state_change: bool
    has_container: bool


def _hook(kind: EventKind) -> Hook:
    method = kind.name.title().replace("_", "")
    request: type[Message] = getattr(nri_pb2, f"{method}Request")
    response: type[Message] = getattr(nri_pb2, f"{method}Response")
    return Hook(
        kind=kind,
        method=method,
        request=request,
        response=response,
        is_state_change=kind not in _ALWAYS_OWN_RPC,
        has_container="container" in request.DESCRIPTOR.fields_by_name,
    )


_ALWAYS_OWN_RPC = frozenset(
    {
        EventKind.CREATE_CONTAINER,
        EventKind.UPDATE_CONTAINER,
        EventKind.STOP_CONTAINER,
        EventKind.UPDATE_POD_SANDBOX,
        EventKind.VALIDATE_CONTAINER_ADJUSTMENT,
    }
)

HOOKS: Final = MappingProxyType({kind: _hook(kind) for kind in EventKind})
"""Every event."""
HOOKS_BY_METHOD: Final = MappingProxyType({hook.method: hook for hook in HOOKS.values()})
"""Every event, by the name of its rpc."""
EVENTS: Final = frozenset({STATE_CHANGE, *HOOKS_BY_METHOD})
"""The rpcs that carry an event."""
STATE_CHANGES: Final = MappingProxyType({int(hook.kind): hook for hook in HOOKS.values() if hook.is_state_change})
"""The events that come as StateChange up to NRI 0.11, by `StateChangeEvent.event`."""

PLUGIN_REQUESTS: Final = MappingProxyType[str, type[Message]](
    {
        CONFIGURE: nri_pb2.ConfigureRequest,
        SYNCHRONIZE: nri_pb2.SynchronizeRequest,
        SHUTDOWN: nri_pb2.Empty,
        STATE_CHANGE: nri_pb2.StateChangeEvent,
        **{hook.method: hook.request for hook in HOOKS.values()},
    }
)
"""Every rpc of the service Plugin, with the message it takes."""
PLUGIN_RESPONSES: Final = MappingProxyType[str, type[Message]](
    {
        CONFIGURE: nri_pb2.ConfigureResponse,
        SYNCHRONIZE: nri_pb2.SynchronizeResponse,
        SHUTDOWN: nri_pb2.Empty,
        STATE_CHANGE: nri_pb2.Empty,
        **{hook.method: hook.response for hook in HOOKS.values()},
    }
)
"""Every rpc of the service Plugin, with the message it returns."""
RUNTIME_REQUESTS: Final = MappingProxyType[str, type[Message]](
    {REGISTER_PLUGIN: nri_pb2.RegisterPluginRequest, UPDATE_CONTAINERS: nri_pb2.UpdateContainersRequest}
)
"""Every rpc of the service Runtime, with the message it takes."""
RUNTIME_RESPONSES: Final = MappingProxyType[str, type[Message]](
    {REGISTER_PLUGIN: nri_pb2.Empty, UPDATE_CONTAINERS: nri_pb2.UpdateContainersResponse}
)
"""Every rpc of the service Runtime, with the message it returns."""

EVENTS_BEFORE_0_10: Final = (1 << EventKind.REMOVE_CONTAINER) - 1
"""The events that every engine knows: 0x7ff."""
EVENTS_SINCE_0_10: Final = (1 << EventKind.VALIDATE_CONTAINER_ADJUSTMENT) - 1
"""The events that engines know since NRI 0.10: 0x3fff."""


def event_mask(*events: EventKind) -> int:
    """The mask that subscribes to these events: bit n-1 for event n.

    Raises:
        LocalProtocolError: No event was given; a mask of 0 would subscribe to all of them.
    """
    mask = 0
    for kind in events:
        mask |= 1 << (kind - 1)
    if mask == 0:
        raise LocalProtocolError("a mask of no events means all of them; name at least one")
    return mask


def events_in(mask: int) -> tuple[EventKind, ...]:
    """The events that a mask subscribes to; 0 is every event. Unknown bits are left out."""
    return tuple(kind for kind in EventKind if mask == 0 or mask & 1 << (kind - 1))
