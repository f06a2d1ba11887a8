"""The nearest to a reboot that a stand-in for a machine has.

Every process of the node ends at once, of its tmpfs nothing is left, nor are there pods' network namespaces, mounts and
cgroups, and the kernel has another boot id. The control plane goes on, as on a machine of its own.
"""

import contextlib
import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.e2e.machine import CommandError, Machine
from tests.e2e.node import LAN
from tests.e2e.wait import wait_until
from tests.kubernetes.cluster import NODE, Cluster
from tests.kubernetes.product import DAEMON_SET, Product

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_FILE = "/var/lib/nri-netdev/boot_id"
"""Where the daemon's container sees it, too."""
_PYTHON = "/opt/nri-netdev/bin/python"
_SEES_IT = f"""
import ctypes, os, sys
assert ctypes.CDLL(None).mount(b"{_FILE}", b"{_BOOT_ID}", None, {1 << 12}, None) == 0
os.execv("/opt/nri-netdev/bin/nri-netdev", ["nri-netdev", *sys.argv[1:]])
"""
_KEPT = ("upper", "kernel", "whole-proc", "lock", "netns")
"""What lies in /run only because the machine is none."""
_WIPE = f"""
awk '{{print $5}}' /proc/self/mountinfo | sort -r | grep -E '^/run/|^/var/lib/[a-z]+/' |
    grep -Ev '^/run/({"|".join(_KEPT[:-1])})(/|$)|^/run/netns(/{LAN})?$' |
    while read place; do umount -l "$place"; done
cd /run
for name in *; do case $name in {"|".join(_KEPT)}) ;; *) rm -rf "$name" ;; esac; done
find netns -mindepth 1 -maxdepth 1 -not -name {LAN} -delete
"""


@contextlib.contextmanager
def boot_id_of_its_own(product: Product) -> Iterator[None]:
    """Have a boot id of the machine's own, which a reboot changes, for as long as the block lasts."""
    machine = product.cluster.machine
    _new_boot_id(machine)
    machine.run("mount", "--bind", _FILE, _BOOT_ID)
    path = "/spec/template/spec/containers/0/command"
    _patch(product, {"op": "add", "path": path, "value": [_PYTHON, "-c", _SEES_IT]})
    try:
        yield
    finally:
        machine.run("umount", _BOOT_ID)
        _patch(product, {"op": "remove", "path": path})


def reboot(cluster: Cluster, *, meanwhile: Callable[[], object]) -> None:
    """Reboot the node, and wait until it is ready.

    Args:
        cluster: whose node.
        meanwhile: makes the node's hardware anew, before engine and kubelet start.
    """
    machine = cluster.machine
    cluster.kill9("kubelet")
    cluster.engine.kill9()
    spared = cluster.pids()
    wait_until(lambda: not _kill(cluster, spared), timeout_s=30, what=lambda: str(machine.processes()))
    machine.run("sh", "-ec", _WIPE)
    for path in sorted(machine.cgroups(), reverse=True):
        with contextlib.suppress(OSError):
            Path(path).rmdir()
    boot_id = _new_boot_id(machine)
    meanwhile()
    cluster.engine.start()
    cluster.start_part("kubelet")

    def is_known() -> bool:
        node = cluster.get("node", NODE)
        return bool(node["status"]["nodeInfo"]["bootID"] == boot_id) and cluster.is_node_ready()

    wait_until(is_known, timeout_s=60, what=lambda: cluster.log_tail("kubelet"))


def _kill(cluster: Cluster, spared: set[int]) -> list[int]:
    """Kill all but some, and return what has been found."""
    found = [pid for pid in {**cluster.machine.processes(), **cluster.contained()} if pid not in spared]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def _new_boot_id(machine: Machine) -> str:
    boot_id = str(uuid.uuid4())
    machine.write(_FILE, f"{boot_id}\n")
    return boot_id


def _patch(product: Product, change: dict[str, object]) -> None:
    with contextlib.suppress(CommandError) if change["op"] == "remove" else contextlib.nullcontext():
        product.kubectl("patch", DAEMON_SET, "--type=json", "--patch", json.dumps([change]))
        product.wait_rolled_out()
