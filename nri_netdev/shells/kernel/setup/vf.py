"""Sets what a physical function has of a virtual function that a pod gets: `ip link set PF vf N …`.

It is set at home, where the physical function is, before the virtual function moves. The facet `own_vf` undoes it when
that is home again. Numbers and structures are those of `linux/if_link.h`.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nri_netdev.domain.links import Link
from nri_netdev.domain.setup.values import VfSetup
from nri_netdev.errors import KernelError, Reason
from nri_netdev.shells.kernel.attributes import attributes, pack, u32
from nri_netdev.shells.kernel.changes import set_link
from nri_netdev.shells.kernel.facets.facet import Site
from nri_netdev.shells.kernel.facets.kind import own_vf, read_own_vf, set_vf
from nri_netdev.shells.kernel.messages import IFLA_ADDRESS
from nri_netdev.shells.kernel.rtnetlink import Rtnl
from nri_netdev.shells.kernel.sysfs import facts

_MAC, _SPOOFCHK, _LINK_STATE, _RATE, _TRUST, _VLAN_LIST, _VLAN_INFO = 1, 4, 5, 6, 9, 12, 1
_MAX_ADDR_LEN = 32
_SWITCH = struct.Struct("=II")
"""`struct ifla_vf_spoofchk` and others: number of the function, setting."""
_RATES = struct.Struct("=III")
"""`struct ifla_vf_rate`: number of the function, least and most Mbit/s; 0 is no limit."""
_TAG = struct.Struct("=IIIHxx")
"""`struct ifla_vf_vlan_info`: number of the function, VLAN, priority, protocol in network byte order."""
_PROTOCOLS = {"802.1Q": 0x8100, "802.1ad": 0x88A8}
_LINK_STATES = ("auto", "enable", "disable")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """One attribute, and what is asked of it."""

    words: str
    """In those of the annotation: "vf.vlan to 7"."""
    number: int
    value: bytes


def apply_vf(rtnl: Rtnl, link: Link, wanted: VfSetup) -> None:
    """Have the physical function set for a virtual function what is wanted and not so yet.

    The virtual function takes its MAC address from there when its driver resets it, as some do when it is set down to
    move. One that is trusted sets the one that it uses on the physical function instead (igbvf, `e1000_init_hw_vf`), so
    it gets the address itself too.

    Args:
        rtnl: a socket at home, where the calling thread is.
        link: the virtual function, at home still.
        wanted: what is to be set.

    Raises:
        KernelError: It is no virtual function, its physical function is not at home, or the driver refuses. What comes
            before that is set.
    """
    site = Site(rtnl, link.ifindex)
    own = own_vf(site)
    if own is None:
        raise _no_physical_function(link)
    pf, vf = own
    now = attributes(b"".join(read_own_vf(site)))
    for setting in _settings(vf, wanted, now):
        if now.get(setting.number, b"") != setting.value:
            _set(site, pf, vf, setting)
    if wanted.mac not in {None, link.mac} and _is_trusted(wanted, now):
        attrs = {IFLA_ADDRESS: bytes.fromhex(str(wanted.mac).replace(":", ""))}
        set_link(rtnl, f"set {_words(mac=wanted.mac)} on {link.ifname}", link.ifindex, attrs)


def _is_trusted(wanted: VfSetup, now: Mapping[int, bytes]) -> bool:
    _, trust = _SWITCH.unpack_from(now.get(_TRUST, bytes(_SWITCH.size)))
    return bool(trust) if wanted.trust is None else wanted.trust


def _no_physical_function(link: Link) -> KernelError:
    address = facts(link).pf
    reason, number = f"{link.ifname} is no virtual function", errno.EOPNOTSUPP
    if address is not None:
        reason, number = f"its physical function {address} is not on the host", errno.ENODEV
    return KernelError(action="set vf", errno=number, reason=reason, refusal=Reason.ANNOTATION)


def _set(site: Site, pf: int, vf: int, setting: _Setting) -> None:
    try:
        set_vf(site, pf, (vf, setting.number), setting.value)
    except KernelError as error:
        reason = error.reason
        if not reason and error.errno == errno.EOPNOTSUPP:
            reason = "the driver of its physical function cannot"
        action = f"set {setting.words}"
        raise KernelError(action=action, errno=error.errno, reason=reason, refusal=Reason.ANNOTATION) from error


def _settings(vf: int, wanted: VfSetup, now: Mapping[int, bytes]) -> Iterator[_Setting]:
    """What is asked for, in the order in which it is set; the rate that is not asked for stays as it is now.

    Trust comes last: some drivers reset the virtual function for it, and refuse more until it is back.
    """
    if wanted.mac is not None:
        packed = bytes.fromhex(wanted.mac.replace(":", "")).ljust(_MAX_ADDR_LEN, b"\0")
        yield _Setting(words=_words(mac=wanted.mac), number=_MAC, value=u32(vf) + packed)
    tag = _words(vlan=wanted.vlan, qos=wanted.qos, protocol=wanted.protocol)
    if tag:
        yield _Setting(words=tag, number=_VLAN_LIST, value=_tag(vf, wanted, now.get(_VLAN_LIST, b"")))
    rates = _words(min_tx_rate=wanted.min_tx_rate, max_tx_rate=wanted.max_tx_rate)
    if rates:
        _, least, most = _RATES.unpack_from(now.get(_RATE, bytes(_RATES.size)))
        least, most = _or(wanted.min_tx_rate, least), _or(wanted.max_tx_rate, most)
        yield _Setting(words=rates, number=_RATE, value=_RATES.pack(vf, least, most))
    switches: tuple[tuple[int, str, object, int], ...] = (
        (_SPOOFCHK, "spoofchk", wanted.spoofchk, int(wanted.spoofchk or 0)),
        (_LINK_STATE, "link_state", wanted.link_state, _LINK_STATES.index(wanted.link_state or "auto")),
        (_TRUST, "trust", wanted.trust, int(wanted.trust or 0)),
    )
    for number, name, asked, setting in switches:
        if asked is not None:
            yield _Setting(words=_words(**{name: asked}), number=number, value=_SWITCH.pack(vf, setting))


def _tag(vf: int, wanted: VfSetup, now: bytes) -> bytes:
    """The list of the one tag of a virtual function; priority and protocol belong to it, as with iproute2."""
    _, vlan, _, _ = _TAG.unpack_from(attributes(now).get(_VLAN_INFO, b"").ljust(_TAG.size, b"\0"))
    protocol = socket.htons(_PROTOCOLS[wanted.protocol or "802.1Q"])
    return pack(_VLAN_INFO, _TAG.pack(vf, _or(wanted.vlan, vlan), wanted.qos or 0, protocol))


def _or(asked: int | None, now: int) -> int:
    return now if asked is None else asked


def _words(**asked: object) -> str:
    """What is asked for in the words of the annotation; "" if nothing is."""
    shown = {name: str(value).lower() if isinstance(value, bool) else value for name, value in asked.items()}
    return " and ".join(f"vf.{name} to {value}" for name, value in shown.items() if value is not None)
