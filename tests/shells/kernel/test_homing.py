"""The way home on a real kernel: an interface comes back as it was, whatever was done to it and wherever it was cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nri_netdev.domain.setup.values import RuleSetup, Setup
from nri_netdev.domain.snapshot import Away, Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import changes, homing, naming, restore
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup import apply
from tests.shells.conftest import Net
from tests.shells.kernel.furniture import (
    MARK,
    CutError,
    assert_same,
    captured,
    cut_at,
    facts,
    fetch,
    furnish,
    give,
    settled,
)

pytestmark = pytest.mark.root

V1 = Path(__file__).parents[2] / "domain/snapshot_v1.json"
"""What the release before facets read of the interface that `furnish_beside_another` makes."""


def furnish_beside_another(home: Net) -> None:
    """Furnish `dev0`, a veth, on a host whose other interface has addresses and routes of its own."""
    home.ip("link add other0 type ifb")
    home.ip("addr add 172.31.0.1/24 dev other0")
    home.ip("-6 addr add fd00:31::1/64 dev other0 nodad")
    home.ip("link set other0 up")
    home.ip("link add dev0 type veth peer name peer0")
    home.ip("link set peer0 up")
    furnish(home)


def test_comes_home_as_it_was(furnished: Net, pod: Net) -> None:
    """Every fact that iproute2 shows of the interface is the same before and after."""
    before = settled(furnished)
    snapshot = give(furnished, pod)
    report = fetch(furnished, pod, snapshot)
    assert report.troubles() == ()
    assert_same(before, furnished)
    assert pod.names() == {"lo"}


def test_what_an_earlier_release_has_given_away_comes_home(home: Net, pod: Net) -> None:
    """By the snapshot that it wrote: everything that was in it is put back, what was not is left alone."""
    furnish_beside_another(home)
    before = settled(home)
    document = json.loads(V1.read_text(encoding="utf-8"))
    snapshot = give(home, pod)
    pod.ip("link set net1 down")
    pod.ip("link set net1 mtu 900 alias mine group 3 address 02:de:ad:00:00:01")
    document["link"]["ifindex"] = snapshot.link.ifindex
    report = fetch(home, pod, Snapshot.from_json({**document, "taken_s": snapshot.taken_s}))
    assert report.troubles() == ()
    assert_same(before, home)


def test_comes_home_down_if_it_was(home: Net, pod: Net) -> None:
    """An interface that was down and bare is down and bare again."""
    home.ip("link add dev0 type ifb")
    before = facts(home)
    report = fetch(home, pod, give(home, pod))
    assert report.troubles() == ()
    assert_same(before, home)


MISCHIEF: dict[str, tuple[str, ...]] = {
    "renamed": ("link set net1 down", "link set net1 name eth7"),
    "down": ("link set net1 down",),
    "mac": ("link set net1 down", "link set net1 address 02:de:ad:00:00:01"),
    "mtu": ("link set net1 mtu 900",),
    "alias, group, queue": ("link set net1 alias mine", "link set net1 group 42", "link set net1 txqueuelen 5"),
    "altnames": ("link property del dev net1 altname enp99s0", "link property add dev net1 altname minemine"),
    "unmarked": (f"link property del dev net1 altname {MARK}",),
    "flags": ("link set net1 promisc on", "link set net1 multicast off", "link set net1 arp off"),
    "enslaved": ("link add br7 type bridge", "link set net1 master br7", "link set br7 up"),
    "children": ("link add link net1 name child1 type macvlan", "link set child1 up"),
    "addresses": ("addr flush dev net1", "addr add 10.77.0.1/24 dev net1", "route add 10.78.0.0/16 via 10.77.0.9"),
    "host's name taken inside": ("link add dev0 type ifb",),
    "altname is the host's name": ("link property add dev net1 altname dev0",),
}


@pytest.mark.parametrize("mischief", MISCHIEF.values(), ids=MISCHIEF.keys())
def test_whatever_the_container_did(home: Net, pod: Net, mischief: tuple[str, ...]) -> None:
    """Nothing that a container with NET_ADMIN does to the interface remains at home."""
    furnish_beside_another(home)
    before = settled(home)
    snapshot = give(home, pod)
    ifindex = pod.link("net1").ifindex
    for command in mischief:
        pod.ip(command)
    report = homing.bring_home(pod.fd, ifindex, Away(snapshot=snapshot, mark=MARK), home.fd)
    home.call(naming.unmark, report.ifindex, MARK)
    assert report.troubles() == ()
    assert_same(before, home)


@pytest.mark.parametrize(
    "spoil",
    [
        ("link set net1 type macvlan mode passthru nopromisc",),
        ("link set net1 promisc on", "link set net1 allmulticast on"),
        ("link add br0 type bridge", "link set net1 master br0"),
    ],
    ids=["hears less", "hears more", "is a port"],
)
def test_the_device_below_hears_what_it_did(home: Net, pod: Net, spoil: tuple[str, ...]) -> None:
    """A macvlan that has it hear everything does so no more often than before."""

    def heard() -> tuple[int, int]:
        [below] = json.loads(home.ip("-j -d link show under0"))
        return below["promiscuity"], below.get("allmulti", 0)

    home.ip("link add under0 type veth peer name under1")
    for name in ("under0", "under1"):
        home.ip(f"link set {name} up")
    home.ip("link add dev0 link under0 type macvlan mode passthru")
    home.ip("link set dev0 up")
    before = heard()
    snapshot = give(home, pod)
    for command in spoil:
        pod.ip(command)
    assert fetch(home, pod, snapshot).troubles() == ()
    assert heard() == before


def test_name_taken_at_home(home: Net, pod: Net) -> None:
    """It comes home under a free name, its report names who has its own, and it gets that back when it becomes free."""
    home.ip("link add dev0 type ifb")
    home.ip("addr add 192.0.2.5/24 dev dev0")
    home.ip("link set dev0 up")
    before = settled(home)
    snapshot = give(home, pod)
    home.ip("link add dev0 type ifb")
    report = homing.bring_home(pod.fd, pod.link("net1").ifindex, Away(snapshot=snapshot, mark=MARK), home.fd)
    assert report.ifname == "net1"
    assert "its name is taken by ifb dev0" in report.troubles()[0]
    assert home.ip("-o addr show dev net1").count("192.0.2.5/24") == 1
    home.ip("link del dev0")
    report = home.call(restore.restore, snapshot, report.ifindex, MARK)
    home.call(naming.unmark, report.ifindex, MARK)
    assert report.troubles() == ()
    assert_same(before, home)


def test_both_names_taken_at_home(home: Net, pod: Net) -> None:
    """With its own name and the container's taken it gets one that nobody has."""
    home.ip("link add dev0 type ifb")
    snapshot = give(home, pod)
    home.ip("link add dev0 type ifb")
    home.ip("link add net1 type ifb")
    report = fetch(home, pod, snapshot)
    assert report.ifname.startswith("nnd")
    assert home.names() >= {"dev0", "net1", report.ifname}


def test_index_taken_at_home(home: Net, pod: Net) -> None:
    """It is found by its mark where the kernel had to give it another index."""
    home.ip("link add dev0 type ifb")
    home.ip("addr add 192.0.2.5/24 dev dev0")
    home.ip("link set dev0 up")
    home.ip("route add 198.51.100.0/24 via 192.0.2.1")
    before = settled(home)
    index = home.link("dev0").ifindex
    snapshot = give(home, pod)
    home.ip(f"link add squatter index {index} type ifb")
    report = fetch(home, pod, snapshot)
    assert report.troubles() == ()
    assert report.ifindex != index
    assert_same(before, home)


def test_cut_short_anywhere(nets: Callable[[], Net]) -> None:
    """Killed after any of its steps and begun again, the way home ends where it would have ended."""
    number = 0
    while True:
        home, pod = nets(), nets()
        furnish_beside_another(home)
        before = settled(home)
        snapshot = give(home, pod)
        pod.ip("link add br7 type bridge")
        pod.ip("link set net1 address 02:de:ad:00:00:01 mtu 900 master br7")
        index = pod.link("net1").ifindex
        cut = None
        with cut_at(number) as passed:
            try:
                homing.bring_home(pod.fd, index, Away(snapshot=snapshot, mark=MARK), home.fd)
            except CutError as error:
                cut = str(error)
        at_home = home.call(Rtnl.link_called, MARK)
        if at_home is None:
            report = homing.bring_home(pod.fd, index, Away(snapshot=snapshot, mark=MARK), home.fd)
        else:
            report = home.call(restore.restore, snapshot, at_home.ifindex, MARK)
        home.call(naming.unmark, report.ifindex, MARK)
        assert report.troubles() == (), f"after a cut at {cut}"
        assert_same(before, home, cut)
        if cut is None:
            assert len(passed) > 15
            return
        number += 1


def test_complete_gives_name_addresses_and_up(home: Net, pod: Net) -> None:
    """What runc leaves undone is done: IPv6, the name, up; link-scope and link-local addresses stay out."""
    home.ip("link add dev0 type ifb")
    home.ip("link set dev0 up")
    for address in ("192.0.2.5/24", "198.18.0.1/24 scope link", "2001:db8:1::5/64"):
        home.ip(f"addr add {address} dev dev0")
    snapshot = settled(home) and home.call(captured, home.link("dev0").ifindex)
    index = snapshot.link.ifindex
    home.call(changes.move, index, pod.fd)
    pod.call(homing.complete, index, "net1", snapshot.addresses)
    pod.call(homing.complete, index, "net1", snapshot.addresses)
    [shown] = pod.ip_json("addr show dev net1")
    assert "UP" in shown["flags"]
    given = {(address["local"], address["prefixlen"]) for address in shown["addr_info"] if address["scope"] == "global"}
    assert given == {("192.0.2.5", 24), ("2001:db8:1::5", 64)}
    assert not any(address["local"] == "198.18.0.1" for address in shown["addr_info"])


def test_one_that_is_gone(home: Net, pod: Net) -> None:
    """An interface that is not there is a `KernelError` that names the reason, not an accident."""
    home.ip("link add dev0 type ifb")
    snapshot = home.call(captured, home.link("dev0").ifindex)
    with pytest.raises(KernelError, match="No such device"):
        homing.bring_home(pod.fd, 4242, Away(snapshot=snapshot, mark=MARK), home.fd)
    with pytest.raises(KernelError, match="No such device"):
        home.call(restore.restore, snapshot, 4242, MARK)


def test_what_cannot_be_undone_in_the_pod_keeps_it_from_nothing(
    home: Net, pod: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes home whole; what is left is in the pod, and in nobody's way."""
    furnish_beside_another(home)
    before = settled(home)
    snapshot = give(home, pod)
    setup = Setup(rules=(RuleSetup(source="192.0.2.0/24", table=7),), asked=frozenset({"rules"}))

    def refuse(*_: object) -> None:
        raise KernelError(action="remove rule", errno=16)

    for name in ("remove_rules", "delete_beside", "leave_vrf"):
        monkeypatch.setattr(apply, name, refuse)
    away = Away(snapshot=snapshot, mark=MARK, setup=setup)
    report = homing.bring_home(pod.fd, pod.link("net1").ifindex, away, home.fd)
    home.call(naming.unmark, report.ifindex, MARK)
    assert report.troubles() == ()
    assert_same(before, home)
