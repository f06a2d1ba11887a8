"""Where the interface of a claim is now: at home, in its pod, or in any other netns that a process is in."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from nri_netdev.custody.ports import Kernel
from nri_netdev.domain.claim import Claim, Netns, find
from nri_netdev.domain.life import Place
from nri_netdev.domain.links import Link
from nri_netdev.errors import KernelError


@dataclass(frozen=True, slots=True)
class Found:
    """Where an interface is."""

    place: Place
    netns_path: str | None = None
    link: Link | None = None


def locate(kernel: Kernel, claim: Claim) -> Found:
    """Find a claim's interface: at home, in its pod, or in any other netns that a process is in.

    A device on an interface that is shared counts as at home, as what it is on is, until it is made and once it is
    deleted.

    The mark tells it at once; only where neither home nor the pod has that is anything else looked at.
    """
    marked = find(filter(None, [kernel.host.marked(claim.mark)]), claim, at_home=True)
    if marked is not None:
        return Found(Place.HOST, None, marked)
    pod = pod_path(kernel, claim.netns)
    inside = kernel.pods.links(pod) if pod is not None else ()
    marked = find((link for link in inside if claim.mark in link.altnames), claim, at_home=False)
    if marked is not None:
        return Found(Place.POD, pod, marked)
    at_home = find(kernel.host.links(), claim, at_home=True)
    if at_home is not None:
        return Found(Place.HOST, None, at_home)
    link = find(inside, claim, at_home=False)
    if link is not None:
        return Found(Place.POD, pod, link)
    for path in kernel.processes.foreign_netns({claim.netns.ino}):
        try:
            away = find(kernel.pods.links(path), claim, at_home=True)
        except KernelError:
            continue  # it went away while we looked
        if away is not None:
            return Found(Place.AWAY, path, away)
    return Found(Place.HOST if claim.is_share else Place.NOWHERE)


def mark(kernel: Kernel, claim: Claim) -> None:
    """Give the interface of a claim at home its mark; a share gets it where it is made.

    Raises:
        KernelError: The kernel refuses.
    """
    if not claim.is_share:
        kernel.host.mark(claim.snapshot.link.ifindex, claim.mark)


def unmark(kernel: Kernel, claim: Claim, ifindex: int) -> None:
    """Take the mark of a claim from its interface at home; a share has it nowhere else.

    Raises:
        KernelError: The interface is gone, or the kernel refuses.
    """
    if not claim.is_share:
        kernel.host.unmark(ifindex, claim.mark)


def pod_path(kernel: Kernel, netns: Netns) -> str | None:
    """A path that leads to a claim's netns now: its pin, or the engine's own."""
    pinned = kernel.pods.pinned(netns)
    if pinned is not None:
        return pinned
    return netns.path if is_mounted(kernel, netns) else None


def is_mounted(kernel: Kernel, netns: Netns) -> bool:
    """Whether the engine's path still leads to a claim's netns."""
    with contextlib.suppress(KernelError):
        return kernel.pods.netns(netns.path) == netns
    return False
