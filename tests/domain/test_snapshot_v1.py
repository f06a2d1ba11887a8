"""A snapshot of the release before facets becomes one of today."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from nri_netdev.domain.snapshot_v1 import facets_of_v1

V1 = Path(__file__).with_name("snapshot_v1.json")


def document(**changes: Any) -> dict[str, Any]:
    return {**json.loads(V1.read_text(encoding="utf-8")), **changes}


def test_what_was_kept_of_the_link_becomes_a_message() -> None:
    """MAC address, MTU, queue length, alias, group, flags and the settings that it had."""
    [message] = map(bytes.fromhex, facets_of_v1(document())["link_v1"])

    assert struct.unpack_from("=I", message, 8) == (document()["flags"],)
    for value in (b"uplink-of-lab\0", bytes.fromhex("020000000077"), struct.pack("=I", 1400), struct.pack("=I", 321)):
        assert value in message


def test_a_port_of_a_bridge() -> None:
    """Its settings, VLANs and static entries; of another master nothing was kept."""
    master = {"ifname": "br0", "kind": "bridge", "port": "0500050001000000", "vlans": "0800020002000700", "fdb": []}
    facets = facets_of_v1(document(master=master))

    assert facets["port_vlans"] == ["02000700"]
    assert facets["port"][0].endswith("0500050001000000")
    assert "port" not in facets_of_v1(document(master={**master, "kind": "bond"}))


def test_what_was_lost_is_told_still() -> None:
    """An earlier release knew at once what it could not put back."""
    facets = facets_of_v1(document(losses=["traffic filters (tc filter)"]))

    assert bytes.fromhex(facets["losses_v1"][0]) == b"traffic filters (tc filter)"


@pytest.mark.parametrize("lacking", ["routes", "settings", "flags", "losses"])
def test_what_is_no_such_document_is_an_error(lacking: str) -> None:
    """Never half read."""
    with pytest.raises(KeyError):
        facets_of_v1({key: value for key, value in document().items() if key != lacking})
