"""ttrpc: requests and responses over a byte stream, for either role.

It knows messages, stream ids, statuses and which methods a service has; neither sockets nor time. Source:
containerd/ttrpc, PROTOCOL.md, channel.go, server.go, client.go.

A message is a 10-byte header, big endian - u32 length of the data, u32 stream id, u8 type, u8 flags - and the data. NRI
never uses streaming (type Data); it is not supported.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError, Message

from nri_netdev.errors import LocalProtocolError, PeerError, ProtocolError, RemoteError
from nri_netdev.proto import ttrpc_pb2
from nri_netdev.wire.fields import take

HEADER: Final = struct.Struct(">IIBB")

MAX_DATA_BYTES: Final = 4 << 20
"""The most data of a message (ttrpc channel.go); a receiver discards longer ones."""
MAX_OPEN_REQUESTS: Final = 256
"""The most requests that may wait for our answers: as many frames as Go's multiplexer queues."""
MAX_STATUS_TEXT: Final = 32 << 10
"""Characters to which a status text is cut: enough for a person, far below every limit on its way."""
_MAX_NAME = 256
_LONG_BYTES = 1 << 16
"""Size from which a request's payload is not decoded but viewed: a decoder would copy it twice."""
_MAX_STREAM_ID = (1 << 32) - 1


class MessageType(IntEnum):
    """What a ttrpc message is."""

    REQUEST = 1
    RESPONSE = 2
    DATA = 3


class Code(IntEnum):
    """gRPC's status codes, as far as this package gives them meaning."""

    UNKNOWN = 2
    """What a plain Go error becomes."""
    INVALID_ARGUMENT = 3
    RESOURCE_EXHAUSTED = 8
    """Too long, or too many at once."""
    UNIMPLEMENTED = 12
    """No such service or method."""
    INTERNAL = 13
    """A payload that cannot be decoded."""
    UNAUTHENTICATED = 16
    """The highest there is."""


class WholeMessage(NamedTuple):
    """One whole message.

    Attributes:
        stream_id: u32.
        type: u8, a `MessageType` or unknown.
        data: without the header; a view that is valid until the decoder yields the next.
    """

    stream_id: int
    type: int
    data: memoryview


class Oversized(NamedTuple):
    """A message that announced more than `MAX_DATA_BYTES`; its data is discarded."""

    stream_id: int
    type: int
    length: int


class MessageDecoder:
    """Cuts a byte stream, however it arrives, into messages; holds back one incomplete message at most."""

    __slots__ = ("_buffer", "_filled", "_skip")

    def __init__(self) -> None:
        self._buffer = bytearray(HEADER.size)
        self._filled = 0
        self._skip = 0

    @property
    def is_partial(self) -> bool:
        """Whether the bytes so far end inside a message."""
        return bool(self._filled or self._skip)

    @property
    def buffered_bytes(self) -> int:
        """How much is held back: never more than `MAX_DATA_BYTES` and a header."""
        return self._filled

    def feed(self, chunk: memoryview) -> Iterator[WholeMessage | Oversized]:
        """Yield messages as they become complete, in order, and those that are too long as soon as that is known.

        Must be exhausted before it is called again.
        """
        at = 0
        end = len(chunk)
        while at < end:
            if self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
            elif self._filled or end - at < HEADER.size:
                at = self._refill(chunk, at)
                if self._filled >= HEADER.size:
                    length, stream_id, kind, _ = HEADER.unpack_from(self._buffer)
                    if length > MAX_DATA_BYTES:
                        self._filled = 0
                        self._skip = length
                        yield Oversized(stream_id, kind, length)
                    elif self._filled == HEADER.size + length:
                        whole, self._buffer, self._filled = self._buffer, bytearray(HEADER.size), 0
                        yield WholeMessage(stream_id, kind, memoryview(whole)[HEADER.size :])
            else:
                length, stream_id, kind, _ = HEADER.unpack_from(chunk, at)
                stop = at + HEADER.size + length
                if length > MAX_DATA_BYTES:
                    at += HEADER.size
                    self._skip = length
                    yield Oversized(stream_id, kind, length)
                elif stop <= end:
                    data = chunk[at + HEADER.size : stop]
                    at = stop
                    yield WholeMessage(stream_id, kind, data)
                else:
                    at = self._refill(chunk, at)

    def _refill(self, chunk: memoryview, at: int) -> int:
        """Add to an incomplete message its bytes: of the header, or once that is whole of the data.

        It allocates the data once: a buffer that grows exists twice while it moves.
        """
        size = HEADER.size
        if self._filled >= size:
            length: int = HEADER.unpack_from(self._buffer)[0]
            size += length
            if len(self._buffer) < size:
                header, self._buffer = self._buffer, bytearray(size)
                self._buffer[: HEADER.size] = header
        stop = min(at + size - self._filled, len(chunk))
        filled = self._filled + stop - at
        self._buffer[self._filled : filled] = chunk[at:stop]
        self._filled = filled
        return stop


def encode(stream_id: int, kind: MessageType, data: bytes) -> bytes:
    """The bytes of one message."""
    return HEADER.pack(len(data), stream_id, kind, 0) + data


def encode_status(stream_id: int, code: int, text: str) -> bytes:
    """The bytes of an error response; lone surrogates in the text become "?", and a long text is cut."""
    readable = text[:MAX_STATUS_TEXT].encode("utf-8", "replace").decode()
    response = ttrpc_pb2.Response(status=ttrpc_pb2.Status(code=code, message=readable))
    return encode(stream_id, MessageType.RESPONSE, response.SerializeToString())


class Call(NamedTuple):
    """A request of the peer that waits for our answer.

    Attributes:
        stream_id: of the request and its answer.
        method: one of the service's.
        message: the payload, decoded.
        timeout_nano: nanoseconds that the peer waits, counted from when it sent; 0 is without limit.
        size: bytes of the payload.
    """

    stream_id: int
    method: str
    message: Any
    timeout_nano: int
    size: int


class Server:
    """The half of a connection that serves: requests of one service in, answers out, one for each.

    Args:
        service: full name of the service.
        decoders: the decoder of each method's payload, which raises `DecodeError`. The payload is bytes, or a view that
            is valid until the decoder of messages yields the next.
    """

    __slots__ = ("_decoders", "_last_id", "_open", "_service")

    def __init__(self, service: str, decoders: Mapping[str, Callable[[bytes | memoryview], Any]]) -> None:
        self._service = service
        self._decoders = decoders
        self._last_id = 0
        self._open: set[int] = set()

    @property
    def open_requests(self) -> frozenset[int]:
        """Stream ids that wait for an answer; at most `MAX_OPEN_REQUESTS`."""
        return frozenset(self._open)

    def receive(self, message: WholeMessage | Oversized) -> Call | bytes:
        """Take a message; returns a call to answer, or bytes to send at once, empty if the message is to be ignored."""
        stream_id = message.stream_id
        if message.type != MessageType.REQUEST:
            return b""
        if not self.is_next(stream_id):
            text = f"stream id {stream_id} is even or not above the last, {self._last_id}"
            return encode_status(stream_id, Code.INVALID_ARGUMENT, text)
        self._last_id = stream_id
        if isinstance(message, Oversized):
            text = f"message of {message.length} bytes exceeds the maximum of {MAX_DATA_BYTES}"
            return encode_status(stream_id, Code.RESOURCE_EXHAUSTED, text)
        try:
            return self._open_call(message)
        except DecodeError as error:
            return encode_status(stream_id, Code.INTERNAL, f"cannot decode the request: {error}")

    def is_next(self, stream_id: int) -> bool:
        """Whether a request may have this id."""
        return bool(stream_id & 1) and stream_id > self._last_id

    def open(self, stream_id: int) -> None:
        """Note a request that somebody else has read, and that waits for its answer; `is_next` must hold."""
        self._last_id = stream_id
        self._open.add(stream_id)

    def _open_call(self, message: WholeMessage) -> Call | bytes:
        """Decode a request, and note that it waits for its answer.

        Raises:
            DecodeError: The message or its payload is not protobuf of its type.
        """
        stream_id = message.stream_id
        service, method, payload, timeout_nano = _read_request(message.data)
        decode = self._decoders.get(method)
        if service != self._service:
            return encode_status(stream_id, Code.UNIMPLEMENTED, f"service {service[:_MAX_NAME]}")
        if decode is None:
            return encode_status(stream_id, Code.UNIMPLEMENTED, f"method {method[:_MAX_NAME]}")
        if len(self._open) >= MAX_OPEN_REQUESTS:
            text = f"{MAX_OPEN_REQUESTS} requests are waiting already"
            return encode_status(stream_id, Code.RESOURCE_EXHAUSTED, text)
        call = Call(stream_id, method, decode(payload), timeout_nano, len(payload))
        self._open.add(stream_id)
        return call

    def close(self, stream_id: int) -> None:
        """Note that a call has its answer.

        Raises:
            LocalProtocolError: It is answered already, or never was.
        """
        try:
            self._open.remove(stream_id)
        except KeyError:
            raise LocalProtocolError(f"no request waits on stream {stream_id}; each is answered once") from None

    def reply(self, stream_id: int, payload: bytes) -> bytes:
        """Answer a call. A payload too long for a message becomes the status RESOURCE_EXHAUSTED.

        Raises:
            LocalProtocolError: It is answered already, or never was.
        """
        self.close(stream_id)
        if not payload:
            return encode(stream_id, MessageType.RESPONSE, b"")
        data = ttrpc_pb2.Response(payload=payload).SerializeToString()
        if len(data) > MAX_DATA_BYTES:
            text = f"the answer of {len(data)} bytes exceeds the maximum of {MAX_DATA_BYTES}"
            return encode_status(stream_id, Code.RESOURCE_EXHAUSTED, text)
        return encode(stream_id, MessageType.RESPONSE, data)

    def refuse(self, stream_id: int, text: str, code: int = Code.UNKNOWN) -> bytes:
        """Answer a call with an error.

        Args:
            stream_id: of the call.
            text: for a person.
            code: gRPC's, 1 to 16.

        Raises:
            LocalProtocolError: It is answered already or never was, or the code is not one of an error.
        """
        if not 0 < code <= Code.UNAUTHENTICATED:
            raise LocalProtocolError(f"{code} is not the code of an error")
        self.close(stream_id)
        return encode_status(stream_id, code, text)


def decoders(messages: Mapping[str, type[Message]]) -> dict[str, Callable[[bytes | memoryview], Any]]:
    """Decoders for methods whose payload is a protobuf message."""
    return {method: message.FromString for method, message in messages.items()}  # type: ignore[misc] # a view will do


def _read_request(data: memoryview) -> tuple[str, str, bytes | memoryview, int]:
    """Service, method, payload and timeout of a request.

    Raises:
        DecodeError: It is not protobuf of that type.
    """
    if len(data) < _LONG_BYTES:
        request = ttrpc_pb2.Request.FromString(data)  # type: ignore[arg-type] # a view will do
        payload: bytes | memoryview = request.payload
    else:
        number = ttrpc_pb2.Request.PAYLOAD_FIELD_NUMBER
        left, taken = take(data, [number])
        request = ttrpc_pb2.Request.FromString(left)
        payload = taken[number][-1] if taken[number] else b""
    return request.service, request.method, payload, request.timeout_nano


class CallResult(NamedTuple):
    """The result of a call of ours: a payload or an error."""

    stream_id: int
    payload: bytes
    error: PeerError | None


class Client:
    """The half of a connection that calls: requests out, answers in. Its user keeps the deadlines.

    Args:
        service: full name of the peer's service.
    """

    __slots__ = ("_next_id", "_open", "_service")

    def __init__(self, service: str) -> None:
        self._service = service
        self._next_id = 1
        self._open: set[int] = set()

    @property
    def open_calls(self) -> frozenset[int]:
        """Stream ids that wait for the peer."""
        return frozenset(self._open)

    def call(self, method: str, payload: bytes, timeout_nano: int = 0) -> tuple[int, bytes]:
        """Begin a call; returns its stream id and the bytes to send.

        Args:
            method: of the service.
            payload: the encoded message.
            timeout_nano: nanoseconds that we shall wait, which the peer learns; 0 is without limit.

        Raises:
            LocalProtocolError: It is too long for a message, or every stream id is used up.
        """
        request = ttrpc_pb2.Request(service=self._service, method=method, payload=payload, timeout_nano=timeout_nano)
        data = request.SerializeToString()
        if len(data) > MAX_DATA_BYTES:
            raise LocalProtocolError(
                f"the {method} request of {len(data)} bytes exceeds the maximum of {MAX_DATA_BYTES}"
            )
        if self._next_id > _MAX_STREAM_ID:
            raise LocalProtocolError("every stream id of this connection is used up")
        stream_id = self._next_id
        self._next_id += 2
        self._open.add(stream_id)
        return stream_id, encode(stream_id, MessageType.REQUEST, data)

    def expire(self, stream_id: int) -> bool:
        """Give a call up, so that its answer is ignored; returns whether it was still waiting."""
        if stream_id not in self._open:
            return False
        self._open.remove(stream_id)
        return True

    def receive(self, message: WholeMessage | Oversized) -> CallResult | None:
        """Take a message; returns the result of a call that waits, or None if the message is to be ignored."""
        stream_id = message.stream_id
        if message.type not in {MessageType.RESPONSE, MessageType.DATA} or not self.expire(stream_id):
            return None
        if isinstance(message, Oversized):
            text = f"the answer of {message.length} bytes exceeds the maximum of {MAX_DATA_BYTES}"
            return CallResult(stream_id, b"", RemoteError(code=Code.RESOURCE_EXHAUSTED, message=text))
        if message.type == MessageType.DATA:
            return CallResult(stream_id, b"", ProtocolError("the answer is a stream, which NRI never uses"))
        try:
            response = ttrpc_pb2.Response.FromString(message.data)  # type: ignore[arg-type] # a view will do
        except DecodeError as error:
            return CallResult(stream_id, b"", ProtocolError(f"cannot decode the answer: {error}"))
        if response.HasField("status") and response.status.code != 0:
            status = response.status
            return CallResult(stream_id, b"", RemoteError(code=status.code, message=status.message))
        return CallResult(stream_id, response.payload, None)
