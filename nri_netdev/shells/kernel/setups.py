"""What is set on interfaces for pods; implements `nri_netdev.custody.ports.Setups`. For one thread at a time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.domain.setup.values import NewShare, Setup, VfSetup
from nri_netdev.domain.snapshot import Snapshot
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.host import Host
from nri_netdev.shells.kernel.netns import open_netns
from nri_netdev.shells.kernel.rdma import char_devices
from nri_netdev.shells.kernel.rtnetlink import awaited, with_rtnl
from nri_netdev.shells.kernel.setup.apply import apply, duplicates, undo
from nri_netdev.shells.kernel.setup.rdma import give_rdma
from nri_netdev.shells.kernel.setup.share import delete_share, make_share
from nri_netdev.shells.kernel.setup.vf import apply_vf


class Setups:
    """What pods ask to be set, and the devices that they have on interfaces of the host.

    Args:
        host: the netns that interfaces come from.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def apply(self, netns_path: str, ifindex: int, setup: Setup, kept: Sequence[Address]) -> None:
        """Set on an interface in a pod what was asked for; `kept`: the addresses of home that it is to have besides."""
        with open_netns(netns_path) as netns_fd:
            awaited(netns_fd, apply, ifindex, setup, kept)

    def give_rdma(self, netns_path: str, ifindex: int, was: Snapshot) -> None:
        """Have the RDMA devices of an interface in its pod; `was`: what it was at home."""
        with open_netns(netns_path) as netns_fd:
            give_rdma(netns_fd, ifindex, was)

    def duplicates(self, netns_path: str, ifindex: int) -> tuple[str, ...]:
        """The IPv6 addresses of an interface in a pod that another host of its network has."""
        with open_netns(netns_path) as netns_fd:
            return with_rtnl(netns_fd, duplicates, ifindex)

    def share(self, parent: int, netns_path: str, new: NewShare) -> int:
        """Make a device on an interface at home, in a netns, if it is not there yet; its ifindex there."""
        with open_netns(netns_path) as netns_fd:
            return self._host.call(make_share, parent, netns_fd, new)

    def unshare(
        self,
        netns_path: str,
        ifindex: int,
        setup: Setup,
        others: Sequence[Setup] = (),
        pod_path: str | None = None,
    ) -> None:
        """Delete a device on an interface at home, and what was set for it. On any thread.

        Args:
            netns_path: where it is.
            ifindex: its index there.
            setup: what was asked for.
            others: what others that live have been given asks for in the netns that it was made in: that stays.
            pod_path: the netns that it was made in, if it is in another.
        """
        if pod_path is not None:
            with suppress(KernelError), open_netns(pod_path) as pod_fd:
                with_rtnl(pod_fd, undo, 0, setup, others)
        with open_netns(netns_path) as netns_fd:
            with_rtnl(netns_fd, undo, ifindex, setup, others, is_away=pod_path is not None)
            with_rtnl(netns_fd, delete_share, ifindex)

    def set_vf(self, link: Link, vf: VfSetup) -> None:
        """Have the physical function set what is asked for a virtual function at home."""
        self._host.call(apply_vf, link, vf)

    def char_devices(self, link: Link) -> tuple[CharDevice, ...]:
        """The character devices of the RDMA devices of an interface at home."""
        return char_devices(link)
