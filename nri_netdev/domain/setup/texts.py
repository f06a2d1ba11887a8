"""How single values of a setup are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from nri_netdev.domain.setup import ip
from nri_netdev.domain.setup.values import TABLES, AddressSetup
from nri_netdev.domain.text.names import why_invalid
from nri_netdev.domain.text.shape import Text, like, unobjected, whole_number, words

_MAX_U32 = 0xFFFFFFFF

IFNAME = unobjected(why_invalid, pattern="^[!-.0-9;-~]{1,15}$")
U32 = whole_number(0, _MAX_U32)
METRIC = whole_number(0, _MAX_U32)
LIMIT = whole_number(1, _MAX_U32)
MTU = whole_number(68, 65535)
SCOPE = words("global", "site", "link", "host")
VLAN_PROTOCOL = words("802.1Q", "802.1ad")
MACVLAN_MODE = words("bridge", "private", "vepa", "passthru")
SHARE_MODE = words("bridge", "private", "vepa")
"""Of a macvlan on the host's interface: in mode passthru it would take every packet away from the host."""
IPVLAN_MODE = words("l2", "l3", "l3s")


def _table(text: str) -> int:
    if text in TABLES:
        return TABLES[text]
    if text in {"local", "255", "0", "unspec"}:
        raise ValueError("is a table that the kernel keeps; give a number from 1, main or default")
    try:
        return whole_number(1, _MAX_U32).parse(text)
    except ValueError:
        raise ValueError("is not a routing table: a number from 1, main or default") from None


TABLE: Text[int] = Text(parse=_table, json={"type": ["integer", "string"]})


def _mark(text: str) -> int:
    is_number = re.fullmatch(r"0x[0-9a-fA-F]{1,8}|0|[1-9][0-9]{0,9}", text, re.ASCII)
    if not is_number or not 1 <= int(text, 0) <= _MAX_U32:  # 0 means any mark to the kernel
        raise ValueError("is not a mark, as 0x10")
    return int(text, 0)


FWMARK: Text[int] = Text(parse=_mark, json={"type": ["integer", "string"]})


def _address(text: str) -> str:
    found = ip.interface(text)
    host = found.ip  # made anew each time
    if host.is_multicast or host.is_unspecified:
        raise ValueError("is not an address of a host")
    if host.is_loopback:
        raise ValueError("is an address of the loopback interface")
    return str(found)


def _host(text: str) -> str:
    if "/" in text:
        raise ValueError("is not an IP address: it has a prefix length")
    return str(ip.address(text))


def _network(text: str) -> str:
    found = ip.network(text)
    if found.is_multicast:
        raise ValueError("is a network of multicast addresses")
    return str(found)


ADDRESS: Text[str] = Text(parse=_address)
HOST: Text[str] = Text(parse=_host)
NETWORK: Text[str] = Text(parse=_network)
DEFAULT = "default"
DESTINATION: Text[str] = Text(parse=lambda text: DEFAULT if text == DEFAULT else _network(text))
"""A network, or `default`, whose family the gateway tells."""


def _unicast(text: str) -> str:
    lower = text.lower()
    if not re.fullmatch("[0-9a-f]{2}(:[0-9a-f]{2}){5}", lower, re.ASCII):
        raise ValueError("is not a MAC address as 02:00:5e:10:00:01")
    if int(lower[:2], 16) & 1 or lower == "00:00:00:00:00:00":
        raise ValueError("is no address of one device: its first byte must be even, and not all zero")
    return lower


_MAC_PATTERN = "^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$"
MAC: Text[str] = Text(parse=_unicast, json={"type": "string", "pattern": _MAC_PATTERN})
LLADDR = like(
    "[0-9a-f]{2}(:[0-9a-f]{2}){5,19}",
    "a link-layer address as 02:00:5e:10:00:01",
    change=str.lower,
    pattern_written="[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5,19}",
)

# -- sysctls -----------------------------------------------------------------------------------------------------------

_SYSCTL = re.compile(r"(ipv4|ipv6)\.(neigh\.)?([a-z][a-z0-9_]{1,40})", re.ASCII)
_NOT_OURS = {
    "ipv6/conf/mtu": "is set by mtu",
    "ipv4/conf/mc_forwarding": "tells whether a multicast router runs",
    "ipv6/conf/mc_forwarding": "tells whether a multicast router runs",
}


def _sysctl(text: str) -> str:
    found = _SYSCTL.fullmatch(text)
    if not found:
        raise ValueError(
            "is not a sysctl of an interface: write ipv4.NAME or ipv6.NAME for net.ipv4.conf.IF.NAME, "
            "ipv4.neigh.NAME or ipv6.neigh.NAME for net.ipv4.neigh.IF.NAME"
        )
    family, neigh, name = found.groups()
    key = f"{family}/{'neigh' if neigh else 'conf'}/{name}"
    if key in _NOT_OURS:
        raise ValueError(_NOT_OURS[key])
    return key


SYSCTL: Text[str] = Text(parse=_sysctl, json={"type": "string", "pattern": f"^{_SYSCTL.pattern}$"})
_VALUE = r"-?[0-9a-zA-Z:. ]{1,64}"
SYSCTL_VALUE: Text[str] = Text(
    parse=like(_VALUE, "a value of a sysctl").parse, json={"type": ["string", "integer"], "pattern": f"^{_VALUE}$"}
)

# -- ethtool -----------------------------------------------------------------------------------------------------------

FLAG_NAME = like(r"[\x21-\x7e]([\x20-\x7e]{0,30}[\x21-\x7e])?", "a name as ethtool prints it")


def one_of(known: Mapping[str, Any], what: str) -> Text[str]:
    """A key of a table."""

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"is not one of {what}: {', '.join(known)}")
        return text

    return Text(parse=parse, json={"enum": list(known)})


def switch_or_number(parse_number: Callable[[str], int]) -> Text[int]:
    """A number, or true and false for 1 and 0."""
    return Text(
        parse=lambda text: {"true": 1, "false": 0}[text] if text in {"true", "false"} else parse_number(text),
        json={"type": ["integer", "boolean"]},
    )


def short_address(text: str) -> AddressSetup:
    """The short form of an address."""
    return AddressSetup(address=ADDRESS.parse(text))
