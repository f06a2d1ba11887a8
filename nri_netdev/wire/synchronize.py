"""The parts of a Synchronize, collected within bounds until the last one has come."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from nri_netdev.errors import ProtocolError
from nri_netdev.proto import nri_pb2
from nri_netdev.wire.events import Pending, Synchronized
from nri_netdev.wire.fields import take
from nri_netdev.wire.filters import Filter

MAX_SYNC_BYTES: Final = 256 << 20
"""The most that all parts of a Synchronize may hold: some 25 times what 3000 pods of one container take."""
MAX_SYNC_OBJECTS: Final = 200_000
"""The most pods and containers in a Synchronize: a node that Kubernetes supports runs hundreds."""


class Part(NamedTuple):
    """A part of Synchronize; its pods and containers are encoded."""

    pods: list[memoryview]
    containers: list[memoryview]
    more: bool

    @classmethod
    def decode(cls, payload: bytes | memoryview) -> Part:
        """Take a SynchronizeRequest apart.

        Raises:
            DecodeError: It is none.
        """
        request = nri_pb2.SynchronizeRequest
        pods, containers = request.PODS_FIELD_NUMBER, request.CONTAINERS_FIELD_NUMBER
        left, taken = take(memoryview(payload), [pods, containers])
        return cls(pods=taken[pods], containers=taken[containers], more=request.FromString(left).more)


class Collection:
    """What the parts of one Synchronize have brought so far.

    Args:
        keep: gives what to keep of each pod and container.
    """

    def __init__(self, keep: Filter) -> None:
        self._keep = keep
        self._pods: list[Any] = []
        self._containers: list[Any] = []
        self._pod_count = self._container_count = self._bytes = 0

    def add(self, part: Part, size: int) -> None:
        """Add a part whose request has this many bytes.

        Raises:
            ProtocolError: A pod or container cannot be decoded, or all parts together exceed the bounds.
        """
        self._bytes += size
        self._pod_count += len(part.pods)
        self._container_count += len(part.containers)
        count = self._pod_count + self._container_count
        if self._bytes > MAX_SYNC_BYTES or count > MAX_SYNC_OBJECTS:
            raise ProtocolError(
                f"the engine synchronizes {count} pods and containers in {self._bytes} bytes, more "
                f"than the {MAX_SYNC_OBJECTS} in {MAX_SYNC_BYTES} that we hold"
            )
        try:
            self._pods.extend(kept for kept in map(self._keep.pod, part.pods) if kept is not None)
            self._containers.extend(kept for kept in map(self._keep.container, part.containers) if kept is not None)
        except DecodeError as error:
            raise ProtocolError(
                f"the engine synchronizes a pod or container that cannot be decoded: {error}"
            ) from error

    def finish(self, request: Pending) -> Synchronized:
        """The event of all parts; `request` is the last one's."""
        return Synchronized(
            pods=tuple(self._pods),
            containers=tuple(self._containers),
            pod_count=self._pod_count,
            container_count=self._container_count,
            request=request,
        )
