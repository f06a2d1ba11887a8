"""ttrpc's two halves keep its rules with any peer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.errors import LocalProtocolError, ProtocolError, RemoteError
from nri_netdev.proto import nri_pb2, ttrpc_pb2
from nri_netdev.wire.ttrpc import (
    HEADER,
    MAX_DATA_BYTES,
    MAX_OPEN_REQUESTS,
    MAX_STATUS_TEXT,
    Call,
    Client,
    Code,
    MessageDecoder,
    MessageType,
    Oversized,
    Server,
    WholeMessage,
    decoders,
    encode,
)

from .helpers import cuts, only

SERVICE = "a.Service"


def decode(pieces: list[bytes]) -> tuple[list[tuple[int, int, bytes | int]], MessageDecoder]:
    """What comes out of a decoder, data as bytes, too long ones as their length; and the decoder."""
    decoder = MessageDecoder()
    found: list[tuple[int, int, bytes | int]] = []
    for piece in pieces:
        for message in decoder.feed(memoryview(piece)):
            body = bytes(message.data) if isinstance(message, WholeMessage) else message.length
            found.append((message.stream_id, message.type, body))
    return found, decoder


def one(data: bytes) -> WholeMessage | Oversized:
    """The one message in these bytes."""
    return only(list(MessageDecoder().feed(memoryview(data))))


def request(stream_id: int, *, service: str = SERVICE, method: str = "M", payload: bytes = b"") -> WholeMessage:
    """A request as a decoder gives it."""
    body = ttrpc_pb2.Request(service=service, method=method, payload=payload, timeout_nano=7)
    return WholeMessage(stream_id, MessageType.REQUEST, memoryview(body.SerializeToString()))


def answer(stream_id: int, **fields: object) -> WholeMessage:
    """A response as a decoder gives it."""
    body = ttrpc_pb2.Response(**fields)  # type: ignore[arg-type]
    return WholeMessage(stream_id, MessageType.RESPONSE, memoryview(body.SerializeToString()))


def server() -> Server:
    """The half that is called, with one method."""
    return Server(SERVICE, decoders({"M": nri_pb2.PodSandbox}))


def status(data: object, stream_id: int) -> tuple[int, str]:
    """Code and text of an answer that says no."""
    assert isinstance(data, bytes)
    message = one(data)
    assert isinstance(message, WholeMessage)
    assert (message.stream_id, message.type) == (stream_id, MessageType.RESPONSE)
    response = ttrpc_pb2.Response.FromString(bytes(message.data))
    assert response.payload == b""
    return response.status.code, response.status.message


# -- messages ------------------------------------------------------------------------------------------------


def test_known_bytes() -> None:
    """A message is length, stream id, type, flags and data, big endian."""
    assert encode(3, MessageType.RESPONSE, b"ab") == b"\0\0\0\x02\0\0\0\x03\x02\0ab"


def test_any_cut_gives_the_same_messages() -> None:
    """Messages whole, split at every byte and byte by byte, with a tail, give the same."""
    data = encode(1, MessageType.REQUEST, b"abc") + encode(3, MessageType.RESPONSE, b"")
    data += encode(5, MessageType.DATA, b"xyz") + encode(7, MessageType.REQUEST, b"tail")[:12]
    for pieces in cuts(data):
        found, decoder = decode(pieces)
        assert found == [(1, 1, b"abc"), (3, 2, b""), (5, 3, b"xyz")]
        assert decoder.is_partial


def test_longest_message_is_taken() -> None:
    """4 MiB of data are a message, however they arrive."""
    data = encode(1, MessageType.REQUEST, bytes(MAX_DATA_BYTES))
    for pieces in ([data], [data[:5], data[5:70_000], data[70_000:]]):
        found, decoder = decode(pieces)
        assert [(stream, len(body)) for stream, _, body in found if isinstance(body, bytes)] == [(1, MAX_DATA_BYTES)]
        assert not decoder.is_partial


@pytest.mark.parametrize("length", [MAX_DATA_BYTES + 1, 0xFFFFFFFF])
@pytest.mark.parametrize("split", [3, 10, 12])
def test_too_long_is_told_at_once_and_never_held(length: int, split: int) -> None:
    """A length beyond 4 MiB is told when announced; its data flows by without being kept."""
    header = HEADER.pack(length, 1, 1, 0) + b"data"
    decoder = MessageDecoder()
    found = [*decoder.feed(memoryview(header[:split])), *decoder.feed(memoryview(header[split:]))]
    assert found == [Oversized(1, 1, length)]
    list(decoder.feed(memoryview(bytes(1 << 20))))
    assert decoder.buffered_bytes == 0
    assert decoder.is_partial


def test_after_too_long_comes_the_next() -> None:
    """What follows an oversized message is read as usual, at any cut near the seam."""
    data = HEADER.pack(MAX_DATA_BYTES + 1, 1, 1, 0) + bytes(MAX_DATA_BYTES + 1)
    tail = encode(3, MessageType.REQUEST, b"next")
    for at in range(len(tail) + 1):
        found, decoder = decode([data + tail[:at], tail[at:]])
        assert found == [(1, 1, MAX_DATA_BYTES + 1), (3, 1, b"next")]
        assert not decoder.is_partial


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.sampled_from(MessageType), st.binary(max_size=40))),
    st.lists(st.integers(1, 60), max_size=20),
)
def test_decode_undoes_encode(messages: list[tuple[int, MessageType, bytes]], steps: list[int]) -> None:
    """What is encoded comes out, however it is cut."""
    data = b"".join(encode(*message) for message in messages)
    pieces = []
    for step in steps:
        pieces.append(data[:step])
        data = data[step:]
    found, decoder = decode([*pieces, data])
    assert found == messages
    assert not decoder.is_partial


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_give_messages_and_little_is_held(pieces: list[bytes]) -> None:
    """Whatever comes, decoding does not fail and holds no more than what came."""
    decoder = MessageDecoder()
    came = 0
    for piece in pieces:
        list(decoder.feed(memoryview(piece)))
        came += len(piece)
        assert decoder.buffered_bytes <= min(came, MAX_DATA_BYTES + HEADER.size)


# -- the half that is called ---------------------------------------------------------------------------------


def test_request_becomes_a_call() -> None:
    """A request is decoded, waits, and is answered once."""
    half = server()
    call = half.receive(request(1, payload=nri_pb2.PodSandbox(id="x").SerializeToString()))
    assert isinstance(call, Call)
    assert (call.stream_id, call.method, call.timeout_nano, call.size) == (1, "M", 7, 3)
    assert call.message == nri_pb2.PodSandbox(id="x")
    assert half.open_requests == {1}
    message = one(half.reply(1, b"payload"))
    assert isinstance(message, WholeMessage)
    response = ttrpc_pb2.Response.FromString(bytes(message.data))
    assert response.payload == b"payload"
    assert not response.HasField("status")
    assert half.open_requests == frozenset()


def test_empty_answer_has_neither_status_nor_payload() -> None:
    """An empty success is a response without data."""
    half = server()
    half.receive(request(1))
    assert half.reply(1, b"") == encode(1, MessageType.RESPONSE, b"")


@pytest.mark.parametrize("second", ["reply", "refuse"])
@pytest.mark.parametrize("first", ["reply", "refuse"])
def test_never_answers_twice(first: str, second: str) -> None:
    """A second answer to a request is our bug, whatever the first was."""
    half = server()
    half.receive(request(1))
    getattr(half, first)(1, b"" if first == "reply" else "no")
    with pytest.raises(LocalProtocolError, match="once"):
        getattr(half, second)(1, b"" if second == "reply" else "no")


@pytest.mark.parametrize("stream_id", [0, 2, 3, 5, 6, 1])
def test_stream_ids_are_odd_and_rise(stream_id: int) -> None:
    """An even id, or one not above the last, is answered with status 3 and the connection lives."""
    half = server()
    half.receive(request(5))
    code, text = status(half.receive(request(stream_id)), stream_id)
    assert code == Code.INVALID_ARGUMENT
    assert str(stream_id) in text
    assert isinstance(half.receive(request(7)), Call)
    assert half.open_requests == {5, 7}


def test_stream_ids_may_leave_gaps() -> None:
    """Ids need only rise: refused requests use theirs up."""
    half = server()
    assert isinstance(half.receive(request(1)), Call)
    assert isinstance(half.receive(request(0xFFFFFFFF)), Call)


@pytest.mark.parametrize(
    ("fields", "text"),
    [({"service": "other.Service"}, "service other.Service"), ({"method": "Nope"}, "method Nope")],
)
def test_unknown_is_unimplemented(fields: dict[str, str], text: str) -> None:
    """Unknown services and methods are answered as Go does."""
    half = server()
    said = half.receive(request(1, **fields))  # type: ignore[arg-type]
    assert status(said, 1) == (Code.UNIMPLEMENTED, text)
    assert half.open_requests == frozenset()


def test_answer_to_a_long_name_is_short() -> None:
    """A name is repeated in part only, so that answers do not grow with what is thrown at us."""
    _, text = status(server().receive(request(1, method="x" * 100_000)), 1)
    assert len(text) < 1000


@pytest.mark.parametrize("payload", [b"\xff", b"\x0a\x02\xff\xfe"])
def test_undecodable_payload_is_internal(payload: bytes) -> None:
    """A payload that is no protobuf, or no UTF-8, is answered with status 13."""
    assert status(server().receive(request(1, payload=payload)), 1)[0] == Code.INTERNAL


def test_undecodable_envelope_is_internal() -> None:
    """Data that is no ttrpc request is answered with status 13."""
    message = WholeMessage(1, MessageType.REQUEST, memoryview(b"\xff\xff"))
    assert status(server().receive(message), 1)[0] == Code.INTERNAL


def test_oversized_request_is_exhausted() -> None:
    """A request over 4 MiB is answered with status 8 and uses up its id."""
    half = server()
    assert status(half.receive(Oversized(1, 1, MAX_DATA_BYTES + 1)), 1)[0] == Code.RESOURCE_EXHAUSTED
    assert status(half.receive(request(1)), 1)[0] == Code.INVALID_ARGUMENT
    assert isinstance(half.receive(request(3)), Call)


@pytest.mark.parametrize("kind", [0, 2, 3, 4, 255])
def test_other_types_are_ignored(kind: int) -> None:
    """Who is called ignores all but requests, oversized ones too."""
    half = server()
    assert half.receive(WholeMessage(1, kind, memoryview(b"x"))) == b""
    assert half.receive(Oversized(1, kind, 1 << 30)) == b""
    assert isinstance(half.receive(request(1)), Call)


def test_too_many_open_requests_are_refused() -> None:
    """A peer that never waits cannot make us remember without end."""
    half = server()
    for n in range(MAX_OPEN_REQUESTS):
        assert isinstance(half.receive(request(2 * n + 1)), Call)
    refused = 2 * MAX_OPEN_REQUESTS + 1
    assert status(half.receive(request(refused)), refused)[0] == Code.RESOURCE_EXHAUSTED
    half.reply(1, b"")
    assert isinstance(half.receive(request(refused + 2)), Call)


def test_answer_too_long_becomes_an_error() -> None:
    """An answer that no peer would take is answered with status 8 instead."""
    half = server()
    half.receive(request(1))
    assert status(half.reply(1, bytes(MAX_DATA_BYTES)), 1)[0] == Code.RESOURCE_EXHAUSTED
    half.receive(request(3))
    assert len(half.reply(3, bytes(MAX_DATA_BYTES - 5))) == HEADER.size + MAX_DATA_BYTES


def test_refusal_is_readable_whatever_the_text() -> None:
    """Text with lone surrogates, as from names of files, or without end, still makes an answer."""
    half = server()
    half.receive(request(1))
    assert status(half.refuse(1, "eth\udcff0: no", 9), 1) == (9, "eth?0: no")
    half.receive(request(3))
    assert status(half.refuse(3, "x" * 10_000_000), 3) == (Code.UNKNOWN, "x" * MAX_STATUS_TEXT)


@pytest.mark.parametrize("code", [-1, 0, 17])
def test_refusal_needs_an_error_code(code: int) -> None:
    """Only gRPC's error codes refuse; the request then still waits."""
    half = server()
    half.receive(request(1))
    with pytest.raises(LocalProtocolError):
        half.refuse(1, "no", code)
    assert half.open_requests == {1}


# -- the half that calls -------------------------------------------------------------------------------------


def test_call_and_answer() -> None:
    """Ids are 1, 3, 5; answers may come in any order and are matched."""
    client = Client(SERVICE)
    ids = []
    for _ in range(3):
        stream_id, data = client.call("M", b"payload", 9)
        message = one(data)
        assert isinstance(message, WholeMessage)
        assert (message.stream_id, message.type) == (stream_id, MessageType.REQUEST)
        sent = ttrpc_pb2.Request.FromString(bytes(message.data))
        assert (sent.service, sent.method, sent.payload, sent.timeout_nano) == (SERVICE, "M", b"payload", 9)
        ids.append(stream_id)
    assert ids == [1, 3, 5]
    for stream_id in (3, 5, 1):
        found = client.receive(answer(stream_id, payload=b"a"))
        assert found is not None
        assert (found.stream_id, found.payload, found.error) == (stream_id, b"a", None)
    assert client.open_calls == frozenset()


def test_answer_that_nobody_waits_for_is_ignored() -> None:
    """Unknown ids, second answers and answers to what expired change nothing."""
    client = Client(SERVICE)
    assert client.receive(answer(1)) is None
    client.call("M", b"")
    assert client.receive(answer(1)) is not None
    assert client.receive(answer(1)) is None
    client.call("M", b"")
    assert client.expire(3)
    assert not client.expire(3)
    assert client.receive(answer(3)) is None


def test_error_answer() -> None:
    """A status becomes a RemoteError; one with code 0 is no error."""
    client = Client(SERVICE)
    client.call("M", b"")
    found = client.receive(answer(1, status=ttrpc_pb2.Status(code=5, message="not there")))
    assert found is not None
    assert isinstance(found.error, RemoteError)
    assert (found.error.code, found.error.message) == (5, "not there")
    client.call("M", b"")
    found = client.receive(answer(3, status=ttrpc_pb2.Status(), payload=b"x"))
    assert found is not None
    assert (found.payload, found.error) == (b"x", None)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (Oversized(1, 2, MAX_DATA_BYTES + 1), RemoteError),
        (WholeMessage(1, 3, memoryview(b"")), ProtocolError),
        (WholeMessage(1, 2, memoryview(b"\xff")), ProtocolError),
    ],
)
def test_senseless_answer_fails_its_call_alone(message: WholeMessage | Oversized, error: type[Exception]) -> None:
    """An answer too long, streamed or undecodable is an error of that call."""
    client = Client(SERVICE)
    client.call("M", b"")
    client.call("M", b"")
    found = client.receive(message)
    assert found is not None
    assert isinstance(found.error, error)
    assert client.open_calls == {3}


def test_request_type_is_ignored_by_the_caller() -> None:
    """A request where answers belong leaves our call waiting."""
    client = Client(SERVICE)
    client.call("M", b"")
    assert client.receive(request(1)) is None
    assert client.open_calls == {1}


def test_call_too_long_is_our_bug() -> None:
    """A request over 4 MiB is refused before it is sent, and uses up no id."""
    client = Client(SERVICE)
    with pytest.raises(LocalProtocolError, match="exceeds"):
        client.call("M", bytes(MAX_DATA_BYTES))
    assert client.call("M", b"")[0] == 1


def test_ids_end() -> None:
    """After the last stream id nothing can be called."""
    client = Client(SERVICE)
    client._next_id = 0xFFFFFFFF
    client.call("M", b"")
    with pytest.raises(LocalProtocolError, match="used up"):
        client.call("M", b"")
