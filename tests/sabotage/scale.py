"""An interface with very many routes and neighbours: how long it takes to know them, and to put them back."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator

from nri_netdev.shells.kernel.host import Host
from tests.sabotage.differences import compare
from tests.sabotage.dumps import dump
from tests.sabotage.kinds import KINDS
from tests.sabotage.node import INTERFACE, Node, Pod, make, stopped


def measure(node: Node, count: int) -> dict[str, float]:
    """Give away an interface with so many IPv4 routes and as many permanent neighbours, and get it back.

    Returns:
        Seconds by step, and how many differences there are.
    """
    make([*KINDS["veth"].variants[0], f"ip link set {INTERFACE} up", f"ip addr add 10.0.0.1/8 dev {INTERFACE}"])
    batch = "\n".join(_objects(count)) + "\n"
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True, capture_output=True)
    before = dump(INTERFACE)
    host, took = Host(), {}
    host.snapshot(socket.if_nametoindex(INTERFACE))
    start = time.monotonic()
    host.snapshot(socket.if_nametoindex(INTERFACE))
    took["snapshot"] = time.monotonic() - start
    pod = Pod(node, 10_000)
    start = time.monotonic()
    pod.run()
    took["given"] = time.monotonic() - start
    start = time.monotonic()
    stopped(pod)
    node.home()
    took["returned"] = time.monotonic() - start
    took["differences"] = len(compare(before, dump(INTERFACE)))
    pod.unmount()
    node.clear()
    return took


def _objects(count: int) -> Iterator[str]:
    for number in range(count):
        low = f"{number >> 8}.{number & 255}"
        yield f"route add 172.{16 + (number >> 16)}.{low} via 10.0.0.2 dev {INTERFACE} metric 7"
        yield f"neigh add 10.7.{low} lladdr 02:00:00:00:{number >> 8:02x}:{number & 255:02x} dev {INTERFACE}"
