"""Containers that run without what they ask for, because they were created while no daemon looked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from nri_netdev.config.settings import OnMissed
from nri_netdev.custody.custody import Custody
from nri_netdev.daemon.hooks import who
from nri_netdev.domain.annotations.entries import entries_of
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.errors import RequestError
from nri_netdev.log import event

_log = logging.getLogger(__name__)


def seek(
    custody: Custody,
    pods: Iterable[PodSandbox],
    containers: Iterable[Container],
    *,
    on_missed: str,
    later: Callable[[Callable[[Custody], None]], Any],
) -> None:
    """Find such containers among those that run, and do for them what the operator wants; others are found at start.

    Args:
        custody: knows who holds what.
        pods: every pod.
        containers: every container.
        on_missed: of `OnMissed`.
        later: has custody do a job afterwards.
    """
    annotated = {pod.id: pod for pod in pods if pod.annotations}
    for container in containers:
        pod = annotated.get(container.pod_id)
        if pod is None or not container.is_running or custody.deaths.is_dead(container):
            continue
        try:
            missing = custody.missing(pod, container, entries_of(pod, container))
            if missing and on_missed == OnMissed.ATTACH:
                # A job of its own: it may have to be done again, and the lists are of this moment.
                later(partial(_attach, pod=pod, container=container, missing=missing))
            elif missing:
                names = ", ".join(entry.interface for entry in missing)
                raise RequestError(f"it runs without {names}: it was created while no nri-netdev was there")  # noqa: TRY301
        except RequestError as error:
            event(_log, logging.ERROR, "container.missed", **who(pod, container), reason=str(error))


def _attach(custody: Custody, *, pod: PodSandbox, container: Container, missing: tuple[Entry, ...]) -> None:
    """Give a container that runs what it was to have when it was created. It may have to be done again."""
    if custody.deaths.is_dead(container):
        return
    try:
        custody.start(pod, container, missing)
        event(_log, logging.WARNING, "container.attached", **who(pod, container))
    except RequestError as error:
        event(_log, logging.ERROR, "container.missed", **who(pod, container), reason=str(error))
