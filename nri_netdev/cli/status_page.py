"""The page that `nri-netdev status` prints: what the daemon's document says, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nri_netdev.domain.text.age import age
from nri_netdev.domain.text.names import printable

if TYPE_CHECKING:  # it is shown where nothing of a daemon is loaded
    from nri_netdev.shells.observe.status import Document


def page(document: Document, *, now_s: float) -> str:
    """Lay the document out in lines of a label and a text.

    Args:
        document: from `nri_netdev.shells.observe.status.read`.
        now_s: the wall clock, in seconds since the epoch.
    """
    return "\n".join(map(printable, _lines(document, int(now_s))))


def _lines(document: Document, now_s: int) -> Iterator[str]:
    engine = document["engine"]
    yield _line(
        "daemon",
        f"nri-netdev {document['version']}, process {document['pid']}, up {age(now_s - document['started_s'])}",
    )
    nri = f", NRI {engine['nri']}" if engine and engine["nri"] else ""
    yield _line("engine", f"{engine['name']} {engine['version']}{nri}" if engine else "none connected")
    yield _line("socket", document["socket"])
    yield _line("ready", _ready(document, now_s))
    asked = document["containers"]
    yield _line("containers", f"{asked['true']} with annotations, {asked['false']} without")
    yield _line("claims", _counts(document["claims"]))
    yield _line("refused", _counts(document["refusals"]))
    unread = document["unread"]
    yield _line("unread", f"{unread['count']} annotation keys" if unread["count"] else "none")
    for one in unread["keys"]:
        yield _line("", f"{one['pod']}, annotation {one['key']}: {one['reason']}")
    if document["latest"]:
        yield ""
    for recent in document["latest"]:
        who = " ".join(str(recent[key]) for key in ("pod", "container", "ifname") if recent.get(key))
        why = recent.get("reason") or recent.get("trouble") or recent.get("error") or "see the log"
        yield f"{_moment(recent['at_s'])}  {recent['event']}  {who}: {why}"


def _ready(document: Document, now_s: int) -> str:
    if document["ready"]:
        return f"yes, since {_moment(document['ready_since_s'])} ({age(now_s - document['ready_since_s'])})"
    return f"no{': ' if document['trouble'] else ''}{document['trouble']}"


def _moment(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _line(label: str, text: str) -> str:
    return f"{label:<12}{text}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"
