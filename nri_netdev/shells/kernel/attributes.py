"""Netlink attributes as bytes: listed, found, packed, patched. Pure.

Objects that are restored after a move must be what the kernel wrote, including attributes that no library knows. And a
dump of all links is read while a container starts, where decoding every counter of every link would be most of the
cost. Layout: `struct nlattr` of `linux/netlink.h`, host byte order, 4-byte aligned.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping

_HEADER = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_IS_LITTLE = struct.pack("=H", 1) == b"\x01\x00"
_TYPE_MASK = 0x3FFF
NLA_F_NESTED = 0x8000
"""Flag in an attribute's type: the value consists of attributes."""


def walk(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Every attribute from `offset` on, as (type without flags, value). A malformed one ends the iteration."""
    end = len(data)
    while offset + 4 <= end:
        length, kind = _HEADER.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Attributes by type; the last one of each type."""
    return dict(walk(data, offset))


def pack(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return _HEADER.pack(len(value) + 4, kind) + value + bytes(-len(value) % 4)


def pack_all(attrs: Mapping[int, bytes] | Iterable[tuple[int, bytes]]) -> bytes:
    """Attributes one after another."""
    pairs = attrs.items() if isinstance(attrs, Mapping) else attrs
    return b"".join(pack(kind, value) for kind, value in pairs)


def u32(value: int) -> bytes:
    """A 32-bit value."""
    return _U32.pack(value)


def to_int(value: bytes | None) -> int | None:
    """An unsigned value of one to eight bytes in host byte order; None stays None."""
    return None if value is None else int.from_bytes(value, "little" if _IS_LITTLE else "big")


def to_text(value: bytes | None) -> str | None:
    """A zero-terminated string; bytes that are not UTF-8 survive as surrogates."""
    return None if value is None else value.rstrip(b"\0").decode("utf-8", "surrogateescape")


def from_text(value: str) -> bytes:
    """A zero-terminated string."""
    return value.encode("utf-8", "surrogateescape") + b"\0"


def change(payload: bytes, header_bytes: int, replace: Callable[[int, bytes], bytes | None]) -> bytes:
    """A message with each attribute's value replaced by what `replace(type, value)` returns; None drops the attribute.

    Flags of the type (`NLA_F_NESTED`) are kept, because some parsers of the kernel require them.
    """
    parts = [payload[:header_bytes]]
    offset = header_bytes
    for kind, value in walk(payload, header_bytes):
        (whole,) = struct.unpack_from("=H", payload, offset + 2)
        offset += (len(value) + 7) & ~3
        changed = replace(kind, value)
        if changed is not None:
            parts.append(pack(whole, changed))
    return b"".join(parts)
