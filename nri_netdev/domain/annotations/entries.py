"""The entries of a pod's annotations for each of its containers, for the daemon."""

from __future__ import annotations

import contextlib
import functools

from nri_netdev.domain.annotations.grammars import Source, sources
from nri_netdev.domain.annotations.keys import named_container
from nri_netdev.domain.annotations.relevance import concerning, names_container
from nri_netdev.domain.annotations.request import Entry, Results, parse, read, together, unknown_keys
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.problem import refusal
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.text.yaml_nodes import ANNOTATION
from nri_netdev.errors import Reason, RequestError

MAX_NAMED = 64
"""Containers of one pod whose entries are read before they come: no more are prepared for on a whole node."""
_NAMED_CHARS = 16 * 1024
"""What is read of annotations for them: about as long as that takes may an engine wait for its other events."""
_SHORT_CHARS = 1024
"""Of an annotation as most are: more of them are kept than of long ones."""


def _kept(text: str, source: Source) -> Results:
    """As `read`; the newest are kept, for an annotation is read for each container, when it is created and started.

    A hostile pod writes long ones, so few of those are kept. What is longer than one may be is refused at once.
    """
    if len(text) <= _SHORT_CHARS:
        return _short(text, source)
    return _long(text, source) if len(text) <= ANNOTATION.size_bytes else read(text, source)


_short = functools.lru_cache(maxsize=64)(read)
_long = functools.lru_cache(maxsize=4)(read)


def entries_of(pod: PodSandbox, container: Container) -> tuple[Entry, ...]:
    """What a pod's annotations ask for one of its containers.

    Raises:
        RequestError: The annotations have problems, or the container has no pod sandbox.
    """
    key = None if container.name else names_container(pod.annotations)
    if key is not None:
        raise RequestError(
            f"annotation {key} names a container, and the engine does not tell what this one is called; ask for the "
            "pod instead, by nri-netdev.io/pod",
            reason=Reason.ANNOTATION,
        )
    parsed = parse(concerning(pod.annotations), container=container.name, read=_kept)
    if parsed.problems:
        raise refusal(parsed.problems)
    if container.id == pod.id and (parsed.entries or names_container(pod.annotations)):
        raise RequestError(
            "a container without a pod sandbox, as Docker runs them, gets no interface: its engine tells neither its "
            "network namespace nor its end; run it through CRI, as Kubernetes does, or leave out the annotation",
            reason=Reason.POD,
        )
    return parsed.entries


def entries_by_container(pod: PodSandbox) -> dict[str, tuple[Entry, ...]]:
    """The entries for each container that a pod's annotations name, by its name; under "" if they name none.

    Containers whose entries are not known before they come are left out: where annotations name containers and also ask
    for the pod, it is open which container gets the pod's. So are those of many, and those whose annotations are long:
    theirs are read when they come.
    """
    annotations = concerning(pod.annotations)
    named = {name for key in annotations if (name := named_container(key)) is not None}
    if not named:
        with contextlib.suppress(RequestError):
            return {"": entries_of(pod, Container(id="", pod_id=pod.id))}
        return {}
    if next(unknown_keys(annotations), None) is not None:
        return {}
    results = functools.cache(lambda source: _kept(annotations[source.key], source))
    found: dict[str, tuple[Entry, ...]] = {}
    room_chars = _NAMED_CHARS
    for name in sorted(named - {""})[:MAX_NAMED]:
        asking = sources(annotations, container=name)
        room_chars -= sum(len(annotations[source.key]) for source in asking if source.scope is Scope.CONTAINER)
        if room_chars < 0:
            break
        if any(results(source) for source in asking if source.scope is Scope.POD):
            continue
        parsed = together({source: results(source) for source in asking})
        if not parsed.problems:
            found[name] = parsed.entries
    return found
