"""Single values of a setup: what is read, and in which words the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from nri_netdev.domain.setup import texts
from nri_netdev.domain.setup.values import AddressSetup
from nri_netdev.domain.text.shape import Text, whole_number

MARK = texts.FWMARK
SWITCH = texts.switch_or_number(whole_number(0, 9).parse)


@pytest.mark.parametrize(
    ("shape", "text", "value"),
    [
        (texts.TABLE, "main", 254),
        (texts.TABLE, "default", 253),
        (texts.TABLE, "4294967295", 4294967295),
        (MARK, "0x10", 16),
        (MARK, "4294967295", 0xFFFFFFFF),
        (texts.ADDRESS, "2001:DB8::1/64", "2001:db8::1/64"),
        (texts.HOST, "FE80::1", "fe80::1"),
        (texts.NETWORK, "198.51.100.7", "198.51.100.7/32"),
        (texts.DESTINATION, "default", "default"),
        (texts.DESTINATION, "::/0", "::/0"),
        (texts.MAC, "02:00:5E:10:00:01", "02:00:5e:10:00:01"),
        (texts.LLADDR, "00:00:04:38:FE:80:00:00:00:00:00:00:00:02:C9:03:00:31:78:F2", "00:00:04:38:fe:80:00:00:00:00:00:00:00:02:c9:03:00:31:78:f2"),
        (texts.SYSCTL, "ipv4.rp_filter", "ipv4/conf/rp_filter"),
        (texts.SYSCTL, "ipv6.neigh.gc_stale_time", "ipv6/neigh/gc_stale_time"),
        (texts.SYSCTL_VALUE, "-1", "-1"),
        (texts.FLAG_NAME, "rx-vlan stag:on", "rx-vlan stag:on"),
        (texts.MTU, "68", 68),
        (SWITCH, "true", 1),
        (SWITCH, "false", 0),
        (SWITCH, "7", 7),
        (texts.one_of({"rx": 1}, "the rings"), "rx", "rx"),
    ],
)  # fmt: skip
def test_what_is_read(shape: Text[Any], text: str, value: object) -> None:
    """In the form in which the kernel's tools have it."""
    assert shape.parse(text) == value


@pytest.mark.parametrize(
    ("shape", "text", "why"),
    [
        (texts.TABLE, "local", "is a table that the kernel keeps; give a number from 1, main or default"),
        (texts.TABLE, "255", "is a table that the kernel keeps"),
        (texts.TABLE, "-1", "is not a routing table"),
        (texts.TABLE, "4294967296", "is not a routing table"),
        (MARK, "0", "is not a mark, as 0x10"),
        (MARK, "0x0", "is not a mark"),
        (MARK, "010", "is not a mark"),
        (MARK, "4294967296", "is not a mark"),
        (MARK, "0x10/0xff", "is not a mark"),
        (texts.ADDRESS, "127.0.0.2/8", "is an address of the loopback interface"),
        (texts.ADDRESS, "::1/128", "is an address of the loopback interface"),
        (texts.ADDRESS, "ff02::1/64", "is not an address of a host"),
        (texts.ADDRESS, "0.0.0.0/0", "is not an address of a host"),
        (texts.HOST, "192.0.2.1/24", "is not an IP address: it has a prefix length"),
        (texts.NETWORK, "224.0.0.0/4", "is a network of multicast addresses"),
        (texts.MAC, "02-00-5e-10-00-01", "is not a MAC address as 02:00:5e:10:00:01"),
        (texts.MAC, "01:00:5e:00:00:01", "is no address of one device"),
        (texts.MAC, "00:00:00:00:00:00", "is no address of one device"),
        (texts.LLADDR, "02:00", "is not a link-layer address"),
        (texts.SYSCTL, "net.ipv4.ip_forward", "is not a sysctl of an interface: write ipv4.NAME"),
        (texts.SYSCTL, "ipv4.../../x", "is not a sysctl of an interface"),
        (texts.SYSCTL, "ipv6.mtu", "is set by mtu"),
        (texts.SYSCTL, "ipv4.mc_forwarding", "tells whether a multicast router runs"),
        (texts.SYSCTL_VALUE, "1\n2", "is not a value of a sysctl"),
        (texts.FLAG_NAME, " rx", "is not a name as ethtool prints it"),
        (texts.MTU, "67", "is not a whole number from 68 to 65535"),
        (texts.IFNAME, "a/b", 'contains "/", which the kernel refuses'),
        (SWITCH, "10", "is not a whole number from 0 to 9"),
        (texts.one_of({"rx": 1, "tx": 2}, "the rings"), "RX", "is not one of the rings: rx, tx"),
    ],
)  # fmt: skip
def test_what_is_refused(shape: Text[Any], text: str, why: str) -> None:
    """The rest of a sentence that begins with the text."""
    with pytest.raises(ValueError, match=r".") as caught:
        shape.parse(text)
    assert str(caught.value).startswith(why)


def test_a_text_is_an_address() -> None:
    """With whatever a mapping would leave out."""
    assert texts.short_address("192.0.2.1/24") == AddressSetup(address="192.0.2.1/24")
