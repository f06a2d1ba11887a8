"""The host's netns on a real kernel: its revision, its marks and its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.host import Host
from nri_netdev.shells.kernel.netns import call_in_netns
from tests.shells.conftest import Net
from tests.shells.kernel.furniture import MARK

pytestmark = pytest.mark.root

T = TypeVar("T")
Call = Callable[[Callable[[Host], T]], T]


@pytest.fixture
def call(home: Net) -> Iterator[Call]:  # type: ignore[type-arg]
    """Call a function with a host whose netns is a throwaway one, from there."""
    host = Host()

    def call(function: Callable[[Host], T]) -> T:
        return call_in_netns(home.fd, function, host)

    call(Host.revision)
    yield call
    host._mirror().close()
    if host._rtnl is not None:
        host._rtnl.close()


def test_the_revision_grows_with_a_change(home: Net, call: Call) -> None:  # type: ignore[type-arg]
    """It stays the same while nothing happens, and is cached until the kernel has an event."""
    before = call(Host.revision)

    assert call(Host.revision) == before
    assert call(Host.cached_revision) == before

    home.ip("link add dev0 type ifb")

    assert call(Host.cached_revision) is None

    after = call(Host.revision)

    assert after != before
    assert call(Host.cached_revision) == after


def test_a_mark_is_no_change(home: Net, call: Call) -> None:  # type: ignore[type-arg]
    """Set or removed."""
    home.ip("link add dev0 up type ifb")
    ifindex = home.link("dev0").ifindex
    before = call(Host.revision)
    call(lambda host: host.mark(ifindex, MARK))

    assert call(Host.revision) == before
    assert call(lambda host: host.marked(MARK)) == home.link("dev0")

    call(lambda host: host.unmark(ifindex, MARK))

    assert call(Host.revision) == before
    assert call(lambda host: host.marked(MARK)) is None


def test_what_an_interface_is_called(home: Net, call: Call) -> None:  # type: ignore[type-arg]
    """By its primary name and by its index, and only at home."""
    home.ip("link add dev0 type ifb")
    home.ip("link add dev1 type ifb")
    ifindex = home.link("dev0").ifindex

    assert call(lambda host: host.is_called(ifindex, "dev0"))
    assert not call(lambda host: host.is_called(ifindex, "dev1"))
    assert not call(lambda host: host.is_called(ifindex, "dev9"))

    call(lambda host: host.rename(ifindex, "other"))

    assert not call(lambda host: host.is_called(ifindex, "dev0"))
    assert call(lambda host: host.is_called(ifindex, "other"))


def test_a_failure_is_followed_by_a_new_socket(home: Net, call: Call) -> None:  # type: ignore[type-arg]
    """What one request leaves unread is never the reply to the next."""
    with pytest.raises(KernelError, match="No such device"):
        call(lambda host: host.link(4242))

    assert call(Host.links) == home.call(lambda rtnl: rtnl.links())


def test_an_inventory_is_cached_or_fresh(home: Net, call: Call) -> None:  # type: ignore[type-arg]
    """The kernel sends no event for the altname of an interface that is down: only a fresh inventory has it."""
    home.ip("link add dev0 type ifb")
    call(Host.inventory)
    home.ip("link property add dev dev0 altname other")

    assert call(lambda host: host.inventory(is_fresh=True)).by_altname("other")
    assert call(Host.inventory).by_altname("other")


def test_the_boot_id_stays() -> None:
    """As long as the machine runs."""
    assert Host().boot_id() == Host().boot_id() != ""
