"""Events are values."""

from __future__ import annotations

import copy

import pytest

from nri_netdev.wire.session import EventKind

from .helpers import only, serving


def test_events_are_values() -> None:
    """Events compare by what they say and cannot be changed."""
    plugin, engine = serving()
    request = only(plugin.receive_data(engine.hook(EventKind.STOP_CONTAINER)))
    assert copy.copy(request) == request
    with pytest.raises(AttributeError):
        request.kind = EventKind.START_CONTAINER  # type: ignore[misc, union-attr]
