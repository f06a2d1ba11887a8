"""The plugin's side of NRI on one connection: bytes in, events out; answers in, bytes out.

It does no I/O and reads no clock. Its user sends what `start`, `reply`, `refuse`, `configure` and `call` return; feeds
what it receives to `receive_data`, acts on the events, and then sends what `data_to_send` returns: the answers that
need no decision. A peer that breaks the protocol never makes a method raise. It ends in the event `Closed`, after which
the session stays dead: it ignores what comes and has nothing to send.

What may happen when is in `nri_netdev.wire.states` and nowhere else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any

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
from nri_netdev.wire.filters import Filter, KeepAll
from nri_netdev.wire.identity import why_invalid_index, why_invalid_name
from nri_netdev.wire.methods import EventKind, event_mask
from nri_netdev.wire.mux import PLUGIN_CONN_ID, RUNTIME_CONN_ID, frame
from nri_netdev.wire.peek import Peek, expected_bytes, peek
from nri_netdev.wire.states import OURS, TRANSITIONS, Input, SessionState
from nri_netdev.wire.synchronize import MAX_SYNC_BYTES, MAX_SYNC_OBJECTS, Collection, Part
from nri_netdev.wire.trunk import Trunk
from nri_netdev.wire.versions import FIRST_WITH_VALIDATION, Release, nri_release

__all__ = [
    "MAX_SYNC_BYTES",
    "MAX_SYNC_OBJECTS",
    "TRANSITIONS",
    "CallCompleted",
    "Closed",
    "Configured",
    "Event",
    "EventKind",
    "Filter",
    "Input",
    "KeepAll",
    "Peek",
    "Pending",
    "PluginSession",
    "Refused",
    "Registered",
    "Request",
    "SessionState",
    "ShutdownRequested",
    "Synchronized",
    "event_mask",
]

_EMPTY_ANSWER = struct.Struct(">IIIIBB")
"""A frame whose ttrpc message is a response without data: the answer to nearly everything."""


class PluginSession(Trunk[Event]):
    """The plugin's side of one connection to an engine.

    Args:
        name: of the plugin: letters, digits, `_.+-`.
        idx: two digits; of several plugins the lower is called first.
        nri_version: the release of NRI that we say we speak.
        events: mask of events to subscribe to. The session answers Configure with it, less the events that the engine
            does not know. None leaves the answer to `configure`.
        fail_request: whether the engine shall fail what we leave unanswered, instead of going on without us.
            Engines before NRI 0.12.4 go on all the same.
        keep: which events to decode and pass on, and what to keep of the pods and containers of Synchronize.

    Raises:
        LocalProtocolError: The name or index is not valid, or the mask holds unknown events, or only events
            that some engines do not know.
    """

    CUT_SHORT = "the connection ended in the middle of a message"

    def __init__(
        self,
        name: str,
        idx: str,
        *,
        nri_version: str = "v0.12.0",
        events: int | None = None,
        fail_request: bool = False,
        keep: Filter | None = None,
    ) -> None:
        if why_invalid_name(name):
            raise LocalProtocolError(f"{name!r} is no name for a plugin: letters, digits and _.+- only")
        if why_invalid_index(idx):
            raise LocalProtocolError(f"{idx!r} is no index for a plugin: two digits, as in 10")
        if events is not None and (events & ~methods.EVENTS_SINCE_0_10 or not events & methods.EVENTS_BEFORE_0_10):
            raise LocalProtocolError(f"{events:#x} is no mask of events that would do with every engine")
        super().__init__(
            server=ttrpc.Server(methods.PLUGIN_SERVICE, self._decoders()),
            server_conn_id=PLUGIN_CONN_ID,
            client=ttrpc.Client(methods.RUNTIME_SERVICE),
            client_conn_id=RUNTIME_CONN_ID,
        )
        self._registration = nri_pb2.RegisterPluginRequest(plugin_name=name, plugin_idx=idx, NRI_version=nri_version)
        self._registration_id = 0
        self._events = events
        self._policy = nri_pb2.FailurePolicy(fail_request=True) if fail_request else None
        self._state = SessionState.NEW
        self._release: Release | None = None
        self._keep = KeepAll() if keep is None else keep
        self._sync = Collection(self._keep)

    @property
    def state(self) -> SessionState:
        """Where the connection is on its way."""
        return self._state

    # -- calls and answers ---------------------------------------------------------------------------------------------

    def start(self) -> bytes:
        """Begin: the request to register. To be sent first of all.

        Raises:
            LocalProtocolError: It was begun before.
        """
        self._advance(Input.START)
        self._registration_id, data = self._encode_call(methods.REGISTER_PLUGIN, self._registration)
        return data

    def configure(self, request: Pending, events: int) -> bytes:
        """Answer Configure with a mask of events; only where none was given at construction.

        Returns:
            What to send; nothing if the session is dead.

        Raises:
            LocalProtocolError: The engine does not know all these events, or there are none, or Configure
                does not wait for an answer.
        """
        if self._is_dead:
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
            message: the response that belongs to the request; None is an empty one: nothing to adjust.

        Returns:
            What to send; nothing if the session is dead. An answer over 4 MiB turns into an error.

        Raises:
            LocalProtocolError: It is answered already, or the message is not what it takes.
        """
        if self._is_dead:
            return b""
        if message is not None:
            self._check(request, message)
            return self._encode_reply(request.stream_id, message)
        return self._empty_answer(request.stream_id)

    def refuse(self, request: Pending, text: str, code: int = ttrpc.Code.UNKNOWN) -> bytes:
        """Answer with an error: the engine fails what it was about to do, and passes the text on.

        Args:
            request: what is answered.
            text: for a person; cut at `ttrpc.MAX_STATUS_TEXT`.
            code: gRPC's, 1 to 16 but for 12: by that the engine concludes that we lack the method for good.

        Returns:
            What to send; nothing if the session is dead.

        Raises:
            LocalProtocolError: It is answered already, or the code is not one of these.
        """
        if self._is_dead:
            return b""
        if code == ttrpc.Code.UNIMPLEMENTED:
            raise LocalProtocolError("status 12 says that a method does not exist; refuse with another")
        return self._encode_refusal(request.stream_id, text, code)

    def call(self, method: str, message: Message, timeout_ns: int = 0) -> tuple[int, bytes]:
        """Call the engine; the event `CallCompleted` has the result, unless `expire` is called first.

        Args:
            method: "UpdateContainers". Engines up to NRI 0.12.0 can deadlock over it.
            message: its request.
            timeout_ns: nanoseconds that we shall wait, which the engine learns; 0 is without limit.

        Returns:
            The id of the call and what to send.

        Raises:
            LocalProtocolError: Not that method or message, too long, or the engine is not ready for it.
        """
        if method == methods.REGISTER_PLUGIN or type(message) is not methods.RUNTIME_REQUESTS.get(method):
            raise LocalProtocolError(f"{method}({type(message).__name__}) is no call to an engine")
        self._advance(Input.CALL)
        return self._encode_call(method, message, timeout_ns)

    def expire(self, call_id: int) -> None:
        """Give a call up: its answer, should it come, is ignored. Without effect if it is over."""
        self._client.expire(call_id)

    # -- without decoding ----------------------------------------------------------------------------------------------

    def peek(self, data: memoryview) -> Peek | None:
        """Recognise one whole event in bytes from the socket; None if they are anything else. Changes nothing.

        Bytes that are not then answered by `answer` must be given to `receive_data`.
        """
        if not self._is_between_messages():
            return None
        found = peek(data)
        is_event = found is not None and found.method in methods.EVENTS and self._server.is_next(found.stream_id)
        return found if is_event else None

    def expected_bytes(self, data: memoryview) -> int:
        """Size up to which more bytes are needed before `peek` can recognise these; 0 if it never will."""
        return expected_bytes(data) if self._is_between_messages() else 0

    def _is_between_messages(self) -> bool:
        return self._state is SessionState.SERVING and not self._frames.is_partial and not self._requests.is_partial

    def answer(self, event: Peek, payload: bytes) -> bytes:
        """Answer an event that `peek` recognised.

        Args:
            event: what `peek` returned last.
            payload: the encoded response that belongs to the method; empty for nothing to adjust.

        Returns:
            What to send.
        """
        self._server.open(event.stream_id)
        if payload:
            return frame(PLUGIN_CONN_ID, self._server.reply(event.stream_id, payload))
        return self._empty_answer(event.stream_id)

    # -- within --------------------------------------------------------------------------------------------------------

    def _advance(self, what: Input) -> None:
        after = TRANSITIONS.get((self._state, what))
        if after is not None:
            self._state = after
        elif what in OURS:
            raise LocalProtocolError(f"{what.value} is not allowed while the session is {self._state}")
        else:
            raise ProtocolError(f"the engine sent {what.value} while the session was {self._state}")

    def _end(self, *, is_breach: bool) -> None:
        super()._end(is_breach=is_breach)
        self._advance(Input.BREACH if is_breach else Input.EOF)
        self._sync = Collection(self._keep)

    def _decoders(self) -> dict[str, Callable[[bytes | memoryview], Any]]:
        """Decoders of the request of each rpc."""
        return {
            **{method: partial(self._decode_event, method, kind) for method, kind in methods.PLUGIN_REQUESTS.items()},
            **ttrpc.decoders({methods.CONFIGURE: nri_pb2.ConfigureRequest, methods.SHUTDOWN: nri_pb2.Empty}),
            methods.SYNCHRONIZE: Part.decode,
        }

    def _decode_event(self, method: str, request: type[Message], payload: bytes | memoryview) -> Message | None:
        """The request of an event; None if the filter does not want it."""
        if self._state is SessionState.SERVING and not self._keep.concerns(method, payload):
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
        elif isinstance(message, Part):
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

    def _on_synchronize(self, call: ttrpc.Call, part: Part, events: list[Event]) -> None:
        self._advance(Input.SYNC_PART if part.more else Input.SYNC_LAST)
        self._sync.add(part, call.size)
        if part.more:
            # Updates here, or no `more`, would make the engine drop us.
            self._out.append(self._encode_reply(call.stream_id, nri_pb2.SynchronizeResponse(more=True)))
            return
        # The event holds what the message held.
        events.append(self._sync.finish(_pending(call._replace(message=nri_pb2.SynchronizeRequest()))))
        self._sync = Collection(self._keep)

    def _on_result(self, result: ttrpc.CallResult, events: list[Event]) -> None:
        if result.stream_id == self._registration_id:
            self._advance(Input.REFUSED if result.error else Input.REGISTERED)
            events.append(Refused(error=result.error) if result.error else Registered())
            return
        message: Message | None = None
        error: PeerError | None = result.error
        if error is None:
            try:
                message = nri_pb2.UpdateContainersResponse.FromString(result.payload)
            except DecodeError as failure:
                error = ProtocolError(f"cannot decode the answer to {methods.UPDATE_CONTAINERS}: {failure}")
        events.append(CallCompleted(call_id=result.stream_id, message=message, error=error))

    def _check(self, request: Pending, message: Message) -> None:
        """Check that a response is the one that belongs to a request.

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


def _pending(call: ttrpc.Call) -> Pending:
    return Pending(stream_id=call.stream_id, method=call.method, timeout_nano=call.timeout_nano, message=call.message)
