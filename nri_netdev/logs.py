"""Logs: one event a line, an event name and key=value pairs, on standard error.

What a pod's author wrote may stand in a value, so values are quoted as JSON wherever they are not plain words: a line
stays a line.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

_PLAIN = re.compile(r"[\w./:@~+-]{1,512}", re.ASCII)
_VALUE_LIMIT = 2048
"""Characters of one value that reach the log."""

LEVELS = ("debug", "info", "warning", "error")

Observer = Callable[[str, Mapping[str, object]], None]
_observers: list[Observer] = []


@contextlib.contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Have every event, of whatever level, told to an observer too, for as long as a block lasts."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def event(log: logging.Logger, level: int, name: str, *, exc_info: object = False, **fields: object) -> None:
    """Log an event by its name, with its context as key=value pairs, and the traceback of what is being handled."""
    for observer in _observers:
        observer(name, fields)
    if log.isEnabledFor(level):
        log.log(level, "%s", name, extra={"fields": fields}, exc_info=bool(exc_info))


class KeyValueFormatter(logging.Formatter):
    """Formats a record as `2026-01-31T12:00:00.000Z INFO claim.home ifname=ens2f0 pod=default/web`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, its traceback, if any, quoted in the last field."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        pairs = "".join(f" {key}={_quoted(value)}" for key, value in fields.items() if value not in (None, "", ()))
        return f"{moment} {record.levelname} {record.getMessage()}{pairs}"


def _quoted(value: object) -> str:
    text = str(value) if not isinstance(value, tuple | list) else "; ".join(map(str, value))
    if len(text) > _VALUE_LIMIT:
        text = f"{text[:_VALUE_LIMIT]}… ({len(text)} characters)"
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def set_up(level: str) -> None:
    """Send every log line to standard error; of libraries, warnings and worse.

    Args:
        level: one of `LEVELS`, for our own.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_level(level)


def set_level(level: str) -> None:
    """Log our own lines from this level on, one of `LEVELS`."""
    logging.getLogger("nri_netdev").setLevel(level.upper())
