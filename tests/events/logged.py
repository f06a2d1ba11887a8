"""Events as the daemon tells them, for the tests of what is made of them."""

from __future__ import annotations

from itertools import count
from typing import Any

from nri_netdev.events.notice import Notice, NoticeType, PodRef
from nri_netdev.shells.observe.listener import LogEvent

POD = PodRef(namespace="default", name="web", uid="u1")
START_S = 1_700_000_000.0
_numbers = count(1)


def logged(name: str, at_s: float = 0.0, *, pod: PodRef = POD, **fields: Any) -> LogEvent:
    """An event, so many seconds after the start."""
    of_pod = {"pod": f"{pod.namespace}/{pod.name}", "pod_uid": pod.uid}
    return LogEvent(number=next(_numbers), at_s=START_S + at_s, name=name, fields={**of_pod, **fields})


def notice(message: str = "in the pod: nic0", *, pod: PodRef = POD, warning: bool = False) -> Notice:
    kind = NoticeType.WARNING if warning else NoticeType.NORMAL
    return Notice(pod=pod, type=kind, reason="InterfaceArrived", message=message)
