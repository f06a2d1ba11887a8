"""How changes are tried: again with the link down, and links of a kind that the kernel may lack."""

from __future__ import annotations

import errno

import pytest

from nri_netdev.domain.setup.values import PLAIN
from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.attributes import from_text
from nri_netdev.shells.kernel.messages import IFF_PROMISC, IFLA_IFNAME
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.setup import target
from tests.shells.kernel.setup.conftest import SetupPod

pytestmark = pytest.mark.root


def test_what_a_driver_refuses_while_up_is_done_while_down(setup_pod: SetupPod) -> None:
    """Only then; any other refusal is told at once, and one while down is not tried twice."""
    tried: list[bool] = []

    def busy(rtnl: Rtnl, number: int, *, always: bool) -> None:
        its = target.Target(rtnl=rtnl, ifindex=setup_pod.ifindex, setup=PLAIN)

        def change() -> None:
            tried.append(its.link.is_up)
            if its.link.is_up or always:
                raise KernelError(action="set mac", errno=number)

        target.change_when_down(its, change)

    with pytest.raises(KernelError):
        setup_pod.net.call(lambda rtnl: busy(rtnl, errno.EINVAL, always=True))
    assert tried == [True]
    setup_pod.net.call(lambda rtnl: busy(rtnl, errno.EBUSY, always=False))
    assert tried == [True, True, False]
    with pytest.raises(KernelError):
        setup_pod.net.call(lambda rtnl: busy(rtnl, errno.EBUSY, always=True))
    assert tried == [True, True, False, False]


def test_a_flag_is_set_once(setup_pod: SetupPod) -> None:
    """And not at all if it is so."""
    for is_set in (True, True, False, False):
        setup_pod.net.call(
            lambda rtnl, is_set=is_set: target.put_flag(
                rtnl, setup_pod.ifindex, "set promisc", IFF_PROMISC, is_set=is_set
            )
        )
        [shown] = setup_pod.net.ip_json("-d link show dev net1")
        assert ("PROMISC" in shown["flags"], shown["promiscuity"]) == (is_set, int(is_set))


def test_a_kind_that_the_kernel_lacks_is_told_in_words(setup_pod: SetupPod) -> None:
    """Whatever else is refused is told in the kernel's."""

    def make(kind: str, name: str) -> None:
        attrs = {IFLA_IFNAME: from_text(name)}
        setup_pod.net.call(target.make_link, f"make {name}", kind, attrs, {})

    with pytest.raises(KernelError) as refusal:
        make("nosuch", "dev0")
    assert str(refusal.value) == (
        "cannot make dev0: this kernel has no nosuch devices (ENOTSUP); ask for a node whose kernel has them"
    )
    make("ifb", "dev0")
    assert setup_pod.net.link("dev0").kind == "ifb"
    with pytest.raises(KernelError) as refusal:
        make("ifb", "net1")
    assert refusal.value.errno == errno.EEXIST


def test_a_link_with_an_index(setup_pod: SetupPod) -> None:
    """It has that which is asked for."""
    attrs = {IFLA_IFNAME: from_text("dev0")}
    setup_pod.net.call(lambda rtnl: target.make_link(rtnl, "make dev0", "ifb", attrs, {}, ifindex=1 << 30))
    assert setup_pod.net.link("dev0").ifindex == 1 << 30


def test_names_for_messages(setup_pod: SetupPod) -> None:
    """Of one that has gone there is the index."""

    def names(rtnl: Rtnl) -> tuple[str, str, str]:
        its = target.Target(rtnl=rtnl, ifindex=setup_pod.ifindex, setup=PLAIN)
        return its.ifname, its.name_of(setup_pod.net.link("eth0").ifindex), its.name_of(4242)

    assert setup_pod.net.call(names) == ("net1", "eth0", "interface 4242")
