"""A peek recognises what decoding would give, or nothing, in an engine's bytes and in any others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.proto import nri_pb2
from nri_netdev.wire import methods, mux, ttrpc
from nri_netdev.wire.methods import HOOKS
from nri_netdev.wire.peek import Peek, expected_bytes, peek

from .helpers import CONTAINER, POD, EngineBytes

PODS = st.builds(
    nri_pb2.PodSandbox,
    id=st.text("0123456789abcdef", max_size=64),
    annotations=st.dictionaries(st.text(max_size=20), st.text(max_size=300), max_size=8),
)
CONTAINERS = st.builds(
    nri_pb2.Container,
    id=st.text("0123456789abcdef", max_size=64),
    pod_sandbox_id=st.text("0123456789abcdef", max_size=64),
    name=st.text(max_size=20),
    env=st.lists(st.text(max_size=900)),
)
FIELDS = {hook: {field.name for field in hook.request.DESCRIPTOR.fields} for hook in HOOKS.values()}
WITH_CONTAINER = [hook for hook, fields in FIELDS.items() if fields == {"pod", "container"}]
WITH_POD = [hook for hook, fields in FIELDS.items() if fields == {"pod"}]


def peeked(data: bytes) -> Peek | None:
    return peek(memoryview(data))


@given(pod=PODS, container=CONTAINERS, hook=st.sampled_from(WITH_CONTAINER))
def test_a_container(pod: nri_pb2.PodSandbox, container: nri_pb2.Container, hook: methods.Hook) -> None:
    """Every field is as decoded; an event whose pod has an id and is whole in the first frame is always recognised."""
    found = peeked(EngineBytes().request(hook.method, hook.request(pod=pod, container=container)))
    if found is not None:
        assert (found.stream_id, found.method, found.pod_id) == (1, hook.method, pod.id)
        assert found.container_names() in {(container.id, container.name), ("", "")}
        assert nri_pb2.PodSandbox.FromString(bytes(found.pod)) == pod
    assert found is not None or not pod.id or pod.ByteSize() > 3900


@given(pod=PODS, hook=st.sampled_from(WITH_POD))
def test_a_pod(pod: nri_pb2.PodSandbox, hook: methods.Hook) -> None:
    """The same of events that are a pod's alone."""
    found = peeked(EngineBytes().request(hook.method, hook.request(pod=pod)))
    assert found is None or nri_pb2.PodSandbox.FromString(bytes(found.pod)) == pod
    assert found is not None or not pod.id or pod.ByteSize() > 3900


@given(pod=PODS, container=st.none() | CONTAINERS, event=st.sampled_from(sorted(methods.STATE_CHANGES)))
def test_a_state_change(pod: nri_pb2.PodSandbox, container: nri_pb2.Container | None, event: int) -> None:
    """The same of events in the form of engines before NRI 0.12."""
    told = nri_pb2.StateChangeEvent(event=event, pod=pod, container=container)
    found = peeked(EngineBytes().request("StateChange", told))
    if found is not None:
        assert (found.method, found.pod_id) == ("StateChange", pod.id)
        assert nri_pb2.PodSandbox.FromString(bytes(found.pod)) == pod
    assert found is not None or not pod.id or pod.ByteSize() > 3900


@pytest.mark.parametrize(
    ("container_id", "is_own"), [("pod1", True), ("pod2", False), ("pod", False), ("pod11", False)]
)
def test_a_container_that_is_its_own_pod(container_id: str, is_own: bool) -> None:
    """It has the pod's id, whole."""
    create = nri_pb2.CreateContainerRequest(pod=POD, container=nri_pb2.Container(id=container_id))
    found = peeked(EngineBytes().request("CreateContainer", create))
    assert found is not None
    assert found.is_own_pod is is_own
    alone = peeked(EngineBytes().request("StopPodSandbox", nri_pb2.StopPodSandboxRequest(pod=POD)))
    assert alone is not None
    assert not alone.is_own_pod


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
        EngineBytes().request("StateChange", b"\x08\x82\x01" + CREATE.SerializeToString()),
        EngineBytes().request("StateChange", nri_pb2.StateChangeEvent(pod=POD)),
        EngineBytes().request("CreateContainer", b"\x0a\x04\x0a\x09ab\x12\x05wrong"),
        EngineBytes().request("Synchronize", nri_pb2.SynchronizeRequest(more=True)),
        mux.frame(2, ttrpc.encode(1, ttrpc.MessageType.REQUEST, b"\x0a\x01x")),
        mux.frame(1, ttrpc.encode(1, ttrpc.MessageType.RESPONSE, b"\x0a\x01x")),
    ],
)
def test_what_is_left_to_reading(data: bytes) -> None:
    """Less, more or something else than one request as engines write it."""
    assert peeked(data) is None


def test_cut_short() -> None:
    """At every byte."""
    assert peeked(WHOLE) is not None
    assert all(peeked(WHOLE[:size]) is None for size in range(len(WHOLE)))


@pytest.mark.parametrize("padding", [0, 3000, 4000, 5000, 70_000])
def test_expected(padding: int) -> None:
    """Never more than a message has, and as long as it is not whole always more than there is."""
    container = nri_pb2.Container(id="c", env=["x" * padding])
    data = memoryview(
        EngineBytes().request("CreateContainer", nri_pb2.CreateContainerRequest(pod=POD, container=container))
    )
    for size in [*range(300), *range(300, len(data), 97), len(data) - 1]:
        if size < len(data):
            assert size < expected_bytes(data[:size]) <= len(data)
    assert expected_bytes(data) == len(data)


@pytest.mark.parametrize("cut", [1, 7, 10, 500])
def test_expected_of_frames_cut_otherwise(cut: int) -> None:
    """As many frames as you like: still never more than there will be."""
    message = WHOLE[mux.HEADER.size :]
    frames = b"".join(mux.frame(1, message[at : at + cut]) for at in range(0, len(message), cut))
    assert all(expected_bytes(memoryview(frames)[:size]) <= len(frames) for size in range(len(frames)))


@given(st.data())
def test_anything(data: st.DataObject) -> None:
    """Nothing is raised, whatever single byte is another, and of bytes at random neither."""
    at = data.draw(st.integers(0, len(WHOLE) - 1))
    changed = bytearray(WHOLE)
    changed[at] = data.draw(st.integers(0, 255))
    peeked(bytes(changed))
    rubbish = data.draw(st.binary(max_size=200))
    peeked(rubbish)
    expected_bytes(memoryview(rubbish))
