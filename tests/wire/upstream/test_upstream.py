"""Our wire against the engine side of containerd/nri itself, at each version that matters."""

import gc
import os
import tracemalloc

import pytest
from google.protobuf.message import Message

from nri_netdev.errors import RemoteError
from nri_netdev.proto import nri_pb2
from nri_netdev.wire.methods import EVENTS_BEFORE_0_10, EVENTS_SINCE_0_10, HOOKS, STATE_CHANGES
from nri_netdev.wire.session import (
    CallCompleted,
    Closed,
    Configured,
    EventKind,
    Refused,
    Registered,
    Request,
    SessionState,
    Synchronized,
)
from tests.wire.recording import RECORDED, Recording
from tests.wire.upstream.conftest import ENGINE_VERSIONS, Connect, StartEngine
from tests.wire.upstream.engine import PATIENCE_S, Engine, EngineError
from tests.wire.upstream.play import CONTAINER, NET_DEVICES, POD, adjust_with, begin_create, create
from tests.wire.upstream.plugin import PluginOnSocket

pytestmark = pytest.mark.upstream

RECORD = os.environ.get("NRI_NETDEV_RECORD") == "1"
"""Whether to write `tests/wire/recorded` anew."""


# -- the way in --------------------------------------------------------------------------------------------


def test_registers_configures_synchronizes(version: str, engine: Engine, connect: Connect) -> None:
    """Register, Configure and Synchronize lead to a plugin that is called; what was told arrives."""
    engine.call("State", pods=2, containers=3)
    plugin = connect(engine, until_serving=False)

    configured = plugin.wait(Configured)
    synchronized = plugin.wait(Synchronized)
    plugin.wait(Registered)
    plugin.reply(synchronized.request)
    engine.wait_logged('plugin "10-net" connected and synchronized')

    assert ("containerd", ENGINE_VERSIONS[version]) == (configured.runtime_name, configured.runtime_version)
    assert (0, int(version.partition(".")[2])) == configured.nri_release
    assert (version == "0.12") == configured.nri_version.startswith("v0.12.")
    assert configured.registration_timeout_ms == 5_000
    assert configured.request_timeout_ms == 30_000
    assert not configured.config
    assert sorted(pod.id for pod in synchronized.pods) == ["pod-0", "pod-1"]
    assert sorted(container.id for container in synchronized.containers) == ["ctr-0", "ctr-1", "ctr-2"]
    assert plugin.session.state is SessionState.SERVING
    assert create(engine, plugin).consulted == ["10-net"]


def test_synchronize_in_parts(engine: Engine, connect: Connect) -> None:
    """5,000 pods and 5,000 containers come in parts and arrive as one Synchronized."""
    engine.call("State", pods=5_000, containers=5_000, bytes=1_000)

    synchronized = connect(engine, until_serving=False).wait(Synchronized)

    assert {f"pod-{n}" for n in range(5_000)} == {pod.id for pod in synchronized.pods}
    assert {f"ctr-{n}" for n in range(5_000)} == {container.id for container in synchronized.containers}
    assert engine.logged("(more: true)")


def test_part_of_synchronize_after_part(engine: Engine, connect: Connect) -> None:
    """The engine is content with how the parts of Synchronize are answered."""
    engine.call("State", pods=3_000, containers=3_000, bytes=1_000)

    plugin = connect(engine)

    assert create(engine, plugin).consulted == ["10-net"]


def test_configure_may_overtake_the_answer_to_register(engine: Engine, connect: Connect) -> None:
    """In whatever order Configure and the answer to RegisterPlugin come, all registrations hold."""
    for _ in range(60):
        with connect(engine) as plugin:
            plugin.wait(Registered)

            assert plugin.session.state is SessionState.SERVING


def test_refused_registration(engine: Engine, connect: Connect) -> None:
    """A registration that the engine refuses arrives as Refused, with its words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nri_netdev.proto.nri_pb2.RegisterPluginRequest", _with_invalid_idx)
        plugin = connect(engine, until_serving=False)

    error = plugin.wait(Refused).error

    assert isinstance(error, RemoteError)
    assert 'invalid plugin index "1"' in error.message


def _with_invalid_idx(
    *, _request: type = nri_pb2.RegisterPluginRequest, **fields: str
) -> nri_pb2.RegisterPluginRequest:
    return _request(**fields | {"plugin_idx": "1"})


# -- the mask of events ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runtime_version", "expected"), [("v2.3.4", EVENTS_SINCE_0_10), ("devel", EVENTS_BEFORE_0_10)]
)
def test_mask_is_accepted(
    version: str, start_engine: StartEngine, connect: Connect, runtime_version: str, expected: int
) -> None:
    """A mask of all events, cut to what the engine surely has, is accepted."""
    engine = start_engine(runtime_version=runtime_version)
    plugin = connect(engine, events=EVENTS_SINCE_0_10)

    if version == "0.12":
        expected = EVENTS_SINCE_0_10
    assert expected == plugin.wait(Configured).events


def test_unknown_bit_is_refused(engine: Engine, connect: Connect) -> None:
    """The engine drops a plugin for a bit that it does not know: why the session never sends one."""
    unknown = nri_pb2.ConfigureResponse(events=EVENTS_SINCE_0_10 + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nri_netdev.proto.nri_pb2.ConfigureResponse", lambda **_: unknown)
        plugin = connect(engine, until_serving=False)
        plugin.wait(Configured)

    plugin.wait(Closed)

    engine.wait_logged("invalid plugin events: 0x4000")


# -- events ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EventKind, ids=lambda kind: kind.name)
def test_event_arrives(version: str, engine: Engine, connect: Connect, kind: EventKind) -> None:
    """Each event arrives as the same Request, whichever form the engine's version gives it."""
    plugin = connect(engine, events=1 << (kind - 1) | 1 << (EventKind.CREATE_CONTAINER - 1))
    hook = HOOKS[kind]
    is_validation = kind is EventKind.VALIDATE_CONTAINER_ADJUSTMENT
    op = HOOKS[EventKind.CREATE_CONTAINER].method if is_validation else hook.method

    outcome = engine.begin(op, POD, CONTAINER)
    if is_validation:
        plugin.reply(plugin.wait(Request), adjust_with(net_devices=NET_DEVICES))
    request = plugin.wait(Request)
    plugin.reply(request, hook.response())
    outcome.result(PATIENCE_S)

    assert kind is request.kind
    assert request.pod == POD
    assert _told(request.container) == (_told(CONTAINER) if hook.has_container else ("", "", [], []))
    old = version == "0.11" and kind in STATE_CHANGES
    assert ("StateChange" if old else hook.method) == request.method
    assert 0 < request.timeout_nano <= 30_000_000_000


def _told(container: nri_pb2.Container) -> tuple[str, str, list[str], list[str]]:
    """What the engine passes on; to a container being created it adds empty messages."""
    return container.id, container.name, list(container.args), list(container.env)


def test_error_reaches_the_caller(engine: Engine, connect: Connect) -> None:
    """The text of a refusal is the text of the engine's error, and the connection lives on."""
    plugin = connect(engine)
    creation = begin_create(engine)

    plugin.refuse(plugin.wait(Request), "eth9 is taken (überall): give it back or ask for another")

    with pytest.raises(EngineError) as caught:
        creation.result(PATIENCE_S)
    text = "rpc error: code = Unknown desc = eth9 is taken (überall): give it back or ask for another"
    assert text == str(caught.value)
    assert create(engine, plugin).consulted == ["10-net"]


@pytest.mark.parametrize(
    "kind",
    [
        EventKind.RUN_POD_SANDBOX,
        EventKind.POST_CREATE_CONTAINER,
        EventKind.STOP_CONTAINER,
        EventKind.REMOVE_POD_SANDBOX,
    ],
    ids=lambda kind: kind.name,
)
def test_error_of_an_event(engine: Engine, connect: Connect, kind: EventKind) -> None:
    """A refusal of any event is told as an error, in both forms of events."""
    plugin = connect(engine)
    outcome = engine.begin(HOOKS[kind].method, POD, CONTAINER)

    plugin.refuse(plugin.wait(Request), "not now")

    with pytest.raises(EngineError, match="not now"):
        outcome.result(PATIENCE_S)


def test_update_containers(engine: Engine, connect: Connect) -> None:
    """A call of ours reaches the engine, and its answer comes back."""
    plugin = connect(engine)
    updates = [nri_pb2.ContainerUpdate(container_id=name) for name in ("present", "absent")]

    call_id, data = plugin.session.call("UpdateContainers", nri_pb2.UpdateContainersRequest(update=updates))
    plugin.send(data)
    completed = plugin.wait(CallCompleted)

    assert call_id == completed.call_id
    assert [failed.container_id for failed in completed.message.failed] == ["absent"]


# -- net_devices -------------------------------------------------------------------------------------------


def test_net_devices_reach_the_spec(engine: Engine, connect: Connect) -> None:
    """What we ask for comes out of the engine's merging and in the OCI spec."""
    plugin = connect(engine)
    asked = {**NET_DEVICES, "ens2f0": nri_pb2.LinuxNetDevice()}

    created = create(engine, plugin, adjust_with(net_devices=asked))

    assert asked == dict(created.adjust.linux.net_devices)
    assert created.spec["linux"]["netDevices"] == {"eth9": {"name": "net1"}, "ens2f0": {}}


def test_next_plugin_sees_net_devices(engine: Engine, connect: Connect) -> None:
    """Plugins are asked in the order of their indices, and the later ones are shown what was set."""
    later, first = connect(engine, "later", "20"), connect(engine, "first", "10")
    creation = begin_create(engine)

    first.reply(first.wait(Request), adjust_with(net_devices=NET_DEVICES))
    request = later.wait(Request)
    later.reply(request, adjust_with(net_devices={"eth8": nri_pb2.LinuxNetDevice()}))
    created = creation.result(PATIENCE_S)

    assert dict(request.container.linux.net_devices) == NET_DEVICES
    assert created.consulted == ["10-first", "20-later"]
    assert set(created.spec["linux"]["netDevices"]) == {"eth8", "eth9"}


def test_one_name_twice_conflicts(engine: Engine, connect: Connect) -> None:
    """Two plugins of one name conflict over a device as any two would: a rolling update must not overlap."""
    plugins = [connect(engine), connect(engine)]
    creation = begin_create(engine)

    for plugin in plugins:
        plugin.reply(plugin.wait(Request), adjust_with(net_devices=NET_DEVICES))

    with pytest.raises(EngineError) as caught:
        creation.result(PATIENCE_S)
    text = 'plugins "10-net" and "10-net" both tried to set LinuxNetDevices eth9'
    assert text in str(caught.value)


def test_required_plugin(start_engine: StartEngine, connect: Connect) -> None:
    """An engine that requires us by name creates nothing without us, and knows us when we are there."""
    engine = start_engine(required_plugins="net")
    with pytest.raises(EngineError, match="net"):
        engine.call("CreateContainer", POD, CONTAINER)

    plugin = connect(engine)

    assert create(engine, plugin, adjust_with(net_devices=NET_DEVICES)).adjust.linux.net_devices


# -- the way out -------------------------------------------------------------------------------------------


def test_late_answer(start_engine: StartEngine, connect: Connect) -> None:
    """After a late answer the engine has gone on without us; to connect again works at once."""
    engine = start_engine(request_timeout="300ms")
    plugin = connect(engine)
    creation = begin_create(engine)
    request = plugin.wait(Request)

    created = creation.result(PATIENCE_S)
    plugin.reply(request, adjust_with(net_devices=NET_DEVICES))

    assert not created.adjust.linux.net_devices
    assert plugin.wait(Closed).error is None
    again = connect(engine, "again")
    assert create(engine, again, adjust_with(net_devices=NET_DEVICES)).consulted == ["10-again"]


def test_failure_policy(version: str, start_engine: StartEngine, connect: Connect) -> None:
    """A plugin that asks for it is missed: since NRI 0.12.4 what it leaves unanswered fails, not before."""
    engine = start_engine(request_timeout="300ms")
    plugin = connect(engine, fail_request=True)
    creation = begin_create(engine)
    plugin.wait(Request)

    if version == "0.11":
        assert not creation.result(PATIENCE_S).adjust.linux.net_devices
    else:
        with pytest.raises(EngineError, match="plugin 10-net failed to handle CreateContainer request"):
            creation.result(PATIENCE_S)


def test_failure_policy_of_a_plugin_that_hangs_up(version: str, engine: Engine, connect: Connect) -> None:
    """It holds for a lost connection as for a late answer."""
    with connect(engine, fail_request=True) as plugin:
        creation = begin_create(engine)
        plugin.wait(Request)

    if version == "0.11":
        assert creation.result(PATIENCE_S).spec
    else:
        with pytest.raises(EngineError, match=r"plugin 10-net failed to handle CreateContainer request: .*closed"):
            creation.result(PATIENCE_S)


def test_keep_connected(version: str, start_engine: StartEngine, connect: Connect) -> None:
    """A plugin that is late and asks to be kept is asked again over the same connection, since NRI 0.12.4."""
    policy = nri_pb2.FailurePolicy(fail_request=True, keep_connected=True)
    engine = start_engine(request_timeout="2s")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nri_netdev.proto.nri_pb2.FailurePolicy", lambda **_: policy)
        plugin = connect(engine, fail_request=True)
    creation = begin_create(engine)
    request = plugin.wait(Request)

    if version == "0.11":
        assert creation.result(PATIENCE_S).spec
        plugin.wait(Closed)
    else:
        with pytest.raises(EngineError, match="failed to handle CreateContainer request"):
            creation.result(PATIENCE_S)
        plugin.reply(request, adjust_with(net_devices=NET_DEVICES))
        created = create(engine, plugin, adjust_with(env={"AGAIN": "1"}))
        assert created.consulted == ["10-net"]
        assert not created.adjust.linux.net_devices


def test_plugin_that_hangs_up(engine: Engine, connect: Connect) -> None:
    """A plugin that is gone while it is asked is passed over: the container is created without it."""
    with connect(engine) as plugin:
        creation = begin_create(engine)
        plugin.wait(Request)

    assert not creation.result(PATIENCE_S).adjust.linux.net_devices


def test_engine_that_dies(start_engine: StartEngine, connect: Connect) -> None:
    """The engine's end is told as Closed, and its successor on the same socket takes us in."""
    with start_engine() as engine:
        plugin = connect(engine)
        directory = engine.socket_path.parent

    assert plugin.wait(Closed).error is None
    successor = start_engine(directory=directory)
    assert create(successor, connect(successor, "again")).consulted == ["10-again"]


def test_nothing_grows(engine: Engine, connect: Connect) -> None:
    """Two hundred creations leave the session as large as it was."""
    plugin = connect(engine)
    answer = adjust_with(net_devices=NET_DEVICES)
    for _ in range(20):
        create(engine, plugin, answer)
    tracemalloc.start()
    try:
        before = _wire_bytes()
        for _ in range(200):
            create(engine, plugin, answer)
        after = _wire_bytes()
    finally:
        tracemalloc.stop()

    assert after - before < 4_096


def _wire_bytes() -> int:
    gc.collect()
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/nri_netdev/*")])
    return sum(trace.size for trace in snapshot.traces)


# -- a conversation to keep --------------------------------------------------------------------------------


def test_conversation(version: str, engine: Engine, connect: Connect) -> None:
    """A pod's whole life, with NRI_NETDEV_RECORD=1 written down for `tests/wire/test_recorded.py`."""
    identity = {"name": "net", "idx": "10", "events": EVENTS_BEFORE_0_10}
    recording = Recording(engine=f"containerd/nri {version}", plugin=identity)
    engine.call("State", pods=2, containers=2)
    plugin = connect(engine, **identity, recording=recording)
    taken = nri_pb2.Container(id="ctr-2", pod_sandbox_id="pod-1", name="greedy")
    adjustment = adjust_with(net_devices=NET_DEVICES, env={"BIG": "y" * 6_000})
    large = nri_pb2.Container(env=["BIG=" + "x" * 6_000])
    large.MergeFrom(CONTAINER)
    adjusted = nri_pb2.Container(linux=nri_pb2.LinuxContainer(net_devices=NET_DEVICES))
    adjusted.MergeFrom(CONTAINER)

    _say(engine, plugin, EventKind.RUN_POD_SANDBOX)
    _say(engine, plugin, EventKind.CREATE_CONTAINER, large, adjustment)
    for kind in (EventKind.POST_CREATE_CONTAINER, EventKind.START_CONTAINER, EventKind.POST_START_CONTAINER):
        _say(engine, plugin, kind, adjusted)
    refused = engine.begin("CreateContainer", POD, taken)
    plugin.refuse(plugin.wait(Request), "eth9 is taken")
    with pytest.raises(EngineError, match="eth9 is taken"):
        refused.result(PATIENCE_S)
    for kind in (EventKind.STOP_CONTAINER, EventKind.REMOVE_CONTAINER):
        _say(engine, plugin, kind, adjusted)
    for kind in (EventKind.STOP_POD_SANDBOX, EventKind.REMOVE_POD_SANDBOX):
        _say(engine, plugin, kind)
    engine.__exit__()
    plugin.wait(Closed)

    assert recording.events[-1] == "Closed"
    if RECORD:
        recording.save(RECORDED / f"nri-{version}.json")


def _say(
    engine: Engine,
    plugin: PluginOnSocket,
    kind: EventKind,
    container: nri_pb2.Container | None = None,
    answer: Message | None = None,
) -> None:
    outcome = engine.begin(HOOKS[kind].method, POD, container)
    request = plugin.wait(Request)
    assert kind is request.kind
    plugin.reply(request, answer)
    outcome.result(PATIENCE_S)
