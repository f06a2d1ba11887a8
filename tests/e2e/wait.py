"""The one place where the end-to-end tests wait: for a condition, with a deadline, saying what never came.

Nothing here sleeps for a fixed time in the hope that something has happened by then.
"""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL_S = 0.005


def wait_until(condition: Callable[[], T], *, timeout_s: float, what: Callable[[], str] | str) -> T:
    """Return the first true value of `condition`, asked every few milliseconds; fail after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {timeout_s:g} s: {text}")
        time.sleep(INTERVAL_S)
