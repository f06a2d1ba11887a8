"""What keeps every interface from a pod, whichever it asks for."""

from __future__ import annotations

from collections.abc import Iterable

from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.pods import PodSandbox
from nri_netdev.domain.policy.handlers import Handlers
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.problem import Obstacle, Problem
from nri_netdev.domain.verdict.node import PodNetns
from nri_netdev.errors import Reason

_ON_HOST_NETWORK = Obstacle(
    "the pod is on the host network, where every interface already is; remove hostNetwork: true or the annotation",
    Reason.POD,
)
_OTHER_RUNTIME = (
    "Use a runtime class of runc, crun or youki, or let a CNI plugin bring the interface when the pod starts; if its "
    "containers do see such interfaces, name the handler in shared_handlers of the configuration"
)


def why_nothing(pod: PodSandbox | None, netns: PodNetns, policy: Policy | None) -> Obstacle | None:
    """Why a pod can be given nothing at all, in a whole sentence; None if there is no such reason."""
    if netns.is_host:
        return _ON_HOST_NETWORK
    handlers = Handlers() if policy is None else policy.handlers
    handler = "" if pod is None else pod.runtime_handler
    why = handlers.why_unshared(handler, netns.processes)
    return None if why is None else Obstacle(why, Reason.RUNTIME, hint=_OTHER_RUNTIME)


def refused(entries: Iterable[Entry], obstacle: Obstacle) -> tuple[Problem, ...]:
    """The problems of a request that is refused as a whole: one for each annotation."""
    keys = dict.fromkeys(entry.key for entry in entries)
    return tuple(Problem(key=key, message=obstacle.text, hint=obstacle.hint, reason=obstacle.reason) for key in keys)
