"""Our frames and sizes against the engine side of containerd/nri itself, at each version that matters."""

from collections.abc import Callable

import pytest
from google.protobuf.message import Message

from nri_netdev.proto import nri_pb2, ttrpc_pb2
from nri_netdev.wire import mux, ttrpc
from nri_netdev.wire.session import Closed, Request
from tests.wire.upstream.conftest import Connect
from tests.wire.upstream.engine import PATIENCE_S, Engine, EngineError
from tests.wire.upstream.play import NET_DEVICES, POD, adjust_with, begin_create, create
from tests.wire.upstream.plugin import PluginOnSocket

pytestmark = pytest.mark.upstream


def message_bytes(answer: Message) -> int:
    """How long the ttrpc message of an answer is, its header included."""
    return ttrpc.HEADER.size + ttrpc_pb2.Response(payload=answer.SerializeToString()).ByteSize()


def answer_of_bytes(size: int) -> nri_pb2.CreateContainerResponse:
    """An answer to CreateContainer whose ttrpc message is so long, its header included."""
    # Lengths are varints, so for a given key some sizes cannot be had; then a longer key has them.
    for key in ("A", "AA", "AAA", "AAAA"):
        for padding in range(max(size - 70, 0), size):
            answer = adjust_with(env={key: "x" * padding})
            if message_bytes(answer) == size:
                return answer
    raise AssertionError(size)


def unframed_reply(plugin: PluginOnSocket, request: Request, answer: Message) -> bytes:
    """The ttrpc message of an answer, for tests that frame it otherwise than we do."""
    return plugin.session._server.reply(request.stream_id, answer.SerializeToString())


@pytest.mark.parametrize(
    "size",
    [
        *(4086, 4087, 4095, 4096, 4097, 4106, 8192, 8193),
        *(1 << 16, 1 << 20, ttrpc.MAX_DATA_BYTES + ttrpc.HEADER.size - 1),
        ttrpc.MAX_DATA_BYTES + ttrpc.HEADER.size,
    ],
)
def test_answer_of_any_size(engine: Engine, connect: Connect, size: int) -> None:
    """An answer arrives whole at every size around which framing changes, up to the 4 MiB of ttrpc."""
    plugin = connect(engine)
    answer = answer_of_bytes(size)

    created = create(engine, plugin, answer)

    assert answer.adjust.env == created.adjust.env
    [variable] = answer.adjust.env
    assert f"{variable.key}={variable.value}" in created.spec["process"]["env"]


@pytest.mark.parametrize("extra", [1, 1 << 20])
def test_answer_too_long(engine: Engine, connect: Connect, extra: int) -> None:
    """An answer over 4 MiB fails its request with a text that says so, and the connection lives on."""
    plugin = connect(engine)
    answer = answer_of_bytes(ttrpc.MAX_DATA_BYTES + ttrpc.HEADER.size + extra)

    with pytest.raises(EngineError, match=r"code = ResourceExhausted .* exceeds the maximum of 4194304"):
        create(engine, plugin, answer)

    assert create(engine, plugin, adjust_with(net_devices=NET_DEVICES)).adjust.linux.net_devices


def test_long_error(engine: Engine, connect: Connect) -> None:
    """A text far too long for an error is cut, not lost."""
    plugin = connect(engine)
    creation = begin_create(engine)

    plugin.refuse(plugin.wait(Request), "too long " * 1_000_000)

    with pytest.raises(EngineError, match="too long too long") as caught:
        creation.result(PATIENCE_S)
    assert len(str(caught.value)) < 2 * ttrpc.MAX_STATUS_TEXT


@pytest.mark.parametrize("size", [100, 4_000, 4_096, 100_000, 4_100_000])
def test_request_of_any_size(engine: Engine, connect: Connect, size: int) -> None:
    """A container with a large environment arrives whole."""
    plugin = connect(engine)
    container = nri_pb2.Container(id="ctr-1", env=["BIG=" + "x" * size])
    creation = engine.begin("CreateContainer", POD, container)

    request = plugin.wait(Request)
    plugin.reply(request)
    creation.result(PATIENCE_S)

    assert container.env == request.container.env


def test_request_too_long_for_the_engine(engine: Engine, connect: Connect) -> None:
    """A request that the engine fails to send uses up a stream id, which is no reason to hang up."""
    plugin = connect(engine)
    container = nri_pb2.Container(id="ctr-1", env=["BIG=" + "x" * (5 << 20)])
    with pytest.raises(EngineError, match="ResourceExhausted"):
        engine.call("CreateContainer", POD, container)

    assert create(engine, plugin).consulted == ["10-net"]


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(lambda data: [data[at : at + 1] for at in range(len(data))], id="bytes"),
        pytest.param(lambda data: [b"", data[:10], b"", data[10:], b""], id="empty frames"),
    ],
)
def test_frames_as_any_peer_may_cut_them(engine: Engine, connect: Connect, cut: Callable[[bytes], list[bytes]]) -> None:
    """The engine takes frames cut otherwise than ours, and skips those of a stream nobody opened."""
    plugin = connect(engine)
    creation = begin_create(engine)
    request = plugin.wait(Request)
    data = unframed_reply(plugin, request, adjust_with(net_devices=NET_DEVICES))

    stray = mux.HEADER.pack(7, 5) + b"stray"
    plugin.send(stray + b"".join(mux.HEADER.pack(mux.PLUGIN_CONN_ID, len(part)) + part for part in cut(data)))

    assert creation.result(PATIENCE_S).adjust.linux.net_devices == NET_DEVICES


def test_why_first_frames_are_short(engine: Engine, connect: Connect) -> None:
    """A frame of 4097 bytes that begins a message costs the connection, and the adjustment is lost."""
    plugin = connect(engine)
    creation = begin_create(engine)
    request = plugin.wait(Request)
    data = unframed_reply(plugin, request, answer_of_bytes(mux.FIRST_FRAME_BYTES + 1))

    plugin.send(mux.HEADER.pack(mux.PLUGIN_CONN_ID, len(data)) + data)

    plugin.wait(Closed)
    # Which of the two it is depends on who is first in the engine: its reader, or the end of the connection.
    failure = creation.exception(PATIENCE_S)
    assert str(failure) == "cannot allocate memory" if failure else not creation.result().adjust.env
