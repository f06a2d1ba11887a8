"""Children of an interface, and what becomes of them without it."""

from __future__ import annotations

import pytest

from nri_netdev.domain.children import DELETED, PAIRS, children, fate, listing
from nri_netdev.domain.links import Link


def child(kind: str | None, *, ifname: str = "up0", link: int | None = 2, link_netnsid: int | None = None) -> Link:
    return Link(ifindex=8, ifname=ifname, kind=kind, link=link, link_netnsid=link_netnsid)


def test_children_are_found_by_what_they_stand_on() -> None:
    """Not the other end of a pair, nor what stands on an interface of another netns, or on none."""
    own = [child("vlan"), child("macvlan"), child("gre")]
    others = [*map(child, PAIRS), child("vlan", link_netnsid=0), child("gre", link=0), child("bridge", link=None)]

    assert children([*own, *others]) == {2: own}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("vlan", "would lose routes and IPv6 addresses"),
        ("macvlan", "would send and receive through it inside the pod"),
        ("ipvlan", "would send and receive through it inside the pod"),
        ("gre", "would have nothing to send through"),
        ("dsa", "would have nothing to send through"),
        (None, "would have nothing to send through"),
        *((kind, "would be deleted by the kernel") for kind in DELETED),
    ],
)
def test_what_becomes_of_a_child(kind: str | None, text: str) -> None:
    """By its kind; one that is not known cannot be thought unharmed."""
    assert fate(child(kind)).startswith(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (1, "a0"), (2, "a0 and a1"), (3, "a0, a1 and a2"), (4, "a0, a1, a2 and 1 more")],
)
def test_a_listing_is_bounded(count: int, text: str) -> None:
    """The first three, and how many more."""
    assert listing([f"a{number}" for number in range(count)]) == text
