"""What sysfs has and rtnetlink lacks: facts about interfaces, SR-IOV functions, what is at a PCI address.

`/sys/bus` is the same in every netns. `/sys/class/net` shows the netns in which sysfs was mounted, so an entry is used
only if its ifindex is the interface's.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from nri_netdev.domain.links import Link
from nri_netdev.domain.pci import PciFunction
from nri_netdev.domain.policy.selectors import Facts, FactsOf

_SYSFS = Path("/sys")
_HEX = re.compile("0x[0-9a-f]{6}", re.ASCII)
_PCI = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", re.ASCII)


def facts_reader(sysfs: Path = _SYSFS) -> FactsOf:
    """A reader of facts that reads each interface at most once. Use it for one decision only.

    Args:
        sysfs: where sysfs is mounted.
    """
    read: dict[tuple[int, str, str | None], Facts] = {}

    def facts_of(link: Link) -> Facts:
        key = (link.ifindex, link.ifname, link.parent_dev)
        if key not in read:
            read[key] = facts(link, sysfs)
        return read[key]

    return facts_of


def facts(link: Link, sysfs: Path = _SYSFS) -> Facts:
    """The facts that sysfs has about an interface; None for each that cannot be read."""
    device = _pci_device(link, sysfs)
    if device is None:
        return Facts(speed_mbps=_speed(link, sysfs))
    numa_node = _number(device / "numa_node")
    return Facts(
        pci=device.name,
        pci_id=_pci_id(device),
        numa_node=None if numa_node is None or numa_node < 0 else numa_node,
        speed_mbps=_speed(link, sysfs),
        pf=_target(device / "physfn"),
    )


def pci_function(address: str, sysfs: Path = _SYSFS) -> PciFunction | None:
    """What is at a PCI address; None if there is nothing."""
    device = sysfs / "bus/pci/devices" / address
    if not _PCI.fullmatch(address) or not device.is_dir():
        return None
    class_code = _text(device / "class")  # as 0x020000
    return PciFunction(
        address=address,
        pci_id=_pci_id(device),
        driver=_target(device / "driver"),
        base_class=int(class_code, 16) >> 16 if class_code and _HEX.fullmatch(class_code) else None,
    )


def _pci_id(device: Path) -> str | None:
    vendor, product = _text(device / "vendor"), _text(device / "device")
    return f"{vendor[2:]}:{product[2:]}" if vendor and product else None


def virtual_functions(link: Link, sysfs: Path = _SYSFS) -> int:
    """How many virtual functions of SR-IOV an interface's PCI device has now; 0 if that cannot be read."""
    device = _pci_device(link, sysfs)
    return (_number(device / "sriov_numvfs") or 0) if device else 0


def is_unplugged(link: Link, sysfs: Path = _SYSFS) -> bool:
    """Whether the device that an interface was on is no longer on its bus; False for one that was on none."""
    device = _device(link, sysfs)
    return device is not None and not device.exists()


def physical_function(link: Link, sysfs: Path = _SYSFS) -> tuple[str, int] | None:
    """The interface of a virtual function's physical function, and the function's number there.

    None for everything else, and while the physical function has no interface here.
    """
    device = _pci_device(link, sysfs)
    if device is None or not (device / "physfn").is_dir():
        return None
    own = device.resolve()
    numbers = (
        path.name.removeprefix("virtfn") for path in (device / "physfn").glob("virtfn*") if path.resolve() == own
    )
    ifnames = sorted(path.name for path in (device / "physfn" / "net").glob("*"))
    number = next(numbers, "")
    return (ifnames[0], int(number)) if ifnames and number.isdecimal() else None


def _device(link: Link, sysfs: Path) -> Path | None:
    """Where the parent device of an interface is on its bus, if it is still there; None for one that is on none."""
    if not link.parent_bus or not link.parent_dev or "/" in link.parent_bus + link.parent_dev:
        return None
    return sysfs / "bus" / link.parent_bus / "devices" / link.parent_dev


def _pci_device(link: Link, sysfs: Path) -> Path | None:
    """The directory of the PCI device of an interface, be it its parent or above that, as with virtio."""
    device = _device(link, sysfs)
    if device is None:
        return None
    try:
        path = device.resolve(strict=True)
    except OSError:
        return None
    name = next((part for part in reversed(path.parts) if _PCI.fullmatch(part)), None)
    return sysfs / "bus/pci/devices" / name if name else None


def _speed(link: Link, sysfs: Path) -> int | None:
    if not link.ifname or "/" in link.ifname or link.ifname in {".", ".."}:
        return None
    directory = sysfs / "class/net" / link.ifname
    if _number(directory / "ifindex") != link.ifindex:
        return None
    speed = _number(directory / "speed")
    return speed if speed is not None and speed > 0 else None


def _target(path: Path) -> str | None:
    """The last part of a symbolic link's target."""
    try:
        return Path(os.readlink(path)).name  # noqa: PTH115 - as a name, not resolved
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
