"""Long fields taken out of encoded messages, held against protobuf's own decoder."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from nri_netdev.proto import nri_pb2, ttrpc_pb2
from nri_netdev.wire.fields import take

TEXTS = st.text(max_size=300)


@given(st.text(), st.text(), st.binary(max_size=600), st.integers(-(1 << 63), (1 << 63) - 1), st.booleans())
def test_what_is_left_and_what_is_taken_is_all(
    service: str, method: str, payload: bytes, timeout: int, metadata: bool
) -> None:
    """The payload is taken, and the rest is the message without it."""
    more = [ttrpc_pb2.KeyValue(key="k", value="v")] if metadata else []
    whole = ttrpc_pb2.Request(service=service, method=method, payload=payload, timeout_nano=timeout, metadata=more)
    left, taken = take(memoryview(whole.SerializeToString()), [3])
    assert [bytes(content) for content in taken[3]] == ([payload] if payload else [])
    whole.ClearField("payload")
    assert ttrpc_pb2.Request.FromString(left) == whole


@given(st.lists(st.tuples(TEXTS, TEXTS)), st.booleans())
def test_what_repeats_comes_in_order(names: list[tuple[str, str]], more: bool) -> None:
    """Each pod by itself, and the flag after them."""
    pods = [nri_pb2.PodSandbox(id=pod_id, name=name) for pod_id, name in names]
    whole = nri_pb2.SynchronizeRequest(pods=pods, more=more)
    left, taken = take(memoryview(whole.SerializeToString()), [1, 2])
    assert [nri_pb2.PodSandbox.FromString(bytes(content)) for content in taken[1]] == pods
    assert nri_pb2.SynchronizeRequest.FromString(left).more is more


@given(st.binary(max_size=60))
@example(b"\x09" + bytes(8) + b"\x0d" + bytes(4))
@example(b"\x0a\x80")
@example(b"\x80" * 11)
def test_anything_at_all(data: bytes) -> None:
    """It raises `DecodeError` or tells every byte once, and it takes nothing that protobuf finds broken."""
    try:
        left, taken = take(memoryview(data), [1])
    except DecodeError:
        return
    assert len(left) + sum(map(len, taken[1])) <= len(data)
    if not taken[1]:
        assert left == data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x0a\x05abc", "longer than its message"),
        (b"\x09abc", "longer than its message"),
        (b"\x08\xff", "does not end"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\x0b", "type 3"),
    ],
)
def test_what_is_no_protobuf(data: bytes, why: str) -> None:
    """It is told, and not read beyond its end."""
    with pytest.raises(DecodeError, match=why):
        take(memoryview(data), [1])
