"""What is attached to interfaces, on the kernel, and that a move does with it what is told."""

from __future__ import annotations

import os

import pytest

from nri_netdev.domain.effects import Attached, nothing_attached
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attachments import attached, attached_reader, attached_to
from nri_netdev.shells.kernel.attributes import NLA_F_NESTED, pack, u32
from nri_netdev.shells.kernel.messages import IFLA_XDP, RTM_NEWLINK, pack_link
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from tests.shells.conftest import Net
from tests.shells.kernel.facets.programs import SCHED_CLS, XDP, load
from tests.shells.kernel.facets.programs import attach as attach_program

pytestmark = pytest.mark.root


def attach(rtnl: Rtnl, ifindex: int, program: int) -> None:
    xdp = pack(1, u32(program))  # IFLA_XDP_FD
    rtnl.change("attach a program", RTM_NEWLINK, pack_link(ifindex, {IFLA_XDP | NLA_F_NESTED: xdp}))


def test_an_interface_as_the_kernel_makes_it_has_nothing(home: Net) -> None:
    """Neither have the others."""
    home.ip("link add dev0 type veth peer name dev1")
    home.ip("link set dev0 up")

    assert set(home.call(attached).values()) == {Attached()}
    assert nothing_attached(home.link("dev0")) == Attached()


def test_qdiscs_that_somebody_set_are_found_and_gone_in_the_pod(home: Net, pod: Net) -> None:
    """By kind; of one interface, or of each."""
    home.ip("link add dev0 type veth peer name dev1")
    home.run(
        "tc",
        "qdisc",
        "add",
        "dev",
        "dev0",
        "root",
        "handle",
        "1:",
        "tbf",
        "rate",
        "1mbit",
        "burst",
        "10k",
        "latency",
        "1s",
    )
    home.run("tc", "qdisc", "add", "dev", "dev0", "ingress")
    index = home.link("dev0").ifindex

    found = home.call(attached)

    assert set(found[index].qdiscs) == {"tbf", "ingress"}
    assert found[home.link("dev1").ifindex] == Attached()
    assert home.call(attached, index) == {index: found[index]}

    home.ip(f"link set dev0 netns {pod.path}")

    assert pod.call(attached)[pod.link("dev0").ifindex] == Attached()


def test_programs_are_found_and_come_along(home: Net, pod: Net) -> None:
    """As it is told, of both kinds."""
    home.ip("link add dev0 type veth peer name dev1")
    program = load(XDP)
    try:
        home.call(attach, home.link("dev0").ifindex, program)
        call_in_netns(home.fd, attach_program, load(SCHED_CLS), home.link("dev0").ifindex, 46)
    finally:
        os.close(program)

    assert home.call(attached)[home.link("dev0").ifindex] == Attached(programs=("XDP", "tcx"))

    home.ip(f"link set dev0 netns {pod.path}")

    assert pod.call(attached)[pod.link("dev0").ifindex] == Attached(programs=("XDP", "tcx"))


def test_the_reader_reads_when_it_is_asked(home: Net) -> None:
    """All at once; an interface that comes later has nothing."""
    home.ip("link add dev0 type veth peer name dev1")
    home.run("tc", "qdisc", "add", "dev", "dev0", "clsact")
    link = home.link("dev0")

    def read_twice() -> tuple[Attached, Attached]:
        reader = attached_reader()
        first = reader(link)
        return first, reader(home.link("lo"))

    assert call_in_netns(home.fd, read_twice) == (Attached(qdiscs=("clsact",)), Attached())


def test_one_interface_is_read_alone(home: Net) -> None:
    """One that has gone has nothing."""
    home.ip("link add dev0 type veth peer name dev1")
    home.run("tc", "qdisc", "add", "dev", "dev0", "clsact")
    link = home.link("dev0")

    assert home.call(attached_to, link) == Attached(qdiscs=("clsact",))
    home.ip("link del dev0")
    assert home.call(attached_to, link) == Attached()


def test_an_interface_that_is_not_there_is_an_error(home: Net) -> None:
    """With what was tried."""
    with pytest.raises(KernelError, match="read interface 4242"):
        home.call(attached, 4242)
