"""Long fields of an encoded protobuf message, taken out as views of it.

A decoder copies what a message holds. If that is mostly one long payload, or thousands of messages to be decoded one by
one, `take` takes these out first, and only the rest is decoded. Source: protobuf.dev, Encoding.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import DecodeError

_VARINT, _LENGTH = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}
_MAX_VARINT_BYTES = 10


def take(data: memoryview, numbers: Iterable[int]) -> tuple[bytes, dict[int, list[memoryview]]]:
    """Take the fields of type LEN with these numbers out of a message.

    Returns:
        The rest of the message, which is valid protobuf, and for each number the contents of its fields, in order.

    Raises:
        DecodeError: The message is not protobuf, or has a group, which proto3 lacks.
    """
    left: list[memoryview] = []
    taken: dict[int, list[memoryview]] = {number: [] for number in numbers}
    at, end = 0, len(data)
    while at < end:
        begin = at
        key, at = _varint(data, at)
        kind, number = key & 7, key >> 3
        if kind == _LENGTH:
            size, at = _varint(data, at)
        elif kind == _VARINT:
            _, at, size = *_varint(data, at), 0
        elif kind in _FIXED_BYTES:
            size = _FIXED_BYTES[kind]
        else:
            raise DecodeError(f"field {number} is of type {kind}")
        if size > end - at:
            raise DecodeError(f"field {number} is longer than its message")
        if kind == _LENGTH and number in taken:
            taken[number].append(data[at : at + size])
        else:
            left.append(data[begin : at + size])
        at += size
    return b"".join(left), taken


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ended.

    Raises:
        DecodeError: The message ends within it, or it is longer than ten bytes.
    """
    value = shift = 0
    try:
        while shift < 7 * _MAX_VARINT_BYTES:
            byte = data[at]
            at += 1
            if byte < 0x80:
                return value | byte << shift, at
            value |= (byte & 0x7F) << shift
            shift += 7
    except IndexError:
        pass
    raise DecodeError("a number does not end")
