"""The plugin's side of NRI: the conversation, and what it does with a peer that breaks it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nri_netdev.errors import LocalProtocolError, ProtocolError, RemoteError
from nri_netdev.proto import nri_pb2, ttrpc_pb2
from nri_netdev.testing.session import Answered, EngineSession, PluginSynchronized
from nri_netdev.wire import methods, mux, session, ttrpc
from nri_netdev.wire.methods import HOOKS
from nri_netdev.wire.session import (
    TRANSITIONS,
    CallCompleted,
    Closed,
    Configured,
    Event,
    Input,
    Kind,
    PluginSession,
    Refused,
    Registered,
    Request,
    ShutdownRequested,
    State,
    Synchronized,
    event_mask,
)
from nri_netdev.wire.states import OURS

from .helpers import (
    ALL_OLD_EVENTS,
    CONTAINER,
    POD,
    ConnectionPair,
    EngineBytes,
    answers,
    cuts,
    only,
    response,
    sent,
    serving,
)

NINE = [kind for kind in Kind if HOOKS[kind].is_state_change]


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


# -- the way to serving --------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("mask", [0, -1, 1 << 14, 0x3FFF + 1, event_mask(Kind.VALIDATE_CONTAINER_ADJUSTMENT)])
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
    assert plugin.state is State.CONFIGURED
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
    plugin = PluginSession("netdev", "10", events=event_mask(*Kind))
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
    assert (configured.events, plugin.state, plugin.data_to_send()) == (0, State.CONFIGURING, b"")
    for mask in (0, -1, event_mask(*Kind), 1 << 20):
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


def test_synchronize_in_one() -> None:
    """A Synchronize without `more` is told whole and waits for its answer."""
    plugin, engine = registering(), EngineBytes()
    plugin.receive_data(engine.configure())
    plugin.data_to_send()
    synchronized = only(plugin.receive_data(engine.synchronize(pods=[POD], containers=[CONTAINER])))
    assert isinstance(synchronized, Synchronized)
    assert (synchronized.pods, synchronized.containers) == ((POD,), (CONTAINER,))
    assert plugin.data_to_send() == b""
    assert answers(plugin.reply(synchronized.request, None)) == [(3, ttrpc_pb2.Response())]


@pytest.mark.parametrize("field", ["pods", "containers"])
def test_synchronize_of_what_cannot_be_read(field: str) -> None:
    """A pod or container that is no protobuf ends the connection; what is inside is read one by one, but all of it."""
    plugin, engine = registering(), EngineBytes()
    plugin.receive_data(engine.configure())
    plugin.data_to_send()
    good, bad = POD.SerializeToString(), b"\x0a\xff"
    number = nri_pb2.SynchronizeRequest.DESCRIPTOR.fields_by_name[field].number
    parts = b"".join(bytes([number << 3 | 2, len(encoded)]) + encoded for encoded in (good, bad))
    assert "cannot be decoded" in broken(plugin.receive_data(engine.request("Synchronize", parts)))


def test_what_concerns_nobody_is_answered_and_not_told() -> None:
    """Asked with the rpc and its encoded request; the answer is an empty response, and there is no event."""
    asked: list[tuple[str, bytes]] = []

    def concerns(method: str, encoded: bytes | memoryview) -> bool:
        asked.append((method, bytes(encoded)))
        return b"wanted" in bytes(encoded)

    plugin, engine = serving(concerns=concerns)
    assert asked == []
    plain = nri_pb2.CreateContainerRequest(pod=POD, container=CONTAINER)
    assert plugin.receive_data(engine.request("CreateContainer", plain)) == []
    stopped = nri_pb2.StateChangeEvent(event=nri_pb2.Event.STOP_POD_SANDBOX, pod=POD)
    assert plugin.receive_data(engine.request("StateChange", stopped)) == []
    assert [answer for _, answer in answers(plugin.data_to_send())] == [ttrpc_pb2.Response()] * 2
    assert asked == [("CreateContainer", plain.SerializeToString()), ("StateChange", stopped.SerializeToString())]
    wanted = nri_pb2.PodSandbox(annotations={"wanted": ""})
    request = only(plugin.receive_data(engine.request("CreateContainer", nri_pb2.CreateContainerRequest(pod=wanted))))
    assert isinstance(request, Request)
    assert request.pod == wanted


def test_a_glance_changes_nothing() -> None:
    """What it has told may be answered, or read after all; its stream id is used up by either."""
    plugin, engine = serving()
    asked = engine.request("CreateContainer", nri_pb2.CreateContainerRequest(pod=POD, container=CONTAINER))
    seen = plugin.glance(memoryview(asked))
    assert seen == plugin.glance(memoryview(asked))
    assert seen is not None
    assert (seen.pod_id, seen.container_names()) == ("pod1", ("ctr1", "c"))
    request = only(plugin.receive_data(asked))
    assert isinstance(request, Request)
    assert plugin.glance(memoryview(asked)) is None
    again = engine.hook(Kind.STOP_CONTAINER)
    seen = plugin.glance(memoryview(again))
    assert seen is not None
    assert only(answers(plugin.answer(seen, b""))) == (seen.stream_id, ttrpc_pb2.Response())
    assert plugin.glance(memoryview(again)) is None
    plugin.receive_data(again)
    assert only(answers(plugin.data_to_send()))[1].status.code == ttrpc.Code.INVALID_ARGUMENT


def test_an_answer_at_a_glance() -> None:
    """Its payload is the encoded response, as it is of what was read."""
    plugin, engine = serving()
    asked = engine.hook(Kind.CREATE_CONTAINER)
    response = nri_pb2.CreateContainerResponse()
    response.adjust.linux.net_devices["ens1"].name = "net1"
    seen = plugin.glance(memoryview(asked))
    assert seen is not None
    _, answer = only(answers(plugin.answer(seen, response.SerializeToString())))
    assert nri_pb2.CreateContainerResponse.FromString(answer.payload) == response


def test_no_glance_before_there_is_service_or_within_a_message() -> None:
    """Then all is read."""
    plugin, engine = PluginSession("n", "10"), EngineBytes()
    plugin.start()
    assert plugin.glance(memoryview(engine.hook(Kind.CREATE_CONTAINER))) is None
    plugin, engine = serving()
    plugin.receive_data(engine.hook(Kind.CREATE_CONTAINER)[:30])
    assert plugin.glance(memoryview(engine.hook(Kind.STOP_CONTAINER))) is None
    assert plugin.glance(memoryview(b"")) is None


def test_concern_is_not_asked_before_there_is_service() -> None:
    """An event that comes too early breaks the protocol, whomever it concerns."""
    plugin, engine = PluginSession("n", "10", concerns=lambda method, encoded: False), EngineBytes()
    plugin.start()
    assert "an event of a pod" in broken(plugin.receive_data(engine.request("StopContainer")))


def test_what_is_not_kept_of_synchronize_is_counted() -> None:
    """None is left out of the event; how many there were is told."""
    plugin = PluginSession("n", "10", events=ALL_OLD_EVENTS, keep_pod=lambda _: None, keep_container=bytes)
    engine = EngineBytes()
    plugin.start()
    plugin.receive_data(engine.configure())
    told = only(plugin.receive_data(engine.synchronize(pods=[POD, POD], containers=[CONTAINER])))
    assert isinstance(told, Synchronized)
    assert (told.pods, told.pods_told) == ((), 2)
    assert (told.containers, told.containers_told) == ((CONTAINER.SerializeToString(),), 1)


def test_synchronize_in_parts() -> None:
    """Parts are acknowledged with `more` and no updates, collected, and told once, after the last."""
    plugin, engine = registering(), EngineBytes()
    plugin.receive_data(engine.configure())
    plugin.data_to_send()
    for n in range(3):
        part = engine.synchronize(containers=[nri_pb2.Container(id=str(n))], more=True)
        assert plugin.receive_data(part) == []
        assert plugin.state is State.SYNCHRONIZING
        _, answer = only(answers(plugin.data_to_send()))
        assert nri_pb2.SynchronizeResponse.FromString(answer.payload) == nri_pb2.SynchronizeResponse(more=True)
    synchronized = only(plugin.receive_data(engine.synchronize(pods=[POD])))
    assert isinstance(synchronized, Synchronized)
    assert [container.id for container in synchronized.containers] == ["0", "1", "2"]
    assert synchronized.pods == (POD,)
    assert plugin.state is State.SERVING
    with pytest.raises(LocalProtocolError, match="more"):
        plugin.reply(synchronized.request, nri_pb2.SynchronizeResponse(more=True))
    # A second round begins from nothing.
    again = only(plugin.receive_data(engine.synchronize()))
    assert isinstance(again, Synchronized)
    assert (again.pods, again.containers) == ((), ())


@pytest.mark.parametrize(("name", "limit"), [("MAX_SYNC_OBJECTS", 10), ("MAX_SYNC_BYTES", 1000)])
def test_synchronize_is_bounded(monkeypatch: pytest.MonkeyPatch, name: str, limit: int) -> None:
    """Parts without end do not fill memory: beyond the bound the connection is over, what was held let go."""
    monkeypatch.setattr(session, name, limit)
    plugin, engine = registering(), EngineBytes()
    plugin.receive_data(engine.configure())
    events: list[Event] = []
    parts = 0
    while not events:
        events = plugin.receive_data(engine.synchronize(pods=[POD, POD], more=True))
        parts += 1
        assert len(plugin._pods) <= 100
    assert "synchronizes" in broken(events)
    assert parts > 1
    assert plugin._pods == []
    assert plugin.data_to_send() == b""


# -- events --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
def test_each_event_by_its_own_rpc(kind: Kind) -> None:
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
def test_state_change_looks_the_same(kind: Kind) -> None:
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


@pytest.mark.parametrize("number", [0, *(kind for kind in Kind if kind not in NINE), 15, 99, -1])
def test_state_change_of_what_is_none_is_answered_and_ignored(number: int) -> None:
    """An event that does not come that way, or is of the future, is answered with nothing and not told."""
    plugin, engine = serving()
    event = nri_pb2.StateChangeEvent(event=number, pod=POD)  # type: ignore[arg-type]
    assert plugin.receive_data(engine.request("StateChange", event)) == []
    assert answers(plugin.data_to_send()) == [(5, ttrpc_pb2.Response())]


def test_adjustment_is_answered_as_go_frames_it() -> None:
    """A long answer has its first frame of exactly 4096 bytes, and arrives whole."""
    plugin, engine = serving()
    request = only(plugin.receive_data(engine.hook(Kind.CREATE_CONTAINER)))
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
    request = only(plugin.receive_data(engine.hook(Kind.CREATE_CONTAINER)))
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
    request = only(plugin.receive_data(engine.hook(Kind.CREATE_CONTAINER)))
    assert isinstance(request, Request)
    with pytest.raises(LocalProtocolError, match="StopContainerResponse"):
        plugin.reply(request, nri_pb2.StopContainerResponse())
    assert plugin.reply(request, nri_pb2.CreateContainerResponse())


def test_requests_are_answered_in_any_order() -> None:
    """Several requests may wait; each answer bears its own stream id."""
    plugin, engine = serving()
    data = engine.hook(Kind.VALIDATE_CONTAINER_ADJUSTMENT) + engine.hook(Kind.STOP_CONTAINER)
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
    assert isinstance(only(plugin.receive_data(engine.hook(Kind.STOP_CONTAINER))), Request)


def test_shutdown_is_answered() -> None:
    """Shutdown is told and answered."""
    plugin, engine = serving()
    assert plugin.receive_data(engine.request("Shutdown")) == [ShutdownRequested()]
    assert answers(plugin.data_to_send()) == [(5, ttrpc_pb2.Response())]


def test_event_before_synchronize_is_served() -> None:
    """Engines up to NRI 0.6 do not synchronize what they launched: events may come right after Configure."""
    plugin, engine = registering(), EngineBytes()
    plugin.receive_data(engine.configure())
    assert isinstance(only(plugin.receive_data(engine.hook(Kind.CREATE_CONTAINER))), Request)


# -- calls of ours -------------------------------------------------------------------------------------------


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


# -- the end -------------------------------------------------------------------------------------------------


def test_clean_end() -> None:
    """An end between messages is no error; afterwards nothing is told, answered or sent."""
    plugin, engine = serving()
    request = only(plugin.receive_data(engine.hook(Kind.CREATE_CONTAINER)))
    assert isinstance(request, Request)
    assert plugin.receive_eof() == [Closed(error=None)]
    assert plugin.is_dead
    assert plugin.receive_eof() == []
    assert plugin.receive_data(engine.hook(Kind.CREATE_CONTAINER)) == []
    assert plugin.reply(request, None) == b""
    assert plugin.refuse(request, "no") == b""
    assert plugin.configure(request, 1) == b""
    assert plugin.data_to_send() == b""


def test_end_within_a_message() -> None:
    """An end at any byte within a message is told as such, and only there."""
    data = EngineBytes().hook(Kind.CREATE_CONTAINER)
    for at in range(len(data) + 1):
        plugin, engine = serving()
        plugin.receive_data(engine.hook(Kind.CREATE_CONTAINER)[:at])
        closed = only(plugin.receive_eof())
        assert isinstance(closed, Closed)
        assert (closed.error is None) == (at in {0, len(data)})


@pytest.mark.parametrize("answered", [False, True])
def test_breach_is_final(answered: bool) -> None:
    """After a breach the session is dead, and what came before it in the same read is still told."""
    plugin, engine = serving()
    data = engine.hook(Kind.CREATE_CONTAINER) + engine.request("Nope") + mux.HEADER.pack(1, 0xFFFFFFFF) + b"more"
    events = plugin.receive_data(data)
    assert isinstance(events[0], Request)
    assert "4294967295" in broken(events)
    assert len(events) == 2
    assert plugin.reply(events[0], None) == b"" if answered else plugin.data_to_send() == b""
    assert plugin.state is State.BROKEN
    assert plugin.receive_data(engine.hook(Kind.CREATE_CONTAINER)) == []
    assert plugin.receive_eof() == []


@pytest.mark.parametrize(
    ("before", "what", "words"),
    [
        ("new", "configure", "Configure"),
        ("started", "hook", "event of a pod or container"),
        ("started", "synchronize", "Synchronize"),
        ("configured", "configure", "Configure"),
        ("synchronizing", "hook", "event of a pod or container"),
        ("serving", "configure", "Configure"),
    ],
)
def test_what_comes_out_of_turn_ends_the_connection(before: str, what: str, words: str) -> None:
    """A request at the wrong time is a breach that names the request and the state."""
    engine = EngineBytes()
    plugin = PluginSession("netdev", "10", events=ALL_OLD_EVENTS)
    if before != "new":
        plugin.start()
    if before not in {"new", "started"}:
        plugin.receive_data(engine.configure())
    if before == "synchronizing":
        plugin.receive_data(engine.synchronize(more=True))
    if before == "serving":
        plugin.receive_data(engine.synchronize())
    assert plugin.state == before
    data = {
        "configure": engine.configure,
        "synchronize": engine.synchronize,
        "hook": lambda: engine.hook(Kind.CREATE_CONTAINER),
    }[what]()
    text = broken(plugin.receive_data(data))
    assert words in text
    assert before in text


def test_table_is_complete_where_it_must_be() -> None:
    """Every living state can end in both ways; dead ones lead nowhere; every state but NEW is reached."""
    dead = {State.CLOSED, State.BROKEN}
    for state in State:
        for ending, after in ((Input.EOF, State.CLOSED), (Input.BREACH, State.BROKEN)):
            assert TRANSITIONS.get((state, ending)) == (None if state in dead else after)
    assert not [state for state, _ in TRANSITIONS if state in dead]
    assert set(TRANSITIONS.values()) == set(State) - {State.NEW}


@pytest.mark.parametrize(("state", "what"), list(product(State, Input)))
def test_absent_pair_is_the_fault_of_who_did_it(state: State, what: Input) -> None:
    """What the table lacks raises LocalProtocolError for our doing and ProtocolError for the engine's."""
    plugin = PluginSession("netdev", "10", events=1)
    plugin._state = state
    after = TRANSITIONS.get((state, what))
    if after is not None:
        plugin._advance(what)
        assert plugin.state is after
    else:
        with pytest.raises(LocalProtocolError if what in OURS else ProtocolError):
            plugin._advance(what)
        assert plugin.state is state


# -- any cut, any bytes --------------------------------------------------------------------------------------


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
            engine.hook(Kind.RUN_POD_SANDBOX, own_rpc=False),
            mux.frame(1, b""),
            engine.hook(Kind.CREATE_CONTAINER),
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
    assert told([data + EngineBytes().hook(Kind.STOP_CONTAINER)[:20]]) == whole


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
    decoders = (plugin._requests, plugin._answers)
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
        "hook": lambda: engine.hook(Kind.CREATE_CONTAINER),
        "change": lambda: engine.hook(Kind.START_CONTAINER, own_rpc=False),
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


# -- both sides joined ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("version", [(0, 8), (0, 11), (0, 12)])
def test_both_sides_agree(version: tuple[int, int], cut: int) -> None:
    """A plugin and an engine of any release go through the whole life of a container."""
    asked: list[Kind] = []

    def decide(plugin: PluginSession, request: Request) -> bytes:
        asked.append(request.kind)
        if request.kind is not Kind.CREATE_CONTAINER:
            return plugin.reply(request, None)
        message = nri_pb2.CreateContainerResponse()
        message.adjust.linux.net_devices["eth1"].name = "net1"
        return plugin.reply(request, message)

    pair = ConnectionPair(
        PluginSession("netdev", "10", events=event_mask(*Kind)),
        EngineSession(nri_version=version),
        decide=decide,
        pods=(POD,),
        containers=(CONTAINER,),
        cut=cut,
    )
    assert isinstance(pair.last(), PluginSynchronized)
    kinds = [kind for kind in Kind if pair.engine.wants(kind)]
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


def test_refusal_reaches_the_engine() -> None:
    """The plugin's words arrive as they were said."""
    pair = ConnectionPair(
        PluginSession("netdev", "10", events=ALL_OLD_EVENTS),
        EngineSession(),
        decide=lambda plugin, request: plugin.refuse(request, "eth9 is not there"),
    )
    pair.to_plugin(pair.engine.call(Kind.CREATE_CONTAINER, nri_pb2.CreateContainerRequest(pod=POD))[1])
    answered = pair.last()
    assert isinstance(answered, Answered)
    assert isinstance(answered.error, RemoteError)
    assert answered.error.message == "eth9 is not there"


def test_events_are_values() -> None:
    """Events compare by what they say and cannot be changed."""
    plugin, engine = serving()
    request = only(plugin.receive_data(engine.hook(Kind.STOP_CONTAINER)))
    assert copy.copy(request) == request
    with pytest.raises(AttributeError):
        request.kind = Kind.START_CONTAINER  # type: ignore[misc, union-attr]
