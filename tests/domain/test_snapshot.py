"""A snapshot survives the ledger whole, and nothing that an interface was is lost when it is given away twice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.snapshot import HomeReport, KernelObject, Master, Shortfall, Snapshot

TEXTS = st.text(max_size=12)
MAYBE_TEXTS = st.none() | TEXTS
INTS = st.integers(0, 2**32 - 1)
HEX = st.binary(max_size=8).map(bytes.hex)
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
OBJECTS = st.builds(KernelObject, text=TEXTS, payload=HEX, is_expendable=st.booleans())
SNAPSHOTS = st.builds(
    Snapshot,
    link=LINKS,
    taken_s=INTS,
    flags=INTS,
    settings=st.dictionaries(st.integers(1, 70), HEX, max_size=3),
    xdp_id=st.none() | INTS,
    master=st.none()
    | st.builds(
        Master, ifname=TEXTS, kind=MAYBE_TEXTS, port=HEX, vlans=HEX, fdb=st.lists(OBJECTS, max_size=2).map(tuple)
    ),
    addresses=st.lists(ADDRESSES, max_size=3).map(tuple),
    routes=st.lists(OBJECTS, max_size=3).map(tuple),
    neighbours=st.lists(OBJECTS, max_size=2).map(tuple),
    qdiscs=st.lists(OBJECTS, max_size=2).map(tuple),
    sysctls=st.dictionaries(TEXTS, TEXTS, max_size=3),
    losses=st.lists(TEXTS, max_size=2).map(tuple),
)


@given(SNAPSHOTS)
def test_what_is_written_is_read_back(snapshot: Snapshot) -> None:
    """Through JSON text, as the ledger keeps it, and whatever the order of members."""
    text = json.dumps(snapshot.to_json(), sort_keys=True)
    assert Snapshot.from_json(json.loads(text)) == snapshot


def test_a_document_of_an_earlier_release_is_read() -> None:
    """Earlier releases wrote what an interface is enslaved as; nothing depends on it any more."""
    snapshot = Snapshot(link=Link(ifindex=1, ifname="ens1f0", master=7))
    document = snapshot.to_json()
    document["link"]["slave_kind"] = "bridge"

    assert Snapshot.from_json(document) == snapshot


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"v": 2}, ValueError),
        ({"link": None}, TypeError),
        ({"link": {"ifindex": 1}}, KeyError),
        ({"flags": ...}, KeyError),
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
    for name in ("routes", "neighbours"):
        texts = {each.text for each in (*getattr(older, name), *getattr(newer, name))}
        assert {each.text for each in getattr(merged, name)} == texts
    assert merged.sysctls == {**newer.sysctls, **older.sysctls}
    assert set(merged.losses) == {*older.losses, *newer.losses}
    assert merged.master == (older.master or newer.master)
    assert merged.qdiscs == (older.qdiscs or newer.qdiscs)


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
