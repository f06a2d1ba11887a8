"""A glance tells the same as reading, or nothing; what it is shown is an engine's, or anything at all."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.proto import nri_pb2, ttrpc_pb2
from nri_netdev.wire import methods, mux, ttrpc
from nri_netdev.wire.glance import Glimpse, glance
from nri_netdev.wire.methods import HOOKS

from .helpers import CONTAINER, POD, EngineBytes, answers, serving

PODS = st.builds(
    nri_pb2.PodSandbox,
    id=st.text("0123456789abcdef", max_size=64),
    annotations=st.dictionaries(st.text(max_size=20), st.text(max_size=300), max_size=8),
)
CONTAINERS = st.builds(
    nri_pb2.Container, id=st.text("0123456789abcdef", max_size=64), env=st.lists(st.text(max_size=900))
)
FIELDS = {hook: {field.name for field in hook.request.DESCRIPTOR.fields} for hook in HOOKS.values()}
WITH_CONTAINER = [hook for hook, fields in FIELDS.items() if fields == {"pod", "container"}]
WITH_POD = [hook for hook, fields in FIELDS.items() if fields == {"pod"}]


def seen(data: bytes) -> Glimpse | None:
    return glance(memoryview(data))


@given(pod=PODS, container=CONTAINERS, hook=st.sampled_from(WITH_CONTAINER))
def test_a_container(pod: nri_pb2.PodSandbox, container: nri_pb2.Container, hook: methods.Hook) -> None:
    """Everything that it tells is so; of a pod that is told in the first frame with its id it does tell."""
    glimpse = seen(EngineBytes().request(hook.method, hook.request(pod=pod, container=container)))
    if glimpse is not None:
        assert (glimpse.stream_id, glimpse.method, glimpse.pod_id) == (1, hook.method, pod.id)
        assert nri_pb2.PodSandbox.FromString(bytes(glimpse.pod)) == pod
    assert glimpse is not None or not pod.id or pod.ByteSize() > 3900


@given(pod=PODS, hook=st.sampled_from(WITH_POD))
def test_a_pod(pod: nri_pb2.PodSandbox, hook: methods.Hook) -> None:
    """The same of events that are a pod's alone."""
    glimpse = seen(EngineBytes().request(hook.method, hook.request(pod=pod)))
    assert glimpse is None or nri_pb2.PodSandbox.FromString(bytes(glimpse.pod)) == pod
    assert glimpse is not None or not pod.id or pod.ByteSize() > 3900


CREATE = nri_pb2.CreateContainerRequest(pod=POD, container=CONTAINER)
WHOLE = EngineBytes().request("CreateContainer", CREATE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        WHOLE + b"\0",
        WHOLE + WHOLE,
        EngineBytes().request("CreateContainer", CREATE, service="nri.pkg.api.v1alpha1.Plugiq"),
        EngineBytes().request("CreateContainer", CREATE.SerializeToString() + POD.SerializeToString()),
        EngineBytes().request(
            "CreateContainer", CREATE.SerializeToString() + nri_pb2.Container(id="x").SerializeToString()
        ),
        EngineBytes().request("CreateContainer", nri_pb2.CreateContainerRequest(container=CONTAINER)),
        EngineBytes().request("StateChange", nri_pb2.StateChangeEvent(event=nri_pb2.Event.STOP_POD_SANDBOX, pod=POD)),
        EngineBytes().request("Synchronize", nri_pb2.SynchronizeRequest(more=True)),
        mux.frame(2, ttrpc.encode(1, ttrpc.MessageType.REQUEST, b"\x0a\x01x")),
        mux.frame(1, ttrpc.encode(1, ttrpc.MessageType.RESPONSE, b"\x0a\x01x")),
    ],
)
def test_what_is_left_to_reading(data: bytes) -> None:
    """Less, more or something else than one request as engines write it."""
    assert seen(data) is None


def test_cut_short() -> None:
    """At every byte."""
    assert seen(WHOLE) is not None
    assert all(seen(WHOLE[:size]) is None for size in range(len(WHOLE)))


@given(st.data())
def test_anything(data: st.DataObject) -> None:
    """Nothing is raised, whatever single byte is another, and of bytes at random neither."""
    at = data.draw(st.integers(0, len(WHOLE) - 1))
    changed = bytearray(WHOLE)
    changed[at] = data.draw(st.integers(0, 255))
    seen(bytes(changed))
    seen(data.draw(st.binary(max_size=200)))


@pytest.mark.parametrize("padding", [0, 100, 4000, 5000, 70_000])
def test_a_session_answers_the_same(padding: int) -> None:
    """Whether it takes a glance at a request or has to read it, because it comes in two pieces."""
    request: Message = nri_pb2.CreateContainerRequest(pod=POD, container=nri_pb2.Container(id="c", env=["x" * padding]))
    said = []
    for cut in (0, 20):
        plugin, engine = serving(concerns=lambda _method, _encoded, _pod_id: False)
        data = engine.request("CreateContainer", request)
        for piece in filter(None, (data[:cut], data[cut:])):
            assert plugin.receive_data(piece) == []
        said.append(plugin.data_to_send())
    assert said[0] == said[1]
    assert [answer for _, answer in answers(said[0])] == [ttrpc_pb2.Response()]
