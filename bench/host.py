"""A stand-in for a host: namespaces of its own, network namespaces of pods, interfaces to give away."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nri_netdev.testing.node import add_netns, mount_tmpfs

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_INSIDE = "NRI_NETDEV_BENCH"
PLACE = Path("/run")
"""Becomes a tmpfs of ours: sockets, network namespaces, state."""


def enter(arguments: Sequence[str]) -> None:
    """Start this program again in namespaces of its own, unless it is there already; then set them up."""
    if _INSIDE not in os.environ:
        os.environ[_INSIDE] = "1"
        unshare = ["unshare", "--mount", "--net", "--propagation", "private"]
        os.execvp(unshare[0], [*unshare, sys.executable, "-m", *arguments])  # noqa: S606 - no shell, on purpose
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    mount_tmpfs(PLACE)
    ip("link set lo up")


def add_pod_netns(number: int) -> Path:
    """The network namespace of a pod, by its path."""
    path = PLACE / "netns" / f"pod-{number}"
    return path if path.exists() else add_netns(path)


@contextlib.contextmanager
def veths(names: Iterable[str], *addresses: str) -> Iterator[None]:
    """Interfaces to give away within the block: each one end of a veth, whose other end is elsewhere, and up."""
    cables = PLACE / "netns" / "cables"
    if not cables.exists():
        add_netns(cables)
    names = tuple(names)
    ip(*(f"link add {name} type veth peer name {name} netns {cables}" for name in names))
    ip(*(f"link set {name} up" for name in names), netns=cables)
    ip(*(f"link set {name} up" for name in names))
    ip(*(f"address add {address} dev {name}" for name, address in zip(names, addresses, strict=False)))
    try:
        yield
    finally:
        ip(*(f"link delete {name}" for name in names), netns=cables)  # and so the other end, wherever it is


def ip(*lines: str, netns: Path | None = None) -> None:
    """Run commands of `ip`, here or in a netns, until one fails."""
    command = [*(("nsenter", f"--net={netns}") if netns else ()), "ip", "-batch", "-"]
    subprocess.run(command, input="\n".join((*lines, "")), text=True, check=True)


@contextlib.contextmanager
def on_one_core() -> Iterator[None]:
    """Have what is started within the block share one core: then nobody waits for an idle one to wake."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def shape() -> str:
    """The machine's shape: cores and memory, and nothing else of it."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{os.cpu_count()} cores, {pages / 2**30:.0f} GiB of memory"
