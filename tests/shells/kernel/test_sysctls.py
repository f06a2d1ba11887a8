"""Sysctls of interfaces: those that differ from the default, cached only where a link message shows each change."""

from __future__ import annotations

from pathlib import Path

import pytest

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.capture import conf_of
from nri_netdev.shells.kernel.messages import link_attributes
from nri_netdev.shells.kernel.netns import call_in_netns
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.sysctls import _IN_LINK, Sysctls, has_ipv6, read_sysctl, write_sysctl
from tests.shells.conftest import Net


@pytest.mark.root
def test_sysctls_that_differ_from_the_default(home: Net) -> None:
    """Only those, only in the netns of the thread, and with dots in the interface's name."""
    home.ip("link add eth0.5 type veth peer name peer0")

    def differing() -> dict[str, str]:
        def read() -> dict[str, str]:
            with Sysctls() as sysctls:
                found = sysctls.differing("eth0.5")
                return {key: value for key, value in found.items() if "neigh" not in key}  # without defaults here

        return call_in_netns(home.fd, read)

    assert differing() == {}
    call_in_netns(home.fd, write_sysctl, "eth0.5", "ipv4/conf/rp_filter", "2")
    assert differing() == {"ipv4/conf/rp_filter": "2"}
    assert call_in_netns(home.fd, read_sysctl, "eth0.5", "ipv4/conf/rp_filter") == "2"
    assert read_sysctl("eth0.5", "ipv4/conf/rp_filter") is None


@pytest.mark.root
def test_defaults_are_read_when_they_are_asked_for(home: Net) -> None:
    """Their files stay open, and still a default that is changed later is the one that counts."""
    home.ip("link add dev0 type veth peer name peer0")

    def act() -> tuple[object, object]:
        with Sysctls() as sysctls:
            before = dict(sysctls.differing("dev0"))
            Path("/proc/sys/net/ipv6/conf/default/hop_limit").write_text("77")
            return before, dict(sysctls.differing("dev0"))

    before, after = call_in_netns(home.fd, act)
    assert after == {**before, "ipv6/conf/hop_limit": "64"}


@pytest.mark.root
def test_ipv6_is_on_by_default_or_for_one_interface(home: Net) -> None:
    """The default counts for interfaces that come, the interface's own for one that is there."""
    home.ip("link add dev0 type ifb")

    assert [call_in_netns(home.fd, has_ipv6, name) for name in (None, "dev0", "gone")] == [True, True, False]

    home.sysctl("ipv6/conf/default/disable_ipv6", "1")

    assert [call_in_netns(home.fd, has_ipv6, name) for name in (None, "dev0")] == [False, True]

    home.sysctl("ipv6/conf/dev0/disable_ipv6", "1")

    assert not call_in_netns(home.fd, has_ipv6, "dev0")


@pytest.mark.parametrize("name", ["..", ".", "all", "default", "a/b", "", "a" * 16, "a b"])
def test_no_name_leads_out_of_its_directory(name: str) -> None:
    """A name that is no interface's is refused before a path is made of it."""
    with pytest.raises(KernelError, match="not an interface's name"):
        write_sysctl(name, "ipv4/conf/rp_filter", "1")
    with pytest.raises(KernelError, match="not an interface's name"):
        has_ipv6(name)


def changed(path: Path) -> str | None:
    """Write another value that the kernel accepts, and return it; None if it accepts none."""
    was = path.read_text()
    numbers = [str(int(was) + 1)] if was.strip().lstrip("-").isdigit() else []
    for value in (*numbers, "1", "2", "0", "3", "1400"):
        try:
            path.write_text(value)
        except OSError:
            continue
        if path.read_text() != was:
            return value
    return None


@pytest.mark.root
def test_what_is_cached_is_in_the_link_message(home: Net) -> None:
    """Each sysctl that is not read each time changes the message of the link, so that its value is never stale."""
    home.ip("link add dev0 type veth peer name peer0")
    ifindex = home.link("dev0").ifindex

    def conf() -> bytes:
        with Rtnl() as rtnl:
            return conf_of(link_attributes(rtnl.raw_link(ifindex)))

    def act() -> tuple[set[str], int]:
        silent: set[str] = set()
        count = 0
        with Sysctls() as sysctls:
            for key in sorted(_IN_LINK):
                group, _, name = key.rpartition("/")
                path = Path("/proc/sys/net") / group / "dev0" / name
                if not path.exists():
                    continue  # of another kernel
                before, was = conf(), path.read_text()
                sysctls.differing("dev0", before)
                assert changed(path) is not None, key
                if conf() == before or sysctls.differing("dev0", conf()).get(key) != path.read_text().strip():
                    silent.add(key)
                path.write_text(was.strip())
                count += 1
        return silent, count

    silent, count = call_in_netns(home.fd, act)
    assert silent == set()
    assert count > 60


@pytest.mark.root
def test_what_is_not_in_the_link_message_is_read_each_time(home: Net) -> None:
    """Such as the secret for addresses."""
    home.ip("link add dev0 type veth peer name peer0")
    key = "ipv6/conf/stable_secret"

    def act() -> tuple[str | None, str | None]:
        with Sysctls() as sysctls:
            before = sysctls.differing("dev0", b"the same").get(key)
            write_sysctl("dev0", key, "2001:db8::1")
            return before, sysctls.differing("dev0", b"the same").get(key)

    before, after = call_in_netns(home.fd, act)
    assert before is None
    assert after is not None
    assert after.endswith("0001")
