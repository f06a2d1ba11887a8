"""What a setup says of itself."""

from __future__ import annotations

import pytest

from nri_netdev.domain.setup.fields import read_setup
from nri_netdev.domain.setup.values import PLAIN, AddressSetup, RouteSetup, RuleSetup


@pytest.mark.parametrize(
    ("document", "is_replacing"),
    [
        ("", False),
        ('{"mtu": "9000"}', False),
        ('{"addresses": []}', True),
        ('{"addresses": ["192.0.2.1/24"]}', True),
        ('{"addresses": ["192.0.2.1/24"], "keep_addresses": "true"}', False),
        ('{"addresses": ["192.0.2.1/24"], "keep_addresses": "false"}', True),
        ('{"ipam": "storage"}', True),
        ('{"share": "macvlan"}', True),
    ],
)
def test_whether_addresses_of_home_stay_there(document: str, *, is_replacing: bool) -> None:
    """They come along where nothing else is asked for."""
    assert read_setup(document).replaces_addresses is is_replacing


def test_nothing_asked_for_is_plain() -> None:
    """Also where a field says what is so anyway, something is asked for."""
    assert PLAIN.is_plain
    assert not read_setup('{"up": "true"}').is_plain


def test_every_device_is_told_of() -> None:
    """The interface, then those on it."""
    setup = read_setup('{"mtu": "1500", "vlan": {"id": "5", "name": "v", "mtu": "1400"}, "macvlan": {"name": "m"}}')
    assert [each.mtu for each in setup.every()] == [1500, 1400, None]


@pytest.mark.parametrize(("text", "is_ipv6"), [("192.0.2.1/24", False), ("2001:db8::1/64", True)])
def test_families(text: str, *, is_ipv6: bool) -> None:
    """Of addresses, routes and rules."""
    assert AddressSetup(address=text).is_ipv6 is is_ipv6
    assert RouteSetup(to=text).is_ipv6 is is_ipv6
    assert RuleSetup(table=5, source=text).is_ipv6 is is_ipv6
    assert RuleSetup(table=5, to=text).is_ipv6 is is_ipv6
    assert RuleSetup(table=5, fwmark=1, family="inet6" if is_ipv6 else "inet").is_ipv6 is is_ipv6


def test_an_address_without_its_prefix() -> None:
    """As other tools want it."""
    assert AddressSetup(address="2001:db8::1/64").ip == "2001:db8::1"


@pytest.mark.parametrize(("to", "is_default"), [("0.0.0.0/0", True), ("::/0", True), ("192.0.2.0/24", False)])
def test_default_routes(to: str, *, is_default: bool) -> None:
    """Of either family."""
    assert RouteSetup(to=to).is_default is is_default


def test_where_an_address_leads() -> None:
    """To its network, or to that of the other end."""
    assert AddressSetup(address="192.0.2.5/8").reach == "192.0.2.5/8"
    assert AddressSetup(address="192.0.2.5/8", peer="10.0.0.1").reach == "10.0.0.1/8"
