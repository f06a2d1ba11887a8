"""A facet of an interface, recorded, spoilt by the tools of an administrator, and restored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pytest

from nri_netdev.domain.snapshot import Shortfall
from nri_netdev.shells.kernel.facets.facet import Facet, Recorded, Site, restore_facet
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from tests.shells.conftest import Net

Commands = Iterable[str]


class Bench:
    """A netns with an interface `dev0`."""

    def __init__(self, net: Net) -> None:
        self.net = net

    def make(self, kind: str, *commands: str) -> None:
        """Make the interface and prepare it."""
        self.net.ip(f"link add dev0 {kind}")
        self.run(*commands)

    def run(self, *commands: str) -> None:
        """Run commands of an administrator."""
        for command in commands:
            self.net.run(*command.split())

    def wait_carrier(self, ifname: str = "dev0") -> None:
        """Wait until the kernel has told all that the interface has a carrier, which it does when it has time."""
        deadline_s = time.monotonic() + 20
        while any(word in self.net.ip(f"-d link show dev {ifname}") for word in ("NO-CARRIER", "state disabled")):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)

    def site(self, rtnl: Rtnl) -> Site:
        """The interface, to be read."""
        return Site(rtnl, self.net.link("dev0").ifindex)

    def record(self, facet: Facet) -> Recorded:
        """What the facet is now."""

        def read(rtnl: Rtnl) -> Recorded:
            site = self.site(rtnl)
            messages = facet.read(site)
            assert messages is not None
            return Recorded(messages=messages, ifindex=site.ifindex, addresses=site.addresses)

        return self.net.call(read)

    def restore(self, facet: Facet, was: Recorded) -> list[Shortfall]:
        """Put it back."""
        return self.net.call(lambda rtnl: restore_facet(facet, self.site(rtnl), was))

    def holds(self, facet: Facet, spoil: Callable[[], object] | Commands, show: str) -> None:
        """Whatever spoils it, it is restored to what a tool showed before, nothing is left to tell."""
        before, was = self.net.run(*show.split()), self.record(facet)
        if callable(spoil):
            spoil()
        else:
            self.run(*spoil)
        assert self.net.run(*show.split()) != before
        assert [*map(str, self.restore(facet, was))] == []
        assert self.net.run(*show.split()) == before


@pytest.fixture
def bench(home: Net) -> Bench:
    """A netns with nothing in it yet."""
    return Bench(home)
