"""Addresses, duplicate address detection and neighbours on a real kernel, read back by iproute2."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from nri_netdev.domain.links import Address
from nri_netdev.domain.setup.values import AddressSetup, Dad, NeighborSetup, Setup
from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.setup import addressing
from nri_netdev.shells.kernel.setup.addressing import put_addresses, set_neighbors
from nri_netdev.shells.kernel.setup.target import Target
from tests.shells.kernel.setup.conftest import SetupPod

pytestmark = pytest.mark.root

V4, V6 = AddressSetup(address="192.0.2.5/24"), AddressSetup(address="2001:db8::5/64")


def set_addresses(target: Target) -> None:
    addressing.set_addresses([target])


def shown(pod: SetupPod, ip: str) -> dict[str, Any]:
    """What iproute2 shows of an address of `net1`."""
    [found] = [one for one in pod.net.ip_json("addr show dev net1")[0]["addr_info"] if one["local"] == ip]
    assert isinstance(found, dict)
    return found


def test_every_field_of_an_address_is_set(setup_pod: SetupPod) -> None:
    """As asked, once or twice."""
    asked = (
        AddressSetup(address="192.0.2.5/24", broadcast="192.0.2.255", metric=70),
        AddressSetup(address="198.18.0.1/32", peer="198.18.0.2", scope="link", noprefixroute=True),
        AddressSetup(address="2001:db8::5/64", metric=33, dad=Dad.OFF),
        AddressSetup(address="2001:db8:1::5/128", peer="2001:db8:1::6", noprefixroute=True),
    )
    for _ in range(2):
        setup_pod.act(set_addresses, Setup(addresses=asked))
    first, second = shown(setup_pod, "192.0.2.5"), shown(setup_pod, "198.18.0.1")
    assert (first["prefixlen"], first["broadcast"], first["metric"], first["scope"]) == (
        24,
        "192.0.2.255",
        70,
        "global",
    )
    assert (second["address"], second["scope"], second["noprefixroute"]) == ("198.18.0.2", "link", True)
    third, fourth = shown(setup_pod, "2001:db8::5"), shown(setup_pod, "2001:db8:1::5")
    assert (third["metric"], third["nodad"], "tentative" in third) == (33, True, False)
    assert (fourth["address"], fourth["prefixlen"], fourth["noprefixroute"]) == ("2001:db8:1::6", 128, True)


def test_the_first_is_preferred(setup_pod: SetupPod) -> None:
    """Of several in one network the kernel sends from the one that is named first, in both families."""
    asked = tuple(
        AddressSetup(address=text) for text in ("192.0.2.9/24", "192.0.2.8/24", "2001:db8::9/64", "2001:db8::8/64")
    )
    for _ in range(2):
        setup_pod.act(set_addresses, Setup(addresses=asked))
    assert "src 192.0.2.9" in setup_pod.net.ip("route get 192.0.2.1")
    assert "src 2001:db8::9" in setup_pod.net.ip("route get 2001:db8::1")


def test_what_is_not_wanted_goes(setup_pod: SetupPod) -> None:
    """Where the addresses replace those of home; the kernel's own and a router's stay."""
    for command in (
        "addr add 192.0.2.4/24 dev net1",
        "addr add 192.0.2.5/24 dev net1",
        "addr add 192.0.2.6/24 dev net1",
        "addr add 198.18.0.1/32 dev net1 scope link",
        "-6 addr add 2001:db8::4/64 dev net1 nodad",
        "-6 addr add 2001:db8:7::4/64 dev net1 nodad valid_lft 4000 preferred_lft 3000",
    ):
        setup_pod.net.ip(command)
    before = [one for one in setup_pod.net.ip_json("addr show dev net1")[0]["addr_info"] if one["scope"] == "link"]
    setup_pod.act(set_addresses, Setup(addresses=(V4, V6)))
    assert setup_pod.addresses() == ["192.0.2.5/24", "2001:db8:7::4/64", "2001:db8::5/64"]
    assert [one["family"] for one in before] == ["inet", "inet6"]
    assert setup_pod.net.ip("-6 addr show dev net1 scope link")
    setup_pod.act(set_addresses, Setup(addresses=()))
    assert setup_pod.addresses() == ["2001:db8:7::4/64"]


def test_nothing_goes_where_nothing_is_asked_for(setup_pod: SetupPod) -> None:
    """Or where those of home are kept besides."""
    setup_pod.net.ip("addr add 192.0.2.4/24 dev net1")
    setup_pod.act(set_addresses, Setup())
    setup_pod.act(set_addresses, Setup(addresses=(V6,), keep_addresses=True))
    assert setup_pod.addresses() == ["192.0.2.4/24", "2001:db8::5/64"]


def test_those_of_home_are_kept_and_come_back(setup_pod: SetupPod) -> None:
    """With labels of the name here, without duplicate detection; not what no runtime takes along."""
    kept = (
        Address(family=2, address="192.0.2.4", prefixlen=24, label="ens3f0:x", flags=0x80, broadcast="192.0.2.255"),
        Address(family=2, address="198.18.0.1", prefixlen=32, label="ens3f0", scope=253, flags=0x80),
        Address(family=10, address="2001:db8::4", prefixlen=64, flags=0x80),
        Address(family=10, address="2001:db8::3", prefixlen=64, flags=0x0),
    )
    setup_pod.net.ip("addr add 192.0.2.77/24 dev net1")
    for _ in range(2):
        setup_pod.act(set_addresses, Setup(addresses=(V4,)), kept)
        assert setup_pod.addresses() == ["192.0.2.4/24", "192.0.2.5/24", "2001:db8::4/64"]
        assert shown(setup_pod, "192.0.2.4")["label"] == "net1:x"
        assert "tentative" not in shown(setup_pod, "2001:db8::4")


def test_an_address_that_is_there_otherwise_is_made_as_asked(setup_pod: SetupPod) -> None:
    """Scope, broadcast, metric, route to its network, IPv6 prefix; what is not asked for may be as it is."""
    for command in (
        "addr add 192.0.2.5/24 dev net1 scope link",
        "addr add 198.51.100.5/24 brd + metric 9 dev net1",
        "-6 addr add 2001:db8::5/48 dev net1 nodad",
        "-6 addr add 2001:db8:1::5/64 dev net1 nodad noprefixroute",
    ):
        setup_pod.net.ip(command)
    asked = tuple(
        AddressSetup(address=text) for text in ("192.0.2.5/24", "198.51.100.5/24", "2001:db8::5/64", "2001:db8:1::5/64")
    )
    setup_pod.act(set_addresses, Setup(addresses=asked, keep_addresses=True))
    assert shown(setup_pod, "192.0.2.5")["scope"] == "global"
    assert shown(setup_pod, "198.51.100.5")["metric"] == 9
    assert shown(setup_pod, "2001:db8::5")["prefixlen"] == 64
    assert "noprefixroute" not in shown(setup_pod, "2001:db8:1::5")


@pytest.mark.parametrize("has_carrier", [True, False])
def test_an_address_is_of_use_at_once(setup_pod: SetupPod, *, has_carrier: bool) -> None:
    """While duplicate detection runs: it can be bound to, and is what packets are sent from."""
    if not has_carrier:
        setup_pod.far.ip("link set far0 down")
    setup_pod.act(set_addresses, Setup(addresses=(V6,)))
    assert shown(setup_pod, "2001:db8::5").keys() >= {"tentative", "optimistic"}

    def sends_from() -> str:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
            bound.bind(("2001:db8::5", 0))
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as connected:
            connected.connect(("2001:db8::1", 9))
            return str(connected.getsockname()[0])

    assert call_in_netns(setup_pod.net.fd, sends_from) == "2001:db8::5"


def test_without_optimistic_detection_there_is_none(setup_pod: SetupPod) -> None:
    """An address that the kernel would keep from use for two seconds is added without detection."""
    setup = Setup(addresses=(V6,), sysctls={"ipv6/conf/optimistic_dad": "0"})
    for _ in range(2):
        setup_pod.act(set_addresses, setup)
        assert shown(setup_pod, "2001:db8::5")["nodad"]
        assert "tentative" not in shown(setup_pod, "2001:db8::5")
    assert setup_pod.net.sysctl("ipv6/conf/net1/optimistic_dad") == "0"


def test_a_kernel_without_optimistic_detection(setup_pod: SetupPod, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither."""
    real = addressing.read_sysctl
    monkeypatch.setattr(
        addressing, "read_sysctl", lambda ifname, key: None if "optimistic" in key else real(ifname, key)
    )
    setup_pod.act(set_addresses, Setup(addresses=(V6,)))
    assert shown(setup_pod, "2001:db8::5")["nodad"]


def test_detection_can_be_waited_for(setup_pod: SetupPod) -> None:
    """When the step is over the address is of use."""
    setup = Setup(addresses=(AddressSetup(address="2001:db8::5/64", dad=Dad.WAIT),))
    setup_pod.act(put_addresses, setup)
    assert shown(setup_pod, "2001:db8::5")["tentative"]
    setup_pod.act(set_addresses, setup)
    assert "tentative" not in shown(setup_pod, "2001:db8::5")


def test_an_address_that_another_host_has(setup_pod: SetupPod) -> None:
    """It is refused if detection is waited for; and when it is free, to try again is enough."""
    setup_pod.far.ip("-6 addr add 2001:db8::5/64 dev far0 nodad")
    setup = Setup(addresses=(V4, AddressSetup(address="2001:db8::5/64", dad=Dad.WAIT)))
    for _ in range(2):
        with pytest.raises(KernelError) as refusal:
            setup_pod.act(set_addresses, setup)
        assert str(refusal.value) == (
            "cannot add address 2001:db8::5/64 on net1: address 2001:db8::5 is in use on this network by another host "
            "(EADDRINUSE)"
        )
    setup_pod.far.ip("-6 addr del 2001:db8::5/64 dev far0")
    setup_pod.act(set_addresses, setup)
    assert "dadfailed" not in shown(setup_pod, "2001:db8::5")


def test_detection_without_a_carrier_is_not_waited_for_for_ever(
    setup_pod: SetupPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not begin without one."""
    monkeypatch.setattr(addressing, "DAD_S", 0.1)
    setup_pod.far.ip("link set far0 down")
    with pytest.raises(KernelError) as refusal:
        setup_pod.act(set_addresses, Setup(addresses=(AddressSetup(address="2001:db8::5/64", dad=Dad.WAIT),)))
    assert str(refusal.value).startswith(
        "cannot wait for duplicate address detection of 2001:db8::5 on net1: it is not over after 0 s: no carrier"
    )
    assert refusal.value.refusal is Reason.BUSY


def test_duplicates_are_found(setup_pod: SetupPod) -> None:
    """Of the interface and of the devices on it."""
    setup_pod.net.ip("link add mv0 link net1 type macvlan mode bridge")
    setup_pod.net.ip("link set mv0 up")
    for ip in ("2001:db8::5/64", "2001:db8::6/64"):
        setup_pod.far.ip(f"-6 addr add {ip} dev far0 nodad")
    assert setup_pod.net.call(addressing.duplicates, setup_pod.ifindex) == ()
    setup_pod.net.ip("-6 addr add 2001:db8::6/64 dev mv0")
    setup_pod.act(set_addresses, Setup(addresses=(V6, AddressSetup(address="2001:db8::7/64"))))
    deadline_s = time.monotonic() + 10
    while set(found := setup_pod.net.call(addressing.duplicates, setup_pod.ifindex)) != {"2001:db8::5", "2001:db8::6"}:
        assert time.monotonic() < deadline_s, found
        time.sleep(0.05)


def test_ipv6_that_is_turned_off(setup_pod: SetupPod) -> None:
    """It is told what to do."""
    setup_pod.net.sysctl("ipv6/conf/net1/disable_ipv6", "1")
    with pytest.raises(KernelError) as refusal:
        setup_pod.act(set_addresses, Setup(addresses=(V6,)))
    assert str(refusal.value) == (
        "cannot add address 2001:db8::5/64 on net1: IPv6 is turned off on it in the pod (EACCES); set sysctl "
        "ipv6.disable_ipv6 to 0, or ask for no IPv6 address"
    )


def test_neighbours_are_permanent(setup_pod: SetupPod) -> None:
    """One that is there gets the address asked for."""
    setup_pod.net.ip("neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev net1 nud stale")
    asked = (
        NeighborSetup(dst="192.0.2.1", lladdr="02:00:00:00:00:99"),
        NeighborSetup(dst="2001:db8::1", lladdr="02:00:00:00:00:98"),
    )
    for _ in range(2):
        setup_pod.act(set_neighbors, Setup(neighbors=asked))
    found = {one["dst"]: one["lladdr"] for one in setup_pod.net.ip_json("neigh show dev net1 nud permanent")}
    assert found == {one.dst: one.lladdr for one in asked}


@pytest.mark.parametrize("lladdr", ["02:00", "02:00:00:00:00:00:00:01"])
def test_a_neighbour_that_cannot_be(setup_pod: SetupPod, lladdr: str) -> None:
    """A link-layer address of another length; the kernel would cut a longer one."""
    with pytest.raises(KernelError) as refusal:
        setup_pod.act(set_neighbors, Setup(neighbors=(NeighborSetup(dst="192.0.2.1", lladdr=lladdr),)))
    assert str(refusal.value).startswith(
        f"cannot add neighbor 192.0.2.1 lladdr {lladdr} on net1: link-layer addresses of net1 are as long as its own, "
    )
