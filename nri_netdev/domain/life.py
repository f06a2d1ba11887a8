"""The life of a claim: states, triggers and the tables between them. Every transition lives in this file.

`advance` is the only writer of `Claim.state`. Three readings lead to an action: the claim's state (ledger), the place
of its interface (kernel), and the liveness of its holder (engine). `nri_netdev.custody.settle` takes the readings,
asks `decide` or `resolve`, and acts. The picture and the tables in docs/custody.md are drawn from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from itertools import product
from types import MappingProxyType
from typing import Any, Final

from nri_netdev.domain.claim import Claim, State, lasting
from nri_netdev.domain.links import Link
from nri_netdev.errors import LocalProtocolError


class Trigger(StrEnum):
    """What happens to a claim; the value says it in words."""

    GIVEN = "given to a container"
    FOUND = "found after a crash"
    WITHDRAWN = "not given after all"
    ARRIVED = "found inside, complete"
    ENDED = "its holder ended"
    NOT_KEPT = "its container runs without it"
    REFUSED = "the kernel refused to prepare it"
    RELEASED = "released by force"
    INCOMPLETE = "at home, not whole"
    VANISHED = "in no netns that can be found"
    HOME = "at home, whole"
    INHERITED = "given away again"
    GIVEN_UP = "given up by force"
    UNPLUGGED = "its device is no longer there"
    REBOOTED = "the node rebooted"


GONE: Final = None
"""What `advance` returns for a claim that is over: it is to be forgotten."""

_BINDING = (State.UNCERTAIN, State.PLANNED, State.HELD, State.RETURNING, State.PARTIAL, State.LOST)
_HOMEWARD = (State.RETURNING, State.PARTIAL, State.LOST)

TRANSITIONS: Final[Mapping[tuple[State, Trigger], State | None]] = MappingProxyType(
    {
        (State.PREPARED, Trigger.GIVEN): State.PLANNED,
        (State.PREPARED, Trigger.WITHDRAWN): GONE,
        (State.PREPARED, Trigger.FOUND): State.UNCERTAIN,
        (State.UNCERTAIN, Trigger.GIVEN): State.PLANNED,
        (State.UNCERTAIN, Trigger.WITHDRAWN): GONE,
        (State.UNCERTAIN, Trigger.ENDED): State.RETURNING,
        (State.PLANNED, Trigger.ARRIVED): State.HELD,
        (State.PLANNED, Trigger.ENDED): State.RETURNING,
        (State.PLANNED, Trigger.NOT_KEPT): State.RETURNING,
        (State.PLANNED, Trigger.REFUSED): State.RETURNING,
        (State.HELD, Trigger.ENDED): State.RETURNING,
        (State.PARTIAL, Trigger.INHERITED): GONE,
        **{(state, Trigger.INCOMPLETE): State.PARTIAL for state in _HOMEWARD},
        **{(state, Trigger.VANISHED): State.LOST for state in _HOMEWARD},
        **{(state, Trigger.HOME): GONE for state in _HOMEWARD},
        **{(state, Trigger.GIVEN_UP): GONE for state in _HOMEWARD},
        **{(state, Trigger.UNPLUGGED): GONE for state in _HOMEWARD},
        **{(state, Trigger.RELEASED): State.RETURNING for state in _BINDING},
        **{(state, Trigger.REBOOTED): GONE for state in State},
    }
)
"""State and trigger to the next state, or to `GONE`. What is absent is a bug of ours."""


def advance(claim: Claim, trigger: Trigger, **changes: Any) -> Claim | None:
    """Take a claim to its next state.

    Args:
        claim: the claim as it is.
        trigger: what has happened to it.
        changes: other fields of `Claim` that change with it.

    Returns:
        The claim as it is now; `GONE` if it is over.

    Raises:
        LocalProtocolError: This cannot happen to a claim in this state.
    """
    if (claim.state, trigger) not in TRANSITIONS:
        raise LocalProtocolError(f"a claim that is {claim.state} cannot be {trigger.name} ({claim.mark})")
    after = TRANSITIONS[claim.state, trigger]
    return GONE if after is GONE else replace(claim, state=after, **changes)


def moved_on(claim: Claim, trigger: Trigger, **changes: Any) -> Claim:
    """As `advance`, for triggers that never end a claim."""
    after = advance(claim, trigger, **changes)
    if after is GONE:
        raise LocalProtocolError(f"{trigger.name} ends a claim that is {claim.state} ({claim.mark})")
    return after


# -- the readings ------------------------------------------------------------------------------------------------------


class Place(StrEnum):
    """Where the kernel shows the interface of a claim."""

    HOST = "host"
    POD = "pod"
    AWAY = "away"
    """In a third netns: one that the container made, or another pod's."""
    NOWHERE = "nowhere"


class Liveness(StrEnum):
    """What the engine says of a claim's holder."""

    UNKNOWN = "unknown"
    """The engine has not reported it yet, or is not connected."""
    PENDING = "pending"
    """It exists, and its process does not run yet."""
    RUNNING = "running"
    """Of a pod, which has no process of its own: the container runs that is to bring the interface in."""
    ENDED = "ended"


class Report(StrEnum):
    """What the engine reports of a pod or container."""

    CREATED = "created"
    STARTED = "started"
    STOPPED = "stopped"
    NOT_LISTED = "missing from Synchronize"


LIVENESS: Final[Mapping[Report, Liveness]] = MappingProxyType(
    {
        Report.CREATED: Liveness.PENDING,
        Report.STARTED: Liveness.RUNNING,
        Report.STOPPED: Liveness.ENDED,
        Report.NOT_LISTED: Liveness.ENDED,
    }
)
"""The latest report decides, whatever came before: an engine may create anew what it had reported as stopped."""


# -- what must be done -------------------------------------------------------------------------------------------------


class Action(StrEnum):
    """What must be done with a claim now."""

    WAIT = "wait"
    """Nothing: the runtime has not moved the interface yet, or the holder's liveness is unknown."""
    KEEP = "keep"
    """Nothing: all is as it should be."""
    ADOPT = "adopt"
    """It has arrived: complete what the runtime left out, note where it is."""
    STRAY = "stray"
    """It is not where its living holder should have it: report it, touch nothing."""
    FETCH = "fetch"
    """Bring it home and restore it."""
    RESTORE = "restore"
    """It is on the host: restore it to what it was, then forget the claim."""
    LOSE = "lose"
    """It cannot be found: report it and keep the claim."""
    BIND = "bind"
    """A container has it, or must be assumed to: make the claim that container's."""
    RETURN = "return"
    """It was given, or may have been, and its holder is gone: bring it home."""
    WITHDRAW = "withdraw"
    """It was given to nobody: take the mark off and forget the claim."""


_WAY_HOME = {
    Place.HOST: Action.RESTORE,
    Place.POD: Action.FETCH,
    Place.AWAY: Action.FETCH,
    Place.NOWHERE: Action.LOSE,
}

DECISIONS: Final[Mapping[tuple[State, Place], Action]] = MappingProxyType(
    {
        (State.PLANNED, Place.HOST): Action.WAIT,
        (State.PLANNED, Place.POD): Action.ADOPT,
        (State.PLANNED, Place.AWAY): Action.STRAY,
        (State.PLANNED, Place.NOWHERE): Action.STRAY,
        (State.HELD, Place.HOST): Action.STRAY,
        (State.HELD, Place.POD): Action.KEEP,
        (State.HELD, Place.AWAY): Action.STRAY,
        (State.HELD, Place.NOWHERE): Action.STRAY,
        **{(state, place): action for state in _HOMEWARD for place, action in _WAY_HOME.items()},
    }
)
"""What must be done by state and place, once the engine has reported the holder. A prepared claim binds nobody and is
left alone; an uncertain one has its own table."""

TURNS: Final[Mapping[tuple[State, Place, Liveness], Trigger]] = MappingProxyType(
    {
        **{(state, place, Liveness.ENDED): Trigger.ENDED for state in (State.PLANNED, State.HELD) for place in Place},
        (State.PLANNED, Place.HOST, Liveness.RUNNING): Trigger.NOT_KEPT,
    }
)
"""Which readings turn a claim homeward. Nothing turns it back."""


_TOO_SOON = {
    *((state, Liveness.UNKNOWN) for state in State if not state.is_homeward),
    # The runtime may be moving it just now, address by address; the start completes it.
    (State.PLANNED, Liveness.PENDING),
}
"""State and liveness in which nothing is done, wherever the interface is."""


def decide(state: State, place: Place, liveness: Liveness) -> tuple[Trigger | None, Action]:
    """Decide what must be done with a claim that is not uncertain.

    Returns:
        The trigger that the readings are, if any, and the action in the state after it.
    """
    trigger = TURNS.get((state, place, liveness))
    after = state if trigger is None else TRANSITIONS[state, trigger]
    if after is GONE or (after, place) not in DECISIONS or (after, liveness) in _TOO_SOON:
        return trigger, Action.WAIT
    return trigger, DECISIONS[after, place]


# -- what became of a claim that a daemon died over --------------------------------------------------------------------


class Trace(StrEnum):
    """What the kernel shows of the interface of an uncertain claim."""

    IN_POD = "in the pod"
    IN_POD_UNMARKED = "in the pod, without its mark"
    AT_HOME = "at home"
    AT_HOME_DOWN = "at home, as a failed runtime leaves it"
    """As it was, but set down, which a runtime does before it moves an interface."""
    NONE = "elsewhere, or at home without its mark"
    """It is marked before it is given, and given to nobody but its pod: so this has nothing to do with the claim."""


class Candidate(StrEnum):
    """Which container the interface of an uncertain claim may have been given to, as far as the engine has reported."""

    PENDING = "a container that is created and not started"
    RUNNING = "a running container"
    RUNNING_OR_COMING = "a running container, or another that the engine is still creating"
    COMING = "one that the engine may still be creating"
    NONE = "none"


_OUTCOMES: Mapping[Trace, tuple[Action, Action, Action, Action, Action]] = {
    #                       PENDING      RUNNING          RUNNING_OR_COMING COMING       NONE
    Trace.IN_POD: (Action.BIND, Action.BIND, Action.BIND, Action.WAIT, Action.RETURN),
    Trace.IN_POD_UNMARKED: (Action.BIND, Action.BIND, Action.BIND, Action.WITHDRAW, Action.WITHDRAW),
    Trace.AT_HOME: (Action.BIND, Action.WITHDRAW, Action.WAIT, Action.WAIT, Action.WITHDRAW),
    Trace.AT_HOME_DOWN: (Action.BIND, Action.RETURN, Action.WAIT, Action.WAIT, Action.RETURN),
    Trace.NONE: (Action.WITHDRAW,) * 5,
}
OUTCOMES: Final[Mapping[tuple[Trace, Candidate], Action]] = MappingProxyType(
    {
        (trace, candidate): _OUTCOMES[trace][column]
        for trace, (column, candidate) in product(Trace, enumerate(Candidate))
    }
)
"""What became of an uncertain claim, by what the kernel shows and whom it may have been given to."""


def trace_of(claim: Claim, place: Place, link: Link | None) -> Trace:
    """Read the trace of an uncertain claim.

    Args:
        claim: the claim.
        place: where its interface is.
        link: the interface as it is there; None if it is nowhere.
    """
    is_marked = link is not None and claim.mark in link.altnames
    if place is Place.POD:
        return Trace.IN_POD if is_marked else Trace.IN_POD_UNMARKED
    if place is not Place.HOST or link is None or not is_marked:
        return Trace.NONE
    was = claim.snapshot.link
    is_set_down = was.is_up and lasting(link) == lasting(replace(was, is_up=False))
    return Trace.AT_HOME_DOWN if is_set_down else Trace.AT_HOME


def resolve(trace: Trace, candidate: Candidate) -> Action:
    """Decide what must be done with an uncertain claim: bind, wait, return or withdraw."""
    return OUTCOMES[trace, candidate]
