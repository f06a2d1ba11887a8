"""Recognition of one whole event in the bytes from a socket, without decoding them.

Nearly every event of a node concerns none of our pods, and a few bytes at known places are enough to see that. Cutting
frames, joining messages and decoding them costs several times as much. So `peek` knows only the form in which engines
write an event. It recognises nothing in bytes that are cut otherwise, in several messages at once, or in fields in
another order; the protocol allows all of these, and `PluginSession.receive_data` reads them.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception's name
from typing import Final, NamedTuple

from nri_netdev.wire import mux, ttrpc
from nri_netdev.wire.methods import PLUGIN_SERVICE

_HEADERS: Final = Struct(">IIIIBB")
"""Of a frame and of the message that it begins: conn id, length; length, stream id, type, flags."""
_SERVICE, _METHOD, _PAYLOAD, _POD, _CONTAINER, _ID, _POD_ID, _NAME = 0x0A, 0x12, 0x1A, 0x0A, 0x12, 0x0A, 0x12, 0x1A
"""Keys of fields with a length: three of `ttrpc.Request`, two of an event's request, three of a container; a pod's id
has the same key as a container's."""
_EVENT, _SHIFT = 0x08, 0x08
"""Key of `StateChangeEvent.event`. In a StateChange, pod and container have field numbers one higher (key + 8)."""
_HEAD: Final = bytes([_SERVICE, len(PLUGIN_SERVICE)]) + PLUGIN_SERVICE.encode() + bytes([_METHOD])
_METHOD_AT: Final = _HEADERS.size + len(_HEAD)


class Peek(NamedTuple):
    """A request about a pod, or about a pod and a container.

    Attributes:
        stream_id: of the request.
        method: the rpc.
        pod_id: the pod's id.
        pod: the encoded pod; a view of the bytes given to `peek`.
        container: the encoded container, likewise; perhaps its beginning only, empty if there is none.
    """

    stream_id: int
    method: str
    pod_id: str
    pod: memoryview
    container: memoryview

    @property
    def is_own_pod(self) -> bool:
        """Whether the container is its own pod: its engine has no pod sandboxes."""
        if not self.container:
            return False
        try:
            begin, end = _field(self.container, 0, _ID)
        except (IndexError, ValueError):
            return False
        return bytes(self.container[begin:end]) == self.pod_id.encode()

    def container_names(self) -> tuple[str, str]:
        """The container's id and name; both "" unless id, pod id and name are its first fields."""
        found = []
        at = 0
        for key in (_ID, _POD_ID, _NAME):
            try:
                begin, at = _field(self.container, at, key)
            except (IndexError, ValueError):
                return "", ""
            found.append(self.container[begin:at])
        return (str(found[0], "ascii"), str(found[2], "utf-8")) if at <= len(self.container) else ("", "")


def peek(data: memoryview) -> Peek | None:
    """Recognise one whole event in bytes that begin with a frame; None if they are anything else, or not only that."""
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
            at, pod_key, container_key = at + 2, pod_key + _SHIFT, container_key + _SHIFT
        pod_at, pod_end = _field(data, at, pod_key)
        container_at = last = pod_end
        if pod_end != payload_end:
            container_at, last = _field(data, pod_end, container_key)
        if last != payload_end or payload_end > _HEADERS.size + length or container_at > end:
            return None
        id_at, id_end = _field(data, pod_at, _ID)
        if id_end > pod_end:
            return None
        pod_id = str(data[id_at:id_end], "ascii")
        return Peek(stream_id, method, pod_id, data[pod_at:pod_end], data[container_at : min(last, end)])
    except (IndexError, ValueError, StructError):
        return None


def expected_bytes(data: memoryview) -> int:
    """Smallest size that the first message in these bytes, which begin with a frame, can have with its frames.

    Engines write a frame's header and its payload one after the other; bytes read between the two are not whole yet.
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
    """Begin and end of the content of the field at this place, which has this key and a length of up to three bytes.

    Raises:
        ValueError: It has another key, or a longer length.
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
