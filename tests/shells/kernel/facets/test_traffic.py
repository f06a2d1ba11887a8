"""Qdiscs, classes and filters, destroyed as a move destroys them, and made again from what the kernel told."""

from __future__ import annotations

import re
import struct

import pytest

from nri_netdev.domain.snapshot import Shortfall
from nri_netdev.shells.kernel.attributes import attributes, pack
from nri_netdev.shells.kernel.facets.facet import Recorded
from nri_netdev.shells.kernel.facets.traffic import TRAFFIC
from nri_netdev.shells.kernel.messages import TCMSG
from tests.shells.kernel.facets.conftest import Bench

pytestmark = pytest.mark.root

TREES = {
    "tbf": ("tc qdisc add dev dev0 root handle 10: tbf rate 10mbit burst 32k latency 50ms",),
    "a qdisc in a qdisc": (
        "tc qdisc add dev dev0 root handle 1: tbf rate 10mbit burst 32k latency 50ms",
        "tc qdisc add dev dev0 parent 1:1 handle 10: tbf rate 5mbit burst 32k latency 50ms",
    ),
    "htb": (
        "tc qdisc add dev dev0 root handle 1: htb default 20 r2q 7",
        "tc class add dev dev0 parent 1: classid 1:1 htb rate 1mbit ceil 2mbit",
        "tc class add dev dev0 parent 1:1 classid 1:20 htb rate 500kbit ceil 1mbit prio 3",
        "tc qdisc add dev dev0 parent 1:20 handle 20: tbf rate 10mbit burst 32k latency 50ms",
        "tc filter add dev dev0 parent 1: protocol ip prio 1 u32 match ip dst 192.0.2.4/32 flowid 1:20",
    ),
    "clsact": (
        "tc qdisc add dev dev0 clsact",
        "tc filter add dev dev0 ingress protocol ip prio 3 u32 match ip src 192.0.2.7/32 classid 1:7",
    ),
    "ingress": ("tc qdisc add dev dev0 ingress",),
}


def shown(bench: Bench) -> str:
    """What tc shows, without counters and handles of the kernel's own."""
    every = [bench.net.run("tc", what, "show", "dev", "dev0") for what in ("qdisc", "class", "filter")]
    every += [bench.net.run("tc", "filter", "show", "dev", "dev0", side) for side in ("ingress",)]
    return re.sub(r"(refcnt|index|ref|bind) \d+ ?", "", "".join(every))


@pytest.mark.parametrize("tree", TREES)
def test_a_tree_is_planted_again(bench: Bench, tree: str) -> None:
    """As tc shows it, parents before children."""
    bench.make("type ifb", "ip link set dev0 up")
    for command in TREES[tree]:
        bench.run(command)
    before, was = shown(bench), [bench.record(facet) for facet in TRAFFIC]
    for qdisc in ("root", "clsact", "ingress"):
        bench.net.run("sh", "-c", f"tc qdisc del dev dev0 {qdisc} 2>/dev/null || true")
    assert shown(bench) != before

    left: list[Shortfall] = []
    for _ in range(2):  # a child needs its class
        left = [each for facet, recorded in zip(TRAFFIC, was, strict=True) for each in bench.restore(facet, recorded)]
    assert [*map(str, left)] == []
    assert shown(bench) == before


def test_what_cannot_be_made_again_is_named(bench: Bench) -> None:
    """A class whose qdisc cannot be there."""
    bench.make("type ifb", *TREES["htb"][:3])
    was = [bench.record(facet) for facet in TRAFFIC]
    bench.run("tc qdisc del dev dev0 root", TREES["tbf"][0])
    qdiscs, classes, _ = TRAFFIC

    assert [str(each).partition(" could")[0] for each in bench.restore(classes, was[1])] == [
        "class htb 1:1",
        "class htb 1:20",
    ]
    assert qdiscs.is_flushed


@pytest.mark.parametrize(("flows", "limit"), [(128, 0), (127, 127)], ids=["the kernel's own", "set"])
def test_an_sfq_is_made_with_the_limit_that_somebody_set(flows: int, limit: int) -> None:
    """With one that the kernel had chosen, it would have fewer flows than before."""
    options = struct.pack("=IiIII", 1514, 0, 127, 1024, flows) + bytes(48)
    message = TCMSG.pack(0, 7, 0x120000, 0xFFFFFFFF, 2) + pack(1, b"sfq\0") + pack(2, options)
    [item] = TRAFFIC[0].items(Recorded(messages=(message,), ifindex=7))

    assert struct.unpack_from("=IiIII", attributes(item, TCMSG.size)[2]) == (1514, 0, limit, 1024, flows)
