"""Changes of interfaces on a real kernel, and what its refusals say."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from nri_netdev.domain.links import Address
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import changes
from nri_netdev.shells.kernel.netns import in_new_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from tests.shells.conftest import Net

pytestmark = pytest.mark.root

ADDRESSES = (
    Address(family=2, address="192.0.2.5", prefixlen=24, broadcast="192.0.2.255", label="veth0", flags=0x80),
    Address(family=2, address="192.0.2.6", prefixlen=24, label="veth0:x", flags=0x81, metric=70),
    Address(family=2, address="198.18.0.1", prefixlen=32, peer="198.18.0.2", label="veth0", scope=253, flags=0x280),
    Address(family=10, address="2001:db8::5", prefixlen=64, flags=0x82, proto=42),
)


def test_addresses_survive_the_round_trip(home: Net) -> None:
    """What is written is what is read, in every field; adding it again sets its metric."""
    home.ip("link add veth0 type veth peer name veth1")
    index = home.link("veth0").ifindex
    for address in ADDRESSES:
        home.call(changes.put_address, index, address)
    assert set(home.call(Rtnl.addresses, index)[index]) == set(ADDRESSES)
    home.call(changes.put_address, index, replace(ADDRESSES[0], metric=9))
    assert replace(ADDRESSES[0], metric=9) in home.call(Rtnl.addresses, index)[index]


def test_a_group_that_the_kernel_has_not_left_is_joined_again(home: Net, pod: Net) -> None:
    """An address with `autojoin` can be added to a link that came back under its index, as often as it does."""
    home.ip("link add a0 type ifb")
    address = Address(family=2, address="239.5.5.5", prefixlen=32, label="a0", flags=0x480)
    index = home.link("a0").ifindex
    for here, there in ((home, pod), (pod, home), (home, pod), (pod, home)):
        here.call(changes.put_address, index, address)
        assert set(here.call(Rtnl.addresses, index)[index]) == {address}
        here.call(changes.move, index, there.fd)
        assert there.link("a0").ifindex == index
    home.call(changes.put_address, index, address)
    with pytest.raises(KernelError) as refusal:
        home.call(changes.put_address, index + 100, address)
    assert refusal.value.errno == errno.ENODEV


def test_the_kernels_reason_is_told(home: Net, pod: Net) -> None:
    """Its number and, where it gives any, its own words."""
    with pytest.raises(KernelError) as refusal:
        home.call(Rtnl.link, 4242)
    assert refusal.value.errno == errno.ENODEV
    home.ip("link add veth0 type veth peer name veth1")
    index = home.link("veth0").ifindex
    with pytest.raises(KernelError, match="rename interface") as refusal:
        home.call(changes.rename, index, "veth1")
    assert refusal.value.errno == errno.EEXIST
    home.ip("link add br0 type bridge")
    with pytest.raises(KernelError, match="move interface") as refusal:
        home.call(changes.move, home.link("br0").ifindex, pod.fd)
    assert refusal.value.errno == errno.EINVAL


def test_moves_keep_the_name_or_take_a_new_one(home: Net, pod: Net) -> None:
    """Either way the link is in the other netns, and not in this one."""
    home.ip("link add a0 type ifb")
    home.ip("link add b0 type ifb")
    home.call(changes.move, home.link("a0").ifindex, pod.fd)
    home.call(changes.move, home.link("b0").ifindex, pod.fd, "net1")
    assert pod.names() == {"lo", "a0", "net1"}
    assert not home.names() & {"a0", "b0", "net1"}


def test_up_down_master_and_altname(home: Net) -> None:
    """Each is what iproute2 shows afterwards, and can be undone."""
    home.ip("link add br0 type bridge")
    home.ip("link add dev0 type ifb")
    index, bridge = home.link("dev0").ifindex, home.link("br0").ifindex
    home.call(changes.set_up, index)
    home.call(changes.set_master, index, bridge)
    home.call(changes.add_altname, index, "uplink")
    [shown] = home.ip_json("link show dev dev0")

    assert ("UP" in shown["flags"], shown["master"], shown["altnames"]) == (True, "br0", ["uplink"])

    home.call(changes.set_down, index)
    home.call(changes.set_master, index, None)
    home.call(changes.del_altname, index, "uplink")
    [shown] = home.ip_json("link show dev dev0")

    assert ("UP" in shown["flags"], "master" in shown, "altnames" in shown) == (False, False, False)


def test_alternative_names_can_be_tried() -> None:
    """In a netns that ends with the trial."""
    in_new_netns(changes.try_altname)
