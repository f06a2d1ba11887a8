"""Devices of a pod's own on an interface of the host, on a real kernel."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import replace

import pytest

from nri_netdev.domain.claim import share_ifindex
from nri_netdev.domain.setup.values import ShareKind
from nri_netdev.errors import KernelError
from nri_netdev.faults import hooked
from nri_netdev.shells.kernel.attributes import to_text
from nri_netdev.shells.kernel.messages import IFLA_IFNAME, link_attributes
from nri_netdev.shells.kernel.netlink import RouteEvents
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup import share
from nri_netdev.shells.kernel.setup.share import NewShare, delete_share, make_share
from tests.shells.conftest import Net

RTNLGRP_LINK = 1
NEW = NewShare(
    ifname="net1",
    mark="nnd-0123456789abcdef",
    kind=ShareKind.MACVLAN,
    mode="bridge",
    mac="02:00:00:00:00:07",
    mtu=1400,
)


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def host(home: Net) -> Net:
    """A host with an interface."""
    home.ip("link add dev0 type veth peer name peer0")
    return home


@contextlib.contextmanager
def events_of(net: Net) -> Iterator[RouteEvents]:
    """The notifications of links in a netns."""
    events = call_in_netns(net.fd, RouteEvents, RTNLGRP_LINK)
    try:
        yield events
    finally:
        events.close()


def make(host: Net, pod: Net, new: NewShare = NEW) -> int:
    return host.call(make_share, host.link("dev0").ifindex, pod.fd, new)


def refused(host: Net, pod: Net, new: NewShare = NEW) -> KernelError:
    with pytest.raises(KernelError) as caught:
        make(host, pod, new)
    return caught.value


@pytest.mark.root
@pytest.mark.parametrize("mode", ["bridge", "private", "vepa"])
def test_a_macvlan_is_made_in_the_pod(host: Net, pod: Net, mode: str) -> None:
    """As iproute2 shows it: down, on the host's interface, with its mark."""
    ifindex = make(host, pod, replace(NEW, mode=mode))
    [shown] = pod.ip_json("-d link show dev net1")

    assert shown["ifindex"] == ifindex == share_ifindex(NEW.mark)
    assert shown["linkinfo"]["info_kind"] == "macvlan"
    assert shown["linkinfo"]["info_data"]["mode"] == mode
    assert (shown["address"], shown["mtu"]) == (NEW.mac, NEW.mtu)
    assert shown["altnames"] == [NEW.mark]
    assert shown["link_index"] == host.link("dev0").ifindex
    assert "UP" not in shown["flags"]


@pytest.mark.root
def test_the_kernel_chooses_what_is_not_asked_for(host: Net, pod: Net) -> None:
    """A MAC address of its own, and the MTU of the interface."""
    host.ip("link set dev0 mtu 1300")
    make(host, pod, replace(NEW, mac=None, mtu=None))
    made = pod.link("net1")

    assert made.mtu == 1300
    assert made.mac not in {None, host.link("dev0").mac}


@pytest.mark.root
def test_nothing_is_seen_of_it_at_home(host: Net, pod: Net) -> None:
    """No device manager could take it: the host's netns has not even a notification of it."""
    before = host.names()
    with events_of(host) as at_home, events_of(pod) as in_pod:
        make(host, pod)
        told = {name: events.read() for name, events in (("home", at_home), ("pod", in_pod))}
    names = {
        place: {to_text(link_attributes(body).get(IFLA_IFNAME)) for _, body in events or ()}
        for place, events in told.items()
    }

    assert names["home"] <= {"dev0"}
    assert "net1" in names["pod"]
    assert host.names() == before


@pytest.mark.root
def test_it_sends_by_the_interface_of_the_host(host: Net, pod: Net, nets_peer: Net) -> None:
    """To the other end of that."""
    host.ip(f"link set peer0 netns {nets_peer.path}")
    for net, name, address in ((nets_peer, "peer0", "192.0.2.1/24"), (host, "dev0", None)):
        net.ip(f"link set {name} up")
        if address:
            net.ip(f"addr add {address} dev {name}")
    make(host, pod)
    pod.ip("addr add 192.0.2.2/24 dev net1")
    pod.ip("link set net1 up")

    assert pod.ip("route get 192.0.2.1").startswith("192.0.2.1 dev net1")
    pod.run("python3", "-c", _SEND)
    neighbours = pod.ip("neigh show 192.0.2.1")
    assert nets_peer.link("peer0").mac in neighbours


_SEND = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
    probe.settimeout(20)
    try:
        probe.connect(("192.0.2.1", 9))
    except ConnectionRefusedError:
        pass
"""
"""That the other end refuses a connection, it must have been asked for."""


@pytest.fixture
def nets_peer(nets: object) -> Net:
    """Stands for what the host's interface leads to."""
    assert callable(nets)
    made = nets()
    assert isinstance(made, Net)
    return made


@pytest.mark.root
def test_to_repeat_it_changes_nothing(host: Net, pod: Net) -> None:
    """Nor if it has been renamed and set up since."""
    ifindex = make(host, pod)
    pod.ip("link set net1 name other0")
    pod.ip("link set other0 up")

    assert make(host, pod) == ifindex
    assert pod.names() == {"lo", "other0"}


@pytest.mark.root
@pytest.mark.parametrize("touch", ["", "link set net1 up", "link set net1 name other0"])
def test_a_crash_before_the_mark(host: Net, pod: Net, touch: str) -> None:
    """What was made is found, whatever has been done to it since, and marked."""

    def die(name: str) -> None:
        if name == "share.made":
            raise KilledError

    with hooked(die), pytest.raises(KilledError):
        make(host, pod)
    left = pod.link("net1")
    assert left.altnames == ()
    if touch:
        pod.ip(touch)

    for _ in range(2):
        assert make(host, pod) == left.ifindex
        found = [(one.ifindex, one.altnames) for one in pod.call(Rtnl.links) if one.kind == "macvlan"]
        assert found == [(left.ifindex, (NEW.mark,))]


@pytest.mark.root
def test_one_that_its_container_has_taken_the_mark_from(host: Net, pod: Net) -> None:
    """It is marked again."""
    ifindex = make(host, pod)
    pod.ip(f"link property del dev net1 altname {NEW.mark}")

    assert make(host, pod) == ifindex
    assert pod.link("net1").altnames == (NEW.mark,)


@pytest.mark.root
def test_it_keeps_its_index_in_another_netns(host: Net, pod: Net, nets_peer: Net) -> None:
    """By which it is known there."""
    ifindex = make(host, pod)
    pod.ip(f"link set net1 netns {nets_peer.path} name hidden0")
    hidden = nets_peer.link("hidden0")

    assert (hidden.ifindex, hidden.link) == (ifindex, host.link("dev0").ifindex)
    assert hidden.link_netnsid is not None


@pytest.mark.root
def test_a_name_that_an_interface_at_home_has(host: Net, pod: Net) -> None:
    """It may have it in the pod."""
    host.ip("link add net1 type ifb")

    assert make(host, pod) == pod.link("net1").ifindex


@pytest.mark.root
@pytest.mark.parametrize(
    "other",
    [
        "link add net1 type ifb",
        "link add link under0 name net1 type macvlan mode bridge",
        f"link add link under0 name net1 index {share_ifindex(NEW.mark)} type macvlan mode bridge",
        "link property add dev under0 altname net1",
    ],
)
def test_another_interface_of_the_name(host: Net, pod: Net, other: str) -> None:
    """It is not taken for ours."""
    pod.ip("link add under0 type ifb")
    pod.ip(other)
    error = refused(host, pod)

    assert error.errno == errno.EEXIST
    assert str(error) == "cannot make net1: the pod has another interface of this name (EEXIST)"


@pytest.mark.root
@pytest.mark.parametrize("touch", ["link set net1 up", "link property add dev net1 altname own0"])
def test_what_somebody_has_used_is_not_ours(host: Net, pod: Net, touch: str) -> None:
    """An administrator's macvlan on the same interface, in the same pod."""
    host.ip(f"link add link dev0 name net1 netns {pod.path} type macvlan mode bridge")
    pod.ip(touch)

    assert refused(host, pod).errno == errno.EEXIST


@pytest.mark.root
def test_one_on_another_interface_is_not_ours(host: Net, pod: Net) -> None:
    """Though of the same kind, and as made."""
    host.ip(f"link add link peer0 name net1 netns {pod.path} type macvlan mode bridge")

    assert refused(host, pod).errno == errno.EEXIST


@pytest.mark.root
def test_a_kind_that_the_kernel_may_lack(host: Net, pod: Net) -> None:
    """Where it has the kind, it is made."""
    new = replace(NEW, kind=ShareKind.IPVLAN, mode="l3", mac=None)
    told = ""
    try:
        make(host, pod, new)
    except KernelError as error:
        told = str(error)
    if told:
        assert told.startswith("cannot make net1 of kind ipvlan in mode l3 on dev0: this kernel has no ipvlan")
        assert pod.names() == {"lo"}
        return
    [shown] = pod.ip_json("-d link show dev net1")
    assert shown["linkinfo"]["info_data"]["mode"] == "l3"
    assert shown["altnames"] == [NEW.mark]


@pytest.mark.root
@pytest.mark.parametrize(
    ("prepare", "new", "text"),
    [
        ("", replace(NEW, mtu=9000), "its MTU would be 9000, and that of dev0 is 1500 (EINVAL)"),
        ("", replace(NEW, kind=ShareKind.IPVLAN, mode="l2"), "in mode l2 it has the MAC address of dev0, and no other"),
        ("link add br0 type bridge;link set dev0 master br0", NEW, "dev0 is a port of a bridge or a bond, or has "),
        (
            "link add mv0 link dev0 type macvlan mode passthru",
            NEW,
            "dev0 takes none, or none besides those that it has",
        ),
    ],
)
def test_what_cannot_be_is_told(host: Net, pod: Net, prepare: str, new: NewShare, text: str) -> None:
    """In words, and nothing is left in the pod."""
    for command in filter(None, prepare.split(";")):
        host.ip(command)

    assert text in str(refused(host, pod, new))
    assert pod.names() == {"lo"}


@pytest.mark.root
def test_an_interface_that_is_gone(host: Net, pod: Net) -> None:
    """It is told as that."""
    with pytest.raises(KernelError, match="ENODEV"):
        host.call(make_share, 77, pod.fd, NEW)


@pytest.mark.root
def test_it_is_deleted(host: Net, pod: Net) -> None:
    """Once or more often."""
    ifindex = make(host, pod)
    for _ in range(2):
        pod.call(delete_share, ifindex)

    assert pod.names() == {"lo"}


@pytest.mark.root
def test_a_mark_that_cannot_be_set(host: Net, pod: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made is deleted: nobody would know it."""

    def refuse(_rtnl: Rtnl, _ifindex: int, altname: str) -> None:
        raise KernelError(action=f"mark it {altname}", errno=errno.ENOMEM)

    monkeypatch.setattr(share, "add_altname", refuse)

    assert str(refused(host, pod)).startswith(f"cannot mark it {NEW.mark}")
    assert pod.names() == {"lo"}
