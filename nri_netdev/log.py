"""Logs: one event a line, an event name and its fields, on standard error; as text or as JSON.

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
FORMATS = ("text", "json")

Observer = Callable[[str, Mapping[str, object]], None]
_observers: list[Observer] = []


@contextlib.contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Call an observer with every event, of whatever level, for as long as a block lasts."""
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
        pairs = "".join(f" {key}={_quoted(value)}" for key, value in self.fields(record).items())
        return f"{_moment(record)} {record.levelname} {record.getMessage()}{pairs}"

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """What a line says beside its event; nothing of what is empty."""
        fields = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return {key: value for key, value in fields.items() if value not in (None, "", ())}


class JsonFormatter(KeyValueFormatter):
    """Formats a record as `{"time": "2026-…Z", "level": "INFO", "event": "claim.home", "ifname": "ens2f0", …}`.

    Numbers and truth stay what they are, lists are lists of texts, all else is text; line breaks are escaped.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, with the fields of the text format."""
        head = {"time": _moment(record), "level": record.levelname, "event": record.getMessage()}
        return json.dumps(head | {key: plain(value) for key, value in self.fields(record).items()})


_FORMATTERS: Mapping[str, type[KeyValueFormatter]] = {"text": KeyValueFormatter, "json": JsonFormatter}


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: object) -> object:
    """A value as JSON has it, cut."""
    if isinstance(value, bool | int | float):
        return value
    return [_cut(str(one)) for one in value] if isinstance(value, tuple | list) else _cut(str(value))


def _quoted(value: object) -> str:
    text = _cut(str(value) if not isinstance(value, tuple | list) else "; ".join(map(str, value)))
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE_LIMIT else f"{text[:_VALUE_LIMIT]}… ({len(text)} characters)"


def set_up(level: str, form: str = "text") -> None:
    """Send every log line to standard error; of libraries, warnings and worse.

    Args:
        level: one of `LEVELS`, for our own.
        form: one of `FORMATS`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[form]())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_level(level)


def set_level(level: str) -> None:
    """Log our own lines from this level on, one of `LEVELS`."""
    logging.getLogger("nri_netdev").setLevel(level.upper())
