"""RDMA devices and the interfaces that they work through, by `NETLINK_RDMA`.

Numbers are those of `rdma/rdma_netlink.h` and `rdma/ib_user_ioctl_verbs.h`. A socket of this protocol has the kernel
load the RDMA subsystem, so none is opened where that is not loaded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nri_netdev.domain.effects import RdmaDevice
from nri_netdev.shells.kernel.attributes import attributes, from_text, pack, pack_all, to_int, to_text, u32
from nri_netdev.shells.kernel.netlink import NLM_F_ACK, NLM_F_DUMP, NetlinkError, RouteSocket

NETLINK_RDMA = 20

_CLASSES = Path("/sys/class")
_RDMA_NL_NLDEV = 5 << 10
_RDMA_NLDEV_CMD_GET, _RDMA_NLDEV_CMD_PORT_GET = _RDMA_NL_NLDEV + 1, _RDMA_NL_NLDEV + 5
_RDMA_NLDEV_CMD_SYS_GET, _RDMA_NLDEV_CMD_GET_CHARDEV = _RDMA_NL_NLDEV + 6, _RDMA_NL_NLDEV + 15
_RDMA_NLDEV_CMD_NEWLINK = _RDMA_NL_NLDEV + 3
_DEV_INDEX, _DEV_NAME, _NDEV_INDEX, _NDEV_NAME, _LINK_TYPE = 1, 2, 50, 51, 65
_SYS_NETNS_MODE, _CHARDEV_TYPE, _UVERBS_DRIVER_ID = 66, 69, 73
_EXCLUSIVE = 0
_LINK_TYPES = {14: "rxe", 18: "siw"}
"""By `RDMA_DRIVER_*`."""


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
    is_exclusive: bool | None = None
    for one in _devices(opened):
        for ifindex in _interfaces(opened, one.index):
            is_exclusive = _is_exclusive(opened) if is_exclusive is None else is_exclusive
            link_type = _LINK_TYPES.get(_driver(opened, one.index) or 0, "") if has_verbs else ""
            device = RdmaDevice(name=one.name, link_type=link_type, is_exclusive=is_exclusive)
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


def _is_exclusive(opened: RdmaSocket) -> bool:
    """Whether each device belongs to one netns; kernels before 5.2 do not know that."""
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
