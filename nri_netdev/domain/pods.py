"""Pods and containers as the engine tells of them: the little of it that decisions need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_INTERFACES = 64
"""Interfaces that one container may ask for, its pod's included: more than any known node gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSandbox:
    """One pod."""

    id: str
    uid: str = ""
    namespace: str = ""
    name: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    runtime_handler: str = ""
    """What the engine calls the OCI runtime of the pod; "" for its default."""
    pid: int = 0
    """Its own process, which is none of its containers': of runc `pause`, of kata the virtual machine. 0 if none."""
    netns_path: str | None = None
    """The path of its network namespace; None when the engine names none: host network, or already stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container."""

    id: str
    name: str = ""
    pod_id: str = ""
    pid: int = 0
    is_running: bool = False
    """Its process runs, or is paused; else it is only created."""
