"""Why the host has no interface of a PCI address, and what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nri_netdev.domain.pci import PciFunction, no_pci, why_no_interface

ADDRESS = "0000:3b:00.0"
NIC = PciFunction(address=ADDRESS, pci_id="15b3:1019", base_class=2, driver="mlx5_core")


def test_nothing_is_there() -> None:
    """Nor anywhere, without sysfs."""
    assert why_no_interface(ADDRESS, no_pci(ADDRESS)).startswith(f"there is no PCI function {ADDRESS} on this node; ")


@pytest.mark.parametrize("driver", [None, "vfio-pci", "i915"])
def test_another_class(driver: str | None) -> None:
    """Whatever it is bound to."""
    told = why_no_interface(ADDRESS, replace(NIC, base_class=3, driver=driver))
    assert told.startswith(f"the PCI function {ADDRESS} (15b3:1019) is no network device: its PCI class is display; ")


def test_no_driver() -> None:
    """The module or the binding is lacking."""
    told = why_no_interface(ADDRESS, replace(NIC, driver=None))
    assert told.startswith(f"the PCI function {ADDRESS} (15b3:1019) has no driver, and so no interface; ")
    assert told.endswith(f"`driverctl unset-override {ADDRESS}`")


@pytest.mark.parametrize(
    "driver",
    ["vfio-pci", "mlx5_vfio_pci", "virtio_vfio_pci", "nvgrace_gpu_vfio_pci", "pds-vfio-pci", "uio_pci_generic", "igb_uio"],
)  # fmt: skip
def test_for_a_virtual_machine(driver: str) -> None:
    """A device plugin gives it; for an interface it needs its network driver."""
    told = why_no_interface(ADDRESS, replace(NIC, driver=driver))
    assert f"is bound to {driver}, and so has no interface: a device plugin gives the whole function" in told
    assert told.endswith(f"`driverctl unset-override {ADDRESS}`")


@pytest.mark.parametrize("base_class", [2, 0xFF, 0x0D, None])
def test_no_interface_on_the_host(base_class: int | None) -> None:
    """What has a driver of its own may be elsewhere, also if its class says little."""
    told = why_no_interface(ADDRESS, replace(NIC, base_class=base_class))
    assert "is bound to mlx5_core, and no interface of it is on the host: " in told


def test_without_an_identity() -> None:
    """It is named by its address alone."""
    assert str(replace(NIC, pci_id=None)) == f"the PCI function {ADDRESS}"
