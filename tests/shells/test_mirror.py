"""The mirror of home: whatever happens to the host, it shows what a reading of the whole host shows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import pytest

from nri_netdev.domain.links import Inventory
from nri_netdev.shells.mirror import Mirror, link_events
from nri_netdev.shells.netns import call_in_netns
from nri_netdev.shells.rtnetlink import Rtnl
from tests.shells.conftest import Net

pytestmark = pytest.mark.root

T = TypeVar("T")

IFA_F_TENTATIVE = 0x40

CHANGES = (
    "link add dev{n} type veth peer name peer{n}",
    "link del dev{n}",
    "link set dev{n} up",
    "link set dev{n} down",
    "link set peer{n} up",
    "link set dev{n} mtu 1400",
    "link set dev{n} address 02:00:00:00:00:0{n}",
    "link set dev{n} master br0",
    "link set dev{n} nomaster",
    "link set dev{n} netns {pod}",
    "link set dev{n} name other{n}",
    "link set other{n} name dev{n}",
    "address add 192.0.2.{n}/24 dev dev{n}",
    "address del 192.0.2.{n}/24 dev dev{n}",
    "address add 2001:db8::{n}/64 dev dev{n} nodad",
    "address flush dev dev{n}",
    "route add default via 192.0.2.9{n} metric {n}",
    "route add default via 192.0.2.9{n} src 192.0.2.{n} table 10{n}",
    "route del default metric {n}",
    "route add default via 2001:db8::ff dev dev{n} metric 5{n}",
    "route add 198.51.100.{n}/32 dev dev{n}",
    "nexthop replace id {n} dev dev{n}",
    "route add default nhid {n} metric 6{n}",
    "route del default nhid {n} metric 6{n}",
)
"""Some are refused, depending on what came before: that is a change too."""


@contextmanager
def mirrored(home: Net) -> Iterator[Callable[[Callable[[Mirror, Rtnl], T]], T]]:
    """Call a function with a mirror of a netns, from within that."""

    def make() -> tuple[Mirror, Rtnl]:
        return Mirror(), Rtnl()

    mirror, rtnl = call_in_netns(home.fd, make)
    try:
        yield lambda function: call_in_netns(home.fd, function, mirror, rtnl)
    finally:
        mirror.close()
        rtnl.close()


def comparable(inventory: Inventory) -> Inventory:
    """Without what the kernel does not tell - of a link that is down, of tentative addresses - and in one order."""
    links = (
        link if link.is_up else replace(link, altnames=(), alias=None, group=0, txqueuelen=None)
        for link in inventory.links
    )
    addresses = {
        ifindex: kept
        for ifindex, of_link in inventory.addresses.items()
        if (kept := tuple(address for address in of_link if not address.flags & IFA_F_TENTATIVE))
    }
    return replace(inventory, links=tuple(sorted(links, key=lambda link: link.ifindex)), addresses=addresses)


def looked_at_rest(call: Callable[[Callable[[Mirror, Rtnl], Inventory]], Inventory]) -> tuple[Inventory, Inventory]:
    """What a reading of the whole host shows, and what the mirror does, while nothing goes on by itself."""
    while True:
        read = comparable(call(lambda _, rtnl: rtnl.inventory()))
        told = comparable(call(lambda mirror, rtnl: mirror.inventory(rtnl)))
        if comparable(call(lambda _, rtnl: rtnl.inventory())) == read:
            return read, told


@pytest.mark.parametrize("seed", range(6))
def test_it_shows_what_is_there(home: Net, pod: Net, seed: int) -> None:
    """After any sequence of changes, however many between two looks."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    home.ip("link add br0 type bridge")
    with mirrored(home) as call:
        for _ in range(40):
            for _ in range(chance.choice((1, 1, 2, 8))):
                change = chance.choice(CHANGES).format(n=chance.randint(1, 3), pod=pod.path)
                home.run("sh", "-c", f"ip {change} 2>/dev/null || true")
            read, told = looked_at_rest(call)
            assert told.links == read.links
            assert told.addresses == read.addresses
            assert told.default_sources == read.default_sources
            # A route that goes without a word may be remembered for longer: that protects too much, never too little.
            assert told.default_routes >= read.default_routes


def test_it_reads_all_again_when_it_has_missed_something(home: Net) -> None:
    """A flood of events that the kernel has to drop."""
    home.ip("link add dev0 type veth peer name peer0")
    with mirrored(home) as call:
        call(lambda mirror, rtnl: mirror.inventory(rtnl))
        home.run("sh", "-c", "for i in $(seq 1500); do ip link set dev0 mtu $((1000 + i)); done")
        home.ip("link set dev0 name later")
        told = call(lambda mirror, rtnl: mirror.inventory(rtnl))
    link = told.by_name("later")
    assert link is not None
    assert link.mtu == 2500
    assert told.by_name("dev0") is None


def test_it_can_be_read_anew(home: Net) -> None:
    """What the kernel does not tell, such as an alternative name of a link that is down, is in a fresh reading."""
    home.ip("link add dev0 type veth peer name peer0")
    with mirrored(home) as call:
        call(lambda mirror, rtnl: mirror.inventory(rtnl))
        home.ip("link property add dev dev0 altname other")
        assert call(lambda mirror, rtnl: mirror.fresh(rtnl)).by_altname("other")


def test_changes_of_links_are_noticed(home: Net) -> None:
    """Nothing, then something, then nothing; a flood that the kernel has to drop is still something."""
    events = call_in_netns(home.fd, link_events)
    try:
        assert events.read() == []
        home.ip("link add dev0 type ifb")
        assert events.read()
        assert events.read() == []
        home.run("sh", "-c", "for i in $(seq 1500); do ip link set dev0 mtu $((1000 + i)); done")
        assert events.read() is None
        assert events.read() == []
    finally:
        events.close()
