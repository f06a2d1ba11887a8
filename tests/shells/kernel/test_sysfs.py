"""Facts from sysfs: read where they exist, never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from nri_netdev.domain.links import Link
from nri_netdev.domain.pci import PciFunction
from nri_netdev.domain.policy.selectors import Facts
from nri_netdev.shells.kernel.sysfs import (
    facts,
    facts_reader,
    is_unplugged,
    pci_function,
    physical_function,
    virtual_functions,
)

PF = "0000:3b:00.0"
VF = "0000:3b:02.1"


@pytest.fixture(name="sysfs")
def _sysfs(tmp_path: Path) -> Path:
    """A tree with a physical function, a virtual function of it, and a virtio device on a third PCI device."""
    devices = tmp_path / "devices/pci0000:3a"
    for name, files in {
        PF: {"vendor": "0x8086", "device": "0x1592", "numa_node": "1", "class": "0x020000"},
        VF: {"vendor": "0x8086", "device": "0x1889", "numa_node": "1", "class": "0x020000"},
        "0000:00:03.0": {"vendor": "0x1af4", "device": "0x1041", "numa_node": "-1"},
    }.items():
        (devices / name).mkdir(parents=True)
        for file, text in files.items():
            (devices / name / file).write_text(f"{text}\n")
        _link(tmp_path / "bus/pci/devices" / name, devices / name)
    _link(devices / VF / "physfn", devices / PF)
    _link(devices / VF / "driver", tmp_path / "bus/pci/drivers/vfio-pci")
    (devices / "0000:00:03.0/virtio2").mkdir()
    _link(tmp_path / "bus/virtio/devices/virtio2", devices / "0000:00:03.0/virtio2")
    for name, ifindex, speed in (("ens2f0", 2, "25000"), ("ens2f0v1", 3, "-1"), ("veth0", 9, "10000")):
        (tmp_path / "class/net" / name).mkdir(parents=True)
        (tmp_path / "class/net" / name / "ifindex").write_text(f"{ifindex}\n")
        (tmp_path / "class/net" / name / "speed").write_text(f"{speed}\n")
    return tmp_path


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("address", "function"),
    [
        (PF, PciFunction(address=PF, pci_id="8086:1592", base_class=2)),
        (VF, PciFunction(address=VF, pci_id="8086:1889", base_class=2, driver="vfio-pci")),
        ("0000:00:03.0", PciFunction(address="0000:00:03.0", pci_id="1af4:1041")),
        ("0000:3b:00.1", None),
        ("../../..", None),
        ("", None),
    ],
)
def test_what_is_at_a_pci_address(sysfs: Path, address: str, function: PciFunction | None) -> None:
    """Its identity, class and driver, whether it has an interface or not."""
    assert pci_function(address, sysfs) == function


@pytest.mark.parametrize(
    ("link", "known"),
    [
        (
            Link(ifindex=2, ifname="ens2f0", parent_bus="pci", parent_dev=PF),
            Facts(pci=PF, pci_id="8086:1592", numa_node=1, speed_mbps=25000),
        ),
        (
            Link(ifindex=3, ifname="ens2f0v1", parent_bus="pci", parent_dev=VF),
            Facts(pci=VF, pci_id="8086:1889", numa_node=1, pf=PF),
        ),
        (
            Link(ifindex=4, ifname="eth0", parent_bus="virtio", parent_dev="virtio2"),
            Facts(pci="0000:00:03.0", pci_id="1af4:1041"),
        ),
        (Link(ifindex=9, ifname="veth0", kind="veth"), Facts(speed_mbps=10000)),
        (Link(ifindex=8, ifname="veth0", kind="veth"), Facts()),
        (Link(ifindex=8, ifname="../x", parent_bus="..", parent_dev="../../x"), Facts()),
        (Link(ifindex=8, ifname="usb0", parent_bus="usb", parent_dev="1-1"), Facts()),
    ],
    ids=["physical function", "virtual function", "virtio", "virtual", "another netns's", "a path", "gone"],
)
def test_facts_are_what_sysfs_says(sysfs: Path, link: Link, known: Facts) -> None:
    """What is unknown stays unknown: no NUMA node, no speed while down, a sysfs of another netns."""
    assert facts(link, sysfs) == known


def test_a_decision_reads_once(sysfs: Path) -> None:
    """What changes in between does not make a decision contradict itself."""
    facts_of = facts_reader(sysfs)
    link = Link(ifindex=2, ifname="ens2f0", parent_bus="pci", parent_dev=PF)
    before = facts_of(link)
    (sysfs / "class/net/ens2f0/speed").write_text("100\n")

    assert facts_of(link) is before
    assert facts_reader(sysfs)(link).speed_mbps == 100


def test_this_machines_own_sysfs_is_understood() -> None:
    """Whatever devices there are, reading them gives facts and no error."""
    for path in Path("/sys/bus/pci/devices").glob("*"):
        assert facts(Link(ifindex=1, ifname="x", parent_bus="pci", parent_dev=path.name)).pci == path.name


def test_virtual_functions_are_counted(sysfs: Path) -> None:
    """Those that the device has now; nothing is guessed of a device that cannot have any."""
    (sysfs / "bus/pci/devices" / PF / "sriov_numvfs").write_text("4\n")

    assert virtual_functions(Link(ifindex=2, ifname="ens2f0", parent_bus="pci", parent_dev=PF), sysfs) == 4
    assert virtual_functions(Link(ifindex=3, ifname="ens2f0v1", parent_bus="pci", parent_dev=VF), sysfs) == 0
    assert virtual_functions(Link(ifindex=9, ifname="veth0", kind="veth"), sysfs) == 0


def test_a_virtual_function_leads_to_its_physical_one(sysfs: Path) -> None:
    """By the interface and its number there; nothing else does, nor one whose physical function is elsewhere."""
    devices = sysfs / "devices/pci0000:3a"
    vf, pf = (Link(ifindex=2, ifname="dev0", parent_bus="pci", parent_dev=name) for name in (VF, PF))
    _link(devices / PF / "virtfn0", devices / "elsewhere")
    _link(devices / PF / "virtfn3", devices / VF)
    assert physical_function(vf, sysfs) is None
    (devices / PF / "net/ens2f0").mkdir(parents=True)
    assert [physical_function(each, sysfs) for each in (vf, pf)] == [("ens2f0", 3), None]


def test_what_is_no_longer_on_its_bus_is_unplugged(sysfs: Path) -> None:
    """Not what was on none."""
    there, gone = (Link(ifindex=2, ifname="dev0", parent_bus="pci", parent_dev=name) for name in (PF, "0000:99:00.0"))
    links = (there, gone, Link(ifindex=2, ifname="dev0"), Link(ifindex=2, ifname="x", parent_bus="..", parent_dev="/"))
    assert [is_unplugged(each, sysfs) for each in links] == [False, True, False, False]
