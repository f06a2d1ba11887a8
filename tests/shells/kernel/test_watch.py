"""Which interfaces have changed, on a real kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nri_netdev.shells.kernel.watch import Watch
from tests.shells.conftest import Net

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    "change",
    [
        lambda home: home.ip("link set dev0 mtu 1400"),
        lambda home: home.ip("addr add 192.0.2.1/24 dev dev0"),
        lambda home: home.ip("route add 198.51.100.0/24 dev dev0"),
        lambda home: home.ip("neigh add 192.0.2.9 lladdr 02:00:00:00:00:99 dev dev0 nud permanent"),
        lambda home: home.run("tc", "qdisc", "add", "dev", "dev0", "clsact"),
        lambda home: home.run("bridge", "fdb", "add", "02:00:00:00:00:31", "dev", "dev0", "self"),
    ],
    ids=["link", "address", "route", "neighbour", "qdisc", "fdb"],
)
def test_what_has_changed_is_told_once(home: Net, change: Callable[[Net], object]) -> None:
    """At first everything may have; then only what did, and nothing while nobody asks."""
    for name in ("dev0", "dev1"):
        home.ip(f"link add {name} type ifb")
        home.ip(f"link set {name} up")
    first, second = (home.link(name).ifindex for name in ("dev0", "dev1"))
    watch = home.call(lambda _rtnl: Watch())
    try:
        assert home.call(lambda _: watch.touched([first, second])) == {first, second}
        assert watch.touched([first, second]) == frozenset()
        change(home)

        assert first in watch.touched([first])
        assert watch.touched([first]) == frozenset()
        assert watch.touched([]) == frozenset()
        change_is_not_heard = home.call(lambda _: watch.touched([second]))

        assert change_is_not_heard == {second}
    finally:
        watch.close()
