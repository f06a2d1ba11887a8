"""What becomes of each event, in full."""

from __future__ import annotations

from typing import Any

import pytest

from nri_netdev.events.notice import Notice, NoticeType
from nri_netdev.events.table import ROWS, group_of, notice_of, pod_of
from nri_netdev.shells.observe.stream import PUBLISHED
from tests.events.logged import logged


def said(name: str, **fields: Any) -> Notice:
    found = group_of(name, logged(name, **fields).fields)
    assert found is not None
    group, item = found
    return notice_of(group, [item])


def test_all_that_is_published_has_a_row() -> None:
    """And no row is in vain."""
    assert ROWS.keys() == PUBLISHED


NORMAL, WARNING = NoticeType.NORMAL, NoticeType.WARNING
LOST = "nic0 cannot be found: it is in no netns that can be seen"

SAID: list[tuple[str, dict[str, Any], NoticeType, str, str]] = [
    ("claim.arrived", {"ifname": "nic0", "inside": "net1"}, NORMAL, "InterfaceArrived", "in the pod: nic0 as net1"),
    ("claim.arrived", {"ifname": "nic0", "inside": "nic0"}, NORMAL, "InterfaceArrived", "in the pod: nic0"),
    ("claim.home", {"ifname": "nic0"}, NORMAL, "InterfaceHome", "back on the node, as before: nic0"),
    (
        "claim.gone",
        {"ifname": "nic0", "reason": "its device 0000:01:00.0 is no longer on the pci bus"},
        WARNING,
        "InterfaceGone",
        "nic0 will not come home: its device 0000:01:00.0 is no longer on the pci bus",
    ),
    (
        "claim.released",
        {"ifname": "nic0", "troubles": ["the MTU is 9000, not 1500"]},
        WARNING,
        "InterfaceReleased",
        "taken back by the node's operator: nic0 (the MTU is 9000, not 1500)",
    ),
    (
        "claim.released",
        {"ifname": "nic0", "troubles": []},
        WARNING,
        "InterfaceReleased",
        "taken back by the node's operator: nic0",
    ),
    ("claim.trouble", {"ifname": "nic0", "state": "lost", "trouble": LOST}, WARNING, "InterfaceLost", f"nic0: {LOST}"),
    (
        "claim.trouble",
        {"ifname": "nic0", "state": "partial", "trouble": "a route is missing"},
        WARNING,
        "InterfaceNotWhole",
        "nic0: a route is missing",
    ),
    ("claim.trouble", {"ifname": "nic0", "state": "held", "trouble": "t"}, WARNING, "InterfaceTrouble", "nic0: t"),
    (
        "container.attached",
        {"container": "app"},
        WARNING,
        "InterfaceAttached",
        "got its interfaces while it ran: container app; it was created without nri-netdev",
    ),
    (
        "container.missed",
        {"container": "app", "reason": "it runs without nic0: it was created while no nri-netdev was there"},
        WARNING,
        "InterfaceMissed",
        "container app: it runs without nic0: it was created while no nri-netdev was there; restart the pod",
    ),
    (
        "key.unread",
        {"key": "nri-netdev.io/container.ap", "reason": 'no container called "ap" has come yet'},
        WARNING,
        "AnnotationUnread",
        'annotation nri-netdev.io/container.ap: no container called "ap" has come yet',
    ),
    (
        "start.prevented",
        {"container": "app", "dead": True, "reason": "nic0 is not in the pod"},
        WARNING,
        "StartPrevented",
        "container app was killed before it ran: nic0 is not in the pod",
    ),
    (
        "start.prevented",
        {"container": "app", "dead": False},
        WARNING,
        "StartPrevented",
        "container app could not be kept from running without its interfaces: see the log",
    ),
]


@pytest.mark.parametrize(("name", "fields", "kind", "reason", "message"), SAID)
def test_what_is_said(name: str, fields: dict[str, Any], kind: NoticeType, reason: str, message: str) -> None:
    """Type, reason, message."""
    notice = said(name, **fields)
    assert (notice.type, notice.reason, notice.message) == (kind, reason, message)


def test_several_of_a_group() -> None:
    """Are joined, each once, and in the same order however they come."""
    events = [logged("claim.home", ifname=ifname) for ifname in ("nic1", "nic0", "nic1")]
    groups, items = zip(*(found for event in events if (found := group_of(event.name, event.fields))), strict=True)
    assert len({*groups}) == 1
    assert notice_of(groups[0], items).message == "back on the node, as before: nic0, nic1"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("claim.promised", {"ifname": "nic0"}),
        ("claim.home", {}),
        ("claim.home", {"ifname": "nic0", "pod_uid": ""}),
        ("claim.home", {"ifname": "nic0", "pod": "/"}),
        ("claim.home", {"ifname": "nic0", "pod": "web"}),
        ("claim.home", {"ifname": "nic0", "pod": "shop/a b"}),
        ("claim.home", {"ifname": "nic0", "pod": "shop/wéb"}),
        ("claim.home", {"ifname": "nic0", "pod": "shop/web/../x"}),
        ("claim.home", {"ifname": "nic0", "pod": "shop/web?x"}),
        ("claim.home", {"ifname": "nic0", "pod": "a.b/web"}),
    ],
)
def test_what_is_no_notice(name: str, fields: dict[str, Any]) -> None:
    """What no row has, what lacks a field, what is of no pod that Kubernetes could know."""
    event = logged(name)
    assert group_of(name, {**event.fields, **fields}) is None


def test_the_pod() -> None:
    """By namespace, name and uid."""
    found = pod_of({"pod": "shop/db-0.a", "pod_uid": "u9"})
    assert found is not None
    assert (found.namespace, found.name, found.uid) == ("shop", "db-0.a", "u9")
