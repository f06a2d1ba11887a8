"""What belongs to the kind of a device, its IPv6 token, and the table of virtual functions."""

from __future__ import annotations

import struct

import pytest

from nri_netdev.shells.kernel.attributes import pack
from nri_netdev.shells.kernel.facets.facet import Recorded
from nri_netdev.shells.kernel.facets.kind import KIND, TOKEN, VFS, of_vlan
from tests.shells.kernel.facets.conftest import Bench

VXLAN = "type vxlan id 7 remote 192.0.2.1 dstport 4789 dev under0"


@pytest.mark.root
@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("link under0 type macvlan mode bridge", "ip link set dev0 type macvlan mode private"),
        ("link under0 type macvlan mode vepa", "ip link set dev0 type macvlan bcqueuelen 77"),
        (VXLAN, "ip link set dev0 type vxlan remote 203.0.113.66"),
        (VXLAN, "ip link set dev0 type vxlan ttl 9 tos 4"),
        (VXLAN, "ip link set dev0 type vxlan nolearning"),
        (VXLAN, "ip link set dev0 type vxlan ageing 9"),
    ],
)
def test_what_a_pod_sets_is_put_back(bench: Bench, kind: str, spoil: str) -> None:
    """The mode of a macvlan, the far end of an overlay."""
    bench.run("ip link add under0 type ifb", "ip link set under0 up")
    bench.make(kind)
    bench.holds(KIND, [spoil], "ip -d -o link show dev dev0")


@pytest.mark.root
@pytest.mark.parametrize(("was", "other"), [("::7", "::9"), ("::", "::7")])
def test_a_token(bench: Bench, was: str, other: str) -> None:
    """Set in the pod, or lost with the move."""
    bench.make("type veth peer name peer0", "ip link set peer0 up", "ip link set dev0 up")
    if was != "::":
        bench.run(f"ip token set {was} dev dev0")
    bench.holds(TOKEN, [f"ip token set {other} dev dev0"], "ip token get dev dev0")


def vf(number: int, mac: str, vlan: int = 0, *, trust: int = 0) -> bytes:
    index = struct.pack("=I", number)
    address = bytes.fromhex(mac.replace(":", "")) + bytes(26)
    vlans = pack(1, struct.pack("=IIIHxx", number, vlan, 0, 0x8100))
    settings = ((1, index + address), (2, index + struct.pack("=II", vlan, 0)), (9, index + struct.pack("=I", trust)))
    return b"".join((*(pack(*each) for each in settings), pack(12, vlans), pack(8, b"counters")))


def test_each_setting_of_each_virtual_function_is_an_item() -> None:
    """Statistics are none."""
    messages = (vf(0, "02:00:00:00:00:01"), vf(1, "02:00:00:00:00:02", 7, trust=1))
    items = VFS.items(Recorded(messages=messages, ifindex=3))

    assert {*items} == {(function, number) for function in (0, 1) for number in (1, 2, 9, 12)}
    assert VFS.what(None, (1, 2)) == "VLAN of its virtual function 1"  # type: ignore[arg-type]
    assert VFS.what(None, (1, 99)) == "attribute 99 of its virtual function 1"  # type: ignore[arg-type]
    assert VFS.withholds


def qos(*pairs: tuple[int, int]) -> bytes:
    return b"".join(pack(1, struct.pack("=II", *pair)) for pair in pairs)


def test_the_flags_of_a_vlan_are_set_by_what_differs() -> None:
    """The kernel tells them with a mask of all bits, and refuses one that has bits without a meaning."""
    was, now = (struct.pack("=II", flags, 0xFFFFFFFF) for flags in (0b00101, 0b00110))

    assert struct.unpack("=II", of_vlan(2, was, now)) == (0b00101, 0b00011)


def test_what_a_pod_has_added_to_the_map_of_a_vlan_is_zeroed() -> None:
    """The kernel only adds to maps; 0 is as if it were not there."""
    assert of_vlan(3, qos((3, 4), (5, 1)), qos((3, 4), (5, 2), (6, 7))) == qos((3, 4), (5, 1), (6, 0))
    assert of_vlan(4, b"", qos((6, 7))) == qos((6, 0))
