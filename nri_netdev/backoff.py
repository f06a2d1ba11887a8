"""Pauses between tries, partly left to chance, so that not all plugins of a node or nodes of a cluster come at once."""

from __future__ import annotations

import random
from collections.abc import Iterator


def backoff(first_s: float, last_s: float, rng: random.Random) -> Iterator[float]:
    """Yield pauses in seconds, without end.

    Args:
        first_s: the first one; each is twice as long as the one before.
        last_s: the longest.
        rng: shortens each by up to a half.
    """
    pause = first_s
    while True:
        yield pause * rng.uniform(0.5, 1.0)
        pause = min(2 * pause, last_s)
