"""Gives a pod the RDMA devices of its interface, beside their character devices, and takes them home.

Those that software makes upon an interface are destroyed when that moves, so they are made again in the pod; at home
the facet `rdma` does so. Where each device belongs to one netns (`rdma system set netns exclusive`), it is moved to the
pod's: only there can it be opened. One that is made in a pod belongs to the machine's first netns all the same, and is
moved too (found so on Linux 7.3). Where devices are shared, each can be opened from every netns, and none is moved.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator, Mapping

from nri_netdev.domain.links import Link
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.errors import KernelError, Reason
from nri_netdev.faults import step
from nri_netdev.shells.kernel.facets.facet import Recorded
from nri_netdev.shells.kernel.facets.rdma import RDMA
from nri_netdev.shells.kernel.libc import translated
from nri_netdev.shells.kernel.netlink import RouteSocket
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.rdma import (
    NETLINK_RDMA,
    RdmaSocket,
    add_link,
    char_devices_of,
    is_exclusive,
    move_rdma,
    names_here,
    names_of_hardware,
    rdma_devices,
)


def give_rdma(pod_fd: int, ifindex: int, was: Snapshot) -> None:
    """Have the RDMA devices of an interface in its pod. It may be interrupted anywhere and repeated.

    The calling thread is at home.

    Args:
        pod_fd: the pod's netns, which the interface is in.
        ifindex: the interface there.
        was: what it was at home.

    Raises:
        KernelError: The kernel cannot make one again, or its driver cannot have it leave its netns.
    """
    software = _software(was)
    if software:
        call_in_netns(pod_fd, _make, ifindex, software)
        step("setup.rdma_made")
    with _opened() as opened:
        if is_exclusive(opened):
            for name in sorted({*software, *names_of_hardware(was.link)} & names_here(opened)):
                _move(opened, name, pod_fd)
                step("setup.rdma_moved")


def take_rdma(pod_fd: int, link: Link, home_fd: int) -> None:
    """Move home those of hardware. One that cannot leave comes when the pod's netns ends; the kernel brings it.

    Args:
        pod_fd: the pod's netns.
        link: the interface, as it was at home.
        home_fd: home.
    """
    with contextlib.suppress(KernelError):
        call_in_netns(pod_fd, _take, link, home_fd)


def _take(link: Link, home_fd: int) -> None:
    with _opened() as opened:
        if is_exclusive(opened):
            for name in sorted(names_of_hardware(link) & names_here(opened)):
                with contextlib.suppress(KernelError):
                    _move(opened, name, home_fd)


def _software(was: Snapshot) -> Mapping[str, str]:
    """Those that software had made upon an interface: their types by name."""
    recorded = Recorded(messages=was.facets.get(RDMA.name, ()), ifindex=was.ifindex)
    return {str(name): link_type.decode() for name, link_type in RDMA.items(recorded).items()}


def _make(ifindex: int, software: Mapping[str, str]) -> None:
    there = {device.name for device in rdma_devices().get(ifindex, ())}
    for name, link_type in software.items():
        if name in there:
            continue
        try:
            with translated(f"make RDMA device {name} of type {link_type} in the pod"), _opened() as opened:
                add_link(opened, name, link_type, socket.if_indextoname(ifindex))
        except KernelError as error:
            if error.errno != errno.EEXIST:  # it is upon the interface, and not to be seen from here
                raise


def _move(opened: RdmaSocket, name: str, netns_fd: int) -> None:
    """Move a device. The nodes of a container are made before, so they must be right still."""
    action, before = f"move RDMA device {name} to the network namespace of its interface", char_devices_of([name])
    try:
        with translated(action):
            move_rdma(opened, name, netns_fd)
    except KernelError as error:
        if error.errno == errno.EOPNOTSUPP:
            error.reason = "each belongs to one network namespace here, and its driver cannot have it leave"
            error.hint = "have them shared on the node: `rdma system set netns shared`"
        raise
    if char_devices_of([name]) != before:
        reason = "its character devices have other numbers now than those that the container has"
        raise KernelError(action=action, errno=errno.EAGAIN, reason=reason, refusal=Reason.BUSY)


@contextlib.contextmanager
def _opened() -> Iterator[RdmaSocket]:
    """A socket in the calling thread's netns."""
    with translated("ask for RDMA devices"), contextlib.closing(RouteSocket(NETLINK_RDMA)) as opened:
        yield opened
