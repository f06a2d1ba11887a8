"""Log lines: one event, one line, whatever stands in its values."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from nri_netdev.errors import RemoteError
from nri_netdev.log import FORMATS, LEVELS, JsonFormatter, KeyValueFormatter, event, set_up
from tests.daemon.node import Node, node, on_loop  # noqa: F401 - a fixture


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


def test_the_same_as_json(lines: io.StringIO) -> None:
    """Time and level, the same event and fields; numbers are numbers, lists are lists, what is empty is left out."""
    log = logging.getLogger("test_logs")
    log.handlers[0].setFormatter(JsonFormatter())
    path = Path("/run/x")
    event(log, logging.INFO, "claim.home", ifname="ens1", why="a\nb", none=None, troubles=("one", "two"), n=3, p=path)
    told = json.loads(lines.getvalue())
    assert datetime.fromisoformat(told.pop("time")).tzinfo is not None
    assert told == {
        "level": "INFO", "event": "claim.home", "ifname": "ens1", "why": "a\nb", "troubles": ["one", "two"], "n": 3,
        "p": "/run/x",
    }  # fmt: skip


@pytest.mark.parametrize("formatter", [KeyValueFormatter, JsonFormatter])
@pytest.mark.parametrize("value", ["a\nb", "\x1b[31m", "x=y z", '"', "\x00", "é\u2028", "\udcff", "a" * 5000, ""])
def test_no_value_breaks_the_line(lines: io.StringIO, value: str, formatter: type[logging.Formatter]) -> None:
    """Line breaks, escapes, quotes and NULs are quoted; what is long is cut."""
    logging.getLogger("test_logs").handlers[0].setFormatter(formatter())
    event(logging.getLogger("test_logs"), logging.WARNING, "create.refused", reason=value)
    text = lines.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    assert text[:-1].isprintable()
    assert len(text) < 2200


@pytest.mark.parametrize("formatter", [KeyValueFormatter, JsonFormatter])
def test_a_traceback_stays_in_its_line(lines: io.StringIO, formatter: type[logging.Formatter]) -> None:
    """With the exception's name to be found in it."""
    logging.getLogger("test_logs").handlers[0].setFormatter(formatter())
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logging.getLogger("test_logs").exception("custody.bug")
    assert lines.getvalue().count("\n") == 1
    assert "ZeroDivisionError" in lines.getvalue()


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging is as it was when the test is over."""
    root = logging.getLogger()
    before = root.level, root.handlers
    yield
    root.handlers = before[1]
    root.setLevel(before[0])
    logging.getLogger("nri_netdev").setLevel(logging.NOTSET)


def test_levels(lines: io.StringIO, restored: None) -> None:
    """What is below the level is not written; every level can be set up."""
    event(logging.getLogger("test_logs"), logging.DEBUG, "engine.event")
    assert lines.getvalue() == ""
    for level in LEVELS:
        set_up(level)
        assert logging.getLevelName(logging.getLogger("nri_netdev").level) == level.upper()


STORY = ["create.refused", "claim.promised", "claim.arrived", "claim.home"]


@pytest.mark.parametrize("form", FORMATS)
def test_one_grep_tells_the_story_of_a_pod(
    form: str,
    node: Node,  # noqa: F811
    restored: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From a refusal to the way home: every line of it has namespace and name, and nobody else's has them."""
    set_up("info", form)

    @on_loop
    async def life(node: Node) -> None:
        async with node.engine() as engine, node.daemon():
            await engine.wait_plugin()
            with pytest.raises(RemoteError):
                await engine.create_container(node.pod("- ens9"), node.container())
            await engine.create_container(node.pod(), node.container(2))
            node.kernel.runtime_create(node.netns, {"ens1": "ens1"})
            await engine.start_container(node.pod(), node.container(2))
            other = node.pod("- ens1", "p2")
            other.name = "other"
            with pytest.raises(RemoteError, match="held by pod default/web"):
                await engine.create_container(other, node.container(3, "p2"))
            await engine.stop_container(node.pod(), node.container(2))

    life(node)
    needle = {"text": "pod=default/web", "json": '"pod": "default/web"'}[form]
    lines = [
        line for line in capsys.readouterr().err.splitlines() if f"{needle} " in f"{line} " or f"{needle}," in line
    ]
    told = [json.loads(line)["event"] if form == "json" else line.split()[2] for line in lines]
    assert told == STORY
