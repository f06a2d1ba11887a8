"""What a daemon that stands by knows of pods and containers, by the engine's events alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nri_netdev.daemon.hooks import HANDLERS
from nri_netdev.daemon.roster import _NOTES, Roster
from nri_netdev.domain.claim import State
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.proto import nri_pb2
from nri_netdev.wire.methods import EventKind
from nri_netdev.wire.session import Request
from tests.custody.test_holders import claim_of


def event(kind: EventKind, container_id: str = "", pod_id: str = "p1", *, is_running: bool = False) -> Request:
    state = nri_pb2.CONTAINER_RUNNING if is_running else nri_pb2.CONTAINER_CREATED
    return Request(
        stream_id=1,
        method="",
        timeout_nano=0,
        message=nri_pb2.Empty(),
        kind=kind,
        pod=nri_pb2.PodSandbox(id=pod_id),
        container=nri_pb2.Container(id=container_id, pod_sandbox_id=pod_id, state=state),
    )


def states(roster: Roster) -> dict[str, bool]:
    """Whether it runs, by container."""
    return {container.id: container.is_running for container in roster.containers}


def test_it_takes_every_event_that_the_daemon_hears() -> None:
    """None is passed over."""
    assert set(_NOTES) == set(HANDLERS)


def test_from_the_first_to_the_last() -> None:
    """A pod and its containers, from their beginning to their end, beside what was listed."""
    roster = Roster([PodSandbox(id="p0")], [Container(id="c0", pod_id="p0", is_running=True)], since_s=0)
    roster.note(event(EventKind.RUN_POD_SANDBOX))
    roster.note(event(EventKind.CREATE_CONTAINER, "c1"))
    roster.note(event(EventKind.CREATE_CONTAINER, "c2"))
    assert states(roster) == {"c0": True, "c1": False, "c2": False}
    roster.note(event(EventKind.START_CONTAINER, "c1"))
    assert states(roster) == {"c0": True, "c1": False, "c2": False}
    roster.started("c1")
    assert states(roster) == {"c0": True, "c1": True, "c2": False}
    roster.note(event(EventKind.STOP_CONTAINER, "c1", is_running=True))
    roster.note(event(EventKind.REMOVE_CONTAINER, "c1"))
    assert states(roster) == {"c0": True, "c2": False}
    roster.note(event(EventKind.STOP_POD_SANDBOX))
    assert states(roster) == {"c0": True}
    assert [pod.id for pod in roster.pods] == ["p0"]


@pytest.mark.parametrize("state", [State.PLANNED, State.HELD])
def test_what_came_unheard_is_there(state: State) -> None:
    """An engine may not tell of what it creates while it lists: whoever holds a claim of that time exists."""
    claim = replace(claim_of(), state=state, since_s=100, pid=7)
    roster = Roster([], [], since_s=100.5)
    roster.add_unheard([claim])
    assert states(roster) == {"c": state is State.HELD}
    assert [pod.id for pod in roster.pods] == ["p"]
    assert roster.containers[0].pid == 7


@pytest.mark.parametrize(
    "ending",
    [(EventKind.STOP_CONTAINER, "c"), (EventKind.REMOVE_CONTAINER, "c"), (EventKind.STOP_POD_SANDBOX, "")],
    ids=lambda ending: ending[0].name,
)
def test_what_came_unheard_and_ended_is_not_there(ending: tuple[EventKind, str]) -> None:
    """Its end has been told."""
    roster = Roster([], [], since_s=100.5)
    roster.note(event(*ending, pod_id="p"))
    roster.add_unheard([replace(claim_of(), since_s=100)])
    assert states(roster) == {}


def test_what_was_heard_and_ended_is_not_there() -> None:
    """Its claim may still be there: the one before us let go before it came home."""
    roster = Roster([], [], since_s=100.5)
    roster.note(event(EventKind.CREATE_CONTAINER, "c", "p"))
    roster.note(event(EventKind.STOP_CONTAINER, "c", "p"))
    roster.add_unheard([replace(claim_of(), since_s=101)])
    assert states(roster) == {}


def test_a_claim_from_before_is_no_reason() -> None:
    """What the engine did not list, though it was there long before, has ended."""
    roster = Roster([], [], since_s=100.5)
    roster.add_unheard([replace(claim_of(), since_s=90)])
    assert states(roster) == {}
    assert roster.pods == ()
