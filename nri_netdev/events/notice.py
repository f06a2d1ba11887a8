"""A notice to a pod: one line of `kubectl describe pod`, and the object of Kubernetes that it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

COMPONENT = "nri-netdev"
MESSAGE_BYTES = 1024
"""The most that the API server takes of `events.k8s.io`; kubectl's table gets long enough with it."""
_NAME_CHARS = 230
"""Of a pod's name in the name of an event, which has 253 with what follows."""


class NoticeType(StrEnum):
    """Kubernetes knows these two."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRef:
    """A pod as Kubernetes knows it."""

    namespace: str
    name: str
    uid: str
    """Without it `kubectl describe pod` shows no event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that happened to a pod; the same notice again is counted, not written anew."""

    pod: PodRef
    type: NoticeType
    reason: str
    """In CamelCase, for programs."""
    message: str
    """For the pod's author."""

    @property
    def name(self) -> str:
        """Of the object: the same for the same notice, whoever writes it and however often."""
        said = f"{self.pod.uid}\0{self.type}\0{self.reason}\0{self.message}"
        return f"{self.pod.name[:_NAME_CHARS].rstrip('.-')}.{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def fitting(text: str) -> str:
    """A text cut to what a message may have."""
    data = text.encode()
    if len(data) <= MESSAGE_BYTES:
        return text
    return f"{data[: MESSAGE_BYTES - 3].decode(errors='ignore')}…"


def path_of(notice: Notice) -> str:
    """Where the object is at the API server."""
    return f"/api/v1/namespaces/{notice.pod.namespace}/events/{notice.name}"


def object_of(notice: Notice, *, count: int, first_s: float, last_s: float, node: str) -> Mapping[str, Any]:
    """The object: a whole `Event` of `v1`, which kubectl counts and sorts by these fields.

    Args:
        notice: what is written.
        count: how often it has happened.
        first_s: when at first, in seconds since the epoch.
        last_s: when at last.
        node: the name of this node.
    """
    pod = notice.pod
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": notice.name, "namespace": pod.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": pod.namespace,
            "name": pod.name,
            "uid": pod.uid,
        },
        "type": notice.type.value,
        "reason": notice.reason,
        "message": notice.message,
        "count": count,
        "firstTimestamp": _moment(first_s),
        "lastTimestamp": _moment(last_s),
        "source": {"component": COMPONENT, "host": node},
        "reportingComponent": COMPONENT,
        "reportingInstance": node,
    }


def _moment(at_s: float) -> str:
    return datetime.fromtimestamp(int(at_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
