"""Marks and names of interfaces on a real kernel."""

from __future__ import annotations

import pytest

from nri_netdev.shells.kernel import naming
from tests.shells.conftest import Net
from tests.shells.kernel.furniture import MARK, captured

pytestmark = pytest.mark.root


def test_marks(home: Net) -> None:
    """To mark and to unmark twice changes nothing; a mark of before gives way."""
    home.ip("link add dev0 type ifb")
    index = home.link("dev0").ifindex
    home.call(naming.mark, index, "nri-netdev-ffffffffffffffff")
    for _ in range(2):
        home.call(naming.mark, index, MARK)
        assert home.link("dev0").altnames == (MARK,)
    assert home.call(captured, index).link.altnames == ()
    for _ in range(2):
        home.call(naming.unmark, index, MARK)
        assert home.link("dev0").altnames == ()


def test_a_free_name_is_nobodys(home: Net) -> None:
    """Neither a primary nor an alternative name of any interface; the first that is free is taken."""
    home.ip("link add nnd7 type ifb")
    home.ip("link property add dev nnd7 altname nnd8")

    assert naming.free_name(7, home.call(naming.all_names)) == "nnd9"


def test_a_name_that_is_taken_names_its_holder(home: Net) -> None:
    """The interface keeps the name that it has; once its own is free it gets that, even if that is its altname."""
    home.ip("link add dev0 up type ifb")
    home.ip("link add dev1 type ifb")
    index = home.link("dev0").ifindex
    rival = home.call(naming.settle_name, index, "dev1")

    assert rival is not None
    assert (rival.ifname, home.link("dev0").ifindex) == ("dev1", index)

    home.ip("link del dev1")
    home.ip("link property add dev dev0 altname dev1")

    assert home.call(naming.settle_name, index, "dev1") is None
    assert home.link("dev1").ifindex == index
    assert home.call(naming.settle_name, index, "dev1") is None


def test_only_the_wanted_alternative_names_stay(home: Net) -> None:
    """And the mark."""
    home.ip("link add dev0 type ifb")
    home.ip("link property add dev dev0 altname foreign")
    index = home.link("dev0").ifindex
    home.call(naming.mark, index, MARK)
    home.call(naming.restore_altnames, index, ("mine", "other"), MARK)

    assert set(home.link("dev0").altnames) == {MARK, "mine", "other"}
