"""The entries of a pod's annotations for each of its containers, for the daemon."""

from __future__ import annotations

import contextlib
import functools

from nri_netdev.domain.annotations.keys import named_container
from nri_netdev.domain.annotations.relevance import concerning, names_container
from nri_netdev.domain.annotations.request import Entry, Parsed, parse
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.problem import refusal
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import Reason, RequestError


def entries_of(pod: PodSandbox, container: Container) -> tuple[Entry, ...]:
    """What a pod's annotations ask for one of its containers.

    Raises:
        RequestError: The annotations have problems.
    """
    key = names_container(pod.annotations)
    if key is not None and not container.name:
        raise RequestError(
            f"annotation {key} names a container, and the engine does not tell what this one is called; ask for the "
            "pod instead, by nri-netdev.io/pod",
            reason=Reason.ANNOTATION,
        )
    parsed = _parsed(tuple(concerning(pod.annotations).items()), container.name)
    if parsed.problems:
        raise refusal(parsed.problems)
    return tuple(parsed.entries)


def entries_by_container(pod: PodSandbox) -> dict[str, tuple[Entry, ...]]:
    """The entries for each container that a pod's annotations name, by its name; under "" if they name none.

    Containers whose entries are not known before they come are left out: where annotations name containers and also ask
    for the pod, it is open which container gets the pod's.
    """
    names = {name for key in pod.annotations if (name := named_container(key)) is not None}
    found: dict[str, tuple[Entry, ...]] = {}
    for name in names or {""}:
        with contextlib.suppress(RequestError):
            entries = entries_of(pod, Container(id="", name=name, pod_id=pod.id))
            if name == "" or all(entry.scope is Scope.CONTAINER for entry in entries):
                found[name] = entries
    return found


@functools.lru_cache(maxsize=64)
def _parsed(annotations: tuple[tuple[str, str], ...], container: str) -> Parsed:
    """Cached: a container's entries are read when it is created and again when it starts."""
    return parse(dict(annotations), container=container)
