"""PCI functions that have no interface: what they are, and why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class PciFunction:
    """One PCI function of the node, from sysfs; None for what is unknown."""

    address: str
    """As `0000:3b:00.0`."""
    pci_id: str | None = None
    """PCI vendor and device in hex: `15b3:1019`."""
    driver: str | None = None
    """The kernel driver that it is bound to; None if it is bound to none."""
    base_class: int | None = None
    """The first byte of its class code: 2 is a network controller."""

    def __str__(self) -> str:
        return f"the PCI function {self.address}" + (f" ({self.pci_id})" if self.pci_id else "")


PciOf: TypeAlias = Callable[[str], PciFunction | None]
"""Reads the PCI function of an address; None if the node has none there."""

_WHOLE_DEVICE = ("vfio-pci", "*[_-]vfio[_-]pci", "uio_pci_generic", "igb_uio", "pci-stub", "pciback")
"""Drivers that make no interface, but hand the whole function on, to a virtual machine or a program. Among them are the
variants of vfio, as `mlx5_vfio_pci` and `virtio_vfio_pci`."""

_OTHER_CLASSES: Mapping[int, str] = {
    0x01: "storage",
    0x03: "display",
    0x04: "multimedia",
    0x05: "memory",
    0x06: "bridge",
    0x07: "communication",
    0x08: "system peripheral",
    0x09: "input device",
    0x0A: "docking station",
    0x0B: "processor",
    0x0C: "serial bus",
    0x10: "encryption",
    0x11: "signal processing",
    0x12: "accelerator",
}
"""Base classes that never have an interface (PCI Code and ID Assignment Specification)."""


def why_no_interface(address: str, function: PciFunction | None) -> str:
    """Why the host has no interface of a PCI address, and what to do, in a whole sentence."""
    if function is None:
        return f"there is no PCI function {address} on this node; `lspci -D` lists those that are"
    if other := _OTHER_CLASSES.get(function.base_class or 0):
        return f"{function} is no network device: its PCI class is {other}; `lspci -D` lists what there is"
    if function.driver is None:
        return (
            f"{function} has no driver, and so no interface; load the module of its driver, or bind it: "
            f"`driverctl unset-override {address}`"
        )
    if any(fnmatchcase(function.driver, pattern) for pattern in _WHOLE_DEVICE):
        return (
            f"{function} is bound to {function.driver}, and so has no interface: a device plugin gives the whole "
            "function to a virtual machine or a program. For an interface, bind it to its network driver: "
            f"`driverctl unset-override {address}`"
        )
    return (
        f"{function} is bound to {function.driver}, and no interface of it is on the host: the driver makes none, or "
        "another program has moved it into a network namespace"
    )


def no_pci(_: str) -> PciFunction | None:
    """No PCI function, for a place without sysfs."""
    return None
