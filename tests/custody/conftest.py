"""What the tests of custody share."""

from __future__ import annotations

import pytest

from tests.world import World, new_world


@pytest.fixture(name="world")
def _world() -> World:
    return new_world()
