"""The interface's own settings, read back by other tools."""

from __future__ import annotations

import errno
import os

import pytest

from nri_netdev.domain.setup.values import Setup
from nri_netdev.domain.snapshot import Shortfall
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel import bpf, changes
from nri_netdev.shells.kernel.messages import IFLA_ADDRESS
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup import link
from nri_netdev.shells.kernel.setup.target import Target
from tests.shells.kernel.facets import programs
from tests.shells.kernel.setup.conftest import SetupPod

pytestmark = pytest.mark.root


def test_numbers_are_set(setup_pod: SetupPod) -> None:
    """MTU, queue length, GSO and GRO limits; what is so already is not sent again."""
    setup = Setup(mtu=9000, txqueuelen=77, gso_max_size=30000, gro_max_size=40000)
    for step in (link.set_txqueuelen, link.set_offload_sizes, link.set_mtu) * 2:
        setup_pod.act(step, setup)
    [shown] = setup_pod.net.ip_json("-d link show dev net1")
    assert [shown[key] for key in ("mtu", "txqlen", "gso_max_size", "gro_max_size")] == [9000, 77, 30000, 40000]


@pytest.mark.parametrize(
    ("setup", "text"),
    [
        (
            Setup(mtu=65536),
            "cannot set mtu 65536 on net1: mtu greater than device maximum (EINVAL)",
        ),
        (Setup(gso_max_size=600000), "cannot set gso_max_size 600000 on net1: too big gso_max_size (EINVAL)"),
    ],
)
def test_a_refusal_is_the_kernels(setup_pod: SetupPod, setup: Setup, text: str) -> None:
    """In its words, and the annotation's."""
    with pytest.raises(KernelError) as refusal:
        setup_pod.apply(setup)
    assert str(refusal.value) == text


def test_the_mac_address_is_set(setup_pod: SetupPod) -> None:
    """While it is up, if the driver can; what is so already is not set."""
    for _ in range(2):
        setup_pod.act(link.set_mac, Setup(mac="02:00:00:00:00:77"))
    assert setup_pod.net.link("net1").mac == "02:00:00:00:00:77"
    assert setup_pod.net.link("net1").is_up


def test_the_mac_address_is_set_while_down_if_the_driver_wants_that(
    setup_pod: SetupPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many do that answer EBUSY while up."""
    real = changes.set_link

    def stubborn(rtnl: Rtnl, action: str, ifindex: int, attrs: dict[int, bytes]) -> None:
        if IFLA_ADDRESS in attrs and rtnl.link(ifindex).is_up:
            raise KernelError(action=action, errno=errno.EBUSY)
        real(rtnl, action, ifindex, attrs)

    monkeypatch.setattr(link, "set_link", stubborn)
    setup_pod.act(link.set_mac, Setup(mac="02:00:00:00:00:77"))
    assert setup_pod.net.link("net1").mac == "02:00:00:00:00:77"
    assert not setup_pod.net.link("net1").is_up
    setup_pod.act(link.set_up)
    assert setup_pod.net.link("net1").is_up


def test_a_mac_address_that_cannot_be_set(setup_pod: SetupPod) -> None:
    """The driver does not let it, or the kernel does not take it."""

    def set_on(ifname: str, mac: str) -> str:
        def act(rtnl: Rtnl) -> None:
            link.set_mac(Target(rtnl=rtnl, ifindex=setup_pod.net.link(ifname).ifindex, setup=Setup(mac=mac)))

        with pytest.raises(KernelError) as refusal:
            setup_pod.net.call(act)
        return str(refusal.value)

    assert set_on("eth0", "02:00:00:00:00:77") == (
        "cannot set mac 02:00:00:00:00:77 on eth0: its driver does not let it be changed (ENOTSUP)"
    )
    assert set_on("net1", "03:00:00:00:00:77") == (
        "cannot set mac 03:00:00:00:00:77 on net1: Cannot assign requested address (EADDRNOTAVAIL); give a unicast "
        "address; that of a virtual function may be administered by its physical one"
    )


def test_modes_are_set_and_taken_off(setup_pod: SetupPod) -> None:
    """Once each, so that what counts them counts one; what is not asked for stays."""

    def shown() -> tuple[set[str], int]:
        [found] = setup_pod.net.ip_json("-d link show dev net1")
        return {"PROMISC", "ALLMULTI", "NOARP"} & set(found["flags"]), found["promiscuity"]

    for _ in range(2):
        setup_pod.act(link.set_modes, Setup(promisc=True, allmulti=True, arp=False))
    assert shown() == ({"PROMISC", "ALLMULTI", "NOARP"}, 1)
    setup_pod.act(link.set_modes, Setup(promisc=False))
    assert shown() == ({"ALLMULTI", "NOARP"}, 0)
    setup_pod.act(link.set_modes, Setup(allmulti=False, arp=True))
    assert shown() == (set(), 0)


def test_sysctls_are_set(setup_pod: SetupPod) -> None:
    """In the pod, of the interface alone."""
    setup_pod.act(link.set_sysctls, Setup(sysctls={"ipv4/conf/rp_filter": "2", "ipv6/neigh/gc_stale_time": "77"}))
    assert setup_pod.net.sysctl("ipv4/conf/net1/rp_filter") == "2"
    assert setup_pod.net.sysctl("ipv6/neigh/net1/gc_stale_time") == "77"
    assert setup_pod.net.sysctl("ipv4/conf/eth0/rp_filter") != "2"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        (
            "ipv4/conf/nosuch",
            "1",
            "cannot set sysctl ipv4.nosuch to 1 on net1: this kernel has no such sysctl for interfaces (ENOENT)",
        ),
        (
            "ipv4/neigh/gc_stale_time",
            "soon",
            "cannot set sysctl ipv4.neigh.gc_stale_time to soon on net1: Invalid argument (EINVAL)",
        ),
    ],
)
def test_a_sysctl_that_cannot_be_set(setup_pod: SetupPod, key: str, value: str, text: str) -> None:
    """It is told as the annotation has it."""
    with pytest.raises(KernelError) as refusal:
        setup_pod.act(link.set_sysctls, Setup(sysctls={key: value}))
    assert str(refusal.value) == text


def test_programs_are_detached(setup_pod: SetupPod) -> None:
    """All of them, if that is asked for."""
    fd = programs.load(programs.SCHED_CLS)
    try:
        setup_pod.net.call(lambda _: programs.attach(fd, setup_pod.ifindex, bpf.TCX_INGRESS))
    finally:
        os.close(fd)

    def count() -> int:
        return len(setup_pod.net.call(lambda _: bpf.attached(setup_pod.ifindex, bpf.TCX_INGRESS)))

    setup_pod.act(link.detach_bpf, Setup())
    assert count() == 1
    for _ in range(2):
        setup_pod.act(link.detach_bpf, Setup(detach_bpf=True))
        assert count() == 0


def test_a_program_that_stays_is_told(setup_pod: SetupPod, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason."""
    left = [Shortfall(what="tcx ingress program 7", why="it is sealed; take it off", is_extra=True)]
    monkeypatch.setattr(link, "restore_facet", lambda *_: left)
    with pytest.raises(
        KernelError, match=r"detach BPF programs from net1: tcx ingress program 7 stays: it is sealed \(E"
    ):
        setup_pod.act(link.detach_bpf, Setup(detach_bpf=True))


def test_up_and_down(setup_pod: SetupPod) -> None:
    """One that is to be down is set down by the last step alone."""
    setup_pod.net.ip("link set net1 down")
    setup_pod.act(link.set_up, Setup(up=False))
    assert setup_pod.net.link("net1").is_up
    setup_pod.act(link.set_down, Setup())
    assert setup_pod.net.link("net1").is_up
    for _ in range(2):
        setup_pod.act(link.set_down, Setup(up=False))
    assert not setup_pod.net.link("net1").is_up
