"""The tables of a claim's life are complete, lead home, and are the only writers of `Claim.state`."""

from __future__ import annotations

import ast
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nri_netdev
from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.life import (
    DECISIONS,
    GONE,
    OUTCOMES,
    TRANSITIONS,
    TURNS,
    Action,
    Candidate,
    Liveness,
    Place,
    Trace,
    Trigger,
    advance,
    decide,
    moved_on,
    trace_of,
)
from nri_netdev.domain.links import Link
from nri_netdev.errors import LocalProtocolError
from tests.domain.test_claim import MARK, VETH, claim

PACKAGE = Path(nri_netdev.__file__).parent


def in_state(state: State) -> Claim:
    return replace(claim(VETH), state=state)


@pytest.mark.parametrize(("state", "trigger"), [*product(State, Trigger)])
def test_every_transition_is_in_the_table(state: State, trigger: Trigger) -> None:
    """What is absent from it is a bug of ours; what ends a claim gives none."""
    if (state, trigger) not in TRANSITIONS:
        with pytest.raises(LocalProtocolError, match=MARK):
            advance(in_state(state), trigger)
        return
    after = advance(in_state(state), trigger, troubles=("t",))
    assert (after and after.state) == TRANSITIONS[state, trigger]
    assert after is GONE or after.troubles == ("t",)


def test_a_trigger_that_ends_a_claim_is_not_taken_for_one_that_does_not() -> None:
    """A claim that is over must not be written again."""
    with pytest.raises(LocalProtocolError):
        moved_on(in_state(State.RETURNING), Trigger.HOME)


@given(st.lists(st.sampled_from(Trigger), max_size=12))
def test_nothing_turns_back_from_the_way_home(triggers: list[Trigger]) -> None:
    """Whatever happens in whatever order, once the holder has ended nobody holds the interface again."""
    current: Claim | None = in_state(State.PREPARED)
    for trigger in triggers:
        if current is None or (current.state, trigger) not in TRANSITIONS:
            continue
        was_homeward = current.state.is_homeward
        current = advance(current, trigger)
        assert current is None or not was_homeward or current.state.is_homeward


@pytest.mark.parametrize("state", State)
def test_every_state_can_come_to_an_end(state: State) -> None:
    """There is a way from each to the claim being over."""
    reached: set[State | None] = {state}
    for _ in State:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert GONE in reached


@pytest.mark.parametrize(("state", "place", "liveness"), [*product(State, Place, Liveness)])
def test_something_is_decided_in_every_situation(state: State, place: Place, liveness: Liveness) -> None:
    """A living or unknown holder's interface is never taken; a dead one's is always on its way home."""
    trigger, action = decide(state, place, liveness)
    assert trigger is TURNS.get((state, place, liveness))
    homeward = {Action.FETCH, Action.RESTORE, Action.LOSE}
    is_kept = state in {State.PREPARED, State.UNCERTAIN}
    if state.is_homeward or (liveness is Liveness.ENDED and not is_kept):
        assert action in homeward
    elif (state, place, liveness) != (State.PLANNED, Place.HOST, Liveness.RUNNING):
        assert action not in homeward
    if is_kept or (liveness is Liveness.UNKNOWN and not state.is_homeward):
        assert action is Action.WAIT


@pytest.mark.parametrize(("state", "place", "liveness"), [*product(State, Place, Liveness)])
def test_deciding_twice_decides_the_same(state: State, place: Place, liveness: Liveness) -> None:
    """A decision that was taken and not yet carried out is taken again."""
    trigger, action = decide(state, place, liveness)
    after = state if trigger is None else TRANSITIONS[state, trigger]
    assert after is not GONE
    assert decide(after, place, liveness) == (None, action)


def test_the_tables_are_complete() -> None:
    """Decisions over every settled state and place, outcomes over every trace and candidate."""
    settled = set(State) - {State.PREPARED, State.UNCERTAIN}
    assert set(DECISIONS) == set(product(settled, Place))
    assert set(OUTCOMES) == set(product(Trace, Candidate))
    assert set(OUTCOMES.values()) == {Action.BIND, Action.WAIT, Action.RETURN, Action.WITHDRAW}


UP = replace(VETH, is_up=True, altnames=(MARK,))


@pytest.mark.parametrize(
    ("place", "link", "trace"),
    [
        (Place.POD, UP, Trace.IN_POD),
        (Place.POD, replace(UP, altnames=()), Trace.IN_POD_UNMARKED),
        (Place.HOST, UP, Trace.AT_HOME),
        (Place.HOST, replace(UP, is_up=False), Trace.AT_HOME_DOWN),
        (Place.HOST, replace(UP, is_up=False, mtu=9000), Trace.AT_HOME),
        (Place.HOST, replace(UP, altnames=()), Trace.NONE),
        (Place.AWAY, UP, Trace.NONE),
        (Place.NOWHERE, None, Trace.NONE),
    ],
)
def test_what_the_kernel_shows_of_an_uncertain_claim(place: Place, link: Link | None, trace: Trace) -> None:
    """A failed runtime sets it down and changes nothing else; without its mark it is somebody else's business."""
    assert trace_of(claim(replace(VETH, is_up=True)), place, link) is trace


def test_nobody_else_writes_a_state() -> None:
    """No `state=` is passed to `replace` or `Claim`, and no attribute `state` is set, outside of the table's module."""
    writers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(map(_writes_state, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert writers - {"testing/engine.py"} == {"domain/life.py"}  # that one has states of containers


def _writes_state(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "state" and isinstance(node.ctx, ast.Store)
    if not isinstance(node, ast.Call):
        return False
    called = getattr(node.func, "id", getattr(node.func, "attr", ""))
    return called in {"Claim", "replace"} and any(keyword.arg == "state" for keyword in node.keywords)


@pytest.mark.parametrize("place", Place)
def test_what_a_runtime_has_in_hand_is_left_to_it(place: Place) -> None:
    """It may be moving the interface just now, address by address; the start of the container completes it."""
    assert decide(State.PLANNED, place, Liveness.PENDING) == (None, Action.WAIT)
