"""The life of a plugin's connection as a table of states and inputs; every transition lives here."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a connection is on its way."""

    NEW = "new"
    STARTED = "started"
    """RegisterPlugin is sent."""
    CONFIGURING = "configuring"
    """Configure waits for `PluginSession.configure`."""
    CONFIGURED = "configured"
    SYNCHRONIZING = "synchronizing"
    """Some parts of Synchronize have come."""
    SERVING = "serving"
    REFUSED = "refused"
    CLOSED = "closed"
    BROKEN = "broken"


class Input(StrEnum):
    """What can happen; the value says it in words."""

    START = "start()"
    MASK = "configure()"
    CALL = "call()"
    REGISTERED = "the answer to RegisterPlugin"
    REFUSED = "the refusal of RegisterPlugin"
    CONFIGURE = "Configure"
    SYNC_PART = "a part of Synchronize"
    SYNC_LAST = "Synchronize"
    HOOK = "an event of a pod or container"
    SHUTDOWN = "Shutdown"
    EOF = "the end of the connection"
    BREACH = "a breach of the protocol"


_UNDER_WAY = (State.STARTED, State.CONFIGURING, State.CONFIGURED, State.SYNCHRONIZING, State.SERVING)
_ALIVE = (State.NEW, *_UNDER_WAY, State.REFUSED)

TRANSITIONS: Final = MappingProxyType[tuple[State, Input], State](
    {
        (State.NEW, Input.START): State.STARTED,
        (State.STARTED, Input.CONFIGURE): State.CONFIGURING,
        (State.CONFIGURING, Input.MASK): State.CONFIGURED,
        (State.CONFIGURED, Input.SYNC_PART): State.SYNCHRONIZING,
        (State.CONFIGURED, Input.SYNC_LAST): State.SERVING,
        (State.SYNCHRONIZING, Input.SYNC_PART): State.SYNCHRONIZING,
        (State.SYNCHRONIZING, Input.SYNC_LAST): State.SERVING,
        (State.SERVING, Input.HOOK): State.SERVING,
        (State.SERVING, Input.CALL): State.SERVING,
        # Engines up to NRI 0.6 do not synchronize a plugin that they launched.
        (State.CONFIGURED, Input.HOOK): State.CONFIGURED,
        # None does so today; it would do no harm, and to hang up would.
        (State.SERVING, Input.SYNC_PART): State.SYNCHRONIZING,
        (State.SERVING, Input.SYNC_LAST): State.SERVING,
        # The engine wakes on the request to register, not on its own answer: Configure may overtake that.
        **{(state, Input.REGISTERED): state for state in _UNDER_WAY},
        **{(state, Input.REFUSED): State.REFUSED for state in _UNDER_WAY},
        **{(state, Input.SHUTDOWN): state for state in _UNDER_WAY},
        **{(state, Input.EOF): State.CLOSED for state in _ALIVE},
        **{(state, Input.BREACH): State.BROKEN for state in _ALIVE},
    }
)
"""State and input to the next state. What is absent breaks the protocol: the engine's fault ends the
connection, ours raises `LocalProtocolError`."""

OURS: Final = frozenset({Input.START, Input.MASK, Input.CALL})
"""The inputs that are our own doing."""
