"""The parts of a Synchronize become one event; what a session holds meanwhile is bounded."""

from __future__ import annotations

import pytest

from nri_netdev.errors import LocalProtocolError
from nri_netdev.proto import nri_pb2, ttrpc_pb2
from nri_netdev.wire import synchronize
from nri_netdev.wire.session import Event, SessionState, Synchronized

from .helpers import CONTAINER, POD, EngineBytes, answers, broken, only, registering


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


def test_synchronize_in_parts() -> None:
    """Parts are acknowledged with `more` and no updates, collected, and told once, after the last."""
    plugin, engine = registering(), EngineBytes()
    plugin.receive_data(engine.configure())
    plugin.data_to_send()
    for n in range(3):
        part = engine.synchronize(containers=[nri_pb2.Container(id=str(n))], more=True)
        assert plugin.receive_data(part) == []
        assert plugin.state is SessionState.SYNCHRONIZING
        _, answer = only(answers(plugin.data_to_send()))
        assert nri_pb2.SynchronizeResponse.FromString(answer.payload) == nri_pb2.SynchronizeResponse(more=True)
    synchronized = only(plugin.receive_data(engine.synchronize(pods=[POD])))
    assert isinstance(synchronized, Synchronized)
    assert [container.id for container in synchronized.containers] == ["0", "1", "2"]
    assert synchronized.pods == (POD,)
    assert plugin.state is SessionState.SERVING
    with pytest.raises(LocalProtocolError, match="more"):
        plugin.reply(synchronized.request, nri_pb2.SynchronizeResponse(more=True))
    # A second round begins from nothing.
    again = only(plugin.receive_data(engine.synchronize()))
    assert isinstance(again, Synchronized)
    assert (again.pods, again.containers) == ((), ())


@pytest.mark.parametrize(("name", "limit"), [("MAX_SYNC_OBJECTS", 10), ("MAX_SYNC_BYTES", 1000)])
def test_synchronize_is_bounded(monkeypatch: pytest.MonkeyPatch, name: str, limit: int) -> None:
    """Parts without end do not fill memory: beyond the bound the connection is over, what was held let go."""
    monkeypatch.setattr(synchronize, name, limit)
    plugin, engine = registering(), EngineBytes()
    plugin.receive_data(engine.configure())
    events: list[Event] = []
    parts = 0
    while not events:
        events = plugin.receive_data(engine.synchronize(pods=[POD, POD], more=True))
        parts += 1
        assert len(plugin._sync._pods) <= 100
    assert "synchronizes" in broken(events)
    assert parts > 1
    assert plugin._sync._pods == []
    assert plugin.data_to_send() == b""
