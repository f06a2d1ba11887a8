"""Which of the engine's events, pods and containers concern us: those that ask for an interface or hold one.

The one place that answers this, at three depths: of an event recognised without decoding, of an encoded request, and of
each pod and container that Synchronize lists. Nearly everything on a node concerns nobody here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from nri_netdev.domain.annotations.relevance import may_mention
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.engine.translate import container_of, pod_of
from nri_netdev.shells.observe.metrics import CONTAINERS, Meters
from nri_netdev.wire.methods import HOOKS, EventKind
from nri_netdev.wire.peek import Peek

_CREATE_CONTAINER = HOOKS[EventKind.CREATE_CONTAINER].method


class Relevance:
    """Tells what concerns us; also what a session keeps of Synchronize (`nri_netdev.wire.session.Filter`).

    Args:
        holders: gives the ids of pods and containers that have claims, now; on any thread.
        meters: counts the containers that ask for nothing.
    """

    def __init__(self, holders: Callable[[], Collection[str]], meters: Meters) -> None:
        self._holders = holders
        self._meters = meters
        self._strangers: set[str] = set()
        """Ids of pods that ask for nothing: parts of Synchronize may list a container after its pod, or before."""

    def begin_session(self) -> None:
        """Forget what an earlier connection has listed."""
        self._strangers.clear()

    def of_peek(self, peek: Peek) -> bool:
        """Whether an event concerns us: its pod may have an annotation for us, or has claims.

        Where the container is its own pod, the annotations are the container's, of which perhaps not all is here.
        """
        if peek.pod_id in self._holders() or may_mention(peek.pod) or peek.is_own_pod:
            return True
        if peek.method == _CREATE_CONTAINER:
            self._meters.count(CONTAINERS, "false")
        return False

    def concerns(self, method: str, encoded: bytes | memoryview) -> bool:
        """Whether an encoded request may ask for something, or end a holder."""
        if may_mention(encoded):
            return True
        if method == _CREATE_CONTAINER:
            self._meters.count(CONTAINERS, "false")
            return False
        return bool(self._holders())

    def pod(self, encoded: memoryview) -> PodSandbox | None:
        """A pod of Synchronize, if it asks for something or has claims."""
        pod_id = _ids(encoded).id
        if may_mention(encoded) or pod_id in self._holders():
            return pod_of(nri_pb2.PodSandbox.FromString(encoded))  # type: ignore[arg-type] # a view will do
        self._strangers.add(pod_id)
        return None

    def container(self, encoded: memoryview) -> Container | None:
        """A container of Synchronize, if it has claims, or its pod may have asked for something."""
        ids = _ids(encoded)
        if ids.pod_sandbox_id in self._strangers and ids.id not in self._holders():
            return None
        return container_of(nri_pb2.Container.FromString(encoded))  # type: ignore[arg-type] # as above


def _ids(encoded: memoryview) -> nri_pb2.ContainerIds:
    return nri_pb2.ContainerIds.FromString(encoded)  # type: ignore[arg-type] # as above
