"""The stand-in for a node: namespaces and interfaces of a demonstration."""

from __future__ import annotations

from pathlib import Path

import pytest

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.netns import call_in_netns, is_netns, open_netns, unpin
from nri_netdev.shells.kernel.rtnetlink import Rtnl, with_rtnl
from nri_netdev.testing.node import add_interface, add_netns, mount_tmpfs, remove_cgroup, remove_interface
from tests.shells.conftest import Net, home, nets  # noqa: F401 - fixtures


@pytest.mark.root
def test_a_netns_is_held_by_its_path(tmp_path: Path) -> None:
    """With its loopback up, and nothing else."""
    path = add_netns(tmp_path / "below" / "pod")
    try:
        with open_netns(path) as netns_fd:
            [loopback] = with_rtnl(netns_fd, Rtnl.links)
    finally:
        unpin(path)

    assert (loopback.ifname, loopback.is_up) == ("lo", True)
    assert not is_netns(path)


@pytest.mark.root
def test_an_interface_comes_and_goes(home: Net) -> None:  # noqa: F811
    """Up, with a carrier and its addresses; IPv6 ones are left out if IPv6 is off."""
    call_in_netns(home.fd, add_interface, "ens9", ("192.0.2.10/24", "2001:db8::10/64"))
    link = home.link("ens9")

    assert (link.is_up, link.has_carrier) == (True, True)
    assert {str(address) for address in home.call(Rtnl.addresses, link.ifindex)[link.ifindex]} >= {
        "192.0.2.10/24",
        "2001:db8::10/64",
    }

    call_in_netns(home.fd, remove_interface, "ens9")

    assert home.names() == {"lo"}

    home.sysctl("ipv6/conf/default/disable_ipv6", "1")
    call_in_netns(home.fd, add_interface, "ens9", ("192.0.2.10/24", "2001:db8::10/64"))
    index = home.link("ens9").ifindex

    assert [str(address) for address in home.call(Rtnl.addresses, index)[index]] == ["192.0.2.10/24"]


def test_a_refused_mount_says_what_was_tried(tmp_path: Path) -> None:
    """Whether root asks or not."""
    with pytest.raises(KernelError, match="mount a tmpfs on"):
        mount_tmpfs(tmp_path / "nothing")


def test_a_cgroup_that_does_not_exist_is_no_error() -> None:
    """There is nothing to remove."""
    remove_cgroup("nri-netdev-test-that-is-not-there")
