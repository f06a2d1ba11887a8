"""What is told of an interface that is to be given away."""

from __future__ import annotations

import pytest

from nri_netdev.domain.effects import Attached, RdmaDevice, effects, nothing_attached, why_left_behind
from nri_netdev.domain.links import Address, Link

NIC = Link(ifindex=2, ifname="ens2f0", mac="02:00:5e:10:00:01")
PERMANENT = 0x80
LEASED = "leased or autoconfigured"


def address(text: str, *, flags: int = PERMANENT, scope: int = 0, proto: int | None = None) -> Address:
    return Address(family=10 if ":" in text else 2, address=text, prefixlen=24, flags=flags, scope=scope, proto=proto)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (address("192.0.2.5"), None),
        (address("2001:db8::5"), None),
        (address("192.0.2.5", flags=0), LEASED),
        (address("2001:db8::5", flags=0x100), LEASED),
        (address("2001:db8::5", flags=0x1), LEASED),
        (address("169.254.1.1", scope=253), "not of global scope"),
        (address("127.0.0.1", scope=254), "not of global scope"),
        (address("fec0::1", scope=200), "not of global scope"),
    ],
)
def test_permanent_global_addresses_come_along(one: Address, why: str | None) -> None:
    """And no others: the OCI runtime-spec has it so, and the arrival completes the same."""
    assert why_left_behind(one) == why
    assert effects(NIC, addresses=[one]) == ((f"its address {one} does not come along: {why}",) if why else ())


def test_addresses_are_told_by_what_keeps_them() -> None:
    """Three of each at most, by name."""
    leased = [address(f"192.0.2.{n}", flags=0) for n in range(1, 6)]

    assert effects(NIC, addresses=[*leased, address("2001:db8::5")], has_ipv6=False) == (
        f"its addresses 192.0.2.1/24, 192.0.2.2/24, 192.0.2.3/24 and 2 more do not come along: {LEASED}",
        "its address 2001:db8::5/24 does not come along: the pod has IPv6 turned off",
    )


@pytest.mark.parametrize(
    ("one", "is_told"),
    [
        (address("fe80::5eff:fe10:1", scope=253), False),
        (address("fe80::1234", scope=253, proto=3), False),
        (address("fe80::1", scope=253), True),
    ],
    ids=["of its MAC", "the kernel's", "an administrator's"],
)
def test_the_link_local_address_that_each_interface_has_is_not_told(one: Address, *, is_told: bool) -> None:
    """The kernel makes it in the pod too."""
    assert bool(effects(NIC, addresses=[one])) is is_told


def test_a_device_without_a_mac_has_no_link_local_address_of_it() -> None:
    """Nor has one with another kind of address."""
    for mac in (None, "00:01:02:03", "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01"):
        link = Link(ifindex=2, ifname="ib0", mac=mac)

        assert effects(link, addresses=[address("fe80::5eff:fe10:1", scope=253)])


def test_children_are_told_by_what_becomes_of_them() -> None:
    """Those with the same lot in one sentence."""
    own = [
        Link(ifindex=3, ifname="ens2f0.100", kind="vlan", link=2),
        Link(ifindex=4, ifname="vx0", kind="vxlan", link=2),
        Link(ifindex=5, ifname="ens2f0.200", kind="vlan", link=2),
    ]

    assert effects(NIC, children=own) == (
        (
            "ens2f0.100 and ens2f0.200 of the host would lose routes and IPv6 addresses, and send and receive through "
            "it inside the pod"
        ),
        "vx0 of the host would be deleted by the kernel, for good",
    )


@pytest.mark.parametrize(
    ("attached", "text"),
    [
        (
            Attached(rdma=(RdmaDevice(name="mlx5_0"),)),
            "its RDMA device mlx5_0 can be used only with its character devices, which `rdma: true` gives",
        ),
        (Attached(rdma=(RdmaDevice(name="mlx5_0", is_exclusive=True),)), "its RDMA device mlx5_0 stays on the host"),
        (
            Attached(rdma=(RdmaDevice(name="rxe0", link_type="rxe"),)),
            "its RDMA device rxe0 is destroyed by the move, and made again at home",
        ),
        (
            Attached(programs=("XDP", "tcx")),
            "its programs (XDP and tcx) come along, and go on filtering in the pod",
        ),
        (
            Attached(qdiscs=("htb", "clsact", "htb")),
            "its qdiscs (clsact and htb) do not come along, nor do their classes and filters",
        ),
        (Attached(virtual_functions=1), "it has 1 virtual function, whose settings its holder can change"),
        (Attached(virtual_functions=7), "it has 7 virtual functions, whose settings its holder can change"),
    ],
)
def test_what_is_attached_is_told(attached: Attached, text: str) -> None:
    """Each by what becomes of it."""
    assert effects(NIC, attached=attached) == (text,)


def test_nothing_is_told_of_an_interface_that_has_nothing() -> None:
    """Silence means that it comes along whole."""
    assert effects(NIC, addresses=[address("192.0.2.5")], attached=nothing_attached(NIC)) == ()
