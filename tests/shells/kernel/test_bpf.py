"""Attached programs on a real kernel."""

from __future__ import annotations

import errno
import os

import pytest

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import bpf
from tests.shells.conftest import Net
from tests.shells.kernel.facets import programs

pytestmark = pytest.mark.root


def test_what_is_attached_is_listed_in_its_order(home: Net) -> None:
    """Attached by command, attached by a link, and detached again."""
    home.ip("link add dev0 type ifb")
    ifindex = home.link("dev0").ifindex
    first, second = (programs.load(programs.SCHED_CLS) for _ in range(2))
    home.call(lambda _: programs.attach(first, ifindex, bpf.TCX_INGRESS))
    holder = home.call(lambda _: programs.link(second, ifindex, bpf.TCX_INGRESS))

    def attached() -> list[tuple[int, int]]:
        return home.call(lambda _: bpf.attached(ifindex, bpf.TCX_INGRESS))

    (by_command, none), (by_link, number) = attached()
    assert none == 0
    assert number
    home.call(lambda _: bpf.detach_link(number))
    home.call(lambda _: bpf.detach(ifindex, bpf.TCX_INGRESS, by_command))
    assert attached() == []
    home.call(lambda _: bpf.attach(ifindex, bpf.TCX_INGRESS, by_link))
    assert attached() == [(by_link, 0)]
    for fd in (first, second, holder):
        os.close(fd)


@pytest.mark.parametrize("hook", [bpf.TCX_INGRESS, bpf.TCX_EGRESS])
def test_programs_are_found_in_either_direction(home: Net, hook: int) -> None:
    """Of the interface that is asked for, and of no other."""
    home.ip("link add dev0 type veth peer name dev1")
    first, second = home.link("dev0").ifindex, home.link("dev1").ifindex
    assert not home.call(lambda _: bpf.has_tcx(first))
    fd = programs.load(programs.SCHED_CLS)
    home.call(lambda _: programs.attach(fd, first, hook))
    os.close(fd)

    assert home.call(lambda _: bpf.has_tcx(first))
    assert not home.call(lambda _: bpf.has_tcx(second))
    assert not bpf.has_tcx(0x7FFFFFFF)


def test_a_program_that_is_gone(home: Net) -> None:
    """Told as what it is."""
    home.ip("link add dev0 type ifb")
    with pytest.raises(KernelError) as raised:
        home.call(lambda _: bpf.attach(home.link("dev0").ifindex, bpf.TCX_INGRESS, 0x7FFFFFF0))

    assert raised.value.errno == errno.ENOENT


def test_an_xdp_link_is_found_by_its_program(home: Net) -> None:
    """It is the only way to detach it."""
    home.ip("link add dev0 type veth peer name peer0")
    ifindex = home.link("dev0").ifindex
    fd = programs.load(programs.XDP)
    holder = home.call(lambda _: programs.link(fd, ifindex, 37))
    [shown] = home.ip_json("-d link show dev dev0")
    [number] = bpf.xdp_links(shown["xdp"]["prog"]["id"])
    bpf.detach_link(number)

    assert "xdp" not in home.ip_json("-d link show dev dev0")[0]
    for each in (fd, holder):
        os.close(each)
