"""Bytes as a peer would send them, and a plugin and an engine joined in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from google.protobuf.message import Message

from nri_netdev.errors import ProtocolError
from nri_netdev.proto import nri_pb2, ttrpc_pb2
from nri_netdev.testing.session import EngineEvent, EngineSession, PluginConfigured, PluginRegistered
from nri_netdev.wire import methods, mux, ttrpc
from nri_netdev.wire.session import Closed, Event, EventKind, Filter, PluginSession, Request, Synchronized, event_mask

T = TypeVar("T")

ALL_OLD_EVENTS = event_mask(*list(EventKind)[:11])
POD = nri_pb2.PodSandbox(id="pod1", name="p", namespace="n", annotations={"k": "v"})
CONTAINER = nri_pb2.Container(id="ctr1", pod_sandbox_id="pod1", name="c")


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes whole, split in two at every byte, and one by one."""
    yield [data]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
    yield [data[at : at + 1] for at in range(len(data))]


class EngineBytes:
    """Frames of a Go engine, with stream ids that rise."""

    def __init__(self) -> None:
        self.next_id = 1

    def request(
        self,
        method: str,
        message: Message | bytes = b"",
        *,
        stream_id: int | None = None,
        service: str = methods.PLUGIN_SERVICE,
        timeout_nano: int = 1_999_900_000,
    ) -> bytes:
        """A request on conn 1, as one frame or as Go cuts it."""
        if stream_id is None:
            stream_id = self.next_id
            self.next_id += 2
        payload = message if isinstance(message, bytes) else message.SerializeToString()
        envelope = ttrpc_pb2.Request(
            service=service, method=method, payload=payload, timeout_nano=timeout_nano
        ).SerializeToString()
        return mux.frame(1, ttrpc.encode(stream_id, ttrpc.MessageType.REQUEST, envelope))

    def configure(self, **fields: object) -> bytes:
        """Configure, from containerd 2.3 unless told otherwise."""
        told = {"runtime_name": "containerd", "runtime_version": "v2.3.4", "NRI_version": "v0.12.0", **fields}
        return self.request("Configure", nri_pb2.ConfigureRequest(**told))  # type: ignore[arg-type]

    def synchronize(self, **fields: object) -> bytes:
        """One part of Synchronize."""
        return self.request("Synchronize", nri_pb2.SynchronizeRequest(**fields))  # type: ignore[arg-type]

    def hook(self, kind: EventKind, *, own_rpc: bool = True) -> bytes:
        """An event about `POD` and `CONTAINER` in either form."""
        hook = methods.HOOKS[kind]
        about: dict[str, Message] = {"pod": POD}
        if hook.has_container:
            about["container"] = CONTAINER
        if own_rpc:
            return self.request(hook.method, hook.request(**about))
        event = nri_pb2.StateChangeEvent(event=int(kind), **about)  # type: ignore[arg-type]
        return self.request("StateChange", event)


def response(stream_id: int, message: Message | bytes = b"", *, code: int = 0, text: str = "") -> bytes:
    """An answer of the engine on conn 2."""
    envelope = ttrpc_pb2.Response()
    if code:
        envelope.status.code = code
        envelope.status.message = text
    else:
        envelope.payload = message if isinstance(message, bytes) else message.SerializeToString()
    return mux.frame(2, ttrpc.encode(stream_id, ttrpc.MessageType.RESPONSE, envelope.SerializeToString()))


def sent(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """What was sent, as (conn id, stream id, type, data) of each message."""
    decoders: dict[int, ttrpc.MessageDecoder] = {}
    found = []
    for conn_id, chunk in mux.FrameDecoder((1, 2)).feed(data):
        for message in decoders.setdefault(conn_id, ttrpc.MessageDecoder()).feed(chunk):
            assert isinstance(message, ttrpc.WholeMessage)
            found.append((conn_id, message.stream_id, message.type, bytes(message.data)))
    return found


def answers(data: bytes) -> list[tuple[int, ttrpc_pb2.Response]]:
    """The responses of a plugin, by stream id."""
    found = []
    for conn_id, stream_id, kind, body in sent(data):
        assert (conn_id, kind) == (1, ttrpc.MessageType.RESPONSE)
        found.append((stream_id, ttrpc_pb2.Response.FromString(body)))
    return found


def only(things: list[T]) -> T:
    """The one thing in a list."""
    assert len(things) == 1, things
    return things[0]


def serving(
    events: int | None = ALL_OLD_EVENTS,
    *,
    keep: Filter | None = None,
    **configuration: object,
) -> tuple[PluginSession, EngineBytes]:
    """A session that has been registered, configured and synchronized."""
    engine = EngineBytes()
    session = PluginSession("netdev", "10", events=events, keep=keep)
    session.start()
    session.receive_data(response(1) + engine.configure(**configuration))
    synchronized = only(session.receive_data(engine.synchronize()))
    assert isinstance(synchronized, Synchronized)
    session.data_to_send()
    session.reply(synchronized.request, None)
    return session, engine


def registering() -> PluginSession:
    """A session that has sent its registration."""
    plugin = PluginSession("netdev", "10", events=ALL_OLD_EVENTS)
    plugin.start()
    return plugin


def broken(events: list[Event]) -> str:
    """The words of the breach that ended a session."""
    last = events[-1]
    assert isinstance(last, Closed)
    assert isinstance(last.error, ProtocolError)
    return str(last.error)


class ConnectionPair:
    """A plugin and an engine joined in memory; every byte goes through both.

    Args:
        decide: gives what the plugin answers to an event.
        cut: how many bytes arrive at once; 0 is all.
    """

    def __init__(
        self,
        plugin: PluginSession,
        engine: EngineSession,
        *,
        decide: Callable[[PluginSession, Request], bytes] = lambda plugin, request: plugin.reply(request, None),
        pods: tuple[nri_pb2.PodSandbox, ...] = (),
        containers: tuple[nri_pb2.Container, ...] = (),
        cut: int = 0,
    ) -> None:
        self.plugin = plugin
        self.engine = engine
        self.told_plugin: list[Event] = []
        self.told_engine: list[EngineEvent] = []
        self._decide = decide
        self._objects = (pods, containers)
        self._cut = cut
        self.to_engine(plugin.start())

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        step = self._cut or len(data) or 1
        return (data[at : at + step] for at in range(0, len(data), step))

    def to_engine(self, data: bytes) -> None:
        """Deliver what the plugin sent, and all that follows from it."""
        for piece in self._pieces(data):
            for event in self.engine.receive_data(piece):
                self.told_engine.append(event)
                if isinstance(event, PluginRegistered):
                    self.to_plugin(self.engine.configure())
                elif isinstance(event, PluginConfigured):
                    self.to_plugin(self.engine.synchronize(*self._objects))
            self.to_plugin(self.engine.data_to_send())

    def to_plugin(self, data: bytes) -> None:
        """Deliver what the engine sent, and all that follows from it."""
        for piece in self._pieces(data):
            for event in self.plugin.receive_data(piece):
                self.told_plugin.append(event)
                if isinstance(event, Request):
                    self.to_engine(self._decide(self.plugin, event))
                elif isinstance(event, Synchronized):
                    self.to_engine(self.plugin.reply(event.request, None))
            self.to_engine(self.plugin.data_to_send())

    def last(self) -> EngineEvent:
        """What the engine was told last."""
        assert not any(isinstance(event, Closed) for event in self.told_plugin)
        return self.told_engine[-1]
