"""What a pod asks to be set on its interface is so, as iproute2, ethtool, rdma and sysctl tell it; none of it is left.

Each scenario says in lines of sh what is to be told inside, beside what is asked for.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.e2e.cri import CriError
from tests.e2e.machine import CommandError
from tests.vm.kinds import KINDS, Kind
from tests.vm.places import InMachine
from tests.vm.scene import INSIDE, Scene, wait

_PEER = """
ip -n lan link set {dev} mtu 9000
ip -n lan link add link {dev} name tag5 type vlan id 5
ip -n lan addr add 198.51.100.1/24 dev tag5
ip -n lan link set tag5 up
ip -n lan link add link {dev} name stag6 type vlan id 6 protocol 802.1ad
ip -n lan addr add 203.0.113.1/24 dev stag6
ip -n lan link set stag6 up
ip -n lan -6 addr add 2001:db8:1::1/64 dev {dev} nodad
"""
"""What the other end of the cable has."""
_CABLES = {
    "nic": _PEER.format(dev="enp2s0"),
    "igb": "ip link set enp4s0 netns lan\nip -n lan link set enp2s0 down\nip -n lan addr flush dev enp2s0\n"
    "ip -n lan addr add 192.0.2.1/24 dev enp4s0\nip -n lan link set enp4s0 up" + _PEER.format(dev="enp4s0"),
}
_ASKED = {
    "addresses": [
        {"address": "192.0.2.10/24", "metric": 50},
        {"address": "2001:db8:1::10/64", "dad": "wait"},
        "2001:db8:1::11/64",
    ],
    "routes": [
        {"to": "198.18.0.0/16", "via": "192.0.2.1", "metric": 60, "mtu": 1300, "src": "192.0.2.10"},
        {"to": "2001:db8:aa::/48", "via": "2001:db8:1::1"},
        {"to": "default", "via": "192.0.2.1", "table": 77},
    ],
    "rules": [{"from": "192.0.2.10", "table": 77, "priority": 1000}, {"fwmark": 7, "table": 77, "family": "inet6"}],
    "neighbors": [{"dst": "192.0.2.8", "lladdr": "02:00:00:00:00:08"}],
    "mtu": 9000,
    "set_mac": "02:00:00:00:55:01",
    "txqueuelen": 777,
    "allmulti": True,
    "sysctls": {"ipv4.rp_filter": 2, "ipv4.neigh.gc_stale_time": 99, "ipv6.accept_ra": 0},
}
"""Of the interface itself."""
_TOLD = {
    f"ip -d link show dev {INSIDE}": ("mtu 9000", "qlen 777", "ALLMULTI", "link/ether 02:00:00:00:55:01", "LOWER_UP"),
    f"ip addr show dev {INSIDE}": (
        "inet 192.0.2.10/24 metric 50",
        "inet6 2001:db8:1::10/64 scope global \n",
        "inet6 2001:db8:1::11/64 scope global",
    ),
    f"ip route show dev {INSIDE} table all": (
        "192.0.2.0/24 .*metric 50",
        "198.18.0.0/16 via 192.0.2.1 .*src 192.0.2.10 metric 60 mtu 1300",
        "default via 192.0.2.1 table 77",
        "2001:db8:aa::/48 via 2001:db8:1::1",
    ),
    "ip rule; ip -6 rule": ("1000:\tfrom 192.0.2.10 lookup 77", "fwmark 0x7 lookup 77"),
    f"ip neigh show dev {INSIDE} nud permanent": ("192.0.2.8 lladdr 02:00:00:00:00:08 PERMANENT",),
    f"sysctl net.ipv4.conf.{INSIDE}.rp_filter net.ipv4.neigh.{INSIDE}.gc_stale_time net.ipv6.conf.{INSIDE}.accept_ra": (
        "rp_filter = 2",
        "stale_time = 99",
        "accept_ra = 0",
    ),
    "ping -c 1 -w 20 192.0.2.1; ping -c 1 -w 20 2001:db8:1::1": ("bytes from 192.0.2.1", "from 2001:db8:1::1"),
}
_ETHTOOL = {"features": {"rx-gro": False, "tso": False}, "rings": {"rx": 512, "tx": 1024}}
_ETHTOOL_TOLD = {
    f"ethtool -k {INSIDE}": ("generic-receive-offload: off", "tcp-segmentation-offload: off"),
    f"ethtool -g {INSIDE}": (r"Current(.|\n)*RX:\s+512\n(.|\n)*TX:\s+1024\n",),
}
_VLAN = {
    "vlan": [
        {"id": 5, "name": "in5", "addresses": ["198.51.100.10/24"], "mtu": 1400},
        {"id": 6, "name": "in6", "protocol": "802.1ad", "addresses": ["203.0.113.10/24"], "mac": "02:00:00:00:55:06"},
    ],
}
_VLAN_TOLD = {
    "ip -d link show dev in5": ("mtu 1400", "vlan protocol 802.1Q id 5"),
    "ip -d link show dev in6": ("mtu 9000", "vlan protocol 802.1ad id 6", "link/ether 02:00:00:00:55:06"),
    "ping -c 1 -w 20 198.51.100.1": ("bytes from 198.51.100.1",),
    "ping -c 1 -w 20 203.0.113.1": ("bytes from 203.0.113.1",),
}
_OF_E1000E: Mapping[str, Any] = {
    **_ASKED,
    **_VLAN,
    "ethtool": {**_ETHTOOL, "coalesce": {"rx-usecs": 50}},
    "macvlan": {"name": "mv0", "mode": "private", "mac": "02:00:00:00:55:07", "addresses": ["10.9.0.1/24"]},
}
_TOLD_OF_E1000E = {
    **_TOLD,
    **_VLAN_TOLD,
    **_ETHTOOL_TOLD,
    f"ethtool -c {INSIDE}": (r"rx-usecs:\s+50\n",),
    "ip -d addr show dev mv0": ("macvlan mode private", "link/ether 02:00:00:00:55:07", "inet 10.9.0.1/24"),
}
_OF_IGB: Mapping[str, Any] = {
    **_ASKED,
    **_VLAN,
    "vrf": {"name": "red", "table": 88},
    "rules": [{"from": "192.0.2.10", "table": 77, "priority": 900}, {"fwmark": 7, "table": 77, "family": "inet6"}],
    "ethtool": {
        **_ETHTOOL,
        "coalesce": {"rx-usecs": 50, "tx-usecs": 60},
        "channels": {"combined": 1},
        "private_flags": {"legacy-rx": True},
    },
    "ipvlan": {"name": "iv0", "mode": "l2", "addresses": ["10.9.0.1/24"]},
}
_TOLD_OF_IGB = {
    **_TOLD,
    **_VLAN_TOLD,
    **_ETHTOOL_TOLD,
    "ip rule; ip -6 rule": ("900:\tfrom 192.0.2.10 lookup 77", "fwmark 0x7 lookup 77", "lookup .l3mdev-table."),
    f"ip -d link show dev {INSIDE}": (*_TOLD[f"ip -d link show dev {INSIDE}"], "master red"),
    f"ip route show dev {INSIDE} table all": (
        "198.18.0.0/16 via 192.0.2.1 table 88 .*src 192.0.2.10 metric 60 mtu 1300",
        "2001:db8:aa::/48 via 2001:db8:1::1 table 88",
        "default via 192.0.2.1 table 77",
    ),
    "ip -d link show dev red": ("vrf table 88", "state UP"),
    "ping -c 1 -w 20 192.0.2.1; ping -c 1 -w 20 2001:db8:1::1": (),
    "ping -I red -c 1 -w 20 192.0.2.1; ping -I red -c 1 -w 20 2001:db8:1::1": (
        "bytes from 192.0.2.1",
        "from 2001:db8:1::1",
    ),
    f"ethtool -c {INSIDE}": (r"rx-usecs:\s+50\n", r"tx-usecs:\s+60\n"),
    f"ethtool -l {INSIDE}": (r"Current(.|\n)*Combined:\s+1",),
    f"ethtool --show-priv-flags {INSIDE}": ("legacy-rx: on",),
    "ip -d addr show dev iv0": ("ipvlan +mode l2", "inet 10.9.0.1/24"),
}
_IN_PLACES = {"nic": (_OF_E1000E, _TOLD_OF_E1000E), "igb": (_OF_IGB, _TOLD_OF_IGB)}
_VF = {"vlan": 5, "qos": 3, "mac": "02:00:00:00:66:01", "spoofchk": False, "trust": True, "max_tx_rate": 100}
_LACKING: Sequence[tuple[Mapping[str, Any], str]] = (
    ({"ethtool": {"channels": {"combined": 1}}}, r"set ethtool\.channels.*: this driver has none"),
    ({"ethtool": {"rings": {"rx": 5000}}}, r"ethtool\.rings\.rx to 5000.*: the maximum is 4096"),
    ({"ethtool": {"coalesce": {"tx-usecs": 9}}}, r"ethtool\.coalesce\.tx-usecs to 9.*: this driver has none"),
    ({"ethtool": {"private_flags": {"s0ix-enabled": True}}}, r"private_flags\.s0ix-enabled to true.*Invalid argument"),
    ({"mtu": 9213}, "MTU 9213 is out of bounds: enp1s0 takes 68 to 9212"),
    ({"vf": {"vlan": 5}}, "enp1s0 is no virtual function"),
    ({"rdma": True}, "enp1s0 has no RDMA device"),
)
"""Of an e1000e."""
_LACKING_OF_VF: Sequence[tuple[Mapping[str, Any], str]] = (
    ({"vf": {"vlan": 5, "protocol": "802.1ad"}}, r"set vf\.vlan to 5 and vf\.protocol to 802\.1ad.*not supported"),
    ({"vf": {"vlan": 5, "min_tx_rate": 10}}, r"set vf\.min_tx_rate to 10.*Invalid argument"),
    (
        {"vf": {"vlan": 5, "link_state": "enable"}},
        r"vf\.link_state to enable: the driver of its physical function cannot",
    ),
)
"""Of an igb; the first is refused before anything is set."""
_VF_KIND = dataclasses.replace(KINDS["vf"], more="ip link set enp3s0 vf 0 vlan 9 qos 1\nip link set enp3s0 vf 1 vlan 8")


def _must_tell(scene: Scene, told: Mapping[str, tuple[str, ...]]) -> None:
    """Check what programs tell in the container's netns."""
    for script, patterns in told.items():
        if patterns:
            said = scene.inside(script)
            assert all(re.search(pattern, said) for pattern in patterns), f"{script}: {patterns} not in\n{said}"


def _refusal(scene: Scene, place: InMachine) -> str:
    """What is said of a container that does not start; by CRI-O only in the daemon's log if it is refused so late."""
    with pytest.raises(CriError) as refusal:
        scene.give()
    return f"{refusal.value}\n{place.log()}"


def _must_refuse(place: InMachine, kind: Kind, cases: Sequence[tuple[Mapping[str, Any], str]]) -> None:
    """Check that each of some setups is refused for its reason, and that all is as before then."""
    first = Scene(place, kind)
    first.prepare()
    for number, (asked, why) in enumerate(cases):
        scene = Scene(place, kind, asks=asked, pods=number, before=first.before)
        refusal = _refusal(scene, place)
        assert re.search(why, refusal), refusal
        scene.delete()
        scene.must_be_whole()


def _must_be_set(place: InMachine) -> None:
    """Check what the physical function has of the virtual one."""
    [link] = json.loads(place.sh("ip -json -d link show dev enp3s0"))
    own = link["vfinfo_list"][0]
    found = {name: own[name] for name in ("spoofchk", "trust")}
    assert (found, own["address"]) == ({"spoofchk": False, "trust": True}, _VF["mac"]), own
    assert own["vlan_list"] == [{"vlan": 5, "qos": 3}], own
    assert own["rate"]["max_tx"] == 100, own


# -- everything on one interface ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("stable", "nic"),
        ("newest", "igb"),
        pytest.param("stable", "igb", marks=pytest.mark.vm_all),
        pytest.param("newest", "nic", marks=pytest.mark.vm_all),
    ],
    indirect=["place"],
)
def test_everything_is_set(place: InMachine, kind: str) -> None:
    """Addresses, routes, rules, neighbours, MAC, MTU, sysctls, ethtool's, devices on it, VRF; at home as before."""
    asked, told = _IN_PLACES[kind]
    place.sh(_CABLES[kind])
    scene = Scene(place, KINDS[kind], asks=asked)
    scene.prepare()
    scene.give()
    _must_tell(scene, told)
    scene.delete()
    scene.must_be_whole()


@pytest.mark.vm_all
@pytest.mark.parametrize("place", ["stable", "newest"], indirect=True)
def test_what_a_driver_lacks_is_refused(place: InMachine) -> None:
    """With the field and the reason; the interface is home as before."""
    _must_refuse(place, KINDS["nic"], _LACKING)


# -- virtual functions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "is_killed"),
    [
        ("stable", True),
        pytest.param("stable", False, marks=pytest.mark.vm_all),
        pytest.param("newest", True, marks=pytest.mark.vm_all),
        pytest.param("newest", False, marks=pytest.mark.vm_all),
    ],
    indirect=["place"],
)
def test_a_physical_function_sets_it(place: InMachine, *, is_killed: bool) -> None:
    """Its VLAN, priority, MAC, trust, spoof check and rate; at home what it was, though the daemon dies meanwhile."""
    place.sh(_CABLES["igb"])
    scene = Scene(place, _VF_KIND, asks={"vf": _VF, "addresses": ["198.51.100.10/24"]})
    scene.prepare()
    scene.give()
    _must_be_set(place)
    [link] = json.loads(scene.inside(f"ip -json link show dev {INSIDE}"))
    assert link["address"] == _VF["mac"], link
    scene.inside("ping -c 1 -w 20 198.51.100.1")  # the other end of the cable has that on its VLAN 5
    if is_killed:
        place.kill_daemon()
    scene.delete()
    if is_killed:
        _must_be_set(place)
        place.start_daemon()
    scene.must_be_whole()


@pytest.mark.vm_all
@pytest.mark.parametrize("place", ["stable", "newest"], indirect=True)
def test_what_a_physical_function_cannot_set_is_refused(place: InMachine) -> None:
    """What was set before that is as it was."""
    _must_refuse(place, _VF_KIND, _LACKING_OF_VF)


@pytest.mark.vm_all
@pytest.mark.parametrize("place", ["stable"], indirect=True)
def test_a_physical_function_is_in_another_pod(place: InMachine) -> None:
    """Nobody on the host can set it: the pod is refused before anything moves."""
    scene = Scene(place, _VF_KIND, asks={"vf": {"vlan": 5}})
    scene.prepare()
    pf = Scene(place, KINDS["igb"], asks={"txqueuelen": 55}, pods=5)
    pf.before = pf.still.settled()
    pf.give()
    refusal = _refusal(scene, place)
    assert "the physical function of enp3s0v0, 0000:03:00.0, is not on the host now" in refusal
    assert [claim["ifname"] for claim in place.claims()] == ["enp3s0"]
    scene.delete()
    pf.delete()
    pf.must_be_whole()


# -- shares ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "share", "other"),
    [
        ("stable", "ipvlan", {"type": "ipvlan", "mode": "l3"}),
        pytest.param("stable", "macvlan", "ipvlan", marks=pytest.mark.vm_all),
        pytest.param("newest", "ipvlan", {"type": "ipvlan", "mode": "l3"}, marks=pytest.mark.vm_all),
        pytest.param("newest", "macvlan", {"type": "ipvlan", "mode": "l2"}, marks=pytest.mark.vm_all),
    ],
    indirect=["place"],
)
def test_two_pods_share_a_card(place: InMachine, share: str, other: object) -> None:
    """It stays on the host; both reach the other end and each other. What does not go with it names who has it."""
    one, two, third = (
        Scene(place, KINDS["nic"], asks={"share": of, "addresses": [f"198.51.100.1{number}/24"]}, pods=number)
        for number, of in enumerate((share, share, other))
    )
    place.sh("ip -n lan addr add 198.51.100.1/24 dev enp2s0")
    one.prepare()
    one.give()
    two.give()
    for own, peer in ((one, two), (two, one)):
        assert f"{share} " in own.inside(f"ip -d link show dev {INSIDE}")
        own.inside(f"ping -c 1 -w 20 198.51.100.1; ping -c 1 -w 20 198.51.100.1{peer.pods - 1}")
    refusal = _refusal(third, place)
    assert re.search(
        "pod default/web[12], container app has an? (ipvlan|macvlan) in mode (l2|bridge) on enp1s0", refusal
    ), refusal
    for scene in (third, two, one):
        scene.delete()
    one.must_be_whole()


# -- RDMA --------------------------------------------------------------------------------------------------------------

_NODES = "/dev/infiniband/uverbs0 /dev/infiniband/rdma_cm"
_NUMBERS = f"stat -c '%n %t:%T' {_NODES}"
_OPENED = f"for node in {_NODES}; do : <$node; done"


@pytest.mark.vm_all
@pytest.mark.parametrize(("place", "mode"), [("stable", "shared"), ("newest", "exclusive")], indirect=["place"])
def test_rdma_devices_come_along(place: InMachine, mode: str) -> None:
    """One of software is made again in the pod, is the pod's alone if devices are nobody else's, and can be opened."""
    place.sh("modprobe -a ib_uverbs rdma_ucm")
    scene = Scene(place, KINDS[f"rdma-{mode}"], asks={"rdma": True})
    scene.prepare()
    numbers = wait(lambda: place.sh(_NUMBERS), patience_s=place.patience_s, why="udev has made the nodes")
    scene.give()
    assert place.crictl.exec(scene.container, ["sh", "-c", _NUMBERS]) == numbers
    place.crictl.exec(scene.container, ["sh", "-ec", _OPENED])
    assert re.search(f"^link rxe0/1 state ACTIVE .*netdev {INSIDE}", scene.inside("rdma link show"))
    if mode == "exclusive":
        assert "rxe0" not in place.sh("rdma dev show")
        assert ":4791 " in scene.inside("ss -Huln")  # such a kernel has rxe receive in a pod too
        with pytest.raises(CommandError, match="not permitted"):
            place.sh(_OPENED)
    scene.delete()
    scene.must_be_whole()


# -- duplicate addresses -----------------------------------------------------------------------------------------------


@pytest.mark.vm_all
@pytest.mark.parametrize("place", ["stable", "newest"], indirect=True)
def test_another_host_has_the_address(place: InMachine) -> None:
    """A pod that waits for duplicate detection is refused, with the address; one that does not is told."""
    place.sh("ip -n lan -6 addr add 2001:db8:1::10/64 dev enp2s0 nodad")
    waits = Scene(place, KINDS["nic"], asks={"addresses": [{"address": "2001:db8:1::10/64", "dad": "wait"}]})
    waits.prepare()
    refusal = _refusal(waits, place)
    assert "address 2001:db8:1::10 is in use on this network by another host" in refusal
    waits.delete()
    waits.must_be_whole()
    uses = Scene(place, KINDS["nic"], asks={"addresses": ["2001:db8:1::10/64", "2001:db8:1::12/64"]}, pods=5)
    uses.before = waits.before
    uses.give()
    said = f"ip -6 addr show dev {INSIDE} dadfailed"
    wait(lambda: "2001:db8:1::10" in uses.inside(said), patience_s=place.patience_s, why="the kernel has found it")
    uses.delete()
    uses.must_be_whole()
