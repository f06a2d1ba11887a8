"""Programs that a pod has attached are taken off, those of the host that it has taken off are back."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from nri_netdev.shells.kernel import bpf
from nri_netdev.shells.kernel.attributes import pack, u32
from nri_netdev.shells.kernel.changes import set_link
from nri_netdev.shells.kernel.facets.programs import PROGRAMS
from tests.shells.kernel.facets import programs
from tests.shells.kernel.facets.conftest import Bench

pytestmark = pytest.mark.root

XDP_HOOK = 37


@pytest.fixture(name="fds")
def _fds() -> Iterator[list[int]]:
    fds: list[int] = []
    yield fds
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("by", ["command", "link"])
@pytest.mark.parametrize("hook", [bpf.TCX_INGRESS, bpf.TCX_EGRESS, XDP_HOOK])
def test_a_program_of_the_pod_is_taken_off(bench: Bench, fds: list[int], hook: int, by: str) -> None:
    """However it was attached; the host's stays where it was."""
    bench.make("type veth peer name peer0", "ip link set dev0 up")
    ifindex = bench.net.link("dev0").ifindex
    kind = programs.XDP if hook == XDP_HOOK else programs.SCHED_CLS
    fds += [programs.load(programs.SCHED_CLS), programs.load(kind)]
    own, of_pod = fds
    bench.net.call(lambda _: programs.attach(own, ifindex, bpf.TCX_INGRESS))
    was = bench.record(PROGRAMS)
    if by == "link":
        fds.append(bench.net.call(lambda _: programs.link(of_pod, ifindex, hook)))
    elif hook == XDP_HOOK:
        info = {43 | 0x8000: bench_xdp(of_pod)}
        bench.net.call(lambda rtnl: set_link(rtnl, "attach", ifindex, info))
    else:
        bench.net.call(lambda _: programs.attach(of_pod, ifindex, hook))
    assert bench.record(PROGRAMS) != was

    assert bench.restore(PROGRAMS, was) == []
    assert bench.record(PROGRAMS) == was


def test_a_program_of_the_host_is_attached_again(bench: Bench, fds: list[int]) -> None:
    """If it is still loaded; if not, it is told."""
    bench.make("type veth peer name peer0")
    ifindex = bench.net.link("dev0").ifindex
    fds.append(programs.load(programs.SCHED_CLS))
    bench.net.call(lambda _: programs.attach(fds[0], ifindex, bpf.TCX_EGRESS))
    was = bench.record(PROGRAMS)
    [(number, _)] = bench.net.call(lambda _: bpf.attached(ifindex, bpf.TCX_EGRESS))
    bench.net.call(lambda _: bpf.detach(ifindex, bpf.TCX_EGRESS, number))

    assert bench.restore(PROGRAMS, was) == []
    bench.net.call(lambda _: bpf.detach(ifindex, bpf.TCX_EGRESS, number))
    os.close(fds.pop())
    [told] = bench.restore(PROGRAMS, was)
    assert str(told).startswith(f"tcx egress program {number} could not be restored: cannot open BPF program {number}")
    assert not told.is_left


def bench_xdp(fd: int) -> bytes:
    return pack(1, u32(fd)) + pack(3, u32(2))
