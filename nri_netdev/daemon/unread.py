"""Annotation keys that nobody reads: those of containers that do not come, and those that no grammar has.

Nobody tells a plugin which containers a pod will have. The kubelet creates them one after the other, each when its
image is there and the init containers before it have ended, so that a container may come late and still come. A key is
therefore unread

- at once, if no grammar has it;
- after `NEAR_S` in which no further container has come while one runs, if the name is near that of a container that no
  key names: a slip, as far as one can tell;
- after `FAR_S`, if it is near no name;
- when the pod ends.

Each is logged once, as `key.unread`. Until its container comes after all or the pod ends, it is in the daemon's status.
Of pods that were there before this daemon or connection it is not known which containers they have had: an engine does
not list those that have ended. Of their keys only slips are told.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from nri_netdev.domain.annotations.keys import is_ours, named_container, why_unknown
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.text.names import did_you_mean, quote, quote_key
from nri_netdev.log import event

_log = logging.getLogger(__name__)

NEAR_S = 30.0
FAR_S = 300.0
"""For containers whose images take long to come, and for init containers that take long."""
MOST_PODS = 1024
"""That are watched: more than any node runs at a time. Pods can go without an event; then the oldest are dropped."""
MOST_KEYS = 64
"""Of one pod."""
_NAMES_SHOWN = 8
_NAMES_COMPARED = 16


class UnreadWhy(StrEnum):
    """Why nobody reads a key; a label of the metric."""

    UNKNOWN = "unknown"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadKey:
    """A key that nobody reads."""

    pod: str
    """Namespace and name."""
    key: str
    reason: str


@dataclass(slots=True, kw_only=True)
class _WatchedPod:
    """A pod with keys that nobody has read yet."""

    name: str
    uid: str
    is_whole: bool
    """Whether all of its containers have been seen to come."""
    waiting: dict[str, str]
    """Keys whose containers have not come, with these."""
    named: frozenset[str]
    """The containers that keys name."""
    look_at_s: float
    """When to look again whether a key is unread."""
    is_late: bool = False
    """Whether the next look is the one after `FAR_S`."""
    came: dict[str, None] = field(default_factory=dict)
    """The names of its containers, in their order."""
    running: set[str] = field(default_factory=set)
    """Ids."""
    told: dict[str, UnreadKey] = field(default_factory=dict)

    def unread(self, key: str, reason: str, why: UnreadWhy) -> None:
        """Tell of a key, unless that has been done."""
        if key in self.told:
            return
        self.told[key] = UnreadKey(pod=self.name, key=quote_key(key), reason=reason)
        pod = {"pod": self.name, "pod_uid": self.uid}
        names = tuple(self.came)
        event(_log, logging.WARNING, "key.unread", **pod, key=key, why=why.value, reason=reason, containers=names)

    def meant(self, container: str) -> str:
        """A question after the name of a container, if it is near one that no key names."""
        others = [name for name in self.came if name not in self.named]
        return did_you_mean(container, {name.lower(): name for name in others[:_NAMES_COMPARED]})

    def has(self) -> str:
        """Its containers, for a message."""
        names = [quote(name) for name in self.came]
        return ", ".join(names[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")


class UnreadKeys:
    """Watches the pods that have annotations for us. Any thread may use it.

    Args:
        monotonic_s: the monotonic clock, in seconds.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._pods: dict[str, _WatchedPod] = {}
        """By id, the oldest first; none whose keys are all read."""
        self._lock = threading.Lock()

    @property
    def keys(self) -> tuple[UnreadKey, ...]:
        """Those that are unread now."""
        with self._lock:
            return tuple(one for pod in self._pods.values() for one in pod.told.values())

    # -- what the engine reports -----------------------------------------------------------------------------------

    def pod_runs(self, pod: PodSandbox) -> None:
        """A pod has come; it has no containers yet."""
        with self._lock:
            self._watch(pod, is_whole=True)

    def container_comes(self, pod_id: str, name: str) -> None:
        """A container is to be created; its name is "" where the engine does not tell it."""
        if pod_id not in self._pods:  # nearly always, and on the path of every container that asks
            return
        with self._lock:
            pod = self._pods.get(pod_id)
            if pod is not None:
                self._came(pod, name)
                self._drop_if_read(pod_id, pod)

    def container_starts(self, pod_id: str, container_id: str) -> None:
        """A container is to run."""
        with self._lock:
            if pod_id in self._pods:
                self._pods[pod_id].running.add(container_id)

    def container_ends(self, pod_id: str, container_id: str) -> None:
        """A container runs no more."""
        with self._lock:
            if pod_id in self._pods:
                self._pods[pod_id].running.discard(container_id)

    def pod_ends(self, pod_id: str) -> None:
        """A pod ends: no further container will come."""
        with self._lock:
            pod = self._pods.pop(pod_id, None)
            if pod is None or not pod.is_whole or not pod.came:  # without any container it did not come so far
                return
            for key, container in pod.waiting.items():
                reason = f"the pod has ended, and no container called {quote(container)} came; it had {pod.has()}"
                pod.unread(key, reason + pod.meant(container), UnreadWhy.CONTAINER)

    def synchronize(self, pods: Iterable[PodSandbox], containers: Iterable[Container]) -> None:
        """Take the engine's list of what exists, of which all that asks for something is here."""
        its: dict[str, list[Container]] = {}
        for container in containers:
            its.setdefault(container.pod_id, []).append(container)
        with self._lock:
            known, self._pods = self._pods, {}
            for pod in pods:
                listed = its.get(pod.id, [])
                if not listed and pod.netns_path is None:  # has ended, and is listed all the same
                    continue
                watched = self._watch(pod, is_whole=False, known=known.get(pod.id))
                watched.running = {container.id for container in listed if container.is_running}
                for container in listed:
                    self._came(watched, container.name)
                self._drop_if_read(pod.id, watched)

    # -- the timer -------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Tell of keys that have become unread; once a second."""
        if not self._pods:
            return
        now_s = self._monotonic_s()
        with self._lock:
            for pod in self._pods.values():
                if pod.running and now_s >= pod.look_at_s:
                    self._look(pod)

    # -- within ----------------------------------------------------------------------------------------------------

    def _watch(self, pod: PodSandbox, *, is_whole: bool, known: _WatchedPod | None = None) -> _WatchedPod:
        keys = sorted(key for key in pod.annotations if is_ours(key))
        named = {key: container for key in keys if (container := named_container(key))}
        watched = _WatchedPod(
            name=f"{pod.namespace}/{pod.name}",
            uid=pod.uid,
            is_whole=is_whole,
            waiting=dict(list(named.items())[:MOST_KEYS]),
            named=frozenset(named.values()),
            look_at_s=self._monotonic_s() + NEAR_S,
            told=known.told if known else {},
        )
        for name in known.came if known else ():
            self._came(watched, name)
        for key in keys[:MOST_KEYS]:
            if why := why_unknown(key):
                watched.unread(key, why, UnreadWhy.UNKNOWN)
        self._pods.pop(pod.id, None)
        self._pods[pod.id] = watched
        if len(self._pods) > MOST_PODS:
            del self._pods[next(iter(self._pods))]
        self._drop_if_read(pod.id, watched)
        return watched

    def _came(self, pod: _WatchedPod, name: str) -> None:
        if not name:  # any of them may be this one
            pod.waiting.clear()
        if name not in pod.came:  # a restart says nothing of those that are still to come
            pod.look_at_s, pod.is_late = self._monotonic_s() + NEAR_S, False
        pod.came[name] = None
        for key in [key for key, container in pod.waiting.items() if container == name]:
            del pod.waiting[key]
            pod.told.pop(key, None)

    def _drop_if_read(self, pod_id: str, pod: _WatchedPod) -> None:
        if not pod.waiting and not pod.told:
            self._pods.pop(pod_id, None)

    def _look(self, pod: _WatchedPod) -> None:
        is_far = pod.is_late and pod.is_whole
        pod.look_at_s, pod.is_late = math.inf if pod.is_late else pod.look_at_s + FAR_S - NEAR_S, True
        for key, container in pod.waiting.items():
            meant = pod.meant(container)
            if meant or is_far:
                reason = f"no container called {quote(container)} has come yet; the pod has {pod.has()}{meant}"
                pod.unread(key, reason, UnreadWhy.CONTAINER)
