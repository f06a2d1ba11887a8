"""A session decodes, passes on and keeps what its filter wants."""

from __future__ import annotations

from nri_netdev.proto import nri_pb2, ttrpc_pb2
from nri_netdev.wire.filters import KeepAll
from nri_netdev.wire.session import PluginSession, Request, Synchronized

from .helpers import ALL_OLD_EVENTS, CONTAINER, POD, EngineBytes, answers, broken, only, serving


def test_what_concerns_nobody_is_answered_and_not_told() -> None:
    """Asked with the rpc and its encoded request; the answer is an empty response, and there is no event."""
    asked: list[tuple[str, bytes]] = []

    class Wanted(KeepAll):
        def concerns(self, method: str, encoded: bytes | memoryview) -> bool:
            asked.append((method, bytes(encoded)))
            return b"wanted" in bytes(encoded)

    plugin, engine = serving(keep=Wanted())
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


class Nothing:
    """Lets no event and no pod through, and of containers their bytes."""

    def concerns(self, method: str, encoded: bytes | memoryview) -> bool:
        del method, encoded
        return False

    def pod(self, encoded: memoryview) -> None:
        del encoded

    def container(self, encoded: memoryview) -> bytes:
        return bytes(encoded)


def test_concern_is_not_asked_before_there_is_service() -> None:
    """An event that comes too early breaks the protocol, whomever it concerns."""
    plugin, engine = PluginSession("n", "10", keep=Nothing()), EngineBytes()
    plugin.start()
    assert "an event of a pod" in broken(plugin.receive_data(engine.request("StopContainer")))


def test_what_is_not_kept_of_synchronize_is_counted() -> None:
    """None is left out of the event; how many there were is told."""
    plugin = PluginSession("n", "10", events=ALL_OLD_EVENTS, keep=Nothing())
    engine = EngineBytes()
    plugin.start()
    plugin.receive_data(engine.configure())
    told = only(plugin.receive_data(engine.synchronize(pods=[POD, POD], containers=[CONTAINER])))
    assert isinstance(told, Synchronized)
    assert (told.pods, told.pod_count) == ((), 2)
    assert (told.containers, told.container_count) == ((CONTAINER.SerializeToString(),), 1)
