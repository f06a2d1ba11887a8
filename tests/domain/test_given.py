"""What a pod is told of an interface: what is seen in the pod, and before that what is expected."""

from __future__ import annotations

from typing import Any

import pytest

from nri_netdev.domain.claim import Claim, Netns, Owner
from nri_netdev.domain.given import Inside, Rdma, given_of
from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.policy.selectors import Facts
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.domain.setup.fields import read_setup
from nri_netdev.domain.snapshot import Snapshot

PERMANENT = 0x80
HOME = (
    Address(family=2, address="192.0.2.2", prefixlen=24, flags=PERMANENT),
    Address(family=2, address="192.0.2.3", prefixlen=24, valid_lft_s=60),
    Address(family=10, address="fe80::1", prefixlen=64, scope=253, flags=PERMANENT),
)
NIC = Link(
    ifindex=3,
    ifname="ens1",
    mac="02:00:5e:10:00:01",
    mtu=1500,
    driver="ice",
    parent_bus="pci",
    parent_dev="0000:3b:00.0",
)


VERBS = CharDevice(path="/dev/infiniband/uverbs0", major=231, minor=192)


def claim(document: str, link: Link = NIC) -> Claim:
    """A claim on an interface with some addresses, and what is asked for."""
    owner = Owner(
        scope=Scope.POD, pod_id="p", pod_uid="u", namespace="shop", pod="web", container_id="c", container="app"
    )
    return Claim(
        mark="nri-netdev-1",
        owner=owner,
        key="nri-netdev.io/pod",
        number=2,
        inside="net1",
        netns=Netns(path="/run/netns/x", dev=4, ino=1),
        snapshot=Snapshot(link=link, addresses=HOME),
        since_s=0,
        boot_id="b",
        setup=read_setup(document),
    )


def given(document: str, *, inside: Inside | None = None, link: Link = NIC, **more: Any) -> Any:
    """What a pod is told of it."""
    asked = claim(document, link)
    return given_of(asked, asked.setup, Facts(pci="0000:3b:00.0", numa_node=1), inside, **more)


def test_what_is_always_told() -> None:
    """Where it comes from, and what it is called."""
    found = given("", rdma=Rdma(names=("mlx5_0",), devices=(VERBS,)))
    assert (found.ifname, found.inside, found.kind, found.share) == ("ens1", "net1", "hardware", "")
    assert (found.driver, found.pci, found.numa_node) == ("ice", "0000:3b:00.0", 1)
    assert (found.annotation, found.entry, found.mark) == ("nri-netdev.io/pod", 2, "nri-netdev-1")
    assert (found.rdma, found.rdma_devices) == ("mlx5_0", ("/dev/infiniband/uverbs0",))


@pytest.mark.parametrize(
    ("document", "addresses"),
    [
        ("", ("192.0.2.2/24",)),
        ('{"addresses": ["192.0.2.10/24"]}', ("192.0.2.10/24",)),
        ('{"addresses": []}', ()),
        (
            '{"addresses": ["192.0.2.10/24", "192.0.2.2/24"], "keep_addresses": "true"}',
            ("192.0.2.10/24", "192.0.2.2/24"),
        ),
        ('{"share": "macvlan"}', ()),
        ('{"ipam": "storage"}', ()),
    ],
)
def test_addresses_that_are_expected(document: str, addresses: tuple[str, ...]) -> None:
    """Those asked for, and those of home that come along: permanent, of global scope."""
    assert given(document).addresses == addresses


@pytest.mark.parametrize(
    ("document", "mac", "mtu"),
    [
        ("", "02:00:5e:10:00:01", 1500),
        ('{"set_mac": "02:00:5e:10:00:02", "mtu": "9000"}', "02:00:5e:10:00:02", 9000),
        ('{"vf": {"mac": "02:00:5e:10:00:03"}}', "02:00:5e:10:00:03", 1500),
        ('{"share": "macvlan", "mtu": "1400"}', None, 1400),
        ('{"share": "macvlan", "set_mac": "02:00:5e:10:00:02"}', "02:00:5e:10:00:02", 1500),
    ],
)
def test_what_is_expected_of_the_link(document: str, mac: str | None, mtu: int) -> None:
    """The MAC address of a share is made up by the kernel: it is not known yet."""
    found = given(document)
    assert (found.mac, found.mtu) == (mac, mtu)


def test_what_is_seen_is_told() -> None:
    """Whatever was expected."""
    seen = Inside(
        link=Link(ifindex=7, ifname="net1", mac="02:00:5e:10:00:09", mtu=1400),
        addresses=(Address(family=2, address="198.51.100.9", prefixlen=24), HOME[2]),
    )
    found = given('{"addresses": ["192.0.2.10/24"], "mtu": "9000"}', inside=seen)
    assert (found.mac, found.mtu, found.addresses) == ("02:00:5e:10:00:09", 1400, ("198.51.100.9/24",))


def test_routes_gateways_and_devices() -> None:
    """Gateways are those of default routes, once each."""
    found = given(
        '{"addresses": ["192.0.2.10/24", "2001:db8::a/64"], "routes": [{"to": "default", "via": "192.0.2.1"}, '
        '{"to": "default", "via": "192.0.2.1", "metric": "5"}, {"to": "198.51.100.0/24", "via": "192.0.2.7"}, '
        '{"to": "::/0", "via": "fe80::1"}], "vlan": {"id": "5", "name": "v5"}, "macvlan": {"name": "m0"}}'
    )
    assert found.gateways == ("192.0.2.1", "fe80::1")
    assert found.routes == (
        "default via 192.0.2.1",
        "default via 192.0.2.1 metric 5",
        "198.51.100.0/24 via 192.0.2.7",
        "default via fe80::1",
    )
    assert found.children == ("v5", "m0")


@pytest.mark.parametrize(
    ("document", "link", "kind", "mode"),
    [
        ('{"share": {"type": "ipvlan", "mode": "l3"}}', NIC, "ipvlan", "l3"),
        ("", Link(ifindex=3, ifname="a", kind="veth"), "veth", ""),
        ("", Link(ifindex=3, ifname="a"), "unknown", ""),
    ],
)
def test_what_kind_it_is(document: str, link: Link, kind: str, mode: str) -> None:
    """That of the device that the pod has."""
    found = given(document, link=link)
    assert (found.kind, found.share) == (kind, mode)
