"""What is read from a request, and what is said when it is refused."""

from __future__ import annotations

import functools
import logging

from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.request import Entry, Parsed, concerning, explain, names_container, parse
from nri_netdev.errors import RequestError
from nri_netdev.logs import event
from nri_netdev.shells.engine import EngineConnection, container_of, pod_of
from nri_netdev.wire.session import Request

_log = logging.getLogger(__name__)


def entries_of(pod: PodSandbox, container: Container) -> tuple[Entry, ...]:
    """What a pod's annotations ask for one of its containers.

    Raises:
        RequestError: They cannot be understood.
    """
    key = names_container(pod.annotations)
    if key is not None and not container.name:
        raise RequestError(
            f"annotation {key} names a container, and the engine does not tell what this one is called; ask for the "
            "pod instead, by nri-netdev.io/pod"
        )
    parsed = _parsed(tuple(concerning(pod.annotations).items()), container.name)
    if parsed.problems:
        raise RequestError(explain(parsed.problems))
    return tuple(parsed.entries)


@functools.lru_cache(maxsize=64)
def _parsed(annotations: tuple[tuple[str, str], ...], container: str) -> Parsed:
    """A container's annotations are asked for when it is created, and again when it starts."""
    return parse(dict(annotations), container=container)


def who(pod: PodSandbox, container: Container) -> dict[str, str]:
    """What log lines say of who asks."""
    return {"pod": f"{pod.namespace}/{pod.name}", "container": container.name or container.id[:12]}


def refuse(connection: EngineConnection, request: Request, error: RequestError, *, doing: str) -> None:
    """Tell the engine no, and why, in words that reach `kubectl describe pod`."""
    asker = who(pod_of(request.pod), container_of(request.container))
    event(_log, logging.WARNING, f"{doing}.refused", **asker, reason=str(error))
    text = f"nri-netdev: pod {asker['pod']}, container {asker['container']}: {error}"
    connection.refuse(request, text)
