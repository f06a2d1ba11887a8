"""A setup that was accepted once is read again, and never refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nri_netdev.domain.setup.fields import FIELDS, read_setup
from nri_netdev.domain.setup.recall import recall_setup
from nri_netdev.domain.setup.values import PLAIN, ShareKind
from tests.domain.setup.setups import SETUPS, Document

NAMES = [*FIELDS, "name", "id", "type", "mode", "to", "via", "dst", "lladdr", "table", "address", "subnet", "ranges"]
TEXTS = st.text(max_size=6) | st.sampled_from(
    ["macvlan", "ipvlan", "default", "192.0.2.1", "192.0.2.1/24", "5", "true"]
)
VALUES = st.recursive(
    TEXTS | st.none() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.sampled_from(NAMES), inner, max_size=4),
)


@given(SETUPS)
def test_what_can_be_read_is_read_as_it_was(document: Document) -> None:
    """Whatever this program accepts."""
    text = json.dumps(document)
    assert recall_setup(text) == (read_setup(text), "")


@given(st.dictionaries(st.sampled_from([*FIELDS, "newer"]), VALUES) | VALUES)
def test_nothing_is_refused(document: object) -> None:
    """Whatever is in it; a share is one, and it is known that something was set."""
    text = json.dumps(document)
    setup, _ = recall_setup(text)
    assert setup.document == text
    assert not setup.is_plain or document == {}
    assert (setup.share is not None) == (isinstance(document, dict) and "share" in document) or "share" in text


@given(st.text())
def test_a_text_that_is_no_document(text: str) -> None:
    """As one of which nothing can be read."""
    setup, why = recall_setup(text)
    assert (why, setup) == ("", PLAIN) if not text else setup.document == text


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("", ""),
        ("[]", "it is no mapping"),
        (
            '{"mtu": "1", "newer": "x"}',
            'mtu "1" is not a whole number from 68 to 65535; it has the unknown key "newer"',
        ),
        (json.dumps({"routes": [{"to": "x"}] * 5}), 'routes.3.to "x" is not a network, as 198.51.100.0/24 or'),
        (json.dumps({"routes": [{"to": "x"}] * 5}), "and 2 more"),
        ('{"routes": [{"to": "default"}]}', "routes.1 is to default, whose family no gateway tells"),
        ('{"vlan": {"name": "v"}}', "vlan lacks id"),
    ],
)
def test_why_it_cannot_be_read(document: str, why: str) -> None:
    """In few words, each with its place."""
    assert why in recall_setup(document)[1]


@pytest.mark.parametrize(
    ("document", "kind", "mode"),
    [
        ('{"share": "ipvlan"}', ShareKind.IPVLAN, "l2"),
        ('{"share": {"type": "ipvlan", "mode": "l4"}}', ShareKind.IPVLAN, ""),
        ('{"share": {"type": "macvlan", "mode": "l2"}}', ShareKind.MACVLAN, ""),
        ('{"share": {"type": ["ipvlan"]}}', ShareKind.IPVLAN, ""),
        ('{"share": null}', ShareKind.MACVLAN, ""),
        ('{"share": {"type": "ipvl', ShareKind.MACVLAN, ""),
        ('{"share": "ipvlan", ', ShareKind.IPVLAN, ""),
    ],
)
def test_a_share_is_never_taken_for_the_interface(document: str, kind: ShareKind, mode: str) -> None:
    """Though its mode cannot be read, or nothing can."""
    share = recall_setup(document)[0].share
    assert share is not None
    assert (share.kind, share.mode) == (kind, mode)
