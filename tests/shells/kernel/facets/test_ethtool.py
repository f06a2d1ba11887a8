"""What ethtool sets, on a real kernel and from constructed replies."""

from __future__ import annotations

import pytest

from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, pack, u32
from nri_netdev.shells.kernel.facets import ethtool
from nri_netdev.shells.kernel.facets.ethtool import ETHTOOL, FEATURES
from nri_netdev.shells.kernel.facets.facet import Change, Recorded, Site
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from tests.shells.kernel.facets.conftest import Bench

BY_NAME = {facet.name: facet for facet in ETHTOOL}
WOL_MODES = 2


def bitset(value: int, mask: int, size: int = 8) -> bytes:
    return pack(2, u32(size)) + pack(4, u32(value)) + pack(5, u32(mask))


def reply(*attrs: tuple[int, bytes]) -> Recorded:
    device = pack(1 | NLA_F_NESTED, pack(1, u32(7)))
    return Recorded(messages=(device + b"".join(pack(*each) for each in attrs),), ifindex=7)


@pytest.mark.root
def test_features_are_put_back(bench: Bench) -> None:
    """Offloads that a pod has turned off, without knowing their names."""
    bench.make("type veth peer name peer0")
    was = bench.record(FEATURES)

    def turn_off(rtnl: Rtnl) -> None:
        site = bench.site(rtnl)
        items = FEATURES.items(was)
        every = [bit for bit, value in items.items() if value == b"\1\1"]
        off = Change(was=dict.fromkeys(every, b"\x00\x00"), now=dict.fromkeys(every, b"\x01\x01"))
        none = Recorded(messages=(ethtool_reply_without(was),), ifindex=site.ifindex)
        assert FEATURES.put is not None
        FEATURES.put(site, none, off)

    bench.net.call(turn_off)
    spoilt = bench.record(FEATURES)

    assert FEATURES.items(spoilt) != FEATURES.items(was)
    assert bench.restore(FEATURES, was) == []
    assert FEATURES.items(bench.record(FEATURES)) == FEATURES.items(was)


def ethtool_reply_without(was: Recorded) -> bytes:
    """A reply by which no feature is wanted."""
    [message] = was.messages
    parts = ethtool.attributes(message)
    empty = ethtool.pack_bits(parts[3], 0, 0)
    return b"".join(pack(number, empty if number == 3 else value) for number, value in parts.items())


@pytest.mark.root
def test_a_feature_has_the_name_that_ethtool_gives_it(bench: Bench) -> None:
    """It is told by that."""
    bench.make("type veth peer name peer0")
    names = bench.net.call(lambda rtnl: {FEATURES.what(bench.site(rtnl), bit) for bit in range(40)})

    assert {"feature tx-scatter-gather", "feature tx-tcp-segmentation", "feature rx-gro"} <= names


@pytest.mark.root
def test_channels_are_put_back(bench: Bench) -> None:
    """As many queues as before."""
    bench.make("numtxqueues 4 numrxqueues 4 type veth peer name peer0")
    channels = BY_NAME["channels"]
    was = bench.record(channels)

    def reduce(rtnl: Rtnl) -> None:
        ethtool.ask(bench.site(rtnl), "set channels", 18, pack(6, u32(1)) + pack(7, u32(1)))

    bench.net.call(reduce)

    assert bench.record(channels) != was
    assert bench.restore(channels, was) == []
    assert bench.record(channels) == was


@pytest.mark.root
def test_what_a_driver_lacks_is_empty(bench: Bench) -> None:
    """Not an error, nor a difference."""
    bench.make("type ifb")
    for facet in ETHTOOL:
        assert bench.restore(facet, bench.record(facet)) == []


@pytest.mark.root
def test_the_link_modes_of_the_device_below_are_not_read(bench: Bench) -> None:
    """A macvlan answers with them; the host may change them meanwhile."""
    bench.run("ip link add under0 type veth peer name peer0")
    bench.make("link under0 type macvlan mode bridge")
    read = {facet.name: facet.read for facet in ETHTOOL}

    assert bench.net.call(lambda rtnl: read["linkmodes"](bench.site(rtnl))) is None
    assert bench.net.call(lambda rtnl: read["features"](bench.site(rtnl)))


def test_bits_count_one_by_one() -> None:
    """Each that is on, by its name: one that was off need not be supported when a NIC is back in another slot."""
    wol = BY_NAME["wol"]
    items = wol.items(reply((WOL_MODES, bitset(0b0100, 0b0110)), (3, b"secret")))

    assert items == {(2, 2): b"\1", 3: b"secret"}


def test_limits_of_the_hardware_are_no_items() -> None:
    """Nor is the device in the reply's header."""
    assert BY_NAME["rings"].items(reply((2, u32(4096)), (6, u32(512)))) == {6: u32(512)}


@pytest.mark.parametrize(("autoneg", "keys"), [(b"\1", {2}), (b"\0", {2, 5, 6})])
def test_speed_is_state_while_it_is_negotiated(autoneg: bytes, keys: set[int]) -> None:
    """Then it depends on the cable."""
    found = BY_NAME["linkmodes"].items(reply((2, autoneg), (5, u32(1000)), (6, b"\1"), (8, b"\4")))

    assert {*found} == keys


def test_only_what_differs_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bitset with the bits that differ as its mask."""
    sent: list[tuple[int, bytes]] = []
    monkeypatch.setattr(ethtool, "ask", lambda _site, _action, command, attrs: sent.append((command, attrs)))
    was, now = reply((2, bitset(0b0100, 0b0110))), reply((2, bitset(0b0010, 0b0110)))
    wol = BY_NAME["wol"]
    site = Site(None, 7)  # type: ignore[arg-type]
    assert wol.put is not None

    assert wol.put(site, was, Change(was=wol.items(was), now=wol.items(now))) == {}
    assert sent == [(10, pack(2 | NLA_F_NESTED, bitset(0b0100, 0b0110)))]
