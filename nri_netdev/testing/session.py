"""The engine's side of NRI on one connection, without I/O: the counterpart of `wire.session.PluginSession`.

It plays the part that containerd/nri has in pkg/adaptation/plugin.go: accepts the registration, configures,
synchronizes in parts, and then sends events in the form that its release of NRI has. Its user sends what methods
return, and after each `receive_data` what `data_to_send` returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError, Message

from nri_netdev.errors import LocalProtocolError, PeerError, ProtocolError, RemoteError
from nri_netdev.proto import nri_pb2
from nri_netdev.wire import methods, ttrpc
from nri_netdev.wire.events import Closed
from nri_netdev.wire.identity import why_invalid_index, why_invalid_name
from nri_netdev.wire.methods import EventKind
from nri_netdev.wire.mux import PLUGIN_CONN_ID, RUNTIME_CONN_ID
from nri_netdev.wire.trunk import Trunk
from nri_netdev.wire.versions import FIRST_WITH_VALIDATION, FIRST_WITH_VERSION, Release, first_version

MAX_PART_BYTES: Final = ttrpc.MAX_DATA_BYTES - 1024
"""The most that a part of Synchronize holds, so that with its envelope it is no longer than ttrpc allows."""
_FIRST_WITH_MORE: Final[Release] = (0, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the engine waits for its plugin, as it announces in Configure.

    Attributes:
        registration_ms: milliseconds until the plugin is synchronized.
        request_ms: milliseconds for each answer; sent with every request too.
    """

    registration_ms: int = 5000
    request_ms: int = 2000


DEFAULT_TIMEOUTS: Final = Timeouts()
"""Those of containerd and CRI-O."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRegistered:
    """A plugin has given its name and index; next comes `EngineSession.configure`."""

    name: str
    idx: str
    nri_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginConfigured:
    """The plugin has subscribed; next comes `EngineSession.synchronize`.

    Attributes:
        events: those it wants.
    """

    events: tuple[EventKind, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSynchronized:
    """The plugin knows all pods and containers; from now on it can be called."""

    update: tuple[nri_pb2.ContainerUpdate, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The plugin has answered an event, in whichever form that went.

    Attributes:
        call_id: as `EngineSession.call` returned it.
        message: the response that belongs to the event; None if there is an error.
        error: `RemoteError` if the plugin refused, `ProtocolError` if its answer makes no sense.
    """

    call_id: int
    message: Message | None
    error: PeerError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRequested:
    """The plugin wants containers updated; the session has answered that it is done."""

    update: tuple[nri_pb2.ContainerUpdate, ...]


EngineEvent = PluginRegistered | PluginConfigured | PluginSynchronized | Answered | UpdateRequested | Closed
"""Everything that `EngineSession.receive_data` returns."""


@dataclass(slots=True)
class _OpenCall:
    """A call that waits for the plugin's answer; `id` stays when it is sent again in another form."""

    id: int
    method: str
    message: Message
    hook: methods.Hook | None = None


class EngineSession(Trunk[EngineEvent]):
    """The engine's side of one connection.

    Args:
        runtime_name: "containerd" or "cri-o".
        runtime_version: as that engine would spell it; "" is the first one with this release of NRI.
        nri_version: the release of NRI to speak: events go as StateChange before 0.12, Configure names the NRI version
            since 0.12, and events 12 to 14 exist since 0.10.
        config: the plugin's configuration text.
        timeouts: what Configure announces.
        max_part_bytes: where Synchronize is cut.
    """

    CUT_SHORT = "the plugin hung up within a message"

    def __init__(
        self,
        *,
        runtime_name: str = "containerd",
        runtime_version: str = "",
        nri_version: Release = (0, 12),
        config: str = "",
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        max_part_bytes: int = MAX_PART_BYTES,
    ) -> None:
        super().__init__(
            server=ttrpc.Server(methods.RUNTIME_SERVICE, ttrpc.decoders(methods.RUNTIME_REQUESTS)),
            server_conn_id=RUNTIME_CONN_ID,
            client=ttrpc.Client(methods.PLUGIN_SERVICE),
            client_conn_id=PLUGIN_CONN_ID,
        )
        self._configuration = nri_pb2.ConfigureRequest(
            config=config,
            runtime_name=runtime_name,
            runtime_version=runtime_version or first_version(runtime_name, nri_version),
            registration_timeout=timeouts.registration_ms,
            request_timeout=timeouts.request_ms,
            NRI_version=f"v{nri_version[0]}.{nri_version[1]}.0" if nri_version >= FIRST_WITH_VERSION else "",
        )
        self._release = nri_version
        self._has_own_rpcs = nri_version >= FIRST_WITH_VERSION
        self._timeout_ns = timeouts.request_ms * 1_000_000
        self._max_part_bytes = max_part_bytes
        self._calls: dict[int, _OpenCall] = {}
        self._parts: Iterator[nri_pb2.SynchronizeRequest] = iter(())
        self._events: frozenset[EventKind] = frozenset()

    @property
    def known_events(self) -> int:
        """The mask of events that this release knows."""
        if self._release >= FIRST_WITH_VALIDATION:
            return methods.EVENTS_SINCE_0_10
        return methods.EVENTS_BEFORE_0_10

    def wants(self, kind: EventKind) -> bool:
        """Whether the plugin has subscribed to an event."""
        return kind in self._events

    # -- calls ---------------------------------------------------------------------------------------------------------

    def configure(self) -> bytes:
        """Ask the plugin for the events that it wants; `PluginConfigured` has them."""
        return self._send(methods.CONFIGURE, self._configuration)[1]

    def synchronize(
        self, pods: Iterable[nri_pb2.PodSandbox] = (), containers: Iterable[nri_pb2.Container] = ()
    ) -> bytes:
        """Send the plugin what exists, in parts if need be; `PluginSynchronized` ends it.

        Returns:
            The first part; the others come out of `data_to_send` as the plugin acknowledges them.

        Raises:
            LocalProtocolError: It is too long for one message, and this release of NRI has no parts.
        """
        self._parts = iter(self._split(pods, containers))
        return self._send(methods.SYNCHRONIZE, next(self._parts))[1]

    def call(self, kind: EventKind, message: Message) -> tuple[int, bytes]:
        """Send an event; `Answered` has the response or error.

        Args:
            kind: the event.
            message: the request of the event's own rpc, also where it goes as StateChange.

        Returns:
            The id of the call and what to send.

        Raises:
            LocalProtocolError: The message is not that of the event.
        """
        hook = methods.HOOKS[kind]
        if type(message) is not hook.request:
            raise LocalProtocolError(f"{type(message).__name__} is not the request of {hook.method}")
        if hook.is_state_change and not self._has_own_rpcs:
            return self._send(methods.STATE_CHANGE, _state_change(hook, message), hook)
        return self._send(hook.method, message, hook)

    def expire(self, call_id: int) -> None:
        """Give a call up, so that its answer is ignored."""
        for stream_id, call in list(self._calls.items()):
            if call.id == call_id:
                del self._calls[stream_id]
                self._client.expire(stream_id)

    # -- within --------------------------------------------------------------------------------------------------------

    def _end(self, *, is_breach: bool) -> None:
        super()._end(is_breach=is_breach)
        self._calls.clear()

    def _send(
        self, method: str, message: Message, hook: methods.Hook | None = None, call_id: int = 0
    ) -> tuple[int, bytes]:
        stream_id, data = self._encode_call(method, message, self._timeout_ns)
        call = _OpenCall(call_id or stream_id, method, message, hook)
        self._calls[stream_id] = call
        return call.id, data

    def _split(
        self, pods: Iterable[nri_pb2.PodSandbox], containers: Iterable[nri_pb2.Container]
    ) -> list[nri_pb2.SynchronizeRequest]:
        whole = nri_pb2.SynchronizeRequest(pods=pods, containers=containers)
        if self._release < _FIRST_WITH_MORE or whole.ByteSize() <= self._max_part_bytes:
            return [whole]
        parts = [nri_pb2.SynchronizeRequest(more=True)]
        size = 0
        for thing in (*whole.pods, *whole.containers):
            length = thing.ByteSize() + 8  # and its tag and length
            if size + length > self._max_part_bytes and size:
                parts.append(nri_pb2.SynchronizeRequest(more=True))
                size = 0
            size += length
            if isinstance(thing, nri_pb2.PodSandbox):
                parts[-1].pods.append(thing)
            elif isinstance(thing, nri_pb2.Container):
                parts[-1].containers.append(thing)
        parts[-1].more = False
        return parts

    def _on_call(self, call: ttrpc.Call, events: list[EngineEvent]) -> None:
        message = call.message
        if isinstance(message, nri_pb2.RegisterPluginRequest):
            problem = self._registration_problem(message)
            if problem:
                self._out.append(self._encode_refusal(call.stream_id, problem))
                return
            response: Message = nri_pb2.Empty()
            events.append(
                PluginRegistered(name=message.plugin_name, idx=message.plugin_idx, nri_version=message.NRI_version)
            )
        elif isinstance(message, nri_pb2.UpdateContainersRequest):
            response = nri_pb2.UpdateContainersResponse()
            events.append(UpdateRequested(update=tuple(message.update)))
        self._out.append(self._encode_reply(call.stream_id, response))

    def _registration_problem(self, message: nri_pb2.RegisterPluginRequest) -> str:
        idx, name = message.plugin_idx, message.plugin_name
        if why_invalid_index(idx):
            return f"invalid plugin index {idx!r}, must be 2 digits"
        if not name or (self._release >= FIRST_WITH_VERSION and why_invalid_name(name)):
            return f"invalid plugin name {name!r}"
        return ""

    def _on_result(self, result: ttrpc.CallResult, events: list[EngineEvent]) -> None:
        call = self._calls.pop(result.stream_id)
        error = result.error
        if call.hook is not None:
            is_unknown = isinstance(error, RemoteError) and error.code == ttrpc.Code.UNIMPLEMENTED
            if is_unknown and call.hook.is_state_change and call.method != methods.STATE_CHANGE:
                self._has_own_rpcs = False
                again = _state_change(call.hook, call.message)
                self._out.append(self._send(methods.STATE_CHANGE, again, call.hook, call.id)[1])
                return
            message: Message | None = None
            if error is None:
                try:
                    message = call.hook.response.FromString(result.payload)
                except DecodeError as failure:
                    error = ProtocolError(f"cannot decode the answer to {call.method}: {failure}")
            events.append(Answered(call_id=call.id, message=message, error=error))
            return
        if error is not None:
            raise ProtocolError(f"the plugin refused {call.method}: {error}")
        try:
            self._on_handshake(call, result.payload, events)
        except DecodeError as failure:
            raise ProtocolError(f"cannot decode the answer to {call.method}: {failure}") from failure

    def _on_handshake(self, call: _OpenCall, payload: bytes, events: list[EngineEvent]) -> None:
        """Go on from an answer to Configure or Synchronize.

        Raises:
            ProtocolError: The real engine would hang up now.
            DecodeError: The payload is not the response.
        """
        if isinstance(call.message, nri_pb2.ConfigureRequest):
            mask = nri_pb2.ConfigureResponse.FromString(payload).events
            if mask & ~self.known_events:
                raise ProtocolError(f"the plugin subscribed to unknown events: {mask:#x}")
            self._events = frozenset(methods.events_in(mask or self.known_events))
            events.append(PluginConfigured(events=methods.events_in(mask or self.known_events)))
        elif isinstance(call.message, nri_pb2.SynchronizeRequest):
            response = nri_pb2.SynchronizeResponse.FromString(payload)
            if response.more != call.message.more or (response.more and response.update):
                raise ProtocolError("the plugin does not follow a Synchronize in parts")
            if response.more:
                self._out.append(self._send(methods.SYNCHRONIZE, next(self._parts))[1])
            else:
                events.append(PluginSynchronized(update=tuple(response.update)))


def _state_change(hook: methods.Hook, message: Message) -> nri_pb2.StateChangeEvent:
    event = nri_pb2.StateChangeEvent(event=nri_pb2.Event.Name(hook.kind))
    # Every request has these by name; that of a pod's event lacks the second.
    event.pod.CopyFrom(message.pod)  # type: ignore[attr-defined]
    if hook.has_container:
        event.container.CopyFrom(message.container)  # type: ignore[attr-defined]
    return event


def merge(
    label: str,
    adjust: nri_pb2.ContainerAdjustment,
    merged: nri_pb2.ContainerAdjustment,
    owners: dict[str, str],
) -> None:
    """Add what one plugin adjusts to what those before it did.

    Args:
        label: the plugin, as NN-name.
        adjust: what it adjusts.
        merged: where to add it.
        owners: interfaces on the host, by who has given them; added to.

    Raises:
        RemoteError: An interface is given already, be it by a plugin of the same name.
    """
    for ifname in adjust.linux.net_devices:
        if ifname in owners:
            text = f'plugins "{owners[ifname]}" and "{label}" both tried to set LinuxNetDevices {ifname}'
            raise RemoteError(code=ttrpc.Code.UNKNOWN, message=text)
        owners[ifname] = label
    merged.MergeFrom(adjust)
