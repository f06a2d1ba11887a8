"""The engine's side of a session behaves towards plugins as the real one does."""

from __future__ import annotations

import pytest

from nri_netdev.errors import LocalProtocolError, ProtocolError, RemoteError
from nri_netdev.proto import nri_pb2
from nri_netdev.testing.session import EngineSession, PluginConfigured, Timeouts, UpdateRequested
from nri_netdev.wire import methods, mux, ttrpc
from nri_netdev.wire.session import (
    Closed,
    Configured,
    EventKind,
    PluginSession,
    Refused,
    Request,
    Synchronized,
    event_mask,
)

POD = nri_pb2.PodSandbox(id="pod1", name="p", namespace="n")
CONTAINER = nri_pb2.Container(id="ctr1", pod_sandbox_id="pod1", name="c")
EVERYTHING = event_mask(*EventKind)


def joined(engine: EngineSession, events: int = EVERYTHING) -> PluginSession:
    """A plugin that has gone through the handshake with an engine."""
    plugin = PluginSession("a", "10", events=events)
    engine.receive_data(plugin.start())
    plugin.receive_data(engine.data_to_send() + engine.configure())
    engine.receive_data(plugin.data_to_send())
    (synchronized,) = plugin.receive_data(engine.synchronize())
    assert isinstance(synchronized, Synchronized)
    engine.receive_data(plugin.reply(synchronized.request, None))
    return plugin


def refusal_from_plugin(stream_id: int, code: int) -> bytes:
    """A refusal on conn 1 that our own plugin would not send."""
    return mux.frame(1, ttrpc.encode_status(stream_id, code, "?"))


@pytest.mark.parametrize(
    ("name", "idx", "version"),
    [
        ("", "10", (0, 12)),
        ("a b", "10", (0, 12)),
        ("", "10", (0, 11)),
        ("a", "1", (0, 11)),
        ("a", "xx", (0, 12)),
    ],
)
def test_bad_names_are_refused(name: str, idx: str, version: tuple[int, int]) -> None:
    """Registration with a bad name or index gets an error, and nothing more."""
    engine, plugin = EngineSession(nri_version=version), PluginSession("a", "10")
    plugin._registration.plugin_name = name
    plugin._registration.plugin_idx = idx
    assert engine.receive_data(plugin.start()) == []
    (refused,) = plugin.receive_data(engine.data_to_send())
    assert isinstance(refused, Refused)


@pytest.mark.parametrize(("version", "mask"), [((0, 12), 1 << 14), ((0, 9), 1 << 11)])
def test_unknown_bits_end_the_connection(version: tuple[int, int], mask: int) -> None:
    """A mask with a bit that the release lacks is as fatal as in reality."""
    engine, plugin = EngineSession(nri_version=version), PluginSession("a", "10", events=1)
    engine.receive_data(plugin.start())
    plugin.receive_data(engine.data_to_send())
    plugin._events = mask
    plugin._known_events = lambda: mask  # type: ignore[method-assign]
    plugin.receive_data(engine.configure())
    (closed,) = engine.receive_data(plugin.data_to_send())
    assert isinstance(closed, Closed)
    assert isinstance(closed.error, ProtocolError)
    assert engine.receive_data(b"more") == []
    assert engine.receive_eof() == []


@pytest.mark.parametrize(("version", "count"), [((0, 12), 14), ((0, 9), 11)])
def test_mask_of_zero_is_everything(version: tuple[int, int], count: int) -> None:
    """A mask of 0 subscribes to all that the release has."""
    engine = EngineSession(nri_version=version)
    engine.configure()
    (configured,) = engine.receive_data(mux.frame(1, ttrpc.encode(1, ttrpc.MessageType.RESPONSE, b"")))
    assert isinstance(configured, PluginConfigured)
    assert len(configured.events) == count


def test_fallback_to_state_change() -> None:
    """A plugin without the rpcs of NRI 0.12 gets StateChange, for that event and all later ones."""
    engine = EngineSession()
    plugin = joined(engine)
    request = nri_pb2.RunPodSandboxRequest(pod=POD)
    call_id, _ = engine.call(EventKind.RUN_POD_SANDBOX, request)
    assert engine.receive_data(refusal_from_plugin(call_id, ttrpc.Code.UNIMPLEMENTED)) == []
    (again,) = plugin.receive_data(engine.data_to_send())
    assert isinstance(again, Request)
    assert (again.method, again.kind, again.pod) == (methods.STATE_CHANGE, EventKind.RUN_POD_SANDBOX, POD)
    (answered,) = engine.receive_data(plugin.reply(again, None))
    assert getattr(answered, "call_id", None) == call_id
    (later,) = plugin.receive_data(
        engine.call(EventKind.START_CONTAINER, nri_pb2.StartContainerRequest(pod=POD, container=CONTAINER))[1]
    )
    assert isinstance(later, Request)
    assert (later.method, later.container) == (methods.STATE_CHANGE, CONTAINER)


def test_unimplemented_elsewhere_is_an_error() -> None:
    """Status 12 to an event that never was a StateChange is an ordinary error."""
    engine = EngineSession()
    joined(engine)
    call_id, _ = engine.call(EventKind.CREATE_CONTAINER, nri_pb2.CreateContainerRequest())
    (answered,) = engine.receive_data(refusal_from_plugin(call_id, ttrpc.Code.UNIMPLEMENTED))
    assert isinstance(getattr(answered, "error", None), RemoteError)


def test_refused_configure_ends_the_connection() -> None:
    """An error to Configure or Synchronize drops the plugin."""
    engine = EngineSession()
    engine.configure()
    (closed,) = engine.receive_data(refusal_from_plugin(1, 2))
    assert isinstance(closed, Closed)


def test_wrong_acknowledgement_of_a_part_ends_the_connection() -> None:
    """A part that is not acknowledged with `more` drops the plugin."""
    engine = EngineSession(max_part_bytes=10)
    engine.synchronize([nri_pb2.PodSandbox(id="a" * 9), nri_pb2.PodSandbox(id="b" * 9)])
    (closed,) = engine.receive_data(mux.frame(1, ttrpc.encode(1, ttrpc.MessageType.RESPONSE, b"")))
    assert isinstance(closed, Closed)


def test_old_release_has_no_parts() -> None:
    """Before NRI 0.7 what is too long for one message cannot be told at all."""
    with pytest.raises(LocalProtocolError):
        EngineSession(nri_version=(0, 6)).synchronize([nri_pb2.PodSandbox(id="x" * (5 << 20))])


def test_expired_call_is_ignored() -> None:
    """An answer that comes after its time changes nothing."""
    engine = EngineSession()
    plugin = joined(engine)
    call_id, data = engine.call(EventKind.CREATE_CONTAINER, nri_pb2.CreateContainerRequest(pod=POD))
    (request,) = plugin.receive_data(data)
    assert isinstance(request, Request)
    engine.expire(call_id)
    assert engine.receive_data(plugin.reply(request, None)) == []


def test_request_of_another_event_is_our_bug() -> None:
    """An event takes the message that belongs to it."""
    with pytest.raises(LocalProtocolError):
        EngineSession().call(EventKind.CREATE_CONTAINER, nri_pb2.StopContainerRequest())


def test_timeouts_are_announced() -> None:
    """Both in Configure, and that of answers with every request."""
    engine = EngineSession(timeouts=Timeouts(registration_ms=7, request_ms=3))
    plugin = PluginSession("a", "10", events=1)
    engine.receive_data(plugin.start())
    (_, configured) = plugin.receive_data(engine.data_to_send() + engine.configure())
    assert isinstance(configured, Configured)
    assert (configured.registration_timeout_ms, configured.request_timeout_ms) == (7, 3)
    assert configured.request.timeout_nano == 3_000_000


def test_eof_within_a_message() -> None:
    """A plugin that dies within a message is told apart from one that hangs up."""
    whole = PluginSession("a", "10").start()
    for data, is_clean in ((whole, True), (whole[:-1], False)):
        engine = EngineSession()
        engine.receive_data(data)
        (closed,) = engine.receive_eof()
        assert isinstance(closed, Closed)
        assert (closed.error is None) == is_clean


def test_updates_are_told() -> None:
    """UpdateContainers is told and answered."""
    engine = EngineSession()
    plugin = joined(engine)
    call_id, data = plugin.call("UpdateContainers", nri_pb2.UpdateContainersRequest())
    assert engine.receive_data(data) == [UpdateRequested(update=())]
    (completed,) = plugin.receive_data(engine.data_to_send())
    assert getattr(completed, "call_id", None) == call_id
