"""A glance at what was read: is it one whole request about a pod, as engines send it?

Nearly every event of a node concerns nobody here, and can be told by a few bytes at known places. To cut frames, join
messages and decode them costs several times as much, so that is done only where a glance does not tell: it says nothing
of what is cut otherwise, of several messages at once, or of fields in another order, which are all allowed.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception's name
from typing import Final, NamedTuple

from nri_netdev.wire import mux, ttrpc
from nri_netdev.wire.methods import PLUGIN_SERVICE

_HEADERS: Final = Struct(">IIIIBB")
"""Of a frame and of the message that it begins: conn id, length; length, stream id, type, flags."""
_SERVICE, _METHOD, _PAYLOAD, _POD, _CONTAINER, _ID, _ITS_POD, _NAME = 0x0A, 0x12, 0x1A, 0x0A, 0x12, 0x0A, 0x12, 0x1A
"""Keys of fields with a length: of `ttrpc.Request`, of the requests about a pod and a container, of a pod and of a
container."""
_EVENT, _NEXT = 0x08, 0x08
"""The key of `StateChangeEvent.event`; what the keys of pod and container are higher by behind it."""
_HEAD: Final = bytes([_SERVICE, len(PLUGIN_SERVICE)]) + PLUGIN_SERVICE.encode() + bytes([_METHOD])
_METHOD_AT: Final = _HEADERS.size + len(_HEAD)


class Glimpse(NamedTuple):
    """A request about a pod, or about a pod and a container; views are of what was read."""

    stream_id: int
    method: str
    pod_id: str
    pod: memoryview
    """The encoded pod."""
    container: memoryview
    """The encoded container, perhaps its beginning only; empty where there is none."""

    def container_names(self) -> tuple[str, str]:
        """The container's id and name; "" for what is not told where it should be."""
        found = []
        at = 0
        for key in (_ID, _ITS_POD, _NAME):
            try:
                begin, at = _field(self.container, at, key)
            except (IndexError, ValueError):
                return "", ""
            found.append(self.container[begin:at])
        return (str(found[0], "ascii"), str(found[2], "utf-8")) if at <= len(self.container) else ("", "")


def glance(data: memoryview) -> Glimpse | None:
    """Recognise one whole request in what was read at once, from the beginning of a frame; None if that is not all."""
    size = len(data)
    try:
        conn_id, framed, length, stream_id, kind, _ = _HEADERS.unpack_from(data)
        end = mux.HEADER.size + framed  # of the first frame
        if conn_id != mux.PLUGIN_CONN_ID or kind != ttrpc.MessageType.REQUEST or size < end:
            return None
        if size > end:  # the rest is in a second one
            conn_id, rest = mux.HEADER.unpack_from(data, end)
            framed += rest
            end_of_all = end + mux.HEADER.size + rest
        else:
            end_of_all = end
        is_whole = size == end_of_all and framed == ttrpc.HEADER.size + length
        if conn_id != mux.PLUGIN_CONN_ID or not is_whole or data[_HEADERS.size : _METHOD_AT] != _HEAD:
            return None
        at = _METHOD_AT + 1 + data[_METHOD_AT]
        method = str(data[_METHOD_AT + 1 : at], "ascii")
        at, payload_end = _field(data, at, _PAYLOAD)
        pod_key, container_key = _POD, _CONTAINER
        if data[at] == _EVENT and data[at + 1] < 0x80:  # a StateChange, whose first field is the event
            at, pod_key, container_key = at + 2, pod_key + _NEXT, container_key + _NEXT
        pod_at, pod_end = _field(data, at, pod_key)
        seen, last = pod_end, pod_end
        if pod_end != payload_end:
            seen, last = _field(data, pod_end, container_key)
        if last != payload_end or payload_end > _HEADERS.size + length or seen > end:
            return None
        id_at, id_end = _field(data, pod_at, _ID)
        if id_end > pod_end:
            return None
        pod_id = str(data[id_at:id_end], "ascii")
        return Glimpse(stream_id, method, pod_id, data[pod_at:pod_end], data[seen : min(last, end)])
    except (IndexError, ValueError, StructError):
        return None


def expected(data: memoryview) -> int:
    """How many bytes there will be at least, from the beginning of a frame, once the message that begins it is whole.

    Engines write a frame's header and its payload one after the other; what is read between them is not whole.
    """
    if len(data) < mux.HEADER.size:
        return mux.HEADER.size
    _, framed = mux.HEADER.unpack_from(data)
    end: int = mux.HEADER.size + framed
    if framed < ttrpc.HEADER.size or len(data) < _HEADERS.size:
        return end
    length: int = ttrpc.HEADER.unpack_from(data, mux.HEADER.size)[0]
    rest = ttrpc.HEADER.size + length - framed
    return end + mux.HEADER.size + rest if rest > 0 else end


def _field(data: memoryview, at: int, key: int) -> tuple[int, int]:
    """Where the content of a field begins and ends, if its key is this; its length has up to three bytes.

    Raises:
        ValueError: It is another field, or longer.
    """
    if data[at] != key:
        raise ValueError
    size = data[at + 1]
    at += 2
    if size > 0x7F:
        more = data[at]
        at += 1
        size += (more - 1) << 7
        if more > 0x7F:
            last = data[at]
            at += 1
            size += (last - 1) << 14
            if last > 0x7F:
                raise ValueError
    return at, at + size
