"""A port of a bridge: settings, VLANs, static entries of its tables."""

from __future__ import annotations

import pytest

from nri_netdev.shells.kernel.attributes import pack
from nri_netdev.shells.kernel.facets.facet import Recorded
from nri_netdev.shells.kernel.facets.port import PORT
from tests.shells.kernel.facets.conftest import Bench

SETTINGS, VLANS, FDB, MDB = PORT


@pytest.fixture(name="port")
def _port(bench: Bench) -> Bench:
    bench.run("ip link add br0 type bridge", "ip link set br0 up")
    bench.make("type veth peer name peer0", "ip link set peer0 up", "ip link set dev0 master br0 up")
    bench.wait_carrier()
    bench.run(
        "bridge link set dev dev0 cost 77",
        "bridge fdb add 02:00:00:00:00:31 dev dev0 master static",
    )
    return bench


def need(port: Bench, *commands: str) -> None:
    """Skip the test where the kernel is built without that."""
    try:
        port.run(*commands)
    except AssertionError as error:
        if "not supported" not in str(error):
            raise
        pytest.skip(f"this kernel lacks it: {commands[0]}")


@pytest.mark.root
@pytest.mark.parametrize("setting", ["cost 9", "hairpin on", "learning off", "isolated on", "guard on"])
def test_settings(port: Bench, setting: str) -> None:
    """Each as the bridge had it."""
    port.holds(SETTINGS, [f"bridge link set dev dev0 {setting}"], "bridge -d link show dev dev0")


@pytest.mark.root
@pytest.mark.parametrize("spoil", ["vlan del vid 7", "vlan add vid 9", "vlan add vid 7 pvid"])
def test_vlans(port: Bench, spoil: str) -> None:
    """Removed, added, and changed."""
    need(port, "ip link set br0 type bridge vlan_filtering 1", "bridge vlan add vid 7 dev dev0 untagged")
    port.holds(VLANS, [f"bridge {spoil} dev dev0"], "bridge vlan show dev dev0")


@pytest.mark.root
def test_static_entries(port: Bench) -> None:
    """Of the bridge's table."""
    spoil = ["bridge fdb del 02:00:00:00:00:31 dev dev0 master"]
    port.holds(FDB, spoil, "bridge fdb show dev dev0 master br0 state static")


@pytest.mark.root
def test_multicast_groups(port: Bench) -> None:
    """Those that somebody has set for good."""
    need(port, "ip link set br0 type bridge mcast_snooping 1")
    port.run("bridge mdb add dev br0 port dev0 grp 239.1.1.1 permanent")
    was = port.record(MDB)
    port.run("bridge mdb del dev br0 port dev0 grp 239.1.1.1")

    assert port.restore(MDB, was) == []
    assert "port dev0 grp 239.1.1.1 permanent" in port.net.run("bridge", "mdb", "show")


@pytest.mark.parametrize(("kind", "keys"), [(b"bond\0", {5, 7}), (b"team\0", set()), (b"bridge\0", {5, 7, 34})])
def test_what_an_administrator_sets_depends_on_the_master(kind: bytes, keys: set[int]) -> None:
    """All else is state of the port."""
    data = b"".join(pack(number, b"\1") for number in (1, 5, 7, 34, 99))
    recorded = Recorded(messages=(pack(4, kind) + pack(5, data),), ifindex=7)

    assert {number for _, number in SETTINGS.items(recorded)} == keys
