"""What else on a host sets up interfaces, when one comes home: udev, systemd-networkd, NetworkManager.

What udev does is put right. Of the others the doctor tells, with a configuration that keeps them off; it is applied
as it is printed.
"""

from __future__ import annotations

import json

import pytest

from tests.vm.kinds import KINDS, OF_UDEV
from tests.vm.lives import LIVES
from tests.vm.places import InMachine
from tests.vm.scene import Scene, wait

pytestmark = pytest.mark.parametrize("place", ["stable"], indirect=True)

_NETWORKD = """
mkdir -p /etc/systemd/network
cat >/etc/systemd/network/10-lab.network <<end
[Match]
Name=enp1s0
[Network]
{network}
end
systemctl start systemd-networkd
"""
_NETWORK_MANAGER = """
cat >/etc/NetworkManager/system-connections/lab.nmconnection <<end
[connection]
id=lab
type=ethernet
interface-name=enp1s0
[ipv4]
method=auto
[ipv6]
method=link-local
end
chmod 600 /etc/NetworkManager/system-connections/lab.nmconnection
systemctl start NetworkManager
"""
_OF_ITS_OWN = """
ip addr replace 192.0.2.5/24 dev enp1s0
ip addr replace 203.0.113.7/24 dev enp1s0
ip route replace 198.51.101.0/24 via 192.0.2.1 dev enp1s0 metric 78
ip rule add from 203.0.113.7 table 77
ip route replace default via 203.0.113.1 dev enp1s0 table 77
"""
"""What an administrator has set by hand; networkd takes its own addresses with it."""

_DHCP = """
cat >/run/udhcpd.conf <<end
start 192.0.2.50
end 192.0.2.50
interface enp2s0
lease_file /run/udhcpd.leases
pidfile /run/udhcpd.pid
option subnet 255.255.255.0
end
touch /run/udhcpd.leases
ip netns exec lan udhcpd -I 192.0.2.1 /run/udhcpd.conf
"""
_LEASED = "192.0.2.50"


def _scene(place: InMachine, more: str) -> Scene:
    """The card as every kind has it, and what else is at work then."""
    scene = Scene(place, KINDS["nic"])
    scene.prepare()
    place.sh(more)
    return scene


def _wait_for(place: InMachine, state: str) -> None:
    """Wait until networkd or NetworkManager says that the card is in this state."""
    told = "cat /run/systemd/netif/links/* 2>/dev/null || true; nmcli -t -f device,state device 2>/dev/null || true"
    wait(lambda: state in place.sh(told), patience_s=place.patience_s, why=state)


def _has_address(place: InMachine, address: str) -> bool:
    [link] = json.loads(place.sh("ip -json addr show dev enp1s0"))
    return address in {each["local"] for each in link["addr_info"]}


def _told(place: InMachine, name: str) -> dict[str, str]:
    """What the doctor says of a manager."""
    checks = json.loads(place.sh("nri-netdev doctor --json || true"))
    [check] = [check for check in checks if check["topic"] == "network" and check["found"].startswith(name)]
    return {key: str(value) for key, value in check.items()}


def _follow(place: InMachine, advice: str) -> None:
    """Do as the doctor says: write the file, run the command."""
    first, *lines, last = advice.splitlines()
    path, command = first.removeprefix("write to "), last.removeprefix("and then: ")
    place.vm.write(path, "\n".join([*lines, ""]))
    place.sh(command)


def test_udev_has_another_mind(place: InMachine) -> None:
    """It renames and sets up each interface that comes; the card comes home as it was."""
    scene = Scene(place, KINDS["nic"])
    place.sh(OF_UDEV)
    scene.prepare()
    LIVES["stopped"](scene)
    scene.must_be_whole()
    place.sh("udevadm settle")
    scene.must_be_whole()


@pytest.mark.vm_all
def test_networkd_sets_up_the_card(place: InMachine) -> None:
    """What it has set is there again."""
    network = "Address=192.0.2.5/24\nAddress=2001:db8:1::5/64\nGateway=192.0.2.1"
    scene = _scene(place, _NETWORKD.format(network=network))
    _wait_for(place, "ADMIN_STATE=configured")
    scene.before = scene.still.settled()
    LIVES["stopped"](scene)
    scene.must_be_whole()


@pytest.mark.vm_all
def test_networkd_leases_an_address_for_the_card(place: InMachine) -> None:
    """It does not come along to the pod; at home it is leased again."""
    scene = _scene(place, _DHCP + _NETWORKD.format(network="DHCP=ipv4\nAddress=192.0.2.5/24"))
    wait(lambda: _has_address(place, _LEASED), patience_s=place.patience_s, why="a lease")
    LIVES["stopped"](scene)
    assert scene.troubles() == []
    wait(lambda: _has_address(place, _LEASED), patience_s=place.patience_s, why="a lease again")


def test_networkd_is_told_to_leave_the_card_alone(place: InMachine) -> None:
    """As the doctor says. Then what an administrator has set besides is there again, rules too."""
    scene = _scene(place, _NETWORKD.format(network="Address=192.0.2.5/24"))
    _wait_for(place, "ADMIN_STATE=configured")
    told = _told(place, "systemd-networkd")
    assert (told["verdict"], "enp1s0" in told["found"]) == ("note", True), told
    _follow(place, told["advice"])
    _wait_for(place, "ADMIN_STATE=unmanaged")
    assert _told(place, "systemd-networkd")["verdict"] == "ok"
    place.sh(_OF_ITS_OWN)
    scene.before = scene.still.settled()
    LIVES["stopped"](scene)
    scene.must_be_whole()


@pytest.mark.vm_all
def test_network_manager_leases_an_address_for_the_card(place: InMachine) -> None:
    """It takes the card as it finds it; once it comes home, too."""
    place.sh(_DHCP + _NETWORK_MANAGER)
    wait(lambda: _has_address(place, _LEASED), patience_s=place.patience_s, why="a lease")
    place.sh("ip addr add 192.0.2.5/24 dev enp1s0")
    scene = Scene(place, KINDS["nic"])
    LIVES["stopped"](scene)
    assert scene.troubles() == []
    wait(lambda: _has_address(place, _LEASED), patience_s=place.patience_s, why="a lease again")


def test_network_manager_is_told_to_leave_the_card_alone(place: InMachine) -> None:
    """As the doctor says. Then the card comes home whole; before, its way to make IPv6 addresses is changed."""
    scene = _scene(place, _NETWORK_MANAGER)
    _wait_for(place, "enp1s0:connected")
    told = _told(place, "NetworkManager")
    assert (told["verdict"], "enp1s0" in told["found"]) == ("note", True), told
    _follow(place, told["advice"])
    _wait_for(place, "enp1s0:unmanaged")
    assert "enp1s0" not in _told(place, "NetworkManager")["found"]
    place.sh(_OF_ITS_OWN)
    scene.before = scene.still.settled()
    LIVES["stopped"](scene)
    scene.must_be_whole()
