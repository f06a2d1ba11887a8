"""The table of states holds every transition, and what it lacks is the fault of the side that did it."""

from __future__ import annotations

from itertools import product

import pytest

from nri_netdev.errors import LocalProtocolError, ProtocolError
from nri_netdev.wire.session import EventKind, PluginSession
from nri_netdev.wire.states import OURS, TRANSITIONS, Input, SessionState

from .helpers import ALL_OLD_EVENTS, EngineBytes, broken


@pytest.mark.parametrize(
    ("before", "what", "words"),
    [
        ("new", "configure", "Configure"),
        ("started", "hook", "event of a pod or container"),
        ("started", "synchronize", "Synchronize"),
        ("configured", "configure", "Configure"),
        ("synchronizing", "hook", "event of a pod or container"),
        ("serving", "configure", "Configure"),
    ],
)
def test_what_comes_out_of_turn_ends_the_connection(before: str, what: str, words: str) -> None:
    """A request at the wrong time is a breach that names the request and the state."""
    engine = EngineBytes()
    plugin = PluginSession("netdev", "10", events=ALL_OLD_EVENTS)
    if before != "new":
        plugin.start()
    if before not in {"new", "started"}:
        plugin.receive_data(engine.configure())
    if before == "synchronizing":
        plugin.receive_data(engine.synchronize(more=True))
    if before == "serving":
        plugin.receive_data(engine.synchronize())
    assert plugin.state == before
    data = {
        "configure": engine.configure,
        "synchronize": engine.synchronize,
        "hook": lambda: engine.hook(EventKind.CREATE_CONTAINER),
    }[what]()
    text = broken(plugin.receive_data(data))
    assert words in text
    assert before in text


def test_table_is_complete_where_it_must_be() -> None:
    """Every living state can end in both ways; dead ones lead nowhere; every state but NEW is reached."""
    dead = {SessionState.CLOSED, SessionState.BROKEN}
    for state in SessionState:
        for ending, after in ((Input.EOF, SessionState.CLOSED), (Input.BREACH, SessionState.BROKEN)):
            assert TRANSITIONS.get((state, ending)) == (None if state in dead else after)
    assert not [state for state, _ in TRANSITIONS if state in dead]
    assert set(TRANSITIONS.values()) == set(SessionState) - {SessionState.NEW}


@pytest.mark.parametrize(("state", "what"), list(product(SessionState, Input)))
def test_absent_pair_is_the_fault_of_who_did_it(state: SessionState, what: Input) -> None:
    """What the table lacks raises LocalProtocolError for our doing and ProtocolError for the engine's."""
    plugin = PluginSession("netdev", "10", events=1)
    plugin._state = state
    after = TRANSITIONS.get((state, what))
    if after is not None:
        plugin._advance(what)
        assert plugin.state is after
    else:
        with pytest.raises(LocalProtocolError if what in OURS else ProtocolError):
            plugin._advance(what)
        assert plugin.state is state
