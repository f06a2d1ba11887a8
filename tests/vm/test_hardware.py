"""What hardware does while a pod has it: nothing hangs, claims say what is true, what came back can be given again."""

from __future__ import annotations

import json
import random
import re
import time

import pytest

from tests.vm.kinds import KINDS, OF_UDEV
from tests.vm.places import InMachine
from tests.vm.scene import INSIDE, Scene, wait

_MANY = 20_000
"""Routes, which take long to put back."""

pytestmark = pytest.mark.parametrize("place", ["stable"], indirect=True)


def _links(place: InMachine) -> set[str]:
    return {link["ifname"] for link in json.loads(place.sh("ip -json link show"))}


def _wait_link(place: InMachine, ifname: str) -> None:
    place.sh("udevadm settle")
    wait(lambda: ifname in _links(place), patience_s=place.patience_s, why=f"{ifname} is there")


def _must_be_over(scene: Scene, place: InMachine) -> None:
    """The pod can be deleted; then nothing is held, nothing is lost, and the log has no exception."""
    scene.delete()
    troubles = scene.troubles()
    assert all("could not be restored" in trouble for trouble in troubles), troubles
    assert "Traceback" not in place.vm.log("nri-netdev", lines=400)


def _must_be_told_gone(place: InMachine) -> None:
    def is_gone() -> bool:
        return [claim["place"] for claim in place.claims()] == ["nowhere"]

    wait(is_gone, patience_s=place.patience_s, why="the claim says that it is nowhere")


def _given(place: InMachine, kind: str) -> Scene:
    scene = Scene(place, KINDS[kind])
    scene.prepare()
    scene.give()
    return scene


@pytest.mark.parametrize(("kind", "nic"), [("nic", "nic0"), pytest.param("igb", "nic2", marks=pytest.mark.vm_all)])
def test_a_nic_is_unplugged_and_plugged_again(place: InMachine, kind: str, nic: str) -> None:
    """It is gone, the claim says so and ends with the pod; the same NIC in the same place can be given again."""
    scene = _given(place, kind)
    place.vm.unplug(nic)
    _must_be_told_gone(place)
    place.vm.plug(nic)
    _wait_link(place, scene.ifname)
    _must_be_over(scene, place)
    place.sh(f"ip link set {scene.ifname} up; ip addr replace 192.0.2.5/24 dev {scene.ifname}")
    scene.give()
    _must_be_over(scene, place)
    assert scene.ifname in _links(place)


def test_its_virtual_functions_are_removed(place: InMachine) -> None:
    """`sriov_numvfs` 0 takes it out of the pod; made again, it can be given again."""
    scene = _given(place, "vf")
    place.sh("echo 0 > /sys/class/net/enp3s0/device/sriov_numvfs")
    _must_be_told_gone(place)
    _must_be_over(scene, place)
    place.sh("echo 2 > /sys/class/net/enp3s0/device/sriov_numvfs")
    _wait_link(place, scene.ifname)
    place.sh(f"ip link set {scene.ifname} up; ip addr replace 192.0.2.5/24 dev {scene.ifname}")
    scene.give()
    _must_be_over(scene, place)


@pytest.mark.vm_all
@pytest.mark.parametrize("more", ["true", OF_UDEV], ids=["same", "renamed"])
def test_its_driver_is_unbound_and_bound_again(place: InMachine, more: str) -> None:
    """It comes back to the host with another number or name, and is known by its PCI address and permanent MAC."""
    scene = _given(place, "nic")
    place.sh(more)
    place.sh("echo 0000:01:00.0 > /sys/bus/pci/drivers/e1000e/unbind")
    place.sh("echo 0000:01:00.0 > /sys/bus/pci/drivers/e1000e/bind")
    _wait_link(place, scene.ifname if more == "true" else "lan9")
    _must_be_over(scene, place)
    _wait_link(place, scene.ifname)
    place.sh(f"ip link set {scene.ifname} up; ip addr replace 192.0.2.5/24 dev {scene.ifname}")
    scene.give()
    _must_be_over(scene, place)


@pytest.mark.vm_all
@pytest.mark.parametrize("seed", range(10))
def test_it_vanishes_at_any_instant(place: InMachine, seed: int) -> None:
    """While it is given, held or returned: all comes to an end, and what comes back can be given."""
    dice = random.Random(seed)  # noqa: S311 - tests are to be repeated
    scene = Scene(place, KINDS["nic"])
    scene.prepare()
    scene.run_pod()
    container = place.crictl.create(scene.pod, "app")
    of_container, of_pod = f"start {container}; crictl stop --timeout=0 {container}", f"stopp {scene.pod}"
    place.sh(f"(set +e; crictl {of_container}; crictl {of_pod}) >/dev/null 2>&1 </dev/null &")
    time.sleep(dice.uniform(0, 5))
    place.vm.unplug("nic0")
    wait(lambda: not place.claims(), patience_s=place.patience_s, why="no claim is left")
    assert "Traceback" not in place.vm.log("nri-netdev", lines=400)
    place.crictl.remove_all()
    place.vm.plug("nic0")
    _wait_link(place, scene.ifname)
    scene.prepare()
    scene.give()
    _must_be_over(scene, place)


@pytest.mark.vm_all
def test_its_cable_is_pulled(place: InMachine) -> None:
    """The pod sees it, and sees it come back; the interface comes home whole."""
    scene = _given(place, "nic")
    for is_plugged, flag in ((False, "NO-CARRIER"), (True, "LOWER_UP")):
        place.vm.cable("nic0", is_plugged=is_plugged)
        show = f"ip -json link show dev {INSIDE}"
        wait(lambda show=show, flag=flag: flag in scene.inside(show), patience_s=place.patience_s, why=flag)
    scene.delete()
    scene.must_be_whole()


@pytest.mark.vm_all
def test_no_carrier_is_waited_for(place: InMachine) -> None:
    """A NIC whose cable is out is given, and comes home."""
    place.vm.cable("nic0", is_plugged=False)
    scene = _given(place, "nic")
    scene.delete()
    scene.must_be_whole()


@pytest.mark.vm_all
def test_its_physical_function_gives_it_another_mac(place: InMachine) -> None:
    """While a pod has it: afterwards both have what they had."""
    scene = _given(place, "vf")
    place.sh("ip link set enp3s0 vf 0 mac 02:00:00:00:0a:09 vlan 9 spoofchk off")
    scene.delete()
    scene.must_be_whole()


@pytest.mark.parametrize("kind", ["igb", pytest.param("nic", marks=pytest.mark.vm_all)])
def test_a_slow_return_delays_nobody(place: InMachine, kind: str) -> None:
    """While a card gets thousands of routes back, another pod is given another card."""
    scene, other = Scene(place, KINDS[kind]), Scene(place, KINDS["virtio-net"], pods=5)
    scene.prepare()
    routes = (f"route add 10.{number >> 8}.{number & 255}.0/24 dev {scene.ifname}\n" for number in range(_MANY))
    place.vm.write("/run/routes", "".join(routes))
    place.sh("ip -batch /run/routes\nip link set enp4s0 up\nip addr add 192.0.2.5/24 dev enp4s0")
    scene.give()
    other.run_pod()
    place.sh(f"kill -9 {scene.pid}")
    other.again()
    told = re.findall(r"claim\.(promised|home) ifname=(\w+)", place.vm.log("nri-netdev", lines=200))
    assert told == [("promised", scene.ifname), ("promised", other.ifname)], "its return was over too soon to tell"
    scene.delete()
    other.delete()
    assert scene.troubles() == []
    assert int(place.sh(f"ip route show dev {scene.ifname} | wc -l")) > _MANY
