"""The life of a plugin's connection as a table of states and inputs; every transition lives here."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class SessionState(StrEnum):
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
    """What can happen; the value names it in error messages."""

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


_UNDER_WAY = (
    SessionState.STARTED,
    SessionState.CONFIGURING,
    SessionState.CONFIGURED,
    SessionState.SYNCHRONIZING,
    SessionState.SERVING,
)
_ALIVE = (SessionState.NEW, *_UNDER_WAY, SessionState.REFUSED)

TRANSITIONS: Final = MappingProxyType[tuple[SessionState, Input], SessionState](
    {
        (SessionState.NEW, Input.START): SessionState.STARTED,
        (SessionState.STARTED, Input.CONFIGURE): SessionState.CONFIGURING,
        (SessionState.CONFIGURING, Input.MASK): SessionState.CONFIGURED,
        (SessionState.CONFIGURED, Input.SYNC_PART): SessionState.SYNCHRONIZING,
        (SessionState.CONFIGURED, Input.SYNC_LAST): SessionState.SERVING,
        (SessionState.SYNCHRONIZING, Input.SYNC_PART): SessionState.SYNCHRONIZING,
        (SessionState.SYNCHRONIZING, Input.SYNC_LAST): SessionState.SERVING,
        (SessionState.SERVING, Input.HOOK): SessionState.SERVING,
        (SessionState.SERVING, Input.CALL): SessionState.SERVING,
        # Engines up to NRI 0.6 do not synchronize a plugin that they launched.
        (SessionState.CONFIGURED, Input.HOOK): SessionState.CONFIGURED,
        # No engine synchronizes twice today; accepting it does no harm, hanging up would.
        (SessionState.SERVING, Input.SYNC_PART): SessionState.SYNCHRONIZING,
        (SessionState.SERVING, Input.SYNC_LAST): SessionState.SERVING,
        # The engine wakes on the request to register, not on its own answer: Configure may overtake that.
        **{(state, Input.REGISTERED): state for state in _UNDER_WAY},
        **{(state, Input.REFUSED): SessionState.REFUSED for state in _UNDER_WAY},
        **{(state, Input.SHUTDOWN): state for state in _UNDER_WAY},
        **{(state, Input.EOF): SessionState.CLOSED for state in _ALIVE},
        **{(state, Input.BREACH): SessionState.BROKEN for state in _ALIVE},
    }
)
"""State and input to the next state. An absent pair breaks the protocol: if the input is the engine's, the connection
ends; if it is ours, `LocalProtocolError` is raised."""

OURS: Final = frozenset({Input.START, Input.MASK, Input.CALL})
"""The inputs that are our own doing."""
