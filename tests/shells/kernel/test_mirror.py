"""The cache of the host's netns: whatever happens to the host, it equals a reading of the whole host."""

from __future__ import annotations

import random
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import pytest

from nri_netdev.domain.links import Inventory
from nri_netdev.shells.kernel.messages import RTM_NEWADDR
from nri_netdev.shells.kernel.mirror import Mirror, host_events, link_events
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl, inventory_of
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
    "rule add from 192.0.2.{n} lookup 10{n}",
    "rule add fwmark {n} lookup 10{n}",
    "rule del lookup 10{n}",
    "-6 rule add from 2001:db8::{n} lookup 10{n}",
    "-6 route add default via 2001:db8::ff dev dev{n} table 10{n}",
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
    """Sorted, and without what has no event: much of a link that is down, tentative addresses."""
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
    """A reading of the whole host and the inventory of the mirror, while nothing changes by itself.

    An IPv6 address that has just been added is waited for: the kernel sends its event from a work queue.
    """
    until_s = time.monotonic() + 5
    while True:
        read = comparable(call(lambda _, rtnl: inventory_of(rtnl)))
        cached = comparable(call(lambda mirror, rtnl: mirror.inventory(rtnl)))
        is_told = cached.addresses == read.addresses or time.monotonic() > until_s
        if is_told and comparable(call(lambda _, rtnl: inventory_of(rtnl))) == read:
            return read, cached


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
            read, cached = looked_at_rest(call)
            assert cached.links == read.links
            assert cached.addresses == read.addresses
            assert cached.default_sources == read.default_sources
            # A route that goes without an event may stay cached for longer: that protects too much, never too little.
            assert cached.default_routes >= read.default_routes
            assert {*cached.source_routes} >= {*read.source_routes}


def test_it_reads_all_again_when_it_has_missed_something(home: Net) -> None:
    """A flood of events that the kernel has to drop."""
    home.ip("link add dev0 type veth peer name peer0")
    with mirrored(home) as call:
        call(lambda mirror, rtnl: mirror.inventory(rtnl))
        home.run("sh", "-c", "for i in $(seq 1500); do ip link set dev0 mtu $((1000 + i)); done")
        home.ip("link set dev0 name later")
        cached = call(lambda mirror, rtnl: mirror.inventory(rtnl))
    link = cached.by_name("later")
    assert link is not None
    assert link.mtu == 2500
    assert cached.by_name("dev0") is None


def test_it_can_be_read_again(home: Net) -> None:
    """A change without an event, such as an alternative name of a link that is down, is in a fresh reading."""
    home.ip("link add dev0 type veth peer name peer0")
    with mirrored(home) as call:
        call(lambda mirror, rtnl: mirror.inventory(rtnl))
        home.ip("link property add dev dev0 altname other")
        assert call(lambda mirror, rtnl: mirror.fresh(rtnl)).by_altname("other")


# -- revision ----------------------------------------------------------------------------------------------------------

COUNTED = {
    "a link comes": ("link add dev2 type ifb", True),
    "a link goes": ("link del spare", True),
    "renamed": ("link set spare name other", True),
    "MAC": ("link set dev0 address 02:00:00:00:00:77", True),
    "enslaved": ("link set dev0 master br0", True),
    "alias while up": ("link set dev0 alias uplink", True),
    "alternative name while up": ("link property add dev dev0 altname slot1", True),
    "alternative name taken away": ("link property del dev dev0 altname given", True),
    "address": ("address add 192.0.2.9/24 dev dev0", True),
    "address gone": ("address del 192.0.2.1/24 dev dev0", True),
    "IPv6 address": ("address add 2001:db8::9/64 dev dev0 nodad", True),
    "default route": ("route add default via 192.0.2.254", True),
    "default route in another table": ("route add default via 192.0.2.254 table 100", True),
    "IPv6 default route": ("route add default via 2001:db8::ff dev dev0", True),
    "rule": ("rule add from 192.0.2.1 lookup 100", True),
    "rule gone": ("rule del lookup 200", True),
    "IPv6 rule": ("-6 rule add from 2001:db8::1 lookup 100", True),
    "nexthop": ("nexthop add id 7 dev dev0", True),
    "a mark": ("link property add dev dev0 altname nri-netdev-0123456789ab", False),
    "a mark taken away": ("link property del dev dev0 altname nri-netdev-old", False),
    "MTU": ("link set dev0 mtu 1400", True),
    "set down": ("link set dev0 down", True),
    "a route that is no default": ("route add 198.51.100.0/24 dev dev0", False),
}
"""What happens, and whether the revision grows."""


@pytest.mark.parametrize("what", COUNTED)
def test_the_revision_grows_with_what_a_verdict_depends_on(home: Net, what: str) -> None:
    """After every such change and after no other; it stays the same while nothing happens."""
    change, is_counted = COUNTED[what]
    for ifname, kind in (("br0", "bridge"), ("spare", "ifb"), ("dev0", "veth peer name peer0")):
        home.ip(f"link add {ifname} type {kind}")
    set_up(home, "br0", "spare", "peer0", "dev0")
    home.ip("address add 192.0.2.1/24 dev dev0")
    change_and_hear(home, "address add 2001:db8::1/64 dev dev0 nodad")
    home.ip("rule add from 192.0.2.1 lookup 200")
    home.ip("link property add dev dev0 altname given")
    home.ip("link property add dev dev0 altname nri-netdev-old")
    with mirrored(home) as call:
        before = at_rest(call)
        if "nodad" in change:
            change_and_hear(home, change)
        else:
            home.ip(change)
        after = at_rest(call)

    assert (after != before) is is_counted


def test_a_carrier_that_comes_and_goes_does_not_count(home: Net, pod: Net) -> None:
    """Nor is anything else that passes from moment to moment; for that moment nothing is known without reading."""
    home.ip(f"link add dev0 type veth peer name peer0 netns {pod.path}")
    set_up(pod, "peer0")
    set_up(home, "dev0")
    with mirrored(home) as call:
        before = at_rest(call)
        for state in ("down", "up"):
            pod.ip(f"link set peer0 {state}")
            while home.link("dev0").has_carrier is (state == "down"):
                pass  # the kernel notices it on a work queue

            assert call(lambda mirror, _: mirror.cached_revision()) is None
            assert at_rest(call) == before


def change_and_hear(net: Net, command: str) -> None:
    """Add an IPv6 address, and wait for its event: the kernel sends it from a work queue."""
    events = call_in_netns(net.fd, host_events)
    try:
        net.ip(command)
        heard: set[int] = set()
        while RTM_NEWADDR not in heard:
            assert select.select([events], [], [], 5)[0], f"no event of: {command}"
            heard |= {kind for kind, _ in events.read() or ()}
    finally:
        events.close()


def set_up(net: Net, *ifnames: str) -> None:
    """Set interfaces up, without addresses of the kernel's own, which come and settle in their own time."""
    for ifname in ifnames:
        net.ip(f"link set {ifname} addrgenmode none")
        net.ip(f"link set {ifname} up")


def at_rest(call: Callable[[Callable[[Mirror, Rtnl], T]], T]) -> int:
    """The revision, once everything that a verdict reads is known and no event is left."""
    call(lambda mirror, rtnl: mirror.inventory(rtnl))  # type: ignore[arg-type,return-value]
    while (number := call(lambda mirror, rtnl: mirror.revision(rtnl))) != call(
        lambda mirror, _: mirror.cached_revision()
    ):  # type: ignore[arg-type,return-value]
        pass
    assert isinstance(number, int)
    return number


def test_any_change_of_a_link_with_a_default_route_counts(home: Net) -> None:
    """No event says that a route disappeared with its link, so the event of the link counts."""
    home.ip("link add dev0 type veth peer name peer0")
    set_up(home, "peer0", "dev0")
    home.ip("address add 192.0.2.1/24 dev dev0")
    home.ip("route add default via 192.0.2.254")
    with mirrored(home) as call:
        before = at_rest(call)
        home.ip("link set dev0 down")
        assert at_rest(call) != before


def test_the_cached_revision_reads_nothing(home: Net) -> None:
    """It is the revision while nothing happens, and None while a link must be read for it."""
    home.ip("link add dev0 type ifb")
    set_up(home, "dev0")
    with mirrored(home) as call:
        assert call(lambda mirror, _: mirror.cached_revision()) is None

        number = at_rest(call)

        assert call(lambda mirror, _: mirror.cached_revision()) == number

        home.ip("link property add dev dev0 altname nri-netdev-0123456789ab")

        assert [call(lambda mirror, _: mirror.cached_revision()) for _ in range(2)] == [None, None]
        assert call(lambda mirror, rtnl: mirror.revision(rtnl)) == number
        assert call(lambda mirror, _: mirror.cached_revision()) == number

        home.ip("address add 192.0.2.1/24 dev dev0")

        assert call(lambda mirror, _: mirror.cached_revision()) not in {None, number}


@pytest.mark.parametrize("change", ["address add 192.0.2.9/24 dev dev0", "route add default via 192.0.2.254"])
def test_dropped_events_count(home: Net, change: str) -> None:
    """A change among so many events that the kernel drops some counts, though no link differs."""
    home.ip("link add dev0 type veth peer name peer0")
    set_up(home, "peer0", "dev0")
    home.ip("address add 192.0.2.1/24 dev dev0")
    with mirrored(home) as call:
        before = at_rest(call)
        mark = "property $what dev dev0 altname nri-netdev-0123456789ab"
        home.run("sh", "-c", f"for i in $(seq 800); do for what in add del; do ip link {mark}; done; done")
        home.ip(change)
        assert call(lambda mirror, rtnl: mirror.revision(rtnl)) != before


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


@pytest.mark.root
def test_sources_of_routes_are_known_without_reading_them(home: Net) -> None:
    """Those that somebody has named; of one that comes later by its event."""
    home.ip("link add dev0 type ifb")
    home.ip("link set dev0 up")
    home.ip("addr add 192.0.2.5/24 dev dev0")
    home.ip("addr add 192.0.2.6/24 dev dev0")
    home.ip("route add 198.51.100.0/24 dev dev0 src 192.0.2.5")
    mirror = home.call(lambda _rtnl: Mirror())
    try:
        assert home.call(mirror.preferred) == {"192.0.2.5"}
        home.ip("route add 198.51.101.0/24 dev dev0 src 192.0.2.6 table 77")
        assert home.call(mirror.preferred) == {"192.0.2.5", "192.0.2.6"}
    finally:
        mirror.close()
