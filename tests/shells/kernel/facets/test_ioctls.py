"""Receive-side steering, by a kernel that is played: no device here has n-tuple rules."""

from __future__ import annotations

import errno
import struct

import pytest

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.facets import ioctls
from nri_netdev.shells.kernel.facets.facet import Recorded, Site, restore_facet
from nri_netdev.shells.kernel.facets.ioctls import FIELDS, IOCTLS, RSS, RULES, STAMPING, TUNABLES
from tests.shells.kernel.facets.conftest import Bench

LOCATION, COUNT, LOCATIONS = 176, 184, 188


class Card:
    """Rules, hashed fields and RSS of a network card, by the requests of `linux/ethtool.h`."""

    def __init__(self) -> None:
        self.tunables = {1: 256}
        self.rules: dict[int, bytes] = {}
        self.fields = dict.fromkeys((1, 2), 0x30)
        self.stamping = struct.pack("=III", 0, 0, 0)
        self.rss = struct.pack("=BBHI", 1, 0, 0, 0) + struct.pack("=4I", 0, 1, 0, 1) + b"k" * 8

    def tunable(self, action: str, request: bytes) -> bytes:
        command, number = struct.unpack_from("=II", request)
        if number not in self.tunables:
            raise KernelError(action=action, errno=errno.EOPNOTSUPP)
        if command == 0x49:
            self.tunables[number] = struct.unpack_from("=I", request, 16)[0]
        return request[:16] + struct.pack("=I", self.tunables[number])

    def ioctl(self, _site: Site, action: str, request: bytes, number: int = 0x8946) -> bytes:
        if number != 0x8946:
            self.stamping = request if number == 0x89B0 else self.stamping
            return self.stamping
        command, flow = struct.unpack_from("=II", request)
        return (
            self.tunable(action, request) if command in {0x48, 0x49} else self.receive(action, request, command, flow)
        )

    def receive(self, action: str, request: bytes, command: int, flow: int) -> bytes:
        reply = bytearray(request)
        location = struct.unpack_from("=I", request, LOCATION)[0] if len(request) > LOCATION else 0
        if command == 0x2E:
            struct.pack_into("=I", reply, COUNT, len(self.rules))
        elif command == 0x30:
            struct.pack_into(f"={len(self.rules)}I", reply, LOCATIONS, *self.rules)
        elif command == 0x2F:
            reply[16:LOCATION] = self.rules[location]
        elif command == 0x31:
            del self.rules[location]
        elif command == 0x32:
            self.rules[location] = request[16:LOCATION]
        elif command == 0x29 and flow in self.fields:
            struct.pack_into("=Q", reply, 8, self.fields[flow])
        elif command == 0x2A:
            self.fields[flow] = struct.unpack_from("=Q", request, 8)[0]
        elif command == 0x46:
            struct.pack_into("=II", reply, 8, 4, 8)
            reply[16:] = self.rss[: len(request) - 16]
        elif command == 0x47:
            self.rss = request[16:]
        else:
            raise KernelError(action=action, errno=errno.EOPNOTSUPP)
        return bytes(reply)


@pytest.fixture(name="card")
def _card(monkeypatch: pytest.MonkeyPatch) -> Card:
    card = Card()
    monkeypatch.setattr(ioctls, "_ioctl", card.ioctl)
    return card


def site() -> Site:
    found = Site(None, 7)  # type: ignore[arg-type]
    found.addresses = ()
    return found


def recorded(facet: ioctls.Facet) -> Recorded:
    return Recorded(messages=facet.read(site()) or (), ifindex=7)


def test_rules_of_a_pod_are_removed_and_those_of_the_host_are_back(card: Card) -> None:
    """A rule that drops traffic would drop the next pod's."""
    drop, steer = b"d" * (LOCATION - 16), b"s" * (LOCATION - 16)
    card.rules = {3: steer, 5: steer}
    was = recorded(RULES)
    card.rules = {5: drop, 9: drop}

    assert restore_facet(RULES, site(), was) == []
    assert card.rules == {3: steer, 5: steer}


def test_hashing(card: Card) -> None:
    """Fields by flow type; function, table and key."""
    fields, rss = recorded(FIELDS), recorded(RSS)
    before = dict(card.fields), card.rss
    card.fields[2] = 0x10
    card.rss = card.rss.replace(b"k", b"K")

    assert RSS.items(rss).keys() == {"function", "table", "key"}
    assert restore_facet(FIELDS, site(), fields) == []
    assert restore_facet(RSS, site(), rss) == []
    assert (card.fields, card.rss) == before


def test_time_stamping(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod's PTP leaves it on."""
    monkeypatch.setattr(Site, "is_on_another", False)
    was = recorded(STAMPING)
    card.stamping = struct.pack("=III", 0, 1, 12)

    assert restore_facet(STAMPING, site(), was) == []
    assert card.stamping == bytes(12)


def test_tunables(card: Card) -> None:
    """Those that the driver has."""
    was = recorded(TUNABLES)
    card.tunables[1] = 0

    assert TUNABLES.items(was) == {1: struct.pack("=I", 256)}
    assert restore_facet(TUNABLES, site(), was) == []
    assert card.tunables == {1: 256}


@pytest.mark.root
def test_the_time_stamping_of_the_device_below_is_not_read(bench: Bench) -> None:
    """A macvlan answers with it; the host may change it meanwhile."""
    bench.run("ip link add under0 type ifb", "ip link set under0 up")
    bench.make("link under0 type macvlan mode bridge")

    assert bench.net.call(lambda rtnl: STAMPING.read(bench.site(rtnl))) is None


@pytest.mark.root
def test_a_device_without_any_of_it(bench: Bench) -> None:
    """Nothing to compare, on a real kernel."""
    bench.make("type veth peer name peer0")
    for facet in IOCTLS:
        assert bench.restore(facet, bench.record(facet)) == []
