"""What a daemon that stands by has heard of pods and containers: what it knows when it takes over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.shells.engine.translate import container_of, pod_of
from nri_netdev.wire.methods import EventKind
from nri_netdev.wire.session import Request

_ENDED = 10_000
"""More than end within the second in which an engine lists what exists, and than end until we take over."""


class Roster:
    """Every pod and container of the engine, kept by its events.

    Args:
        pods: those that Synchronize listed.
        containers: those that Synchronize listed.
        since_s: when it did, in seconds since the epoch.
    """

    def __init__(self, pods: Iterable[PodSandbox], containers: Iterable[Container], *, since_s: float) -> None:
        self._pods = {pod.id: pod for pod in pods}
        self._containers = {container.id: container for container in containers}
        self._ended: deque[str] = deque(maxlen=_ENDED)
        """Ids of what has ended, the latest of them."""
        self._since_s = since_s

    @property
    def pods(self) -> tuple[PodSandbox, ...]:
        """The pods that exist."""
        return tuple(self._pods.values())

    @property
    def containers(self) -> tuple[Container, ...]:
        """The containers that exist."""
        return tuple(self._containers.values())

    def note(self, request: Request) -> None:
        """Take an event."""
        _NOTES[request.kind](self, request)

    def forget(self, container_id: str) -> None:
        """Leave out a container that has ended, or never came."""
        self._containers.pop(container_id, None)
        self._ended.append(container_id)

    def add_unheard(self, claims: Iterable[Claim]) -> None:
        """Add what holds claims of our predecessor and came while the engine did not yet tell us of all that comes.

        Args:
            claims: all of the predecessor's.
        """
        for claim in claims:
            owner = claim.owner
            if claim.since_s < self._since_s - 1:
                continue
            if owner.pod_id not in self._pods and owner.pod_id not in self._ended:
                self._pods[owner.pod_id] = PodSandbox(id=owner.pod_id, namespace=owner.namespace, name=owner.pod)
            is_known = owner.container_id in self._containers or owner.container_id in self._ended
            if owner.container_id and not is_known and owner.pod_id in self._pods:
                self._containers[owner.container_id] = Container(
                    id=owner.container_id,
                    name=owner.container,
                    pod_id=owner.pod_id,
                    pid=claim.pid,
                    is_running=claim.state is State.HELD,
                )

    def _pod_runs(self, request: Request) -> None:
        self._pods[request.pod.id] = pod_of(request.pod)

    def started(self, container_id: str) -> None:
        """A container has started, as far as we know: whoever answers has not refused it."""
        container = self._containers.get(container_id)
        if container is not None:
            self._containers[container_id] = replace(container, is_running=True)

    def _container_comes(self, request: Request) -> None:
        """It is created; or is about to start, which has to be answered first."""
        self._pod_runs(request)
        self._containers[request.container.id] = replace(container_of(request.container), is_running=False)

    def _pod_ends(self, request: Request) -> None:
        self._pods.pop(request.pod.id, None)
        self._ended.append(request.pod.id)
        for container in self.containers:
            if container.pod_id == request.pod.id:
                self.forget(container.id)


_NOTES: Mapping[EventKind, Callable[[Roster, Request], None]] = {
    EventKind.RUN_POD_SANDBOX: Roster._pod_runs,
    EventKind.CREATE_CONTAINER: Roster._container_comes,
    EventKind.START_CONTAINER: Roster._container_comes,
    EventKind.STOP_CONTAINER: lambda roster, request: roster.forget(request.container.id),
    EventKind.REMOVE_CONTAINER: lambda roster, request: roster.forget(request.container.id),
    EventKind.STOP_POD_SANDBOX: Roster._pod_ends,
}
