"""What is kept of a node that runs already."""

from __future__ import annotations

from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.engine.residents import Residents

ASKING = nri_pb2.PodSandbox(id="asking", annotations={"nri-netdev.io/x": ""})
STRANGER = nri_pb2.PodSandbox(id="stranger", annotations={"app": "x"})


def encoded(message: nri_pb2.PodSandbox | nri_pb2.Container) -> memoryview:
    return memoryview(message.SerializeToString())


def container_of(residents: Residents, pod_id: str, container_id: str = "c") -> Container | None:
    return residents.container(encoded(nri_pb2.Container(id=container_id, pod_sandbox_id=pod_id)))


def test_what_asks_for_something_is_kept() -> None:
    """A pod with annotations of ours, and its containers; of other pods nothing."""
    residents = Residents(frozenset)
    kept = residents.pod(encoded(ASKING))
    assert isinstance(kept, PodSandbox)
    assert kept.annotations == {"nri-netdev.io/x": ""}
    assert residents.pod(encoded(STRANGER)) is None
    assert container_of(residents, "asking") == Container(id="c", pod_id="asking")
    assert container_of(residents, "stranger") is None


def test_what_holds_something_is_kept() -> None:
    """Whatever its annotations are by now."""
    residents = Residents(lambda: frozenset({"stranger", "held"}))
    assert residents.pod(encoded(STRANGER)) is not None
    residents = Residents(lambda: frozenset({"held"}))
    assert residents.pod(encoded(STRANGER)) is None
    assert container_of(residents, "stranger", "held") is not None


def test_a_container_may_be_told_before_its_pod() -> None:
    """Then it is kept, for its pod may ask for something."""
    assert container_of(Residents(frozenset), "not told yet") is not None
