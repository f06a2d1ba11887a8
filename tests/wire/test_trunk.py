"""What both sides of a connection share: any cut gives the same events, any bytes give events, and the end is final."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.proto import nri_pb2
from nri_netdev.testing.session import Answered, EngineSession, PluginSynchronized
from nri_netdev.wire import methods, mux, ttrpc
from nri_netdev.wire.methods import HOOKS
from nri_netdev.wire.session import Closed, Event, EventKind, PluginSession, Request, Synchronized, event_mask
from nri_netdev.wire.trunk import Trunk

from .helpers import CONTAINER, POD, ConnectionPair, EngineBytes, cuts, only, registering, response, serving


class Side(Trunk[str]):
    """Either side: answers an UpdateContainers with nothing, and notes what comes."""

    CUT_SHORT = "cut short"

    def __init__(self, server_conn_id: int, client_conn_id: int) -> None:
        super().__init__(
            server=ttrpc.Server("a.Service", ttrpc.decoders(methods.RUNTIME_REQUESTS)),
            server_conn_id=server_conn_id,
            client=ttrpc.Client("a.Service"),
            client_conn_id=client_conn_id,
        )

    def call(self) -> bytes:
        return self._encode_call("UpdateContainers", nri_pb2.UpdateContainersRequest())[1]

    def _on_call(self, call: ttrpc.Call, events: list[str | Closed]) -> None:
        events.append(f"call {call.method}")
        self._out.append(self._encode_reply(call.stream_id, nri_pb2.UpdateContainersResponse()))

    def _on_result(self, result: ttrpc.CallResult, events: list[str | Closed]) -> None:
        events.append(f"result {result.error}")


def test_two_sides_call_each_other() -> None:
    """Each serves on one connection and calls on the other, which alone makes it a side."""
    for one, other in ((Side(1, 2), Side(2, 1)), (Side(2, 1), Side(1, 2))):
        assert other.receive_data(one.call()) == ["call UpdateContainers"]
        assert one.receive_data(other.data_to_send() + other.call()) == ["result None", "call UpdateContainers"]
        assert other.receive_data(one.data_to_send()) == ["result None"]
        assert other.receive_data(one.call()[:-1]) == []
        (closed,) = other.receive_eof()
        assert isinstance(closed, Closed)
        assert str(closed.error) == "cut short"
        assert other.is_dead
        assert (other.receive_eof(), other.receive_data(b"x"), other.data_to_send()) == ([], [], b"")


def test_end_within_a_message() -> None:
    """An end at any byte within a message is told as such, and only there."""
    data = EngineBytes().hook(EventKind.CREATE_CONTAINER)
    for at in range(len(data) + 1):
        plugin, engine = serving()
        plugin.receive_data(engine.hook(EventKind.CREATE_CONTAINER)[:at])
        closed = only(plugin.receive_eof())
        assert isinstance(closed, Closed)
        assert (closed.error is None) == (at in {0, len(data)})


def conversation() -> bytes:
    """What an engine may send after the registration, both forms of events, and what is to be ignored."""
    engine = EngineBytes()
    return b"".join(
        [
            mux.frame(9, b"not ours"),
            engine.configure(),
            response(1),
            engine.synchronize(pods=[POD], more=True),
            engine.synchronize(containers=[CONTAINER]),
            engine.hook(EventKind.RUN_POD_SANDBOX, own_rpc=False),
            mux.frame(1, b""),
            engine.hook(EventKind.CREATE_CONTAINER),
            engine.request("Nope"),
            engine.request("Shutdown"),
        ]
    )


def told(pieces: list[bytes]) -> tuple[list[Event], bytes]:
    """What a session tells and answers, fed with these pieces."""
    plugin = registering()
    events: list[Event] = []
    out = b""
    for piece in pieces:
        events += plugin.receive_data(piece)
        out += plugin.data_to_send()
    return events, out


def test_every_cut_gives_the_same_events() -> None:
    """A conversation, split anywhere, byte by byte, or with a tail, gives the same events and answers."""
    data = conversation()
    whole = told([data])
    assert [type(event).__name__ for event in whole[0]] == [
        "Configured",
        "Registered",
        "Synchronized",
        "Request",
        "Request",
        "ShutdownRequested",
    ]
    for pieces in cuts(data):
        assert told(pieces) == whole
    assert told([data + EngineBytes().hook(EventKind.STOP_CONTAINER)[:20]]) == whole


def test_views_of_a_buffer_that_is_used_again() -> None:
    """Input may be a view into a buffer that the caller overwrites after the call."""
    data = conversation()
    plugin = registering()
    events: list[Event] = []
    buffer = bytearray(37)
    for at in range(0, len(data), 37):
        piece = data[at : at + 37]
        buffer[: len(piece)] = piece
        events += plugin.receive_data(memoryview(buffer)[: len(piece)])
        buffer[:] = bytes(37)
    assert events == told([data])[0]


def comparable(event: Event) -> Event | str:
    """An event, in words where it holds an error: exceptions do not compare."""
    return repr(event) if getattr(event, "error", None) else event


def held(plugin: PluginSession) -> int:
    """Bytes of input that a session keeps."""
    decoders = (plugin._requests, plugin._responses)
    return len(plugin._frames._header) + sum(decoder.buffered_bytes for decoder in decoders)


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_any_bytes_give_events(pieces: list[bytes]) -> None:
    """Nothing raises whatever comes, little is held, and Closed is told at most once, as the last."""
    plugin = registering()
    events: list[Event] = []
    came = 0
    for piece in pieces:
        events += plugin.receive_data(piece)
        came += len(piece)
        assert held(plugin) <= came
    events += plugin.receive_eof()
    assert [isinstance(event, Closed) for event in events].count(True) == 1
    assert isinstance(events[-1], Closed)


@given(st.data())
def test_any_damage_to_a_conversation_gives_events(data: st.DataObject) -> None:
    """A conversation with bytes changed, lost or added gives events and one end, the same at any cut."""
    stream = bytearray(conversation())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(stream)))
        stream[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    step = data.draw(st.integers(1, len(stream)))
    plugin = registering()
    events = plugin.receive_data(bytes(stream)) + plugin.receive_eof()
    assert isinstance(events[-1], Closed)
    other = registering()
    again: list[Event] = []
    for at in range(0, len(stream), step):
        again += other.receive_data(stream[at : at + step])
    again += other.receive_eof()
    assert [comparable(event) for event in again] == [comparable(event) for event in events]


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("version", [(0, 8), (0, 11), (0, 12)])
def test_both_sides_agree(version: tuple[int, int], cut: int) -> None:
    """A plugin and an engine of any release go through the whole life of a container."""
    asked: list[EventKind] = []

    def decide(plugin: PluginSession, request: Request) -> bytes:
        asked.append(request.kind)
        if request.kind is not EventKind.CREATE_CONTAINER:
            return plugin.reply(request, None)
        message = nri_pb2.CreateContainerResponse()
        message.adjust.linux.net_devices["eth1"].name = "net1"
        return plugin.reply(request, message)

    pair = ConnectionPair(
        PluginSession("netdev", "10", events=event_mask(*EventKind)),
        EngineSession(nri_version=version),
        decide=decide,
        pods=(POD,),
        containers=(CONTAINER,),
        cut=cut,
    )
    assert isinstance(pair.last(), PluginSynchronized)
    kinds = [kind for kind in EventKind if pair.engine.wants(kind)]
    assert len(kinds) == (11 if version < (0, 10) else 14)
    for kind in kinds:
        hook = HOOKS[kind]
        fields = {"pod": POD, **({"container": CONTAINER} if hook.has_container else {})}
        call_id, data = pair.engine.call(kind, hook.request(**fields))
        pair.to_plugin(data)
        answered = pair.last()
        assert isinstance(answered, Answered)
        assert (answered.call_id, answered.error) == (call_id, None)
        assert type(answered.message) is hook.response
        if isinstance(answered.message, nri_pb2.CreateContainerResponse):
            assert answered.message.adjust.linux.net_devices["eth1"].name == "net1"
    assert asked == kinds


def test_many_parts_arrive() -> None:
    """What an engine cuts into parts arrives whole and in order."""
    pods = tuple(nri_pb2.PodSandbox(id=str(n), name="x" * 50) for n in range(100))
    containers = tuple(nri_pb2.Container(id=str(n), name="x" * 50) for n in range(100))
    pair = ConnectionPair(
        PluginSession("netdev", "10", events=1),
        EngineSession(max_part_bytes=500),
        pods=pods,
        containers=containers,
    )
    assert isinstance(pair.last(), PluginSynchronized)
    synchronized = only([event for event in pair.told_plugin if isinstance(event, Synchronized)])
    assert (synchronized.pods, synchronized.containers) == (pods, containers)
