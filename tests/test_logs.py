"""Log lines: one event, one line, whatever stands in its values."""

from __future__ import annotations

import io
import logging

import pytest

from nri_netdev.logs import LEVELS, KeyValueFormatter, event, set_up


@pytest.fixture
def lines() -> io.StringIO:
    """What a logger of our own has written."""
    log = logging.getLogger("test_logs")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(KeyValueFormatter())
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)
    return stream


def test_an_event_and_its_fields(lines: io.StringIO) -> None:
    """Time, level, event, key=value; what is empty is left out, lists are joined."""
    fields = {"ifname": "ens1", "pod": "default/web", "why": "a b", "none": None, "troubles": ("one", "two")}
    event(logging.getLogger("test_logs"), logging.INFO, "claim.home", **fields)
    moment, rest = lines.getvalue().split(" ", 1)
    assert moment.endswith("Z")
    assert rest == 'INFO claim.home ifname=ens1 pod=default/web why="a b" troubles="one; two"\n'


@pytest.mark.parametrize("value", ["a\nb", "\x1b[31m", "x=y z", '"', "\x00", "é\u2028", "\udcff", "a" * 5000, ""])
def test_no_value_breaks_the_line(lines: io.StringIO, value: str) -> None:
    """Line breaks, escapes, quotes and NULs are quoted; what is long is cut."""
    event(logging.getLogger("test_logs"), logging.WARNING, "create.refused", reason=value)
    text = lines.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    assert text[:-1].isprintable()
    assert len(text) < 2200


def test_a_traceback_stays_in_its_line(lines: io.StringIO) -> None:
    """With the exception's name to be found in it."""
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logging.getLogger("test_logs").exception("custody.bug")
    assert lines.getvalue().count("\n") == 1
    assert "ZeroDivisionError" in lines.getvalue()


def test_levels(lines: io.StringIO) -> None:
    """What is below the level is not written; every level can be set up."""
    event(logging.getLogger("test_logs"), logging.DEBUG, "engine.event")
    assert lines.getvalue() == ""
    root = logging.getLogger()
    before = root.level, root.handlers
    try:
        for level in LEVELS:
            set_up(level)
            assert logging.getLevelName(logging.getLogger("nri_netdev").level) == level.upper()
    finally:
        root.handlers = before[1]
        root.setLevel(before[0])
        logging.getLogger("nri_netdev").setLevel(logging.NOTSET)
