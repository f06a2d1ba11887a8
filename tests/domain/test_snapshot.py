"""A snapshot survives the ledger whole, and nothing that an interface was is lost when it is given away twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.snapshot import LISTS, Child, HomeReport, Master, Shortfall, Snapshot

TEXTS = st.text(max_size=12)
MAYBE_TEXTS = st.none() | TEXTS
INTS = st.integers(0, 2**32 - 1)
MESSAGES = st.lists(st.binary(max_size=8), max_size=3, unique=True).map(tuple)
FACETS = st.dictionaries(st.sampled_from(["link", "routes", "fdb", "rings"]), MESSAGES)
LINKS = st.builds(
    Link,
    ifindex=st.integers(1, 2**31 - 1),
    ifname=TEXTS,
    kind=MAYBE_TEXTS,
    is_up=st.booleans(),
    mac=MAYBE_TEXTS,
    permanent_mac=MAYBE_TEXTS,
    mtu=INTS,
    txqueuelen=st.none() | INTS,
    alias=MAYBE_TEXTS,
    altnames=st.lists(TEXTS, max_size=3).map(tuple),
    master=st.none() | INTS,
    parent_dev=MAYBE_TEXTS,
    netns_immutable=st.none() | st.booleans(),
)
ADDRESSES = st.builds(
    Address,
    family=st.sampled_from([2, 10]),
    address=TEXTS,
    prefixlen=st.integers(0, 128),
    peer=MAYBE_TEXTS,
    label=MAYBE_TEXTS,
    flags=INTS,
    metric=st.none() | INTS,
    valid_lft_s=st.none() | INTS,
)
CHILDREN = st.builds(Child, link=LINKS, addresses=st.lists(ADDRESSES, max_size=1).map(tuple), facets=FACETS)
SNAPSHOTS = st.builds(
    Snapshot,
    link=LINKS,
    taken_s=INTS,
    master=st.none() | st.builds(Master, ifname=TEXTS, kind=MAYBE_TEXTS, own_mac=MAYBE_TEXTS),
    addresses=st.lists(ADDRESSES, max_size=3).map(tuple),
    sysctls=st.dictionaries(TEXTS, TEXTS, max_size=3),
    facets=FACETS,
    ifindex=st.integers(1, 2),
    children=st.lists(CHILDREN, max_size=1).map(tuple),
)
V1 = Path(__file__).with_name("snapshot_v1.json")


@given(SNAPSHOTS)
def test_what_is_written_is_read_back(snapshot: Snapshot) -> None:
    """Through JSON text, as the ledger keeps it, and whatever the order of members."""
    text = json.dumps(snapshot.to_json(), sort_keys=True)
    assert Snapshot.from_json(json.loads(text)) == snapshot


def test_what_is_large_is_small_in_the_ledger() -> None:
    """Ten thousand routes differ in a few bytes each."""
    routes = tuple(number.to_bytes(4, "big") * 15 for number in range(10_000))
    snapshot = Snapshot(link=Link(ifindex=1, ifname="ens1f0"), facets={"routes": routes})
    text = json.dumps(snapshot.to_json())

    assert len(text) < 100_000
    assert Snapshot.from_json(json.loads(text)) == snapshot


def test_a_document_of_an_earlier_release_is_read() -> None:
    """With everything that it had: what it lacks is not taken for absent."""
    document = json.loads(V1.read_text(encoding="utf-8"))
    document["link"]["slave_kind"] = "bridge"  # written by still earlier releases
    snapshot = Snapshot.from_json(document)

    assert (snapshot.link.ifname, len(snapshot.addresses)) == ("dev0", len(document["addresses"]))
    assert {*snapshot.facets} == {"routes", "neighbours", "qdiscs", "link_v1", "losses_v1"}
    assert [message.hex() for message in snapshot.facets["routes"]] == [each["payload"] for each in document["routes"]]
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"v": 3}, ValueError),
        ({"link": None}, TypeError),
        ({"link": {"ifindex": 1}}, KeyError),
        ({"facets": ...}, KeyError),
    ],
)
def test_what_is_no_snapshot_is_an_error(change: dict[str, Any], error: type[Exception]) -> None:
    """Another version, and damage, are never half read."""
    document = Snapshot(link=Link(ifindex=1, ifname="ens1f0")).to_json()
    document.update(change)
    with pytest.raises(error):
        Snapshot.from_json({key: value for key, value in document.items() if value is not ...})


@given(SNAPSHOTS, SNAPSHOTS)
def test_nothing_is_lost_by_a_merge(older: Snapshot, newer: Snapshot) -> None:
    """What it was stays, what came since is there as well, and the ifindex is today's."""
    merged = older.merge(newer)
    assert merged.link == replace(older.link, ifindex=newer.link.ifindex)
    assert merged.addresses[: len(older.addresses)] == older.addresses
    assert {name: merged.facets[name] for name in older.facets if name not in LISTS} == {
        name: messages for name, messages in older.facets.items() if name not in LISTS
    }
    for name in LISTS & {*older.facets} if older.ifindex == newer.ifindex else ():
        assert {*merged.facets[name]} == {*older.facets[name], *newer.facets.get(name, ())}
    assert merged.sysctls == {**newer.sysctls, **older.sysctls}
    assert merged.master == (older.master or newer.master)


@given(SNAPSHOTS)
def test_a_merge_with_itself_changes_nothing(snapshot: Snapshot) -> None:
    """Given away again at once, it is to become what it was."""
    assert snapshot.merge(snapshot) == snapshot


def test_what_was_not_restored_is_reported_in_sentences() -> None:
    """None for an interface that is as it was; one for each shortfall, and one for a name that is taken."""
    assert HomeReport(ifindex=3, ifname="ens1f0").troubles() == ()
    report = HomeReport(
        ifindex=3,
        ifname="nri-3",
        name_taken_by=Link(ifindex=7, ifname="ens1f0", kind="dummy"),
        shortfalls=(Shortfall(what="route 198.51.100.0/24 via 192.0.2.1", why="network is unreachable"),),
    )
    assert report.troubles() == (
        "it is called nri-3, because its name is taken by dummy ens1f0 (index 7); it gets its name back as soon as that is free",
        "route 198.51.100.0/24 via 192.0.2.1 could not be restored: network is unreachable",
    )
