"""What happens to pods, published to another process as it happens: lines of JSON on a unix socket.

The daemon keeps the latest events in a ring and numbers them. Nobody who logs an event waits for whoever receives it:
an event costs an entry in the ring, whether somebody listens or not, and the loop looks into the ring now and then for
those who do. A listener says what it has received already, so that it goes on without loss or doubles for as long as
the ring reaches back. What has left the ring before it was read, a listener knows by the gap in the numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from nri_netdev.log import event, plain
from nri_netdev.shells.observe.listener import LogEvent, line

_log = logging.getLogger(__name__)

PUBLISHED = frozenset(
    {
        "claim.arrived",
        "claim.gone",
        "claim.home",
        "claim.released",
        "claim.trouble",
        "container.attached",
        "container.missed",
        "key.unread",
        "start.prevented",
    }
)
"""The events of the log that are published. Each has the fields `pod`, namespace and name, and `pod_uid`; none has an
error as a field, which would keep alive whatever its traceback holds."""

RING = 512
"""Events that are kept: of the last hundred pods or so, in less than 1 MiB."""
_POLL_S = 0.25
"""How often the loop looks. Waking it from the thread that logs would cost that thread more than the event."""
_BATCH = 64
"""Events that are written at a time, and so what a listener that does not read can have waiting for it."""
_LISTENERS = 4
_HELLO_S = 5.0
_MODE = 0o660
"""Of the socket: for its group too, which it has of a directory with the set-group-ID bit."""


@dataclass(slots=True)
class EventRing:
    """The latest events of one daemon. Any thread may use it."""

    most: int = RING
    id: str = field(default_factory=lambda: os.urandom(8).hex())
    """Tells this ring from that of an earlier daemon."""
    _events: deque[tuple[int, float, str, Mapping[str, object]]] = field(init=False)
    """Number, time, name and context; made into what is sent on the listener's time, not on that of who logs."""
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._events = deque(maxlen=self.most)

    def note(self, name: str, fields: Mapping[str, object]) -> None:
        """Keep an event of the log, if it is published: an observer for `nri_netdev.log.observed`."""
        if name not in PUBLISHED:
            return
        with self._lock:
            self._number += 1
            self._events.append((self._number, time.time(), name, fields))

    def after(self, number: int, most: int) -> tuple[LogEvent, ...]:
        """The events after that of a number, or those of them that are still there, the oldest first.

        Args:
            number: of the last one that is known.
            most: of them to return.
        """
        with self._lock:
            start = max(0, number - (self._number - len(self._events)))
            kept = tuple(islice(self._events, start, start + most))
        return tuple(
            LogEvent(number=number, at_s=at_s, name=name, fields=_plain(fields)) for number, at_s, name, fields in kept
        )


def _plain(fields: Mapping[str, object]) -> Mapping[str, object]:
    return {key: _utf8(plain(value)) for key, value in fields.items() if value is not None}


def _utf8(value: object) -> object:
    """A value without what UTF-8 cannot say: a file's name or a peer's text may have lone surrogates."""
    if isinstance(value, list):
        return [_utf8(one) for one in value]
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


@contextlib.asynccontextmanager
async def serving(path: Path, ring: EventRing) -> AsyncIterator[None]:
    """Publish a ring while a block runs. If the socket cannot be made, that is logged and the block runs without.

    Args:
        path: of the socket; its directory is made if need be, for root alone.
        ring: what is published.
    """
    talking: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(talking) >= _LISTENERS:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(_talk(ring, reader, writer))
        talking.add(task)
        task.add_done_callback(talking.discard)

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        server = await asyncio.start_unix_server(connected, path)
        path.chmod(_MODE)  # noqa: ASYNC240 - once
        inode = path.stat().st_ino  # noqa: ASYNC240 - once
    except OSError as error:
        event(_log, logging.WARNING, "stream.unavailable", socket=path, error=error.strerror or str(error))
        yield
        return
    try:
        yield
    finally:
        server.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        with contextlib.suppress(OSError):
            if path.stat().st_ino == inode:  # noqa: ASYNC240 - once; else it is that of the next daemon
                path.unlink()  # noqa: ASYNC240 - once


async def _talk(ring: EventRing, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one listener until it hangs up; when the daemon ends, to the last event."""
    number = 0

    def send() -> bool:
        nonlocal number
        events = () if writer.transport.get_write_buffer_size() else ring.after(number, _BATCH)
        writer.write(b"".join(line(asdict(one)) for one in events))
        number = events[-1].number if events else number
        return bool(events)

    try:
        async with asyncio.timeout(_HELLO_S):
            asked = json.loads(await reader.readline())
            number = int(asked["number"]) if asked["ring"] == ring.id else 0
        writer.write(line({"ring": ring.id}))
        try:
            while not reader.at_eof() and not writer.transport.is_closing():
                is_more = send()
                await asyncio.sleep(0 if is_more else _POLL_S)
        except asyncio.CancelledError:
            while send():
                pass
            raise
    except (OSError, TimeoutError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        pass  # whatever this was, it is no listener of ours
    finally:
        writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()
