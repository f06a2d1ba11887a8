"""What is read from a request, and what is said when it is refused."""

from __future__ import annotations

import contextlib
import functools
import logging

from nri_netdev.domain.annotations.grammars import CONTAINER_PREFIXES
from nri_netdev.domain.annotations.request import Entry, Parsed, concerning, names_container, parse
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.problem import explain
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import RequestError
from nri_netdev.log import event
from nri_netdev.shells.engine.connection import EngineConnection
from nri_netdev.shells.engine.translate import container_of, pod_of
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


def entries_by_container(pod: PodSandbox) -> dict[str, tuple[Entry, ...]]:
    """What a pod's annotations will ask for each container that they name, by its name; "" if they name none.

    Left out is what cannot be known before a container comes: who gets what is the pod's, where some name theirs.
    """
    keys = [key for key in pod.annotations if key.startswith(CONTAINER_PREFIXES)]
    found: dict[str, tuple[Entry, ...]] = {}
    for name in {key.partition("/container.")[2] for key in keys} or {""}:
        with contextlib.suppress(RequestError):
            entries = entries_of(pod, Container(id="", name=name, pod_id=pod.id))
            if name == "" or all(entry.scope is Scope.CONTAINER for entry in entries):
                found[name] = entries
    return found


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
