"""The multiplexer: several byte streams over one socket, as frames that carry the id of a stream.

It cuts a socket's bytes into pieces of streams, and wraps messages of ttrpc into frames. It does not know what the
streams carry. Source: containerd/nri, pkg/net/multiplex.

A frame is an 8-byte header, big endian - u32 conn id, u32 length of the payload - and the payload. There is neither a
handshake nor a frame that opens or closes a stream.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import Final

from nri_netdev.errors import ProtocolError

HEADER: Final = struct.Struct(">II")

PLUGIN_CONN_ID: Final = 1
"""The stream on which the plugin serves and the engine calls."""
RUNTIME_CONN_ID: Final = 2
"""The stream on which the engine serves and the plugin calls."""

MAX_FRAME_BYTES: Final = 1 << 24
"""The longest payload that any NRI has sent: 16 MiB up to 0.6, and 4 MiB + 10 since."""
MAX_SENT_BYTES: Final = (4 << 20) + 10
"""The longest payload that we send: Go's limit since NRI 0.7, a whole ttrpc message."""
FIRST_FRAME_BYTES: Final = 4096
"""The longest payload that may begin a ttrpc message: Go's reader reads the message's header through a buffer of this
size, which receives whole frames, and hangs up if one does not fit."""


class FrameDecoder:
    """Cuts the bytes of a socket, however they arrive, into pieces of the streams.

    It yields pieces as they come, so it never holds back more than an incomplete header.

    Args:
        conn_ids: the wanted streams; it skips frames of others.
    """

    __slots__ = ("_conn_id", "_conn_ids", "_header", "_left")

    def __init__(self, conn_ids: Collection[int]) -> None:
        self._conn_ids = frozenset(conn_ids)
        self._header = bytearray()
        self._conn_id = 0
        self._left = 0

    @property
    def is_partial(self) -> bool:
        """Whether the bytes so far end inside a frame."""
        return bool(self._left or self._header)

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield conn id and bytes, in order; the bytes are a view into `data`, valid as long as that is.

        Must be exhausted before it is called again.

        Raises:
            ProtocolError: A frame announces more than `MAX_FRAME_BYTES`.
        """
        view = memoryview(data)
        end = len(view)
        at = 0
        while at < end:
            if not self._left:
                at = self._read_header(view, at, end)
                continue
            stop = min(at + self._left, end)
            self._left -= stop - at
            if self._conn_id in self._conn_ids:
                yield self._conn_id, view[at:stop]
            at = stop

    def _read_header(self, view: memoryview, at: int, end: int) -> int:
        """Read a header, or what there is of it; returns where it ended."""
        if self._header or end - at < HEADER.size:
            stop = min(at + HEADER.size - len(self._header), end)
            self._header += view[at:stop]
            if len(self._header) < HEADER.size:
                return stop
            conn_id, length = HEADER.unpack(self._header)
            self._header.clear()
        else:
            conn_id, length = HEADER.unpack_from(view, at)
            stop = at + HEADER.size
        if length > MAX_FRAME_BYTES:
            raise ProtocolError(f"a frame of conn {conn_id} announces {length} bytes; NRI allows {MAX_FRAME_BYTES}")
        self._conn_id = conn_id
        self._left = length
        return stop


def frame(conn_id: int, message: bytes) -> bytes:
    """Wrap one whole ttrpc message, header included.

    Up to 4096 bytes are one frame. A longer message is cut as Go cuts it: exactly the first 4096 bytes, then the rest
    in frames of at most `MAX_SENT_BYTES`. Any other cut makes Go's reader hang up.
    """
    size = len(message)
    if size <= FIRST_FRAME_BYTES:
        return HEADER.pack(conn_id, size) + message
    view = memoryview(message)
    parts: list[bytes | memoryview] = [HEADER.pack(conn_id, FIRST_FRAME_BYTES), view[:FIRST_FRAME_BYTES]]
    for at in range(FIRST_FRAME_BYTES, size, MAX_SENT_BYTES):
        part = view[at : at + MAX_SENT_BYTES]
        parts += (HEADER.pack(conn_id, len(part)), part)
    return b"".join(parts)
