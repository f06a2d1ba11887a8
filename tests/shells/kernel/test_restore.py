"""Restoring an interface at home on a real kernel: master, what cannot be restored, and restoring twice."""

from __future__ import annotations

import pytest

from nri_netdev.shells.kernel import restore
from tests.shells.conftest import Net
from tests.shells.kernel.furniture import MARK, assert_same, fetch, give, settled

pytestmark = pytest.mark.root


def test_bridge_slave_returns_to_its_port(home: Net, pod: Net) -> None:
    """Master, port settings and the static entries of the bridge's table are put back."""
    home.ip("link add br0 type bridge")
    home.ip("link set br0 up")
    home.ip("link add dev0 type veth peer name peer0")
    home.ip("link set dev0 master br0 up")
    home.ip("link set peer0 up")
    home.run("bridge", "link", "set", "dev", "dev0", "hairpin", "on", "cost", "77", "learning", "off")
    home.run("bridge", "fdb", "add", "02:00:00:00:00:31", "dev", "dev0", "master", "static")

    def bridge() -> list[str]:
        settings = ("bridge", "-d", "link", "show", "dev", "dev0"), ("bridge", "vlan", "show", "dev", "dev0")
        fdb = home.run("bridge", "fdb", "show", "dev", "dev0")
        shown = [home.run(*command).split(": ", 1)[-1] for command in settings]
        shown[0] = (
            shown[0].replace("disabled", "S").replace("forwarding", "S").replace("learning priority", "S priority")
        )
        return [*shown, "\n".join(line for line in sorted(fdb.splitlines()) if "static" in line)]

    before = bridge(), settled(home)["addr"]
    report = fetch(home, pod, give(home, pod))
    assert report.troubles() == ()
    assert (bridge(), settled(home)["addr"]) == before


def test_what_cannot_be_put_back_is_reported(home: Net, pod: Net) -> None:
    """A route whose gateway is not to be reached, a nexthop object, traffic classes: named; the rest is put back."""
    home.ip("link add other0 type ifb")
    home.ip("addr add 172.31.0.1/24 dev other0")
    home.ip("link set other0 up")
    home.ip("link add dev0 type ifb")
    home.ip("addr add 192.0.2.5/24 dev dev0")
    home.ip("link set dev0 up")
    home.ip("route add 198.51.100.0/24 nexthop via 192.0.2.1 nexthop via 172.31.0.9")
    home.ip("route add 198.51.101.0/24 via 192.0.2.1")
    home.ip("nexthop add id 5 via 192.0.2.9 dev dev0")
    home.ip("route add 198.51.102.0/24 nhid 5")
    home.run(*["tc", "qdisc", "add", "dev", "dev0", "root", "handle", "10:", "htb"])
    home.run(*["tc", "class", "add", "dev", "dev0", "parent", "10:", "classid", "10:1", "htb", "rate", "1mbit"])
    snapshot = give(home, pod)
    home.ip("link del other0")
    report = fetch(home, pod, snapshot)
    troubles = "\n".join(report.troubles())
    assert "qdisc htb 10: and its classes could not be restored" in troubles
    assert "route 198.51.100.0/24 could not be restored" in troubles
    assert "route 198.51.102.0/24 via 192.0.2.9 by nexthop object 5 could not be restored" in troubles
    assert "198.51.101.0/24 via 192.0.2.1" in home.ip("route show dev dev0")


def test_acting_twice_changes_nothing(furnished: Net, pod: Net) -> None:
    """To restore what is whole already changes nothing, not even for an instant: nothing is announced."""
    snapshot = give(furnished, pod)
    report = fetch(furnished, pod, snapshot)
    before = settled(furnished)
    again = furnished.call(restore.restore, snapshot, report.ifindex, MARK)
    assert again.troubles() == ()
    assert_same(before, furnished)
