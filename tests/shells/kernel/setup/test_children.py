"""Devices on the interface, and its VRF: made once, kept, never taken from somebody else."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from nri_netdev.domain.links import Link
from nri_netdev.domain.setup.values import AddressSetup, ChildSetup, Setup, VrfSetup
from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel import changes, rtnetlink
from nri_netdev.shells.kernel.attributes import from_text, u32
from nri_netdev.shells.kernel.messages import IFLA_GROUP, IFLA_IFNAME, RTM_DELLINK
from nri_netdev.shells.kernel.setup import children
from nri_netdev.shells.kernel.setup.children import delete_beside, enter_vrf, leave_vrf, make_child
from nri_netdev.shells.kernel.setup.target import Target, make_link
from tests.shells.kernel.setup.conftest import SetupPod

pytestmark = pytest.mark.root

MACVLAN = ChildSetup(kind="macvlan", name="mv0", mode="bridge", setup=Setup())
CHILDREN = {
    "macvlan": (MACVLAN, {"mode": "bridge"}),
    "macvlan private": (ChildSetup(kind="macvlan", name="mv0", mode="private", setup=Setup()), {"mode": "private"}),
    "macvlan passthru": (ChildSetup(kind="macvlan", name="mv0", mode="passthru", setup=Setup()), {"mode": "passthru"}),
    "macvlan vepa": (ChildSetup(kind="macvlan", name="mv0", mode="vepa", setup=Setup()), {"mode": "vepa"}),
    "vlan": (
        ChildSetup(kind="vlan", name="net1.5", id=5, setup=Setup()),
        {"id": 5, "protocol": "802.1Q"},
    ),
    "vlan 802.1ad": (
        ChildSetup(kind="vlan", name="s5", id=4000, protocol="802.1ad", setup=Setup()),
        {"id": 4000, "protocol": "802.1ad"},
    ),
    "ipvlan": (ChildSetup(kind="ipvlan", name="iv0", setup=Setup()), {"mode": "l3"}),
    "ipvlan l2": (ChildSetup(kind="ipvlan", name="iv0", mode="l2", setup=Setup()), {"mode": "l2"}),
}
VRF = Setup(vrf=VrfSetup(name="red", table=70))


@pytest.mark.parametrize(("child", "shown"), CHILDREN.values(), ids=CHILDREN.keys())
def test_a_device_is_made_once(setup_pod: SetupPod, child: ChildSetup, shown: dict[str, object]) -> None:
    """On the interface, with the data of its kind."""
    setup_pod.needs(child.kind)
    for _ in range(2):
        setup_pod.act(lambda target: make_child(target, child))  # type: ignore[arg-type,return-value]
        [found] = setup_pod.net.ip_json(f"-d link show dev {child.name}")
        assert (found["link"], found["linkinfo"]["info_kind"]) == ("net1", child.kind)
        data = found["linkinfo"]["info_data"]
        assert {key: data[key] for key in shown} == shown
    assert setup_pod.net.names() == {"lo", "eth0", "net1", child.name}


@pytest.mark.parametrize("kind", ["vlan", "ipvlan", "vrf"])
def test_a_kind_that_this_kernel_lacks(setup_pod: SetupPod, kind: str) -> None:
    """The refusal says so."""
    if not setup_pod.lacks(kind):
        pytest.skip(f"NOT TESTED: that {kind} is lacking, this kernel has it")
    child = ChildSetup(kind=kind, name="dev0", id=5, setup=Setup())
    with pytest.raises(KernelError) as refusal:
        setup_pod.apply(VRF if kind == "vrf" else Setup(children=(child,)))
    what = "vrf red with table 70" if kind == "vrf" else f"{kind} dev0 on net1"
    assert str(refusal.value) == (
        f"cannot make {what}: this kernel has no {kind} devices (ENOTSUP); ask for a node whose kernel has them"
    )
    assert refusal.value.refusal is Reason.ANNOTATION


TAKEN = {
    "by another kind": ("link add mv0 type ifb", "an ifb has that name"),
    "by one of the kind elsewhere": ("link add mv0 link eth0 type macvlan mode bridge", "a macvlan has that name"),
    "as an alternative name": ("link property add dev eth0 altname mv0", "an ifb has that name"),
    "in another mode": (
        "link add mv0 link net1 type macvlan mode private",
        "a macvlan of that name is on it with another mode",
    ),
}


@pytest.mark.parametrize(("command", "reason"), TAKEN.values(), ids=TAKEN.keys())
def test_a_name_that_is_taken(setup_pod: SetupPod, command: str, reason: str) -> None:
    """What has it is told, and left alone."""
    setup_pod.net.ip(command)
    before = setup_pod.facts()
    with pytest.raises(KernelError) as refusal:
        setup_pod.apply(Setup(children=(MACVLAN,)))
    assert str(refusal.value) == f"cannot make macvlan mv0 on net1: {reason} (EEXIST); give another name"
    assert refusal.value.refusal is Reason.POD
    assert setup_pod.facts() == before


def test_a_vlan_of_another_id(setup_pod: SetupPod) -> None:
    """It is not what is asked for, though it has the name."""
    setup_pod.needs("vlan")
    setup_pod.net.ip("link add net1.5 link net1 type vlan id 6")
    with pytest.raises(KernelError, match="a vlan of that name is on it with another id"):
        setup_pod.apply(Setup(children=(ChildSetup(kind="vlan", name="net1.5", id=5, setup=Setup()),)))


def test_a_macvlan_on_a_macvlan(setup_pod: SetupPod) -> None:
    """The kernel puts it beside the first, on what that is on; it is known there, and deleted there."""
    home, pod = setup_pod.far, setup_pod.net
    home.ip("link add under0 type ifb")
    home.ip("link set under0 up")
    home.ip("link add shared0 link under0 type macvlan mode bridge")
    home.call(changes.move, home.link("shared0").ifindex, pod.fd)
    setup_pod.ifindex = pod.link("shared0").ifindex
    setup = Setup(children=(MACVLAN,))
    for _ in range(2):
        setup_pod.apply(setup)
        mv0, shared0 = pod.link("mv0"), pod.link("shared0")
        assert (mv0.link, mv0.link_netnsid) == (shared0.link, shared0.link_netnsid)
        assert mv0.link_netnsid is not None
    setup_pod.act(lambda target: delete_beside(target, {"mv0"}), setup)
    assert "mv0" in pod.names()
    for _ in range(2):
        setup_pod.act(delete_beside, setup)
        assert "mv0" not in pod.names()


def test_those_on_the_interface_are_left_to_the_way_home(setup_pod: SetupPod) -> None:
    """It deletes every device on it, whoever has made it."""
    setup_pod.apply(Setup(children=(MACVLAN,)))
    setup_pod.act(delete_beside, Setup(children=(MACVLAN,)))
    assert "mv0" in setup_pod.net.names()


# -- VRF ---------------------------------------------------------------------------------------------------------------


def test_a_vrf_is_made_and_goes_with_its_last_port(setup_pod: SetupPod) -> None:
    """It is up, has the table, and the interface in it."""
    setup_pod.needs("vrf")
    before = setup_pod.facts()
    for _ in range(2):
        setup_pod.act(enter_vrf, VRF)
        [red] = setup_pod.net.ip_json("-d link show dev red")
        assert red["linkinfo"]["info_data"]["table"] == 70
        assert "UP" in red["flags"]
        assert setup_pod.net.link("net1").master == red["ifindex"]
    setup_pod.net.ip("link set eth0 master red")
    setup_pod.act(leave_vrf, VRF)
    assert setup_pod.net.link("net1").master is None
    assert "red" in setup_pod.net.names()
    setup_pod.net.ip("link set eth0 nomaster")
    for _ in range(2):
        setup_pod.act(leave_vrf, VRF)
        assert "red" not in setup_pod.net.names()
    assert setup_pod.facts()["-d link show"] == before["-d link show"]


def test_a_vrf_of_somebody_else_stays(setup_pod: SetupPod) -> None:
    """The interface leaves it."""
    setup_pod.needs("vrf")
    setup_pod.net.ip("link add red up type vrf table 70")
    setup_pod.act(enter_vrf, VRF)
    assert setup_pod.net.link("net1").master is not None
    setup_pod.act(leave_vrf, VRF)
    assert setup_pod.net.link("net1").master is None
    assert "red" in setup_pod.net.names()


@pytest.mark.parametrize("is_entered", [True, False])
def test_a_vrf_that_was_made_halfway(setup_pod: SetupPod, *, is_entered: bool) -> None:
    """The daemon died when it had made it: it is known for ours, finished and deleted, or deleted at once."""
    setup_pod.needs("vrf")
    setup_pod.net.ip(f"link add red group {children._HALF_MADE} type vrf table 70")
    if is_entered:
        setup_pod.act(enter_vrf, VRF)
        red = setup_pod.net.link("red")
        assert (red.is_up, red.group, red.alias) == (True, 0, "made by nri-netdev")
    setup_pod.act(leave_vrf, VRF)
    assert "red" not in setup_pod.net.names()


def test_a_vrf_of_somebody_else_that_is_down(setup_pod: SetupPod) -> None:
    """It is set up, and is still somebody else's."""
    setup_pod.needs("vrf")
    setup_pod.net.ip("link add red type vrf table 70")
    setup_pod.act(enter_vrf, VRF)
    setup_pod.act(leave_vrf, VRF)
    assert "red" in setup_pod.net.names()


def test_a_link_is_made_with_its_group(setup_pod: SetupPod) -> None:
    """So a VRF of ours is told by it until it has its alias; on any kernel."""
    attrs = {IFLA_IFNAME: from_text("red"), IFLA_GROUP: u32(children._HALF_MADE)}
    setup_pod.net.call(make_link, "make red", "bridge", attrs, {})
    assert setup_pod.net.link("red").group == children._HALF_MADE


RED = Link(ifindex=9, ifname="red", kind="vrf", alias="made by nri-netdev")


@pytest.mark.parametrize(
    ("red", "kept", "is_deleted"),
    [
        (RED, (), True),
        (RED, ("blue",), True),
        (RED, ("red",), False),
        (replace(RED, alias=None), (), False),
        (replace(RED, alias=None, is_up=True), (), False),
        (replace(RED, alias=None, group=children._HALF_MADE), (), True),
    ],
    ids=["ours", "others ask for another", "others ask for it", "theirs, down", "theirs, up", "ours, half made"],
)
def test_which_vrf_is_deleted(red: Link, kept: tuple[str, ...], *, is_deleted: bool) -> None:
    """On any kernel: ours, once nobody else asks for it."""
    asked: list[int] = []

    class Rtnl:
        def link_called(self, _: str) -> Link:
            return red

        def links(self) -> tuple[Link, ...]:
            return (red,)

        def change(self, _action: str, kind: int, _payload: bytes, _flags: int = 0) -> None:
            asked.append(kind)

    leave_vrf(Target(rtnl=cast("rtnetlink.Rtnl", Rtnl()), ifindex=5, setup=VRF), kept)
    assert asked == ([RTM_DELLINK] if is_deleted else [])


def test_a_vrf_that_has_another_table(setup_pod: SetupPod) -> None:
    """It is refused, as its ports would change theirs."""
    setup_pod.needs("vrf")
    setup_pod.net.ip("link add red type vrf table 71")
    with pytest.raises(KernelError) as refusal:
        setup_pod.apply(VRF)
    assert str(refusal.value) == (
        "cannot make vrf red with table 70: it is there with table 71 (EEXIST); give that table, or another name"
    )


def test_a_name_of_a_vrf_that_is_taken(setup_pod: SetupPod) -> None:
    """What has it is told, and left alone, also by what undoes."""
    setup_pod.net.ip("link add red type bridge")
    setup_pod.net.ip("link set net1 master red")
    with pytest.raises(KernelError) as refusal:
        setup_pod.apply(VRF)
    assert str(refusal.value) == (
        "cannot make vrf red with table 70: a bridge has that name (EEXIST); give another name"
    )
    setup_pod.undo(VRF)
    assert setup_pod.net.link("net1").master == setup_pod.net.link("red").ifindex


def test_addresses_and_routes_in_a_vrf(setup_pod: SetupPod) -> None:
    """They are what it has after it was put in, IPv6 too."""
    setup_pod.needs("vrf")
    setup = Setup(
        vrf=VrfSetup(name="red", table=70),
        addresses=(AddressSetup(address="192.0.2.5/24"), AddressSetup(address="2001:db8::5/64")),
    )
    for _ in range(2):
        setup_pod.apply(setup)
        assert setup_pod.addresses() == ["192.0.2.5/24", "2001:db8::5/64"]
