"""What to keep of what exists already, as Synchronize tells it, pod by pod.

A large node runs thousands of pods that concern nobody here, and few that do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from nri_netdev.domain.annotations.request import may_mention
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.proto import nri_pb2
from nri_netdev.shells.engine.translate import container_of, pod_of


class Residents:
    """What concerns us of the pods and containers of one connection.

    Args:
        holders: gives the ids of every pod and container that a claim hangs on.
    """

    def __init__(self, holders: Callable[[], Collection[str]]) -> None:
        self._holders = holders
        self._strangers: set[str] = set()
        """Ids of pods that ask for nothing. A part of Synchronize may tell a container before another tells its pod."""

    def pod(self, encoded: memoryview) -> PodSandbox | None:
        """A pod, if it asks for something or holds something."""
        pod_id = _ids(encoded).id
        if may_mention(encoded) or pod_id in self._holders():
            return pod_of(nri_pb2.PodSandbox.FromString(encoded))  # type: ignore[arg-type] # a view will do
        self._strangers.add(pod_id)
        return None

    def container(self, encoded: memoryview) -> Container | None:
        """A container, if it holds something, or its pod may have asked for something."""
        ids = _ids(encoded)
        if ids.pod_sandbox_id in self._strangers and ids.id not in self._holders():
            return None
        return container_of(nri_pb2.Container.FromString(encoded))  # type: ignore[arg-type] # as above


def _ids(encoded: memoryview) -> nri_pb2.ContainerIds:
    return nri_pb2.ContainerIds.FromString(encoded)  # type: ignore[arg-type] # as above
