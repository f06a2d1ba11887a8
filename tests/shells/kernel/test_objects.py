"""Objects that are added again: in whatever order they need, and no longer than that helps."""

from __future__ import annotations

import errno

import pytest

from nri_netdev.domain.snapshot import KernelObject
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.capture import routes
from nri_netdev.shells.kernel.objects import put_back, put_route
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from tests.shells.conftest import Net

NEEDS = {b"\x01": b"\x02", b"\x02": b"\x03", b"\x03": b"", b"\x04": b"\x05"}
"""Which object each needs to be there first."""


def kernel_object(payload: bytes, *, is_expendable: bool = False) -> KernelObject:
    return KernelObject(text=f"object {payload[0]}", payload=payload.hex(), is_expendable=is_expendable)


def test_one_that_needs_another_is_added_after_it() -> None:
    """What is there is left alone; what cannot be added is reported, unless it comes back by itself."""
    there: list[bytes] = [b"", b"\x06"]

    def put(_rtnl: Rtnl, ifindex: int, payload: bytes) -> None:
        assert ifindex == 7
        if NEEDS[payload] not in there:
            raise KernelError(action="add it", errno=errno.ENETUNREACH)
        there.append(payload)

    wanted = [kernel_object(bytes([number])) for number in (1, 2, 3, 6, 4)]
    lost = kernel_object(b"\x04", is_expendable=True)
    shortfalls = put_back(None, 7, [*wanted, lost], [kernel_object(b"\x06")], put)  # type: ignore[arg-type]

    assert there == [b"", b"\x06", b"\x03", b"\x02", b"\x01"]
    assert [shortfall.what for shortfall in shortfalls] == ["object 4"]
    assert "Network is unreachable" in shortfalls[0].why


@pytest.mark.root
def test_a_route_leaves_by_the_interface_that_it_is_put_on(home: Net) -> None:
    """Its index is not in the object."""
    for name, number in (("dev0", 1), ("dev1", 2)):
        home.ip(f"link add {name} type ifb")
        home.ip(f"link set {name} up")
        home.ip(f"addr add 192.0.2.{number}/24 dev {name} noprefixroute")
    home.ip("route add 198.51.100.0/24 dev dev0 metric 77 table 100")
    first, second = home.link("dev0").ifindex, home.link("dev1").ifindex
    [found] = home.call(routes, first, ())
    home.ip("route del 198.51.100.0/24 table 100")
    home.call(put_route, second, bytes.fromhex(found.payload))

    assert home.call(routes, second, ()) == (found,)
    assert home.call(routes, first, ()) == ()
