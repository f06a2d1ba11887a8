"""How long to wait before the next try."""

from __future__ import annotations

import random
from itertools import islice

from nri_netdev.backoff import backoff

ONE, OTHER = random.Random(1), random.Random(2)  # noqa: S311 - repeatable


def test_pauses_grow_and_differ() -> None:
    """From the first to the last, each a half to the whole of what it may be, another for everybody who waits."""
    pauses = list(islice(backoff(0.1, 5.0, ONE), 20))
    limits = [min(0.1 * 2**n, 5.0) for n in range(20)]
    assert all(limit / 2 <= pause <= limit for pause, limit in zip(pauses, limits, strict=True))
    assert pauses != list(islice(backoff(0.1, 5.0, OTHER), 20))
    assert len(set(pauses)) == 20
