"""A whole setup on a real kernel: the same however often it is applied and wherever it was cut, and undone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from nri_netdev.domain.links import Address
from nri_netdev.domain.setup.values import (
    AddressSetup,
    ChildSetup,
    Dad,
    EthtoolSetup,
    NeighborSetup,
    RouteSetup,
    RuleSetup,
    Setup,
    VrfSetup,
)
from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup import addressing, link, target
from nri_netdev.shells.kernel.setup import apply as applying
from nri_netdev.shells.kernel.setup.apply import STEPS, undo
from tests.shells.conftest import Net
from tests.shells.kernel.furniture import CutError, cut_at
from tests.shells.kernel.setup.conftest import SetupPod

pytestmark = pytest.mark.root

CHILD = Setup(
    addresses=(AddressSetup(address="203.0.113.5/24"), AddressSetup(address="2001:db8:5::5/64")),
    routes=(RouteSetup(to="203.0.114.0/24", via="203.0.113.1"),),
    neighbors=(NeighborSetup(dst="203.0.113.1", lladdr="02:00:00:00:00:55"),),
    mtu=1300,
    mac="02:00:00:00:00:78",
    sysctls={"ipv4/conf/rp_filter": "0"},
)
EVERYTHING = Setup(
    addresses=(
        AddressSetup(address="192.0.2.5/24", broadcast="192.0.2.255"),
        AddressSetup(address="192.0.2.6/24"),
        AddressSetup(address="2001:db8::5/64"),
        AddressSetup(address="2001:db8::6/64", dad=Dad.OFF),
    ),
    keep_addresses=False,
    routes=(
        RouteSetup(to="198.51.100.0/24", via="198.18.0.1", mtu=1300),
        RouteSetup(to="198.18.0.0/16", src="192.0.2.6"),
        RouteSetup(to="0.0.0.0/0", via="192.0.2.1", table=100),
        RouteSetup(to="::/0", via="2001:db8::1", metric=50, src="2001:db8::5"),
    ),
    rules=(
        RuleSetup(source="192.0.2.5/32", table=100),
        RuleSetup(source="2001:db8::/64", table=100, priority=90),
    ),
    neighbors=(NeighborSetup(dst="192.0.2.1", lladdr="02:00:00:00:00:01"),),
    mtu=1400,
    mac="02:00:00:00:00:77",
    txqueuelen=77,
    promisc=True,
    allmulti=True,
    arp=True,
    gso_max_size=30000,
    gro_max_size=30000,
    detach_bpf=True,
    sysctls={"ipv4/conf/rp_filter": "2", "ipv6/conf/accept_ra": "0"},
    ethtool=EthtoolSetup(features={"rx-gro": False}),
    children=(ChildSetup(kind="macvlan", name="mv0", mode="bridge", setup=CHILD),),
)
KEPT = (Address(family=2, address="172.31.0.5", prefixlen=16, label="ens3", flags=0x80),)
BEFORE = ("addr add 192.0.2.99/24 dev net1", "addr add 172.31.0.5/16 dev net1", "-6 addr add 2001:db8::99/64 dev net1")


@pytest.mark.parametrize("times", [1, 2, 3])
def test_everything_is_as_asked(setup_pod: SetupPod, times: int) -> None:
    """However often it is applied."""
    for command in BEFORE:
        setup_pod.net.ip(command)
    for _ in range(times):
        setup_pod.apply(EVERYTHING, KEPT)
    [shown] = setup_pod.net.ip_json("-d link show dev net1")
    numbers = [shown[key] for key in ("mtu", "txqlen", "gso_max_size", "gro_max_size")]
    assert numbers == [1400, 77, 30000, 30000]
    assert shown["address"] == "02:00:00:00:00:77"
    assert {"UP", "PROMISC", "ALLMULTI"} <= set(shown["flags"])
    assert setup_pod.addresses() == [
        "172.31.0.5/16",
        "192.0.2.5/24",
        "192.0.2.6/24",
        "2001:db8::5/64",
        "2001:db8::6/64",
    ]
    assert setup_pod.addresses("mv0") == ["2001:db8:5::5/64", "203.0.113.5/24"]
    assert len(setup_pod.routes("proto static")) == 3
    assert setup_pod.net.ip("rule").count("lookup 100") == 1
    assert setup_pod.net.sysctl("ipv4/conf/net1/rp_filter") == "2"
    assert setup_pod.net.sysctl("ipv4/conf/mv0/rp_filter") == "0"
    [child] = setup_pod.net.ip_json("link show dev mv0")
    assert (child["mtu"], child["address"], "UP" in child["flags"]) == (1300, "02:00:00:00:00:78", True)


IN_VRF = Setup(
    vrf=VrfSetup(name="red", table=70),
    addresses=EVERYTHING.addresses,
    routes=(RouteSetup(to="0.0.0.0/0", via="192.0.2.1"), RouteSetup(to="::/0", via="2001:db8::1")),
    children=(ChildSetup(kind="vlan", name="net1.5", id=5, setup=CHILD),),
)


@pytest.mark.parametrize(
    ("setup", "kinds"),
    [(EVERYTHING, ("macvlan",)), (IN_VRF, ("vrf", "vlan"))],
    ids=["everything", "in a VRF, with a VLAN"],
)
def test_cut_short_anywhere(nets: Callable[[], Net], setup: Setup, kinds: tuple[str, ...]) -> None:
    """Killed after any of its steps and begun again, it ends where it would have ended."""

    def prepared() -> SetupPod:
        pod = SetupPod(nets(), nets())
        for command in BEFORE:
            pod.net.ip(command)
        return pod

    whole = prepared()
    for kind in kinds:
        whole.needs(kind)
    whole.apply(setup, KEPT)
    wanted = whole.facts()
    number = 0
    while True:
        pod, cut = prepared(), None
        with cut_at(number) as passed:
            try:
                pod.apply(setup, KEPT)
            except CutError as error:
                cut = str(error)
        pod.apply(setup, KEPT)
        assert same(pod.facts()) == same(wanted), f"after a cut at {cut}"
        if cut is None:
            names = [name.removeprefix("setup.") for name in passed if name.startswith("setup.")]
            assert set(names) == {each.name for each in STEPS}
            return
        number += 1


def same(facts: dict[str, object]) -> str:
    """Facts without what differs from pod to pod: the MAC addresses of what nobody has given one."""
    return re.sub(
        r"([0-9a-f]{2}:){5}[0-9a-f]{2}|fe80::[0-9a-f:]+|ff02::1:ff[0-9a-f:]+|link_netnsid.: \d+", "…", str(facts)
    )


def test_what_is_undone_is_as_if_never_asked_for(setup_pod: SetupPod) -> None:
    """Rules and devices; to undo it twice does nothing more."""
    rules = setup_pod.facts()["rule"], setup_pod.facts()["-6 rule"]
    setup_pod.apply(EVERYTHING, KEPT)
    for _ in range(2):
        setup_pod.undo(EVERYTHING)
        assert (setup_pod.facts()["rule"], setup_pod.facts()["-6 rule"]) == rules
    setup_pod.net.ip("link del net1")
    setup_pod.undo(EVERYTHING)
    assert setup_pod.net.names() == {"lo", "eth0"}


def test_undone_after_a_cut(setup_pod: SetupPod) -> None:
    """Wherever it was cut."""
    setup_pod.apply(EVERYTHING, KEPT)
    for number in range(3):
        with cut_at(number), pytest.raises(CutError):
            setup_pod.undo(EVERYTHING)
    with cut_at(3) as passed:
        setup_pod.undo(EVERYTHING)
    assert passed == ["setup.rules_removed", "setup.children_deleted", "setup.vrf_left"]


def test_nothing_asked_for_changes_nothing(setup_pod: SetupPod) -> None:
    """The kernel is read alone."""
    before = setup_pod.facts()
    setup_pod.apply(Setup())
    setup_pod.undo(Setup())
    assert setup_pod.facts() == before


def test_one_that_is_to_be_down(setup_pod: SetupPod) -> None:
    """It has its addresses, those of IPv6 too, which the kernel has taken when it went down."""
    setup = Setup(up=False, addresses=(AddressSetup(address="192.0.2.5/24"), AddressSetup(address="2001:db8::5/64")))
    for _ in range(2):
        setup_pod.apply(setup)
        assert not setup_pod.net.link("net1").is_up
        assert setup_pod.addresses() == ["192.0.2.5/24", "2001:db8::5/64"]
    setup_pod.net.ip("link set net1 up")
    assert setup_pod.addresses() == ["192.0.2.5/24", "2001:db8::5/64"]


def test_addresses_come_back_where_the_mac_address_needs_it_down(
    setup_pod: SetupPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of home too."""
    kept = (Address(family=10, address="2001:db8::4", prefixlen=64, flags=0x80),)
    setup_pod.net.ip("-6 addr add 2001:db8::4/64 dev net1 nodad")
    monkeypatch.setattr(
        link, "change_when_down", lambda its, change: (target.set_down(its.rtnl, its.ifindex), change())
    )
    setup_pod.apply(Setup(mac="02:00:00:00:00:77"), kept)
    assert setup_pod.addresses() == ["2001:db8::4/64"]
    assert setup_pod.net.link("net1").is_up


def test_a_refusal_names_what_was_asked(setup_pod: SetupPod) -> None:
    """And is blamed on the annotation where the kernel cannot take the value; ethtool's names the interface too."""
    with pytest.raises(KernelError) as refusal:
        setup_pod.apply(Setup(mtu=65536))
    assert refusal.value.refusal is Reason.ANNOTATION
    with pytest.raises(KernelError, match=r"nosuch.* on net1"):
        setup_pod.apply(Setup(ethtool=EthtoolSetup(features={"nosuch": True})))


def test_a_whole_vrf(setup_pod: SetupPod) -> None:
    """With routes in its table; undone, the interface is out of it and it is gone."""
    setup_pod.needs("vrf")
    setup = Setup(
        vrf=VrfSetup(name="red", table=70),
        addresses=(AddressSetup(address="192.0.2.5/24"), AddressSetup(address="2001:db8::5/64")),
        routes=(RouteSetup(to="0.0.0.0/0", via="192.0.2.1"), RouteSetup(to="::/0", via="2001:db8::1")),
    )
    for _ in range(2):
        setup_pod.apply(setup)
        assert len(setup_pod.net.ip("route show vrf red proto static").splitlines()) == 1
        assert len(setup_pod.net.ip("-6 route show vrf red proto static").splitlines()) == 1
    assert "default via 10.0.0.1 dev eth0" in setup_pod.net.ip("route show")
    setup_pod.undo(setup)
    assert "red" not in setup_pod.net.names()


@pytest.mark.parametrize("kind", ["vlan", "ipvlan"])
def test_other_children_are_set_up(setup_pod: SetupPod, kind: str) -> None:
    """As the interface itself is."""
    setup_pod.needs(kind)
    own = Setup(addresses=(AddressSetup(address="203.0.113.5/24"),), mtu=1300)
    setup = Setup(children=(ChildSetup(kind=kind, name="sub0", id=5, mode="l2", setup=own),))
    for _ in range(2):
        setup_pod.apply(setup)
        assert setup_pod.addresses("sub0") == ["203.0.113.5/24"]
    assert setup_pod.net.link("sub0").mtu == 1300


def test_the_table_of_steps_is_fit_for_the_docs() -> None:
    """Each has a name of its own and a text."""
    assert len({each.name for each in STEPS}) == len(STEPS)
    assert all(each.text for each in STEPS)


def test_duplicates_are_waited_for_once(setup_pod: SetupPod, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the interface and all that is on it together; routes that send from such an address come after."""

    def waited(number: int) -> Setup:
        address = f"2001:db8:{number}::5"
        return Setup(
            addresses=(AddressSetup(address=f"{address}/64", dad=Dad.WAIT),),
            routes=(RouteSetup(to=f"2001:db8:ff{number}::/64", via=f"2001:db8:{number}::1", src=address),),
        )

    slept: list[float] = []
    sleep = time.sleep
    monkeypatch.setattr(addressing.time, "sleep", lambda seconds: (slept.append(seconds), sleep(seconds)))
    children = tuple(ChildSetup(kind="macvlan", name=f"mv{n}", mode="bridge", setup=waited(n)) for n in range(1, 13))
    setup_pod.apply(replace(waited(99), children=children))
    assert 0 < sum(slept) < 1
    assert setup_pod.addresses("mv12") == ["2001:db8:12::5/64"]
    assert "tentative" not in setup_pod.net.ip("-6 addr show scope global")
    for number in (99, 1, 12):
        assert f"src 2001:db8:{number}::5" in setup_pod.net.ip(f"-6 route show 2001:db8:ff{number}::/64")
    assert setup_pod.net.sysctl("ipv6/neigh/mv12/retrans_time_ms") == "1000"


def test_an_address_of_a_device_on_it_that_another_host_has(setup_pod: SetupPod) -> None:
    """It is refused, by the name of that device."""
    setup_pod.far.ip("-6 addr add 2001:db8::6/64 dev far0 nodad")
    child = Setup(addresses=(AddressSetup(address="2001:db8::6/64", dad=Dad.WAIT),))
    asked = Setup(children=(ChildSetup(kind="macvlan", name="mv0", mode="bridge", setup=child),))
    with pytest.raises(KernelError, match="cannot add address 2001:db8::6/64 on mv0: address 2001:db8::6 is in use"):
        setup_pod.apply(asked)


def test_what_others_ask_for_stays(setup_pod: SetupPod) -> None:
    """Of rules of both the first to leave takes only its own; where it was not given to, none are its own."""
    own, both = RuleSetup(source="192.0.2.5/32", table=100), RuleSetup(source="192.0.2.0/24", table=100)
    mine = Setup(rules=(own, both))
    others = Setup(children=(ChildSetup(kind="macvlan", name="mv0", setup=Setup(rules=(both,))),))
    setup_pod.apply(mine)
    setup_pod.net.call(lambda rtnl: undo(rtnl, setup_pod.ifindex, mine, is_away=True))
    assert setup_pod.net.ip("rule").count("lookup 100") == 2
    for _ in range(2):
        setup_pod.net.call(undo, 0, mine, [others])
        assert setup_pod.net.ip("rule").count("lookup 100") == 1
    setup_pod.net.call(undo, 0, mine)
    assert setup_pod.net.ip("rule").count("lookup 100") == 0


def test_what_cannot_be_undone_keeps_nothing_else(
    setup_pod: SetupPod, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each refusal is logged."""
    first, second = RuleSetup(source="192.0.2.5/32", table=100), RuleSetup(source="192.0.2.6/32", table=100)
    setup_pod.apply(Setup(rules=(first, second)))
    real = applying.remove_rules

    def remove(rtnl: Rtnl, rules: Sequence[RuleSetup], kept: Sequence[RuleSetup]) -> None:
        if first in rules:
            raise KernelError(action="remove rule", errno=16)
        real(rtnl, rules, kept)

    def refuse(*_: object) -> None:
        raise KernelError(action="leave", errno=16)

    monkeypatch.setattr(applying, "remove_rules", remove)
    monkeypatch.setattr(applying, "delete_beside", refuse)
    monkeypatch.setattr(applying, "leave_vrf", refuse)
    with caplog.at_level("WARNING"):
        setup_pod.undo(Setup(rules=(first, second)))
    assert setup_pod.net.ip("rule").count("lookup 100") == 1
    assert [record.getMessage() for record in caplog.records] == ["setup.left_behind"] * 3
