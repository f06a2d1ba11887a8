"""One connection of NRI without its meaning: two ttrpc connections over one socket, for either side.

On one of the two a side serves, on the other it calls. A subclass says which is which, and acts on calls and results;
this module does not know whether it is the plugin's or the engine's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from google.protobuf.message import Message

from nri_netdev.errors import ProtocolError
from nri_netdev.wire import ttrpc
from nri_netdev.wire.events import Closed
from nri_netdev.wire.mux import FrameDecoder, frame

EventT = TypeVar("EventT")


class Trunk(ABC, Generic[EventT]):
    """What both sides of a connection share: bytes in, events out; calls and answers in, bytes out.

    Args:
        server: our half of the connection on which the peer calls.
        server_conn_id: that connection's id.
        client: our half of the connection on which we call.
        client_conn_id: that connection's id.
    """

    CUT_SHORT: ClassVar[str]
    """The error of `Closed` if the connection ends within a message."""

    def __init__(self, *, server: ttrpc.Server, server_conn_id: int, client: ttrpc.Client, client_conn_id: int) -> None:
        self._server = server
        self._server_conn_id = server_conn_id
        self._client = client
        self._client_conn_id = client_conn_id
        self._frames = FrameDecoder((server_conn_id, client_conn_id))
        self._requests = ttrpc.MessageDecoder()
        self._responses = ttrpc.MessageDecoder()
        self._out: list[bytes] = []
        self._is_dead = False

    @property
    def is_dead(self) -> bool:
        """Whether `Closed` was returned: nothing more is received or sent."""
        return self._is_dead

    def receive_data(self, data: bytes | bytearray | memoryview) -> list[EventT | Closed]:
        """Take bytes from the socket, cut anyhow; returns what happened, in order."""
        events: list[EventT | Closed] = []
        if self._is_dead:
            return events
        try:
            for conn_id, chunk in self._frames.feed(data):
                if conn_id == self._server_conn_id:
                    for message in self._requests.feed(chunk):
                        call = self._server.receive(message)
                        if isinstance(call, ttrpc.Call):
                            self._on_call(call, events)
                        elif call:
                            self._out.append(frame(conn_id, call))
                else:
                    for message in self._responses.feed(chunk):
                        result = self._client.receive(message)
                        if result is not None:
                            self._on_result(result, events)
        except ProtocolError as error:
            self._end(is_breach=True)
            events.append(Closed(error=error))
        return events

    def receive_eof(self) -> list[EventT | Closed]:
        """Take the end of the connection; returns what happened, nothing if the session is dead already."""
        if self._is_dead:
            return []
        self._end(is_breach=False)
        is_partial = self._frames.is_partial or self._requests.is_partial or self._responses.is_partial
        return [Closed(error=ProtocolError(self.CUT_SHORT) if is_partial else None)]

    def data_to_send(self) -> bytes:
        """Bytes to send after each `receive_data`: what needed no decision. Empty if there are none.

        They never grow beyond a small multiple of what was received since the last call.
        """
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # -- for the side --------------------------------------------------------------------------------------------------

    @abstractmethod
    def _on_call(self, call: ttrpc.Call, events: list[EventT | Closed]) -> None:
        """Act on a call of the peer, and add what happened.

        Raises:
            ProtocolError: It breaks the protocol; the connection ends.
        """

    @abstractmethod
    def _on_result(self, result: ttrpc.CallResult, events: list[EventT | Closed]) -> None:
        """Act on the result of a call of ours, and add what happened.

        Raises:
            ProtocolError: It breaks the protocol; the connection ends.
        """

    def _end(self, *, is_breach: bool) -> None:
        """Be dead from now on, by a breach of the protocol or by the end of the connection."""
        del is_breach
        self._is_dead = True
        self._out.clear()

    def _encode_reply(self, stream_id: int, message: Message) -> bytes:
        """Frames of the answer to a call."""
        return frame(self._server_conn_id, self._server.reply(stream_id, message.SerializeToString()))

    def _encode_refusal(self, stream_id: int, text: str, code: int = ttrpc.Code.UNKNOWN) -> bytes:
        """Frames of an error that answers a call."""
        return frame(self._server_conn_id, self._server.refuse(stream_id, text, code))

    def _encode_call(self, method: str, message: Message, timeout_ns: int = 0) -> tuple[int, bytes]:
        """Id and frames of a call of ours."""
        stream_id, data = self._client.call(method, message.SerializeToString(), timeout_ns)
        return stream_id, frame(self._client_conn_id, data)
