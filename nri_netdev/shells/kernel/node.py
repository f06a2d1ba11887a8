"""The kernel of the node: home, pods, processes and their ends; implements `nri_netdev.custody.ports.Kernel`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from nri_netdev.domain.effects import Attached
from nri_netdev.domain.links import Link
from nri_netdev.domain.pci import PciOf
from nri_netdev.shells.kernel.attachments import attached_to
from nri_netdev.shells.kernel.host import Host
from nri_netdev.shells.kernel.pidfds import Pidfds
from nri_netdev.shells.kernel.pods import Pods, Timed
from nri_netdev.shells.kernel.processes import Processes
from nri_netdev.shells.kernel.setups import Setups
from nri_netdev.shells.kernel.sysfs import is_unplugged, pci_function
from nri_netdev.shells.kernel.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKernel:
    """The kernel of this node; home is the netns of the process."""

    host: Host
    pods: Pods
    setups: Setups
    processes: Processes
    watch: Watch
    pci_of: PciOf
    pidfds: Pidfds

    def is_unplugged(self, link: Link) -> bool:
        """Whether the device that an interface was on is no longer on its bus; False for one that was on none."""
        return is_unplugged(link)

    def attached(self, link: Link) -> Attached:
        """What is attached to an interface at home; nothing if it has gone."""
        return self.host.call(attached_to, link)


def _untimed(_direction: str, _driver: str) -> AbstractContextManager[None]:
    return nullcontext()


def open_kernel(run_dir: Path, *, timed: Timed = _untimed) -> NodeKernel:
    """Make the kernel of this node.

    Args:
        run_dir: its directory `netns` holds the pins.
        timed: measures moves.
    """
    host = Host()
    return NodeKernel(
        host=host,
        pods=Pods(host, run_dir, timed),
        setups=Setups(host),
        processes=Processes(),
        watch=Watch(),
        pci_of=pci_function,
        pidfds=Pidfds(),
    )
