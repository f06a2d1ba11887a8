"""Which events concern us, and what is kept of a node that runs already."""

from __future__ import annotations

from nri_netdev.daemon.relevance import Relevance
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.observe.metrics import CONTAINERS, Meters
from nri_netdev.wire.peek import Peek

ASKING = nri_pb2.PodSandbox(id="asking", annotations={"nri-netdev.io/x": ""})
STRANGER = nri_pb2.PodSandbox(id="stranger", annotations={"app": "x"})


def encoded(message: nri_pb2.PodSandbox | nri_pb2.Container) -> memoryview:
    return memoryview(message.SerializeToString())


def container_of(relevance: Relevance, pod_id: str, container_id: str = "c") -> Container | None:
    return relevance.container(encoded(nri_pb2.Container(id=container_id, pod_sandbox_id=pod_id)))


def test_what_asks_for_something_is_kept() -> None:
    """A pod with annotations of ours, and its containers; of other pods nothing."""
    relevance = Relevance(frozenset, Meters())
    kept = relevance.pod(encoded(ASKING))
    assert isinstance(kept, PodSandbox)
    assert kept.annotations == {"nri-netdev.io/x": ""}
    assert relevance.pod(encoded(STRANGER)) is None
    assert container_of(relevance, "asking") == Container(id="c", pod_id="asking")
    assert container_of(relevance, "stranger") is None


def test_what_holds_something_is_kept() -> None:
    """Whatever its annotations are by now."""
    relevance = Relevance(lambda: frozenset({"stranger", "held"}), Meters())
    assert relevance.pod(encoded(STRANGER)) is not None
    relevance = Relevance(lambda: frozenset({"held"}), Meters())
    assert relevance.pod(encoded(STRANGER)) is None
    assert container_of(relevance, "stranger", "held") is not None


def test_a_container_may_be_told_before_its_pod() -> None:
    """Then it is kept, for its pod may ask for something."""
    assert container_of(Relevance(frozenset, Meters()), "not told yet") is not None


def test_which_events_are_not_answered_at_once() -> None:
    """Those of pods that ask or hold, and of containers that are their own pods; of the others each create counts."""
    meters = Meters()
    relevance = Relevance(lambda: frozenset({"held"}), meters)

    def concerns(pod: nri_pb2.PodSandbox, container_id: str) -> bool:
        container = encoded(nri_pb2.Container(id=container_id))
        return relevance.of_peek(Peek(1, "CreateContainer", pod.id, encoded(pod), container))

    assert concerns(ASKING, "c")
    assert concerns(nri_pb2.PodSandbox(id="held"), "c")
    assert concerns(STRANGER, "stranger")
    assert not concerns(STRANGER, "c")
    assert dict(meters.counters) == {(CONTAINERS.name, ("false",)): 1}


def test_which_events_are_decoded() -> None:
    """Those that mention us; the ends of others while anything is held; of others' containers none, but each counts."""
    meters = Meters()
    held: set[str] = set()
    relevance = Relevance(lambda: held, meters)
    assert relevance.concerns("CreateContainer", encoded(ASKING))
    assert relevance.concerns("StopContainer", encoded(ASKING))
    assert not relevance.concerns("StopContainer", encoded(STRANGER))
    assert not relevance.concerns("CreateContainer", encoded(STRANGER))
    held.add("held")
    assert relevance.concerns("StopContainer", encoded(STRANGER))
    assert not relevance.concerns("CreateContainer", encoded(STRANGER))
    assert dict(meters.counters) == {(CONTAINERS.name, ("false",)): 2}
