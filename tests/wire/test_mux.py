"""The multiplexer cuts and wraps frames as Go's does, whatever arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.errors import ProtocolError
from nri_netdev.wire.mux import (
    FIRST_FRAME_BYTES,
    HEADER,
    MAX_FRAME_BYTES,
    MAX_SENT_BYTES,
    FrameDecoder,
    frame,
)

from .helpers import cuts


def streams(pieces: list[bytes], conn_ids: tuple[int, ...] = (1, 2)) -> tuple[dict[int, bytes], FrameDecoder]:
    """The bytes of each stream, joined, and the decoder."""
    decoder = FrameDecoder(conn_ids)
    found: dict[int, bytes] = {}
    for piece in pieces:
        for conn_id, chunk in decoder.feed(piece):
            found[conn_id] = found.get(conn_id, b"") + bytes(chunk)
    return found, decoder


def lengths(data: bytes) -> list[int]:
    """The length of each frame."""
    found = []
    at = 0
    while at < len(data):
        _, length = HEADER.unpack_from(data, at)
        found.append(length)
        at += HEADER.size + length
    assert at == len(data)
    return found


def test_known_bytes() -> None:
    """A frame is conn id, length, payload, big endian."""
    assert frame(2, b"abc") == b"\0\0\0\x02\0\0\0\x03abc"


def test_any_cut_gives_the_same_streams() -> None:
    """Frames whole, split at every byte and byte by byte give the same bytes of each stream."""
    data = frame(1, b"hello") + frame(2, b"") + frame(7, b"not ours") + frame(2, b"x") + frame(1, b" world")
    for pieces in cuts(data):
        found, decoder = streams(pieces)
        assert found == {1: b"hello world", 2: b"x"}
        assert not decoder.is_partial


def test_payload_is_handed_on_as_it_comes() -> None:
    """A piece of a frame is handed on before the frame is whole."""
    decoder = FrameDecoder((1,))
    assert [bytes(chunk) for _, chunk in decoder.feed(frame(1, b"abcdef")[:11])] == [b"abc"]
    assert decoder.is_partial
    assert [bytes(chunk) for _, chunk in decoder.feed(b"def")] == [b"def"]
    assert not decoder.is_partial


@pytest.mark.parametrize("length", [1, 7])
def test_half_a_header_is_partial(length: int) -> None:
    """The end of the input inside a header is seen."""
    decoder = FrameDecoder((1,))
    assert list(decoder.feed(frame(1, b"x")[:length])) == []
    assert decoder.is_partial


def test_unknown_stream_is_skipped_without_being_held() -> None:
    """Frames of unknown streams, the reserved 0 among them, vanish as they flow."""
    decoder = FrameDecoder((1,))
    assert list(decoder.feed(HEADER.pack(0, MAX_FRAME_BYTES))) == []
    for _ in range(16):
        assert list(decoder.feed(bytes(1 << 20))) == []
        assert len(decoder._header) == 0
    assert not decoder.is_partial
    assert [bytes(chunk) for _, chunk in decoder.feed(frame(1, b"next"))] == [b"next"]


def test_longest_frame_of_old_engines_is_taken() -> None:
    """16 MiB, NRI 0.6's limit, is allowed."""
    decoder = FrameDecoder((1,))
    assert list(decoder.feed(HEADER.pack(1, MAX_FRAME_BYTES))) == []
    assert decoder.is_partial


@pytest.mark.parametrize("length", [MAX_FRAME_BYTES + 1, 0xFFFFFFFF])
@pytest.mark.parametrize("conn_id", [1, 9])
def test_hostile_length_is_refused_after_what_came_before(conn_id: int, length: int) -> None:
    """A length beyond any NRI ends the connection, but not what preceded it in the same read."""
    pieces = FrameDecoder((1,)).feed(frame(1, b"good") + HEADER.pack(conn_id, length))
    assert bytes(next(pieces)[1]) == b"good"
    with pytest.raises(ProtocolError, match=str(length)):
        next(pieces)


@pytest.mark.parametrize("size", [0, 1, FIRST_FRAME_BYTES - 1, FIRST_FRAME_BYTES])
def test_short_message_goes_as_one_frame(size: int) -> None:
    """Up to 4096 bytes go as one frame."""
    assert lengths(frame(1, bytes(size))) == [size]


@pytest.mark.parametrize("size", [FIRST_FRAME_BYTES + 1, 60_000, MAX_SENT_BYTES])
def test_long_message_goes_as_go_sends_it(size: int) -> None:
    """More goes as a frame of exactly 4096 and one with all the rest."""
    assert lengths(frame(1, bytes(size))) == [FIRST_FRAME_BYTES, size - FIRST_FRAME_BYTES]


def test_no_frame_is_longer_than_go_sends() -> None:
    """Beyond that the rest is cut at 4 MiB + 10."""
    size = FIRST_FRAME_BYTES + 2 * MAX_SENT_BYTES + 5
    assert lengths(frame(1, bytes(size))) == [FIRST_FRAME_BYTES, MAX_SENT_BYTES, MAX_SENT_BYTES, 5]


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.binary(max_size=9000)), max_size=6),
    st.lists(st.integers(1, 5000), max_size=20),
)
def test_decode_undoes_encode(messages: list[tuple[int, bytes]], steps: list[int]) -> None:
    """What is framed comes out of its stream, however it is cut."""
    data = b"".join(frame(conn_id, message) for conn_id, message in messages)
    pieces = []
    for step in steps:
        pieces.append(data[:step])
        data = data[step:]
    found, decoder = streams([*pieces, data])
    for conn_id in (1, 2):
        assert found.get(conn_id, b"") == b"".join(message for to, message in messages if to == conn_id)
    assert not decoder.is_partial


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_any_bytes_give_pieces_or_our_error(pieces: list[bytes]) -> None:
    """Whatever comes, nothing but a ProtocolError is raised and no more than a header is held."""
    decoder = FrameDecoder((1, 2))
    try:
        for piece in pieces:
            list(decoder.feed(piece))
            assert len(decoder._header) < HEADER.size
    except ProtocolError:
        pass
