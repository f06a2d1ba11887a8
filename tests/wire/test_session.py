"""The plugin's side of NRI: the conversation, and what it does with a peer that breaks it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nri_netdev.errors import LocalProtocolError, ProtocolError, RemoteError
from nri_netdev.proto import nri_pb2, ttrpc_pb2
from nri_netdev.testing.session import Answered, EngineSession
from nri_netdev.wire import methods, mux, ttrpc
from nri_netdev.wire.methods import HOOKS
from nri_netdev.wire.session import (
    TRANSITIONS,
    CallCompleted,
    Closed,
    Configured,
    Event,
    EventKind,
    Input,
    PluginSession,
    Refused,
    Registered,
    Request,
    SessionState,
    ShutdownRequested,
    event_mask,
)

from .helpers import (
    ALL_OLD_EVENTS,
    CONTAINER,
    POD,
    ConnectionPair,
    EngineBytes,
    answers,
    broken,
    only,
    registering,
    response,
    sent,
    serving,
)

NINE = [kind for kind in EventKind if HOOKS[kind].is_state_change]


# -- the way to serving ------------------------------------------------------------------------------------------------


def test_start_registers() -> None:
    """The first bytes are RegisterPlugin on conn 2, stream 1."""
    plugin = PluginSession("netdev", "07", nri_version="v0.12.0", events=ALL_OLD_EVENTS)
    conn_id, stream_id, kind, body = only(sent(plugin.start()))
    assert (conn_id, stream_id, kind) == (2, 1, ttrpc.MessageType.REQUEST)
    envelope = ttrpc_pb2.Request.FromString(body)
    assert (envelope.service, envelope.method) == (methods.RUNTIME_SERVICE, "RegisterPlugin")
    assert nri_pb2.RegisterPluginRequest.FromString(envelope.payload) == nri_pb2.RegisterPluginRequest(
        plugin_name="netdev", plugin_idx="07", NRI_version="v0.12.0"
    )
    with pytest.raises(LocalProtocolError):
        plugin.start()


@pytest.mark.parametrize(
    ("name", "idx"),
    [("", "10"), ("a b", "10"), ("é", "10"), ("a", "1"), ("a", "100"), ("a", "1x"), ("a", "١٢")],
)
def test_names_that_engines_refuse_are_our_bug(name: str, idx: str) -> None:
    """A name or index that no engine takes is refused before it is sent."""
    with pytest.raises(LocalProtocolError):
        PluginSession(name, idx)


@pytest.mark.parametrize("mask", [0, -1, 1 << 14, 0x3FFF + 1, event_mask(EventKind.VALIDATE_CONTAINER_ADJUSTMENT)])
def test_masks_that_some_engine_refuses_are_our_bug(mask: int) -> None:
    """No mask is 0, nor becomes it on an old engine, nor holds what no engine knows."""
    with pytest.raises(LocalProtocolError):
        PluginSession("a", "10", events=mask)


@pytest.mark.parametrize("configure_first", [False, True])
def test_configure_may_overtake_the_answer_to_register(configure_first: bool) -> None:
    """Both orders of Configure and the answer to RegisterPlugin lead to the same state."""
    plugin, engine = registering(), EngineBytes()
    pieces = [response(1), engine.configure(registration_timeout=5000, request_timeout=2000, config="c")]
    events = plugin.receive_data(b"".join(reversed(pieces) if configure_first else pieces))
    registered, configured = reversed(events) if configure_first else events
    assert registered == Registered()
    assert isinstance(configured, Configured)
    assert (configured.registration_timeout_ms, configured.request_timeout_ms) == (5000, 2000)
    assert (configured.runtime_name, configured.runtime_version) == ("containerd", "v2.3.4")
    assert (configured.nri_version, configured.nri_release) == ("v0.12.0", (0, 12))
    assert (configured.config, configured.events) == ("c", ALL_OLD_EVENTS)
    assert plugin.state is SessionState.CONFIGURED
    stream_id, answer = only(answers(plugin.data_to_send()))
    assert stream_id == 1
    assert nri_pb2.ConfigureResponse.FromString(answer.payload).events == ALL_OLD_EVENTS
    assert plugin.data_to_send() == b""


@pytest.mark.parametrize(
    ("told", "mask"),
    [
        ({"NRI_version": "v0.12.0"}, 0x3FFF),
        ({"NRI_version": "", "runtime_version": "v2.2.0"}, 0x3FFF),
        ({"NRI_version": "", "runtime_version": "v2.1.0"}, 0x7FF),
        ({"NRI_version": "", "runtime_name": "other"}, 0x7FF),
    ],
)
def test_mask_holds_only_what_the_engine_knows(told: dict[str, str], mask: int) -> None:
    """Events 12 to 14 are asked for only where the engine is known to be new enough."""
    plugin = PluginSession("netdev", "10", events=event_mask(*EventKind))
    plugin.start()
    configured = only(plugin.receive_data(EngineBytes().configure(**told)))
    assert isinstance(configured, Configured)
    assert configured.events == mask


def test_mask_by_hand() -> None:
    """Without a mask at construction Configure waits for `configure`."""
    plugin, engine = PluginSession("netdev", "10"), EngineBytes()
    plugin.start()
    configured = only(plugin.receive_data(engine.configure(NRI_version="", runtime_version="v2.1.0")))
    assert isinstance(configured, Configured)
    assert (configured.events, plugin.state, plugin.data_to_send()) == (0, SessionState.CONFIGURING, b"")
    for mask in (0, -1, event_mask(*EventKind), 1 << 20):
        with pytest.raises(LocalProtocolError):
            plugin.configure(configured.request, mask)
    _, answer = only(answers(plugin.configure(configured.request, 8)))
    assert nri_pb2.ConfigureResponse.FromString(answer.payload).events == 8
    with pytest.raises(LocalProtocolError):
        plugin.configure(configured.request, 8)


def test_refused_registration() -> None:
    """A refusal is told with the engine's words; after it nothing is expected."""
    plugin = registering()
    refused = only(plugin.receive_data(response(1, code=2, text="invalid plugin name")))
    assert isinstance(refused, Refused)
    assert isinstance(refused.error, RemoteError)
    assert (refused.error.code, refused.error.message) == (2, "invalid plugin name")
    assert "Configure" in broken(plugin.receive_data(EngineBytes().configure()))


def test_a_peek_changes_nothing() -> None:
    """What it has told may be answered, or read after all; its stream id is used up by either."""
    plugin, engine = serving()
    asked = engine.request("CreateContainer", nri_pb2.CreateContainerRequest(pod=POD, container=CONTAINER))
    seen = plugin.peek(memoryview(asked))
    assert seen == plugin.peek(memoryview(asked))
    assert seen is not None
    assert (seen.pod_id, seen.container_names()) == ("pod1", ("ctr1", "c"))
    request = only(plugin.receive_data(asked))
    assert isinstance(request, Request)
    assert plugin.peek(memoryview(asked)) is None
    again = engine.hook(EventKind.STOP_CONTAINER)
    seen = plugin.peek(memoryview(again))
    assert seen is not None
    assert only(answers(plugin.answer(seen, b""))) == (seen.stream_id, ttrpc_pb2.Response())
    assert plugin.peek(memoryview(again)) is None
    plugin.receive_data(again)
    assert only(answers(plugin.data_to_send()))[1].status.code == ttrpc.Code.INVALID_ARGUMENT


def test_an_answer_to_a_peek() -> None:
    """Its payload is the encoded response, as it is of what was read."""
    plugin, engine = serving()
    asked = engine.hook(EventKind.CREATE_CONTAINER)
    response = nri_pb2.CreateContainerResponse()
    response.adjust.linux.net_devices["ens1"].name = "net1"
    seen = plugin.peek(memoryview(asked))
    assert seen is not None
    _, answer = only(answers(plugin.answer(seen, response.SerializeToString())))
    assert nri_pb2.CreateContainerResponse.FromString(answer.payload) == response


def test_no_peek_before_there_is_service_or_within_a_message() -> None:
    """Then all is read."""
    plugin, engine = PluginSession("n", "10"), EngineBytes()
    plugin.start()
    assert plugin.peek(memoryview(engine.hook(EventKind.CREATE_CONTAINER))) is None
    plugin, engine = serving()
    plugin.receive_data(engine.hook(EventKind.CREATE_CONTAINER)[:30])
    assert plugin.peek(memoryview(engine.hook(EventKind.STOP_CONTAINER))) is None
    assert plugin.peek(memoryview(b"")) is None


# -- events ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EventKind)
def test_each_event_by_its_own_rpc(kind: EventKind) -> None:
    """Every event becomes a Request with kind, pod, container, deadline and whole message."""
    plugin, engine = serving()
    request = only(plugin.receive_data(engine.hook(kind)))
    assert isinstance(request, Request)
    assert (request.kind, request.method, request.timeout_nano) == (kind, HOOKS[kind].method, 1_999_900_000)
    assert request.pod == POD
    assert request.container == (CONTAINER if HOOKS[kind].has_container else nri_pb2.Container())
    assert type(request.message) is HOOKS[kind].request
    assert answers(plugin.reply(request, HOOKS[kind].response())) == [(5, ttrpc_pb2.Response())]


@pytest.mark.parametrize("kind", NINE)
def test_state_change_looks_the_same(kind: EventKind) -> None:
    """The form of engines before NRI 0.12 gives the same Request and takes the same answer."""
    new, old = serving(), serving()
    by_rpc = only(new[0].receive_data(new[1].hook(kind)))
    by_change = only(old[0].receive_data(old[1].hook(kind, own_rpc=False)))
    assert isinstance(by_rpc, Request)
    assert isinstance(by_change, Request)
    for name in ("kind", "pod", "container", "stream_id", "timeout_nano"):
        assert getattr(by_rpc, name) == getattr(by_change, name)
    assert isinstance(by_change.message, nri_pb2.StateChangeEvent)
    assert old[0].reply(by_change, HOOKS[kind].response()) == new[0].reply(by_rpc, None)


@pytest.mark.parametrize("number", [0, *(kind for kind in EventKind if kind not in NINE), 15, 99, -1])
def test_state_change_of_what_is_none_is_answered_and_ignored(number: int) -> None:
    """An event that does not come that way, or is of the future, is answered with nothing and not told."""
    plugin, engine = serving()
    event = nri_pb2.StateChangeEvent(event=number, pod=POD)  # type: ignore[arg-type]
    assert plugin.receive_data(engine.request("StateChange", event)) == []
    assert answers(plugin.data_to_send()) == [(5, ttrpc_pb2.Response())]


def test_adjustment_is_answered_as_go_frames_it() -> None:
    """A long answer has its first frame of exactly 4096 bytes, and arrives whole."""
    plugin, engine = serving()
    request = only(plugin.receive_data(engine.hook(EventKind.CREATE_CONTAINER)))
    assert isinstance(request, Request)
    message = nri_pb2.CreateContainerResponse()
    for n in range(500):
        message.adjust.linux.net_devices[f"eth{n}"].name = f"net{n}"
    data = plugin.reply(request, message)
    assert mux.HEADER.unpack_from(data) == (1, 4096)
    assert mux.HEADER.unpack_from(data, 8 + 4096) == (1, len(data) - 16 - 4096)
    _, answer = only(answers(data))
    assert not answer.HasField("status")
    assert nri_pb2.CreateContainerResponse.FromString(answer.payload) == message


def test_refusal() -> None:
    """A refusal is a status with our text and no payload."""
    plugin, engine = serving()
    request = only(plugin.receive_data(engine.hook(EventKind.CREATE_CONTAINER)))
    assert isinstance(request, Request)
    with pytest.raises(LocalProtocolError, match="12"):
        plugin.refuse(request, "no", 12)
    _, answer = only(answers(plugin.refuse(request, "no such interface")))
    assert (answer.status.code, answer.status.message, answer.payload) == (2, "no such interface", b"")
    with pytest.raises(LocalProtocolError, match="once"):
        plugin.reply(request, None)


def test_answer_of_another_kind_is_our_bug() -> None:
    """A response that does not belong to the request is refused, and the request still waits."""
    plugin, engine = serving()
    request = only(plugin.receive_data(engine.hook(EventKind.CREATE_CONTAINER)))
    assert isinstance(request, Request)
    with pytest.raises(LocalProtocolError, match="StopContainerResponse"):
        plugin.reply(request, nri_pb2.StopContainerResponse())
    assert plugin.reply(request, nri_pb2.CreateContainerResponse())


def test_requests_are_answered_in_any_order() -> None:
    """Several requests may wait; each answer bears its own stream id."""
    plugin, engine = serving()
    data = engine.hook(EventKind.VALIDATE_CONTAINER_ADJUSTMENT) + engine.hook(EventKind.STOP_CONTAINER)
    first, second = plugin.receive_data(data)
    assert isinstance(first, Request)
    assert isinstance(second, Request)
    rejection = nri_pb2.ValidateContainerAdjustmentResponse(reject=True, reason="r")
    out = plugin.reply(second, None) + plugin.reply(first, rejection)
    assert [stream_id for stream_id, _ in answers(out)] == [second.stream_id, first.stream_id]


def test_unknown_and_undecodable_are_answered_without_ado() -> None:
    """What we lack gets 12, what we cannot read 13, what is too long 8, a bad id 3; the session lives."""
    plugin, engine = serving()
    assert plugin.receive_data(engine.request("EvictContainer")) == []
    assert plugin.receive_data(engine.request("StopContainer", service="other")) == []
    assert plugin.receive_data(engine.request("StopContainer", b"\xff")) == []
    huge = ttrpc.HEADER.pack(ttrpc.MAX_DATA_BYTES + 1, 11, 1, 0)
    assert plugin.receive_data(mux.HEADER.pack(1, len(huge) + ttrpc.MAX_DATA_BYTES + 1) + huge) == []
    assert plugin.receive_data(bytes(ttrpc.MAX_DATA_BYTES + 1)) == []
    assert plugin.receive_data(engine.request("StopContainer", stream_id=3)) == []
    codes = [(stream_id, answer.status.code) for stream_id, answer in answers(plugin.data_to_send())]
    assert codes == [(5, 12), (7, 12), (9, 13), (11, 8), (3, 3)]
    engine.next_id = 13
    assert isinstance(only(plugin.receive_data(engine.hook(EventKind.STOP_CONTAINER))), Request)


def test_shutdown_is_answered() -> None:
    """Shutdown is told and answered."""
    plugin, engine = serving()
    assert plugin.receive_data(engine.request("Shutdown")) == [ShutdownRequested()]
    assert answers(plugin.data_to_send()) == [(5, ttrpc_pb2.Response())]


def test_event_before_synchronize_is_served() -> None:
    """Engines up to NRI 0.6 do not synchronize what they launched: events may come right after Configure."""
    plugin, engine = registering(), EngineBytes()
    plugin.receive_data(engine.configure())
    assert isinstance(only(plugin.receive_data(engine.hook(EventKind.CREATE_CONTAINER))), Request)


# -- calls of ours -----------------------------------------------------------------------------------------------------


def test_update_containers() -> None:
    """A call is sent with its deadline and completes with the engine's answer."""
    plugin, _ = serving()
    update = nri_pb2.UpdateContainersRequest(update=[nri_pb2.ContainerUpdate(container_id="x")])
    call_id, data = plugin.call("UpdateContainers", update, 123)
    conn_id, stream_id, _, body = only(sent(data))
    envelope = ttrpc_pb2.Request.FromString(body)
    assert (conn_id, stream_id, envelope.timeout_nano) == (2, call_id, 123)
    assert nri_pb2.UpdateContainersRequest.FromString(envelope.payload) == update
    failed = nri_pb2.UpdateContainersResponse(failed=update.update)
    assert plugin.receive_data(response(call_id, failed)) == [
        CallCompleted(call_id=call_id, message=failed, error=None)
    ]


@pytest.mark.parametrize(
    ("data", "error"),
    [(response(3, code=5, text="no"), RemoteError), (response(3, b"\xff"), ProtocolError)],
)
def test_failed_call(data: bytes, error: type[Exception]) -> None:
    """A call that fails completes with the error."""
    plugin, _ = serving()
    plugin.call("UpdateContainers", nri_pb2.UpdateContainersRequest())
    completed = only(plugin.receive_data(data))
    assert isinstance(completed, CallCompleted)
    assert completed.message is None
    assert isinstance(completed.error, error)


def test_expired_call_is_forgotten() -> None:
    """The answer to a call that was given up changes nothing, nor does giving up twice."""
    plugin, _ = serving()
    call_id, _ = plugin.call("UpdateContainers", nri_pb2.UpdateContainersRequest())
    plugin.expire(call_id)
    plugin.expire(call_id)
    assert plugin.receive_data(response(call_id)) == []


def test_calls_that_are_none_are_our_bug() -> None:
    """Only UpdateContainers can be called, with its message, and once we serve."""
    plugin, _ = serving()
    for method, message in (
        ("RegisterPlugin", nri_pb2.RegisterPluginRequest()),
        ("Nope", nri_pb2.Empty()),
        ("UpdateContainers", nri_pb2.Empty()),
    ):
        with pytest.raises(LocalProtocolError, match="no call"):
            plugin.call(method, message)
    with pytest.raises(LocalProtocolError, match="started"):
        registering().call("UpdateContainers", nri_pb2.UpdateContainersRequest())


# -- the end -----------------------------------------------------------------------------------------------------------


def test_clean_end() -> None:
    """An end between messages is no error; afterwards nothing is told, answered or sent."""
    plugin, engine = serving()
    request = only(plugin.receive_data(engine.hook(EventKind.CREATE_CONTAINER)))
    assert isinstance(request, Request)
    assert plugin.receive_eof() == [Closed(error=None)]
    assert plugin.is_dead
    assert plugin.receive_eof() == []
    assert plugin.receive_data(engine.hook(EventKind.CREATE_CONTAINER)) == []
    assert plugin.reply(request, None) == b""
    assert plugin.refuse(request, "no") == b""
    assert plugin.configure(request, 1) == b""
    assert plugin.data_to_send() == b""


@pytest.mark.parametrize("answered", [False, True])
def test_breach_is_final(answered: bool) -> None:
    """After a breach the session is dead, and what came before it in the same read is still told."""
    plugin, engine = serving()
    data = engine.hook(EventKind.CREATE_CONTAINER) + engine.request("Nope") + mux.HEADER.pack(1, 0xFFFFFFFF) + b"more"
    events = plugin.receive_data(data)
    assert isinstance(events[0], Request)
    assert "4294967295" in broken(events)
    assert len(events) == 2
    assert plugin.reply(events[0], None) == b"" if answered else plugin.data_to_send() == b""
    assert plugin.state is SessionState.BROKEN
    assert plugin.receive_data(engine.hook(EventKind.CREATE_CONTAINER)) == []
    assert plugin.receive_eof() == []


STEPS = st.sampled_from(
    [
        *("start", "registered", "refused", "configure", "part", "last", "hook", "change", "shutdown"),
        *("reply", "refuse", "call", "expire", "mask", "eof", "garbage", "drain"),
    ]
)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=25), st.booleans())
def test_any_sequence_keeps_the_table(steps: list[str], by_hand: bool) -> None:
    """Any order of what both sides do keeps to the table, and only our own mistakes raise."""
    plugin = PluginSession("netdev", "10", events=None if by_hand else ALL_OLD_EVENTS)
    engine = EngineBytes()
    waiting: list[Request] = []
    configured: list[Configured] = []
    last_call = 0
    feeds: dict[str, Callable[[], bytes]] = {
        "registered": lambda: response(1),
        "refused": lambda: response(1, code=2),
        "configure": engine.configure,
        "part": lambda: engine.synchronize(pods=[POD], more=True),
        "last": engine.synchronize,
        "hook": lambda: engine.hook(EventKind.CREATE_CONTAINER),
        "change": lambda: engine.hook(EventKind.START_CONTAINER, own_rpc=False),
        "shutdown": lambda: engine.request("Shutdown"),
        "garbage": lambda: b"\xff" * 8,
    }
    for step in steps:
        before = plugin.state
        was_dead = plugin.is_dead
        events: list[Event] = []
        try:
            if step in feeds:
                events = plugin.receive_data(feeds[step]())
            elif step == "eof":
                events = plugin.receive_eof()
            elif step == "start":
                plugin.start()
            elif step == "call":
                last_call, _ = plugin.call("UpdateContainers", nri_pb2.UpdateContainersRequest())
            elif step == "expire":
                plugin.expire(last_call)
            elif step == "drain":
                plugin.data_to_send()
            elif step == "mask" and configured:
                plugin.configure(configured[0].request, 1)
            elif waiting and step in {"reply", "refuse"}:
                request = waiting.pop()
                out = plugin.reply(request, None) if step == "reply" else plugin.refuse(request, "no")
                assert bool(out) != plugin.is_dead
        except LocalProtocolError:
            assert step in {"start", "call", "mask"}
            assert plugin.state is before
        waiting += [event for event in events if isinstance(event, Request)]
        configured += [event for event in events if isinstance(event, Configured)]
        if was_dead:
            assert (events, plugin.state, plugin.data_to_send()) == ([], before, b"")
        ended = [event for event in events if isinstance(event, Closed)]
        assert bool(ended) == (plugin.is_dead and not was_dead)
        reachable = {after for (state, _), after in TRANSITIONS.items() if state is before}
        after_mask = {TRANSITIONS.get((state, Input.MASK)) for state in reachable}
        assert plugin.state in {before} | reachable | after_mask
    assert plugin._server.open_requests >= {request.stream_id for request in waiting}


def test_refusal_reaches_the_engine() -> None:
    """The plugin's words arrive as they were said."""
    pair = ConnectionPair(
        PluginSession("netdev", "10", events=ALL_OLD_EVENTS),
        EngineSession(),
        decide=lambda plugin, request: plugin.refuse(request, "eth9 is not there"),
    )
    pair.to_plugin(pair.engine.call(EventKind.CREATE_CONTAINER, nri_pb2.CreateContainerRequest(pod=POD))[1])
    answered = pair.last()
    assert isinstance(answered, Answered)
    assert isinstance(answered.error, RemoteError)
    assert answered.error.message == "eth9 is not there"
