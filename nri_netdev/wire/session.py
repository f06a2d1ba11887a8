"""The plugin's side of NRI on one connection: bytes in, events out; answers in, bytes out.

It does no I/O and reads no clock. Its user sends what `start`, `reply`, `refuse`, `configure` and `call`
return; feeds what it receives to `receive_data`, acts on the events, and then sends what `data_to_send`
gives: the answers that need no decision. A peer that breaks the protocol never makes a method raise; it ends
in the event `Closed`, after which the session stays dead: it ignores what comes and has nothing to send.

What may happen when is in `nri_netdev.wire.states` and nowhere else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError, Message

from nri_netdev.errors import LocalProtocolError, PeerError, ProtocolError
from nri_netdev.proto import nri_pb2
from nri_netdev.wire import methods, ttrpc
from nri_netdev.wire.events import (
    CallCompleted,
    Closed,
    Configured,
    Event,
    Pending,
    Refused,
    Registered,
    Request,
    ShutdownRequested,
    Synchronized,
)
from nri_netdev.wire.fields import take
from nri_netdev.wire.methods import Kind, event_mask
from nri_netdev.wire.mux import PLUGIN_CONN_ID, RUNTIME_CONN_ID, FrameDecoder, frame
from nri_netdev.wire.peek import Glimpse, expected, glance
from nri_netdev.wire.states import OURS, TRANSITIONS, Input, State
from nri_netdev.wire.versions import FIRST_WITH_VALIDATION, Release, nri_release

__all__ = [
    "TRANSITIONS",
    "CallCompleted",
    "Closed",
    "Configured",
    "Event",
    "Input",
    "Kind",
    "Pending",
    "PluginSession",
    "Refused",
    "Registered",
    "Request",
    "ShutdownRequested",
    "State",
    "Synchronized",
    "event_mask",
]

MAX_SYNC_BYTES: Final = 256 << 20
"""The most that all parts of a Synchronize may hold: some 25 times what 3000 pods of one container take."""
MAX_SYNC_OBJECTS: Final = 200_000
"""The most pods and containers in a Synchronize: a node that Kubernetes supports runs hundreds."""

_EMPTY_ANSWER = struct.Struct(">IIIIBB")
"""A frame whose ttrpc message is a response without data: the answer to nearly everything."""


class _Part(NamedTuple):
    """A part of Synchronize, its pods and containers not yet decoded."""

    pods: list[memoryview]
    containers: list[memoryview]
    more: bool

    @classmethod
    def decode(cls, payload: bytes | memoryview) -> _Part:
        """Take a SynchronizeRequest apart.

        Raises:
            DecodeError: It is none.
        """
        request = nri_pb2.SynchronizeRequest
        pods, containers = request.PODS_FIELD_NUMBER, request.CONTAINERS_FIELD_NUMBER
        left, told = take(memoryview(payload), [pods, containers])
        return cls(pods=told[pods], containers=told[containers], more=request.FromString(left).more)


def _always(method: str, encoded: bytes | memoryview) -> bool:
    del method, encoded
    return True


class PluginSession:
    """The plugin's side of one connection to an engine.

    Args:
        name: of the plugin: letters, digits, `_.+-`.
        idx: two digits; of several plugins the lower is called first.
        nri_version: the release of NRI that we say we speak.
        events: mask of what to subscribe to. Configure is then answered with it, less the events that the
            engine does not know. None leaves the answer to `configure`.
        fail_request: whether the engine shall fail what we leave unanswered, instead of going on without us.
            Engines before NRI 0.12.4 go on all the same.
        concerns: asked of each event's rpc and encoded request, once it serves; False has the event answered with an
            empty response, without being decoded or told. Most events of a node concern nobody.
        keep_pod: what to keep, for `Synchronized`, of each encoded pod that Synchronize tells; None is left out. A
            large node's pods and containers come in many parts, and whole they take some 80 MiB. Its argument is
            valid during the call; a `DecodeError` that it raises breaks the protocol.
        keep_container: the same, of each container.

    Raises:
        LocalProtocolError: The name or index is not valid, or the mask holds unknown events, or only events
            that some engines do not know.
    """

    def __init__(
        self,
        name: str,
        idx: str,
        *,
        nri_version: str = "v0.12.0",
        events: int | None = None,
        fail_request: bool = False,
        concerns: Callable[[str, bytes | memoryview], bool] = _always,
        keep_pod: Callable[[memoryview], Any] = nri_pb2.PodSandbox.FromString,  # type: ignore[assignment] # a view will do
        keep_container: Callable[[memoryview], Any] = nri_pb2.Container.FromString,  # type: ignore[assignment]
    ) -> None:
        if not name or not all(c.isascii() and (c.isalnum() or c in "_.+-") for c in name):
            raise LocalProtocolError(f"{name!r} is no name for a plugin: letters, digits and _.+- only")
        if len(idx) != 2 or not (idx.isascii() and idx.isdigit()):
            raise LocalProtocolError(f"{idx!r} is no index for a plugin: two digits, as in 10")
        if events is not None and (events & ~methods.EVENTS_SINCE_0_10 or not events & methods.EVENTS_BEFORE_0_10):
            raise LocalProtocolError(f"{events:#x} is no mask of events that would do with every engine")
        self._registration = nri_pb2.RegisterPluginRequest(plugin_name=name, plugin_idx=idx, NRI_version=nri_version)
        self._events = events
        self._policy = nri_pb2.FailurePolicy(fail_request=True) if fail_request else None
        self._state = State.NEW
        self._frames = FrameDecoder((PLUGIN_CONN_ID, RUNTIME_CONN_ID))
        self._requests = ttrpc.MessageDecoder()
        self._answers = ttrpc.MessageDecoder()
        self._server = ttrpc.Server(methods.PLUGIN_SERVICE, self._decoders())
        self._client = ttrpc.Client(methods.RUNTIME_SERVICE)
        self._registration_id = 0
        self._release: Release | None = None
        self._out: list[bytes] = []
        self._concerns = concerns
        self._keep_pod = keep_pod
        self._keep_container = keep_container
        self._pods: list[Any] = []
        self._containers: list[Any] = []
        self._sync_bytes = 0
        self._pods_told = self._containers_told = 0

    @property
    def state(self) -> State:
        """Where the connection is on its way."""
        return self._state

    @property
    def is_dead(self) -> bool:
        """Whether `Closed` was told: nothing more is received or sent."""
        return self._state in {State.CLOSED, State.BROKEN}

    # -- what we say -----------------------------------------------------------------------------------------

    def start(self) -> bytes:
        """Begin: the request to register. To be sent first of all.

        Raises:
            LocalProtocolError: It was begun before.
        """
        self._advance(Input.START)
        payload = self._registration.SerializeToString()
        self._registration_id, message = self._client.call(methods.REGISTER_PLUGIN, payload)
        return frame(RUNTIME_CONN_ID, message)

    def configure(self, request: Pending, events: int) -> bytes:
        """Answer Configure with a mask of events; only where none was given at construction.

        Returns:
            What to send; nothing if the session is dead.

        Raises:
            LocalProtocolError: The engine does not know all these events, or there are none, or Configure
                does not wait for an answer.
        """
        if self.is_dead:
            return b""
        if events <= 0 or events & ~self._known_events():
            raise LocalProtocolError(f"mask {events:#x} is empty or holds events that this engine does not know")
        self._advance(Input.MASK)
        return self._encode_reply(
            request.stream_id, nri_pb2.ConfigureResponse(events=events, failure_policy=self._policy)
        )

    def reply(self, request: Pending, message: Message | None) -> bytes:
        """Answer an event or Synchronize.

        Args:
            request: what is answered.
            message: the response that belongs to the request's kind; None is an empty one: nothing to adjust.

        Returns:
            What to send; nothing if the session is dead. An answer over 4 MiB turns into an error.

        Raises:
            LocalProtocolError: It is answered already, or the message is not what it takes.
        """
        if self._state is State.BROKEN or self._state is State.CLOSED:
            return b""
        if message is not None:
            self._check(request, message)
            return self._encode_reply(request.stream_id, message)
        return self._empty_answer(request.stream_id)

    def refuse(self, request: Pending, text: str, code: int = ttrpc.Code.UNKNOWN) -> bytes:
        """Answer with an error: the engine fails what it was about to do, and tells the text.

        Args:
            request: what is answered.
            text: for a person; cut at `ttrpc.MAX_STATUS_TEXT`.
            code: gRPC's, 1 to 16 but for 12, which says that we lack the method and is believed for ever
                after.

        Returns:
            What to send; nothing if the session is dead.

        Raises:
            LocalProtocolError: It is answered already, or the code is not one of these.
        """
        if self.is_dead:
            return b""
        if code == ttrpc.Code.UNIMPLEMENTED:
            raise LocalProtocolError("status 12 says that a method does not exist; refuse with another")
        return frame(PLUGIN_CONN_ID, self._server.refuse(request.stream_id, text, code))

    def call(self, method: str, message: Message, timeout_ns: int = 0) -> tuple[int, bytes]:
        """Call the engine; `CallCompleted` tells what came of it, unless `expire` comes first.

        Args:
            method: "UpdateContainers". Engines up to NRI 0.12.0 can deadlock over it.
            message: its request.
            timeout_ns: nanoseconds that we shall wait, told to the engine; 0 is without limit.

        Returns:
            The id of the call and what to send.

        Raises:
            LocalProtocolError: Not that method or message, too long, or the engine is not ready for it.
        """
        if method == methods.REGISTER_PLUGIN or type(message) is not methods.RUNTIME_REQUESTS.get(method):
            raise LocalProtocolError(f"{method}({type(message).__name__}) is no call to an engine")
        self._advance(Input.CALL)
        call_id, data = self._client.call(method, message.SerializeToString(), timeout_ns)
        return call_id, frame(RUNTIME_CONN_ID, data)

    def expire(self, call_id: int) -> None:
        """Give a call up: its answer, should it come, is ignored. Without effect if it is over."""
        self._client.expire(call_id)

    def data_to_send(self) -> bytes:
        """The answers that needed no decision; to be sent after each `receive_data`. Empty if there are none.

        It never grows beyond a small multiple of what was received since it was last asked.
        """
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # -- at a glance -----------------------------------------------------------------------------------------

    def glance(self, data: memoryview) -> Glimpse | None:
        """Look at bytes from the socket: if they are one whole event, as which, else None. Changes nothing.

        What is not then answered by `answer` must be given to `receive_data`.
        """
        if not self._is_between_messages():
            return None
        seen = glance(data)
        is_event = seen is not None and seen.method in methods.EVENTS and self._server.is_next(seen.stream_id)
        return seen if is_event else None

    def expected(self, data: memoryview) -> int:
        """How many bytes will have come at least before a glance at them tells anything; 0 if it never will."""
        return expected(data) if self._is_between_messages() else 0

    def _is_between_messages(self) -> bool:
        return self._state is State.SERVING and not self._frames.is_partial and not self._requests.is_partial

    def answer(self, seen: Glimpse, payload: bytes) -> bytes:
        """Answer what a glance has told.

        Args:
            seen: what `glance` gave last.
            payload: the encoded response that belongs to the method; empty for nothing to adjust.

        Returns:
            What to send.
        """
        self._server.open(seen.stream_id)
        if payload:
            return frame(PLUGIN_CONN_ID, self._server.reply(seen.stream_id, payload))
        return self._empty_answer(seen.stream_id)

    # -- what we hear ----------------------------------------------------------------------------------------

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes from the socket, cut anyhow; returns what happened, in order."""
        events: list[Event] = []
        if self._state is State.BROKEN or self._state is State.CLOSED:
            return events
        try:
            for conn_id, chunk in self._frames.feed(data):
                if conn_id == PLUGIN_CONN_ID:
                    for message in self._requests.feed(chunk):
                        call = self._server.receive(message)
                        if isinstance(call, ttrpc.Call):
                            self._on_call(call, events)
                        elif call:
                            self._out.append(frame(PLUGIN_CONN_ID, call))
                else:
                    for message in self._answers.feed(chunk):
                        answer = self._client.receive(message)
                        if answer is not None:
                            self._on_answer(answer, events)
        except ProtocolError as error:
            self._end(Input.BREACH)
            events.append(Closed(error=error))
        return events

    def receive_eof(self) -> list[Event]:
        """Take the end of the connection; returns what happened, nothing if the session is dead already."""
        if self.is_dead:
            return []
        error = None
        if self._frames.is_partial or self._requests.is_partial or self._answers.is_partial:
            error = ProtocolError("the connection ended in the middle of a message")
        self._end(Input.EOF)
        return [Closed(error=error)]

    # -- within ----------------------------------------------------------------------------------------------

    def _advance(self, what: Input) -> None:
        after = TRANSITIONS.get((self._state, what))
        if after is not None:
            self._state = after
        elif what in OURS:
            raise LocalProtocolError(f"{what.value} is not allowed while the session is {self._state}")
        else:
            raise ProtocolError(f"the engine sent {what.value} while the session was {self._state}")

    def _end(self, what: Input) -> None:
        self._advance(what)
        self._out.clear()
        self._forget_sync()

    def _decoders(self) -> dict[str, Callable[[bytes | memoryview], Any]]:
        """What reads the request of each rpc."""
        return {
            **{method: partial(self._decode_event, method, kind) for method, kind in methods.PLUGIN_REQUESTS.items()},
            **ttrpc.decoders({methods.CONFIGURE: nri_pb2.ConfigureRequest, methods.SHUTDOWN: nri_pb2.Empty}),
            methods.SYNCHRONIZE: _Part.decode,
        }

    def _decode_event(self, method: str, request: type[Message], payload: bytes | memoryview) -> Message | None:
        """The request of an event; None if it concerns nobody."""
        if self._state is State.SERVING and not self._concerns(method, payload):
            return None
        return request.FromString(payload)  # type: ignore[arg-type] # a view will do

    def _on_call(self, call: ttrpc.Call, events: list[Event]) -> None:
        message = call.message
        if message is None:
            self._out.append(self._empty_answer(call.stream_id))
            return
        hook = methods.HOOKS_BY_METHOD.get(call.method)
        if hook is not None:
            self._on_hook(hook, call, events)
        elif isinstance(message, nri_pb2.StateChangeEvent):
            hook = methods.STATE_CHANGES.get(message.event)
            if hook is None:  # an event of the future, or one that has an rpc: not to be acted on, nor a reason to fail
                self._out.append(self._encode_reply(call.stream_id, nri_pb2.Empty()))
            else:
                self._on_hook(hook, call, events)
        elif isinstance(message, _Part):
            self._on_synchronize(call, message, events)
        elif isinstance(message, nri_pb2.ConfigureRequest):
            self._on_configure(call, message, events)
        else:
            self._advance(Input.SHUTDOWN)
            self._out.append(self._encode_reply(call.stream_id, nri_pb2.Empty()))
            events.append(ShutdownRequested())

    def _on_hook(self, hook: methods.Hook, call: ttrpc.Call, events: list[Event]) -> None:
        self._advance(Input.HOOK)
        # Typed as one of the requests that has both fields; pod events alone lack the second.
        message: nri_pb2.CreateContainerRequest = call.message
        events.append(
            Request(
                stream_id=call.stream_id,
                method=call.method,
                timeout_nano=call.timeout_nano,
                message=message,
                kind=hook.kind,
                pod=message.pod,
                container=message.container if hook.has_container else nri_pb2.Container(),
            )
        )

    def _on_configure(self, call: ttrpc.Call, message: nri_pb2.ConfigureRequest, events: list[Event]) -> None:
        self._advance(Input.CONFIGURE)
        self._release = nri_release(
            nri_version=message.NRI_version,
            runtime_name=message.runtime_name,
            runtime_version=message.runtime_version,
        )
        request = _pending(call)
        mask = 0
        if self._events is not None:
            mask = self._events & self._known_events()
            self._out.append(self.configure(request, mask))
        events.append(
            Configured(
                config=message.config,
                runtime_name=message.runtime_name,
                runtime_version=message.runtime_version,
                registration_timeout_ms=message.registration_timeout,
                request_timeout_ms=message.request_timeout,
                nri_version=message.NRI_version,
                nri_release=self._release,
                events=mask,
                request=request,
            )
        )

    def _known_events(self) -> int:
        if self._release is not None and self._release >= FIRST_WITH_VALIDATION:
            return methods.EVENTS_SINCE_0_10
        return methods.EVENTS_BEFORE_0_10

    def _on_synchronize(self, call: ttrpc.Call, part: _Part, events: list[Event]) -> None:
        self._advance(Input.SYNC_PART if part.more else Input.SYNC_LAST)
        self._sync_bytes += call.size
        self._pods_told += len(part.pods)
        self._containers_told += len(part.containers)
        count = self._pods_told + self._containers_told
        if self._sync_bytes > MAX_SYNC_BYTES or count > MAX_SYNC_OBJECTS:
            raise ProtocolError(
                f"the engine synchronizes {count} pods and containers in {self._sync_bytes} bytes, more "
                f"than the {MAX_SYNC_OBJECTS} in {MAX_SYNC_BYTES} that we hold"
            )
        try:
            self._pods.extend(kept for kept in map(self._keep_pod, part.pods) if kept is not None)
            self._containers.extend(kept for kept in map(self._keep_container, part.containers) if kept is not None)
        except DecodeError as error:
            raise ProtocolError(
                f"the engine synchronizes a pod or container that cannot be decoded: {error}"
            ) from error
        if part.more:
            # Updates here, or no `more`, would make the engine drop us.
            self._out.append(self._encode_reply(call.stream_id, nri_pb2.SynchronizeResponse(more=True)))
            return
        events.append(
            Synchronized(
                pods=tuple(self._pods),
                containers=tuple(self._containers),
                pods_told=self._pods_told,
                containers_told=self._containers_told,
                request=_pending(call._replace(message=nri_pb2.SynchronizeRequest())),  # what it told is here
            )
        )
        self._forget_sync()

    def _forget_sync(self) -> None:
        self._pods = []
        self._containers = []
        self._sync_bytes = 0
        self._pods_told = self._containers_told = 0

    def _on_answer(self, answer: ttrpc.Answer, events: list[Event]) -> None:
        if answer.stream_id == self._registration_id:
            self._advance(Input.REFUSED if answer.error else Input.REGISTERED)
            events.append(Refused(error=answer.error) if answer.error else Registered())
            return
        message: Message | None = None
        error: PeerError | None = answer.error
        if error is None:
            try:
                message = nri_pb2.UpdateContainersResponse.FromString(answer.payload)
            except DecodeError as failure:
                error = ProtocolError(f"cannot decode the answer to {methods.UPDATE_CONTAINERS}: {failure}")
        events.append(CallCompleted(call_id=answer.stream_id, message=message, error=error))

    def _check(self, request: Pending, message: Message) -> None:
        """See that a response is the one that belongs to a request.

        Raises:
            LocalProtocolError: It is not.
        """
        if isinstance(request, Request):
            expected = methods.HOOKS[request.kind].response
        else:
            expected = methods.PLUGIN_RESPONSES[request.method]
        if type(message) is not expected:
            raise LocalProtocolError(f"{type(message).__name__} does not answer {request.method}")
        if isinstance(message, nri_pb2.SynchronizeResponse) and message.more:
            raise LocalProtocolError("the last part of Synchronize is answered without `more`")

    def _empty_answer(self, stream_id: int) -> bytes:
        self._server.close(stream_id)
        return _EMPTY_ANSWER.pack(PLUGIN_CONN_ID, ttrpc.HEADER.size, 0, stream_id, ttrpc.MessageType.RESPONSE, 0)

    def _encode_reply(self, stream_id: int, message: Message) -> bytes:
        return frame(PLUGIN_CONN_ID, self._server.reply(stream_id, message.SerializeToString()))


def _pending(call: ttrpc.Call) -> Pending:
    return Pending(stream_id=call.stream_id, method=call.method, timeout_nano=call.timeout_nano, message=call.message)
