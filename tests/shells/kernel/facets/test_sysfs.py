"""Settings in sysfs, of whatever netns the thread is in."""

from __future__ import annotations

import os

import pytest

from nri_netdev.shells.kernel.facets.sysfs import SYSFS
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from tests.shells.kernel.facets.conftest import Bench

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("gro_flush_timeout", "12345"),
        ("napi_defer_hard_irqs", "3"),
        ("queues/rx-0/rps_cpus", "1"),
        ("queues/rx-0/rps_flow_cnt", "64"),
        ("queues/tx-0/xps_cpus", "1"),
    ],
)
def test_what_a_pod_writes_is_put_back(bench: Bench, path: str, value: str) -> None:
    """The file has what it had."""
    bench.make("numtxqueues 2 numrxqueues 2 type veth peer name peer0")

    def access(rtnl: Rtnl, text: str | None = None) -> str:
        flags = os.O_RDONLY if text is None else os.O_WRONLY
        fd = os.open(f"class/net/dev0/{path}", flags, dir_fd=rtnl.sysfs_fd)
        try:
            return os.read(fd, 99).decode() if text is None else str(os.write(fd, text.encode()))
        finally:
            os.close(fd)

    before, was = bench.net.call(access), bench.record(SYSFS)
    bench.net.call(access, value)

    assert bench.net.call(access) != before
    assert bench.restore(SYSFS, was) == []
    assert bench.net.call(access) == before


def test_where_there_is_no_sysfs_nothing_is_compared(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel may refuse to mount one."""
    bench.make("type ifb")
    monkeypatch.setattr(Rtnl, "sysfs_fd", -1)

    assert bench.net.call(lambda rtnl: SYSFS.read(bench.site(rtnl))) is None
