"""An interface of ours is recognised by what a container cannot change, and nothing else is taken for it.

The table of decisions is tested with custody, which acts on it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from nri_netdev.domain.claim import Claim, Netns, Owner, find, share_ifindex
from nri_netdev.domain.links import Link
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.values import Setup, Share, ShareKind
from nri_netdev.domain.snapshot import Snapshot

MARK = "nri-netdev-0123456789ab"
VETH = Link(ifindex=7, ifname="ens1f0", kind="veth", mac="02:00:00:00:00:07")
NIC = Link(ifindex=7, ifname="ens1f0", permanent_mac="02:00:00:00:00:07", parent_bus="pci", parent_dev="0000:3b:00.0")


def claim(was: Link, *, ifindex: int | None = None) -> Claim:
    """A claim on what `was` on the host, given as net1."""
    owner = Owner(
        scope=Scope.CONTAINER,
        pod_id="p",
        pod_uid="u",
        namespace="default",
        pod="web",
        container_id="c",
        container="app",
    )
    return Claim(
        mark=MARK,
        owner=owner,
        key="nri-netdev.io/container.app",
        inside="net1",
        netns=Netns(path="/run/netns/x", dev=4, ino=1),
        snapshot=Snapshot(link=was),
        since_s=0,
        boot_id="b",
        ifindex=ifindex,
    )


@pytest.mark.parametrize(
    ("was", "seen_as", "now", "at_home"),
    [
        (VETH, None, replace(VETH, ifindex=40, ifname="x", mac=None, altnames=("other", MARK)), True),
        (VETH, None, replace(VETH, ifindex=40, ifname="x", altnames=(MARK,)), False),
        (NIC, None, replace(NIC, ifindex=40, ifname="dev40", mac="02:ff:ff:ff:ff:ff"), True),
        (NIC, None, replace(NIC, ifindex=40, ifname="renamed"), False),
        (VETH, None, VETH, True),
        (VETH, 40, replace(VETH, ifindex=40, ifname="renamed"), False),
        (VETH, None, replace(VETH, ifindex=40, ifname="net1"), False),
    ],
    ids=["mark at home", "mark in pod", "hardware at home", "hardware in pod", "not yet marked", "seen", "put there"],
)
def test_it_is_known_by_what_stays(was: Link, seen_as: int | None, now: Link, *, at_home: bool) -> None:
    """Mark, hardware, or the place where it was last seen; among strangers of its kind."""
    stranger = replace(VETH, ifindex=99, ifname="stranger", kind=was.kind)
    assert find([stranger, now], claim(was, ifindex=seen_as), at_home=at_home) is now


@pytest.mark.parametrize(
    ("was", "seen_as", "now", "at_home"),
    [
        (VETH, None, replace(VETH, kind="dummy", altnames=(MARK,)), True),
        (VETH, None, replace(VETH, ifindex=40), True),
        (VETH, None, replace(VETH, ifname="other"), True),
        (VETH, None, replace(VETH, altnames=("nri-netdev-of-another",)), True),
        (VETH, 40, replace(VETH, ifindex=41, ifname="net1"), False),
        (VETH, None, replace(VETH, ifname="net1", altnames=("nri-netdev-of-another",)), False),
        (NIC, None, replace(NIC, ifindex=40, ifname="x", parent_dev="0000:3b:00.1"), True),
        (NIC, None, replace(NIC, ifindex=40, ifname="x", permanent_mac="02:00:00:00:00:08"), True),
    ],
    ids=["other kind", "other index", "other name", "another's mark", "index gone", "another's", "PCI", "MAC"],
)
def test_nothing_else_is_taken_for_it(was: Link, seen_as: int | None, now: Link, *, at_home: bool) -> None:
    """A container cannot hand back something else, and a stranger under the same name is left alone."""
    assert find([now], claim(was, ifindex=seen_as), at_home=at_home) is None


SHARE = Link(ifindex=40, ifname="net1", kind="macvlan", link=7, link_netnsid=0)
MADE = replace(SHARE, ifindex=share_ifindex(MARK))


@pytest.mark.parametrize(
    ("seen_as", "now", "is_it"),
    [
        (None, replace(SHARE, ifname="x", altnames=(MARK,)), True),
        (40, replace(SHARE, ifname="x"), True),
        (None, replace(MADE, ifname="net2"), True),
        (41, MADE, True),
        (None, SHARE, False),
        (None, replace(MADE, kind="ipvlan"), False),
        (None, replace(MADE, link=8), False),
        (None, replace(MADE, link_netnsid=None), False),
        (41, SHARE, False),
    ],
)
def test_a_device_on_a_shared_interface(seen_as: int | None, now: Link, *, is_it: bool) -> None:
    """It is known by its mark, the ifindex that it was seen with, or, wherever it is, that which it was made with."""
    setup = Setup(share=Share(kind=ShareKind.MACVLAN, mode="bridge"), asked=frozenset({"share"}))
    held = replace(claim(VETH, ifindex=seen_as), setup=setup)
    assert (find([replace(SHARE, ifindex=9), now], held, at_home=False) == now) is is_it
    is_elsewhere = is_it and now.ifindex != seen_as
    assert (find([SHARE, now], held, at_home=True) == now) is is_elsewhere


def test_the_index_of_a_share_is_like_no_other() -> None:
    """It fits what the kernel has for it, and is not what the kernel gives by itself; each mark has its own."""
    found = {share_ifindex(f"nri-netdev-{number:012x}") for number in range(1000)}
    assert len(found) == 1000
    assert all(1 << 30 <= index < 1 << 31 for index in found)
