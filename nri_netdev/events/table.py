"""Which events of the daemon's log become notices, under which reason and in which words: one table.

Not here is what the engine's own error says already, so that the kubelet's Event has it: refusals at the creation, and
on engines that heed an error at the start those too. Nor is what only the node's operator can act on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nri_netdev.events.notice import Notice, NoticeType, PodRef, fitting

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one event of the log becomes; several at a time of the same pod and `of` make one notice."""

    type: NoticeType
    reason: Callable[[Fields], str]
    item: Callable[[Fields], str]
    """What one event adds to the notice."""
    text: Callable[[str], str]
    """The notice, of its items joined by commas."""
    of: Callable[[Fields], str] = lambda _: ""
    """What items of one notice have in common besides."""


TROUBLES: Mapping[str, str] = {"partial": "InterfaceNotWhole", "lost": "InterfaceLost"}
"""Reasons by the state of a claim in trouble: at home, and not all as it was; and nowhere to be found."""


def _always(reason: str) -> Callable[[Fields], str]:
    return lambda _: reason


def _arrived(fields: Fields) -> str:
    ifname, inside = fields["ifname"], fields["inside"]
    return str(ifname if ifname == inside else f"{ifname} as {inside}")


def _released(fields: Fields) -> str:
    troubles = "; ".join(fields.get("troubles") or ())
    return f"{fields['ifname']} ({troubles})" if troubles else str(fields["ifname"])


def _prevented(fields: Fields) -> str:
    how = "was killed before it ran" if fields.get("dead") else "could not be kept from running without its interfaces"
    return f"container {fields['container']} {how}: {fields.get('reason', 'see the log')}"


def _whole(text: str) -> str:
    return text


ROWS: Mapping[str, Row] = {
    "claim.arrived": Row(
        type=NoticeType.NORMAL,
        reason=_always("InterfaceArrived"),
        item=_arrived,
        text=lambda items: f"in the pod: {items}",
    ),
    "claim.home": Row(
        type=NoticeType.NORMAL,
        reason=_always("InterfaceHome"),
        item=lambda fields: str(fields["ifname"]),
        text=lambda items: f"back on the node, as before: {items}",
    ),
    "claim.gone": Row(
        type=NoticeType.WARNING,
        reason=_always("InterfaceGone"),
        item=lambda fields: f"{fields['ifname']} will not come home: {fields['reason']}",
        text=_whole,
    ),
    "claim.released": Row(
        type=NoticeType.WARNING,
        reason=_always("InterfaceReleased"),
        item=_released,
        text=lambda items: f"taken back by the node's operator: {items}",
    ),
    "claim.trouble": Row(
        type=NoticeType.WARNING,
        reason=lambda fields: TROUBLES.get(fields["state"], "InterfaceTrouble"),
        item=lambda fields: f"{fields['ifname']}: {fields['trouble']}",
        text=_whole,
        of=lambda fields: str(fields["trouble"]),
    ),
    "container.attached": Row(
        type=NoticeType.WARNING,
        reason=_always("InterfaceAttached"),
        item=lambda fields: str(fields["container"]),
        text=lambda items: f"got its interfaces while it ran: container {items}; it was created without nri-netdev",
    ),
    "container.missed": Row(
        type=NoticeType.WARNING,
        reason=_always("InterfaceMissed"),
        item=lambda fields: f"container {fields['container']}: {fields['reason']}",
        text=lambda items: f"{items}; restart the pod",
        of=lambda fields: str(fields["container"]),
    ),
    "key.unread": Row(
        type=NoticeType.WARNING,
        reason=_always("AnnotationUnread"),
        item=lambda fields: f"annotation {fields['key']}: {fields['reason']}",
        text=_whole,
        of=lambda fields: str(fields["key"]),
    ),
    "start.prevented": Row(
        type=NoticeType.WARNING,
        reason=_always("StartPrevented"),
        item=_prevented,
        text=_whole,
        of=lambda fields: str(fields["container"]),
    ),
}
"""Every event that is published, by its name in the log."""


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_POD = re.compile(rf"(?P<namespace>{_LABEL})/(?P<name>{_LABEL}(\.{_LABEL})*)")
"""Namespace and name: a label and a subdomain of DNS (RFC 1123)."""


def pod_of(fields: Fields) -> PodRef | None:
    """The pod that an event is of; None if it names none that Kubernetes could know."""
    found, uid = _POD.fullmatch(str(fields.get("pod", ""))), str(fields.get("pod_uid", ""))
    return PodRef(namespace=found["namespace"], name=found["name"], uid=uid) if found and uid else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What events of one notice have in common."""

    pod: PodRef
    name: str
    """Of the events."""
    reason: str
    of: str


def group_of(name: str, fields: Fields) -> tuple[Group, str] | None:
    """The group of an event, and its item there; None if it has no row, or lacks a field that its row needs."""
    row, pod = ROWS.get(name), pod_of(fields)
    if row is None or pod is None:
        return None
    try:
        return Group(pod=pod, name=name, reason=row.reason(fields), of=row.of(fields)), row.item(fields)
    except KeyError:
        return None


def notice_of(group: Group, items: Iterable[str]) -> Notice:
    """The notice of a group, of at least one item; each is said once, in an order that does not change."""
    row = ROWS[group.name]
    text = row.text(", ".join(sorted(set(items))))
    return Notice(pod=group.pod, type=row.type, reason=group.reason, message=fitting(text))
