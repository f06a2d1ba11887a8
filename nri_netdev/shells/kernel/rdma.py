"""RDMA devices and the interfaces that they work through, by `NETLINK_RDMA`.

Numbers are those of `rdma/rdma_netlink.h` and `rdma/ib_user_ioctl_verbs.h`. A socket of this protocol has the kernel
load the RDMA subsystem, so none is opened where that is not loaded.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nri_netdev.domain.effects import RdmaDevice
from nri_netdev.domain.links import Link
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.shells.kernel.attributes import attributes, from_text, pack, pack_all, to_int, to_text, u32
from nri_netdev.shells.kernel.netlink import NLM_F_ACK, NLM_F_DUMP, NetlinkError, RouteSocket

NETLINK_RDMA = 20

_CLASSES = Path("/sys/class")
_RDMA_NL_NLDEV = 5 << 10
_RDMA_NLDEV_CMD_GET, _RDMA_NLDEV_CMD_PORT_GET = _RDMA_NL_NLDEV + 1, _RDMA_NL_NLDEV + 5
_RDMA_NLDEV_CMD_SYS_GET, _RDMA_NLDEV_CMD_GET_CHARDEV = _RDMA_NL_NLDEV + 6, _RDMA_NL_NLDEV + 15
_RDMA_NLDEV_CMD_SET, _RDMA_NLDEV_CMD_NEWLINK = _RDMA_NL_NLDEV + 2, _RDMA_NL_NLDEV + 3
_DEV_INDEX, _DEV_NAME, _NDEV_INDEX, _NDEV_NAME, _LINK_TYPE = 1, 2, 50, 51, 65
_SYS_NETNS_MODE, _NET_NS_FD, _CHARDEV_TYPE, _UVERBS_DRIVER_ID = 66, 68, 69, 73
_EXCLUSIVE = 0
_LINK_TYPES = {14: "rxe", 18: "siw"}
"""By `RDMA_DRIVER_*`."""
_NODES = "/dev/infiniband"
_CLASSES_OF_NODES = ("infiniband_verbs", "infiniband_mad")
"""Of uverbs, and of umad and issm."""


class RdmaSocket(Protocol):
    """What is needed of a `RouteSocket`."""

    def request(self, kind: int, flags: int, payload: bytes) -> tuple[list[bytes], bool]:
        """Send one request and read its whole reply."""
        ...


@dataclass(frozen=True, slots=True)
class _Found:
    index: int
    name: str


def rdma_devices(classes: Path = _CLASSES) -> Mapping[int, tuple[RdmaDevice, ...]]:
    """The RDMA devices that can be seen in the calling thread's netns, by the ifindex of their interfaces.

    None if they cannot be read: that is no reason to refuse anything.

    Args:
        classes: `/sys/class`.
    """
    if (classes / "infiniband").is_dir():
        with contextlib.suppress(OSError), contextlib.closing(RouteSocket(NETLINK_RDMA)) as opened:
            return read(opened, has_verbs=(classes / "infiniband_verbs").is_dir())
    return {}


def read(opened: RdmaSocket, *, has_verbs: bool) -> Mapping[int, tuple[RdmaDevice, ...]]:
    """As `rdma_devices`, by a socket.

    Args:
        opened: of `NETLINK_RDMA`.
        has_verbs: whether drivers can be asked for; to ask would load that part of the subsystem.

    Raises:
        OSError: The kernel refuses.
    """
    found: dict[int, list[RdmaDevice]] = {}
    mode: bool | None = None
    for one in _devices(opened):
        for ifindex in _interfaces(opened, one.index):
            mode = is_exclusive(opened) if mode is None else mode
            link_type = _LINK_TYPES.get(_driver(opened, one.index) or 0, "") if has_verbs else ""
            device = RdmaDevice(name=one.name, link_type=link_type, is_exclusive=mode)
            found.setdefault(ifindex, []).append(device)
    return {ifindex: tuple(devices) for ifindex, devices in found.items()}


def add_link(opened: RdmaSocket, name: str, link_type: str, ifname: str) -> None:
    """Make a software device upon an interface in the netns of a socket, as `rdma link add` does.

    Args:
        opened: of `NETLINK_RDMA`.
        name: of the device.
        link_type: rxe or siw.
        ifname: the interface.

    Raises:
        OSError: The kernel refuses.
    """
    attrs = {_DEV_NAME: name, _LINK_TYPE: link_type, _NDEV_NAME: ifname}
    payload = pack_all({number: from_text(text) for number, text in attrs.items()})
    opened.request(_RDMA_NLDEV_CMD_NEWLINK, NLM_F_ACK, payload)


def move_rdma(opened: RdmaSocket, name: str, netns_fd: int) -> None:
    """Move a device to another netns, as `rdma dev set … netns` does; it comes back when that netns ends.

    Args:
        opened: of `NETLINK_RDMA`, in the netns that the device is in.
        name: of the device.
        netns_fd: the other netns.

    Raises:
        OSError: There is no such device (`ENODEV`), devices are shared or the driver cannot (`EOPNOTSUPP`), or the
            kernel refuses for another reason.
    """
    index = next((one.index for one in _devices(opened) if one.name == name), None)
    if index is None:
        raise NetlinkError(errno.ENODEV, f"there is no RDMA device {name} here")
    opened.request(_RDMA_NLDEV_CMD_SET, NLM_F_ACK, pack_all({_DEV_INDEX: u32(index), _NET_NS_FD: u32(netns_fd)}))


def char_devices(link: Link, classes: Path = _CLASSES) -> tuple[CharDevice, ...]:
    """The nodes by which programs use the RDMA devices of an interface, by path; `rdma_cm` too if there is one.

    None if it has no RDMA device.

    Args:
        link: the interface, in the calling thread's netns.
        classes: `/sys/class`.
    """
    return char_devices_of(names_of(link, classes), classes)


def names_of(link: Link, classes: Path = _CLASSES) -> frozenset[str]:
    """What the RDMA devices of an interface are called: those upon it, and those of the same hardware.

    Of the latter the kernel does not tell the interface if the link layer is InfiniBand's own.

    Args:
        link: the interface, in the calling thread's netns.
        classes: `/sys/class`.
    """
    names = {device.name for device in rdma_devices(classes).get(link.ifindex, ())}
    return names_of_hardware(link, classes) | names


def names_of_hardware(link: Link, classes: Path = _CLASSES) -> frozenset[str]:
    """What the RDMA devices of the hardware of an interface are called, in whichever netns they are.

    Args:
        link: the interface.
        classes: `/sys/class`. Of its entries `infiniband_verbs` belong to no netns.
    """
    if not link.parent_bus or not link.parent_dev or "/" in link.parent_bus + link.parent_dev:
        return frozenset()
    hardware = classes.parent / "bus" / link.parent_bus / "devices" / link.parent_dev
    verbs = (
        path for path in (classes / "infiniband_verbs").glob("*") if (path / "device").resolve() == hardware.resolve()
    )
    names = {path.name for path in (hardware / "infiniband").glob("*")} | {_text(path / "ibdev") for path in verbs}
    return frozenset(names - {""})


def names_here(opened: RdmaSocket) -> frozenset[str]:
    """What the RDMA devices are called that can be used from the netns of a socket."""
    return frozenset(one.name for one in _devices(opened))


def char_devices_of(names: Collection[str], classes: Path = _CLASSES) -> tuple[CharDevice, ...]:
    """As `char_devices`, of RDMA devices by name, in whichever netns they are: nodes belong to none.

    A device that has moved to another netns may have other numbers than before.

    Args:
        names: of the devices.
        classes: `/sys/class`.
    """
    entries = [path for of in _CLASSES_OF_NODES for path in (classes / of).glob("*") if _text(path / "ibdev") in names]
    found = (_char_device(path) for path in (*entries, classes / "misc/rdma_cm"))
    return tuple(sorted(filter(None, found))) if entries else ()


def _char_device(path: Path) -> CharDevice | None:
    """The device of an entry in sysfs; None if it is gone."""
    major, _, minor = _text(path / "dev").partition(":")
    if not major.isdecimal() or not minor.isdecimal():
        return None
    return CharDevice(path=f"{_NODES}/{path.name}", major=int(major), minor=int(minor))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _devices(opened: RdmaSocket) -> Iterator[_Found]:
    for payload in opened.request(_RDMA_NLDEV_CMD_GET, NLM_F_DUMP, b"")[0]:
        attrs = attributes(payload)
        index, name = to_int(attrs.get(_DEV_INDEX)), to_text(attrs.get(_DEV_NAME))
        if index is not None and name:
            yield _Found(index, name)


def _interfaces(opened: RdmaSocket, index: int) -> Iterator[int]:
    """The ifindexes of a device's ports; none if it is gone by now."""
    ports: list[bytes] = []
    with contextlib.suppress(NetlinkError):
        ports, _ = opened.request(_RDMA_NLDEV_CMD_PORT_GET, NLM_F_DUMP, pack(_DEV_INDEX, u32(index)))
    yield from sorted(filter(None, {to_int(attributes(port).get(_NDEV_INDEX)) for port in ports}))


def is_exclusive(opened: RdmaSocket) -> bool:
    """Whether each device belongs to one netns (`rdma system`); kernels before 5.2 do not know that."""
    try:
        [reply], _ = opened.request(_RDMA_NLDEV_CMD_SYS_GET, 0, b"")
    except NetlinkError:
        return False
    return to_int(attributes(reply).get(_SYS_NETNS_MODE)) == _EXCLUSIVE


def _driver(opened: RdmaSocket, index: int) -> int | None:
    """`RDMA_DRIVER_*`; None if it is not told."""
    asked = pack(_DEV_INDEX, u32(index)) + pack(_CHARDEV_TYPE, from_text("uverbs"))
    try:
        [reply], _ = opened.request(_RDMA_NLDEV_CMD_GET_CHARDEV, 0, asked)
    except NetlinkError:
        return None
    return to_int(attributes(reply).get(_UVERBS_DRIVER_ID))
