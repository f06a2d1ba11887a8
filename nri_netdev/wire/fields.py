"""Long fields of an encoded protobuf message, taken out as views of it.

A decoder copies what a message holds. Where that is mostly one long payload, or thousands of messages that are to be
read one by one, they are taken out first, and what is left is decoded. Source: protobuf.dev, Encoding.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import DecodeError

_VARINT, _LENGTH = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}
_MAX_VARINT_BYTES = 10


def take(data: memoryview, numbers: Iterable[int]) -> tuple[bytes, dict[int, list[memoryview]]]:
    """Take the fields with these numbers, if they have a length, out of a message.

    Returns:
        What is left of the message, still one, and for each of the numbers the contents of what was taken, in order.

    Raises:
        DecodeError: It is not protobuf, or has a group, which proto3 lacks.
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
        DecodeError: The message ends in it, or it does not end.
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
