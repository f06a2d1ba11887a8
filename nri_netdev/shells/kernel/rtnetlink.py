"""The port to rtnetlink: what the kernel says of links and addresses, and what it is asked to change. Blocking.

What is in the messages is packed and read here and in `nri_netdev.shells.kernel.attributes`: most attributes of a link
are of no interest, and what is put back after a move must be what the kernel wrote. What changes an interface is
carried by pyroute2, which this module alone knows and loads for the first change; what only reads, and the marks, by
`nri_netdev.shells.kernel.netlink` (docs/adr/0007, 0008).

Numbers are those of `linux/if_link.h`, `linux/if_addr.h`, `linux/rtnetlink.h`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from nri_netdev.domain.links import Address, Inventory, Link
from nri_netdev.errors import KernelError
from nri_netdev.lean import bare
from nri_netdev.shells.kernel.attributes import (
    NLA_F_NESTED,
    attributes,
    from_text,
    pack,
    pack_all,
    to_int,
    to_text,
    u32,
    walk,
)
from nri_netdev.shells.kernel.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkError, RouteSocket
from nri_netdev.shells.kernel.netns import call_in_netns, translated

P = ParamSpec("P")
R = TypeVar("R")

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
RTM_NEWQDISC, RTM_GETQDISC = 36, 38
RTM_NEWTCLASS, RTM_GETTCLASS = 40, 42
RTM_NEWTFILTER, RTM_GETTFILTER = 44, 46
RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_GETNEXTHOP = 104, 105, 106
RTM_NEWLINKPROP, RTM_DELLINKPROP = 108, 109

NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800

IFLA_ADDRESS, IFLA_BROADCAST, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 1, 2, 3, 4, 5, 10
IFLA_TXQLEN, IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_AF_SPEC, IFLA_GROUP = 13, 16, 18, 20, 26, 27
IFLA_NET_NS_FD, IFLA_EXT_MASK, IFLA_LINK_NETNSID, IFLA_XDP, IFLA_PROP_LIST, IFLA_ALT_IFNAME = 28, 29, 37, 43, 52, 53
IFLA_PERM_ADDRESS, IFLA_PARENT_DEV_NAME, IFLA_PARENT_DEV_BUS_NAME, IFLA_NETNS_IMMUTABLE = 54, 56, 57, 67
IFLA_INFO_KIND, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 4, 5
IFF_UP, IFF_LOOPBACK, IFF_LOWER_UP = 0x1, 0x8, 0x10000
ADMIN_FLAGS = 0x4 | 0x20 | 0x80 | 0x100 | 0x200 | 0x1000
"""What of `IFF_*` an administrator sets and a move keeps: debug, notrailers, noarp, promisc, allmulti, multicast."""

_RTEXT_FILTER_SKIP_STATS = 8
_IFINFO = struct.Struct("=BxHiII")  # family, type, index, flags, change
_IFADDR = struct.Struct("=BBBBI")  # family, prefixlen, flags, scope, index
RTMSG = struct.Struct("=BBBBBBBBI")
"""`struct rtmsg`: family, dst_len, src_len, tos, table, protocol, scope, type, flags."""

IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO = 1, 2, 3, 4, 6
IFA_FLAGS, IFA_RT_PRIORITY, IFA_PROTO = 8, 9, 11
IFA_F_TEMPORARY, IFA_F_NODAD, IFA_F_PERMANENT, IFA_F_NOPREFIXROUTE = 0x01, 0x02, 0x80, 0x200
RTA_DST, RTA_SRC, RTA_IIF, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_MULTIPATH = 1, 2, 3, 4, 5, 6, 7, 9
RTA_CACHEINFO, RTA_TABLE, RTA_VIA, RTA_EXPIRES, RTA_NH_ID = 12, 15, 18, 23, 30
RTN_UNICAST = 1

_OPERSTATES = ("UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP")
_FOREVER = 0xFFFFFFFF
_DUMP_ATTEMPTS = 8
_LINKS_REMEMBERED = 256
"""Some 2 KiB each: the links of a host and of some pods. Each life of a claim adds three that do not come again."""
_AT_ONCE = {RTM_NEWLINKPROP, RTM_DELLINKPROP}
"""Changes that an engine waits for, with every pod of the node: the marks. Not carried by pyroute2."""
AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)


class _Message(dict[str, Any]):
    """A netlink message whose body pyroute2 carries and leaves alone; it asks no more of one than this."""

    def __init__(self, data: bytes = b"", offset: int = 0, *, payload: bytes = b"") -> None:
        super().__init__(header={})
        self.data = data
        self.offset = offset
        self.payload = payload

    def reset(self) -> None:
        """Called before `encode`."""

    def encode(self) -> None:
        h = self["header"]
        header = struct.pack("=IHHII", 16 + len(self.payload), h["type"], h["flags"], h["sequence_number"], h["pid"])
        self.data = header + self.payload


class _Changes:
    """A socket of pyroute2's."""

    def __init__(self) -> None:
        with bare("pyroute2"):  # 1 MiB of its 12
            from pyroute2.netlink.exceptions import NetlinkError as Refused  # noqa: PLC0415 - as below
            from pyroute2.netlink.nlsocket import NetlinkSocket  # noqa: PLC0415 - whoever changes nothing need not wait

        self._refused = Refused
        self._socket = NetlinkSocket(family=socket.NETLINK_ROUTE, ext_ack=True, strict_check=True)
        self._socket.bind()
        self._socket.status["nlm_generator"] = False

    def request(self, kind: int, flags: int, payload: bytes) -> None:
        try:
            self._socket.nlm_request(_Message(payload=payload), kind, NLM_F_REQUEST | NLM_F_ACK | flags)
        except self._refused as error:
            raise NetlinkError(error.code, error.args[1]) from error

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def _told(action: str) -> Iterator[None]:
    """Turn what the kernel refuses into a `KernelError` that says what was tried."""
    try:
        yield
    except NetlinkError as error:
        reason = error.reason if error.reason != os.strerror(error.number) else ""
        raise KernelError(action=action, errno=error.number, reason=reason) from error
    except OSError as error:
        raise KernelError(action=action, errno=error.errno or errno.EIO) from error


class Rtnl:
    """A socket of rtnetlink in the netns of the thread that opens it, which alone may use it.

    Every method raises `KernelError`; its `reason` has the kernel's own words where it gave any.
    """

    def __init__(self) -> None:
        with translated("open a socket of rtnetlink"):
            self._own = RouteSocket()
        self._changing: _Changes | None = None

    def close(self) -> None:
        """Close the socket."""
        self._own.close()
        if self._changing is not None:
            self._changing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- messages --------------------------------------------------------------------------------------------------

    def change(self, action: str, kind: int, payload: bytes, flags: int = 0) -> None:
        """Ask for one change and wait until it is made; one of alternative names is awaited by every create.

        Args:
            action: what this is, for people: "set ens2f0 up".
            kind: `RTM_*`.
            payload: family header and attributes.
            flags: `NLM_F_*` beside REQUEST and ACK.
        """
        with _told(action):
            if kind in _AT_ONCE:
                self._own.request(kind, flags | NLM_F_ACK, payload)
                return
            if self._changing is None:
                self._changing = _Changes()
            self._changing.request(kind, flags, payload)

    def get(self, action: str, kind: int, payload: bytes) -> bytes:
        """Read one object."""
        with _told(action):
            [reply], _ = self._own.request(kind, 0, payload)
        return reply

    def dump(self, action: str, kind: int, payload: bytes) -> list[bytes]:
        """All objects of a kind. A dump that a change has cut through is taken again."""
        for _ in range(_DUMP_ATTEMPTS):
            with _told(action):
                found, is_cut = self._own.request(kind, NLM_F_DUMP, payload)
            if not is_cut:
                return found
        raise KernelError(action=action, errno=errno.EINTR, reason="it changes faster than it can be read")

    # -- reading ---------------------------------------------------------------------------------------------------

    def links(self) -> tuple[Link, ...]:
        """Every link of the netns."""
        return tuple(map(parse_link, self.dump("list interfaces", RTM_GETLINK, _link_payload(0, _SKIP_STATS))))

    def raw_link(self, ifindex: int) -> bytes:
        """The `RTM_NEWLINK` of one link, as the kernel wrote it."""
        return self.get(f"read interface {ifindex}", RTM_GETLINK, _link_payload(ifindex, _SKIP_STATS))

    def link(self, ifindex: int) -> Link:
        """One link; `ENODEV` if there is none."""
        return parse_link(self.raw_link(ifindex))

    def link_called(self, name: str) -> Link | None:
        """The link that has this name, be it the primary or an alternative one; None if it is free."""
        attrs = {IFLA_ALT_IFNAME: from_text(name), **_SKIP_STATS}
        try:
            reply = self.get(f"read interface {name}", RTM_GETLINK, _link_payload(0, attrs))
        except KernelError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return parse_link(reply)

    def addresses(self, ifindex: int = 0) -> dict[int, tuple[Address, ...]]:
        """Addresses by ifindex, in the kernel's order; of one interface, or of all."""
        found: dict[int, list[Address]] = {}
        for payload in self.dump("list addresses", RTM_GETADDR, _IFADDR.pack(0, 0, 0, 0, ifindex)):
            if payload[0] in {AF_INET, AF_INET6}:
                index, address = parse_address(payload)
                found.setdefault(index, []).append(address)
        return {index: tuple(addresses) for index, addresses in found.items()}

    def routes(self, family: int, *, kind: int = 0, oif: int = 0) -> list[bytes]:
        """Routes of a family, in every table, as the kernel wrote them; of one kind (`RTN_*`), by one link, or all."""
        header = RTMSG.pack(family, 0, 0, 0, 0, 0, 0, kind, 0)
        return self.dump("list routes", RTM_GETROUTE, header + (pack(RTA_OIF, u32(oif)) if oif else b""))

    def inventory(self) -> Inventory:
        """All that a verdict needs to know of the netns."""
        leaving, sources = self.defaults()
        return Inventory(
            links=self.links(), addresses=self.addresses(), default_routes=leaving, default_sources=sources
        )

    def defaults(self) -> tuple[frozenset[int], frozenset[str]]:
        """Of all default routes the ifindexes that they leave by, and the addresses that they name as their source."""
        leaving: set[int] = set()
        sources: set[str] = set()
        for family in (AF_INET, AF_INET6):
            for payload in self.routes(family, kind=RTN_UNICAST):
                if payload[1] == 0:  # rtm_dst_len: a default route
                    attrs = attributes(payload, RTMSG.size)
                    leaving.update(self._leaves_by(attrs))
                    if RTA_PREFSRC in attrs:
                        sources.add(ip_text(attrs[RTA_PREFSRC]))
        return frozenset(leaving), frozenset(sources)

    def _leaves_by(self, attrs: Mapping[int, bytes]) -> Iterator[int]:
        """The ifindexes that a route leaves by."""
        if RTA_OIF in attrs:
            yield to_int(attrs[RTA_OIF]) or 0
        yield from (ifindex for ifindex, _, _ in nexthops(attrs.get(RTA_MULTIPATH, b"")))
        if RTA_NH_ID in attrs and not {RTA_OIF, RTA_MULTIPATH} & attrs.keys():  # nexthop_compat_mode=0
            yield from self._nexthop_leaves_by(to_int(attrs[RTA_NH_ID]) or 0)

    def _nexthop_leaves_by(self, nexthop_id: int) -> Iterator[int]:
        """The ifindexes of a nexthop object, or of each member of a group."""
        nha_id, nha_group, nha_oif, nhmsg_bytes = 1, 2, 5, 8
        reply = self.get(
            f"read nexthop {nexthop_id}", RTM_GETNEXTHOP, bytes(nhmsg_bytes) + pack(nha_id, u32(nexthop_id))
        )
        attrs = attributes(reply, nhmsg_bytes)
        if nha_oif in attrs:
            yield to_int(attrs[nha_oif]) or 0
        for member, _, _, _ in struct.iter_unpack("=IBBH", attrs.get(nha_group, b"")):
            yield from self._nexthop_leaves_by(member)

    # -- changing --------------------------------------------------------------------------------------------------

    def set_link(
        self, action: str, ifindex: int, attrs: Mapping[int, bytes] | None = None, *, flags: int = 0, change: int = 0
    ) -> None:
        """Set attributes (`IFLA_*`) and flags (`IFF_*`, those in `change`) of a link."""
        self.change(action, RTM_NEWLINK, _link_payload(ifindex, attrs or {}, flags, change))

    def set_up(self, ifindex: int) -> None:
        """Set a link up."""
        self.set_link(f"set interface {ifindex} up", ifindex, flags=IFF_UP, change=IFF_UP)

    def set_down(self, ifindex: int) -> None:
        """Set a link down; it loses its IPv6 addresses and all its routes."""
        self.set_link(f"set interface {ifindex} down", ifindex, change=IFF_UP)

    def rename(self, ifindex: int, ifname: str) -> None:
        """Rename a link; `EEXIST` if the name is anybody's, as an alternative one of its own too."""
        self.set_link(f"rename interface {ifindex} to {ifname}", ifindex, {IFLA_IFNAME: from_text(ifname)})

    def move(self, ifindex: int, netns_fd: int, ifname: str | None = None) -> None:
        """Move a link to another netns. Only without a new name is this all or nothing."""
        attrs = {IFLA_NET_NS_FD: u32(netns_fd)}
        if ifname is not None:
            attrs[IFLA_IFNAME] = from_text(ifname)
        self.set_link(f"move interface {ifindex} to another network namespace", ifindex, attrs)

    def set_master(self, ifindex: int, master: int | None) -> None:
        """Enslave a link to another, or release it."""
        action = f"enslave interface {ifindex} to {master}" if master else f"release interface {ifindex}"
        self.set_link(action, ifindex, {IFLA_MASTER: u32(master or 0)})

    def add_altname(self, ifindex: int, altname: str) -> None:
        """Give a link an alternative name; `EEXIST` if it is anybody's."""
        payload = _link_payload(ifindex, {IFLA_PROP_LIST | NLA_F_NESTED: pack(IFLA_ALT_IFNAME, from_text(altname))})
        flags = NLM_F_CREATE | NLM_F_APPEND | NLM_F_EXCL
        self.change(f"give interface {ifindex} the alternative name {altname}", RTM_NEWLINKPROP, payload, flags)

    def del_altname(self, ifindex: int, altname: str) -> None:
        """Take an alternative name from a link."""
        payload = _link_payload(ifindex, {IFLA_PROP_LIST | NLA_F_NESTED: pack(IFLA_ALT_IFNAME, from_text(altname))})
        self.change(f"take the alternative name {altname} from interface {ifindex}", RTM_DELLINKPROP, payload)

    def put_address(self, ifindex: int, address: Address) -> None:
        """Add an address, or give one that is there these flags, lifetimes and metric."""
        payload = pack_address(ifindex, address)
        self.change(f"add {address} to interface {ifindex}", RTM_NEWADDR, payload, NLM_F_CREATE | NLM_F_REPLACE)

    def del_address(self, ifindex: int, address: Address) -> None:
        """Remove an address."""
        self.change(f"remove {address} from interface {ifindex}", RTM_DELADDR, pack_address(ifindex, address))


def try_altname() -> None:
    """Give the loopback interface of the calling thread's netns an alternative name, to see whether that can be done.

    Raises:
        KernelError: It cannot.
    """
    with Rtnl() as rtnl:
        rtnl.add_altname(1, "nri-netdev-probe")


def read_inventory() -> Inventory:
    """All that a verdict needs to know of the calling thread's netns.

    Raises:
        KernelError: The kernel refuses.
    """
    with Rtnl() as rtnl:
        return rtnl.inventory()


def read_links(netns_fd: int | None = None) -> tuple[Link, ...]:
    """Every link of a netns, or of the calling thread's.

    Raises:
        KernelError: The kernel refuses.
    """
    return with_rtnl(netns_fd, Rtnl.links)


def with_rtnl(
    netns_fd: int | None, function: Callable[Concatenate[Rtnl, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Call `function(rtnl, …)` with a socket in a netns, or in the calling thread's own.

    Raises:
        KernelError: The netns cannot be entered.
    """

    def call() -> R:
        with Rtnl() as rtnl:
            return function(rtnl, *args, **kwargs)

    return call() if netns_fd is None else call_in_netns(netns_fd, call)


# -- what is in the messages -------------------------------------------------------------------------------------------

_IPV4_BYTES = 4
_SKIP_STATS: Mapping[int, bytes] = {IFLA_EXT_MASK: u32(_RTEXT_FILTER_SKIP_STATS)}


def _link_payload(ifindex: int, attrs: Mapping[int, bytes], flags: int = 0, change: int = 0) -> bytes:
    return _IFINFO.pack(0, 0, ifindex, flags, change) + pack_all(attrs)


def link_header(payload: bytes) -> tuple[int, int]:
    """The ifindex and `IFF_*` of an `RTM_NEWLINK`."""
    _, _, ifindex, flags, _ = _IFINFO.unpack_from(payload)
    return ifindex, flags


def link_attributes(payload: bytes) -> dict[int, bytes]:
    """The `IFLA_*` of an `RTM_NEWLINK`."""
    return attributes(payload, _IFINFO.size)


@functools.lru_cache(maxsize=_LINKS_REMEMBERED)
def parse_link(payload: bytes) -> Link:
    """Read an `RTM_NEWLINK`; one that says what another has said is the same link, unread."""
    ifindex, flags = link_header(payload)
    attrs = link_attributes(payload)
    info = attributes(attrs.get(IFLA_LINKINFO, b""))
    kind = to_text(info.get(IFLA_INFO_KIND))
    parent_bus, parent_dev = to_text(attrs.get(IFLA_PARENT_DEV_BUS_NAME)), to_text(attrs.get(IFLA_PARENT_DEV_NAME))
    permanent = attrs.get(IFLA_PERM_ADDRESS, b"")
    immutable = attrs.get(IFLA_NETNS_IMMUTABLE)
    altnames = (to_text(v) or "" for k, v in walk(attrs.get(IFLA_PROP_LIST, b"")) if k == IFLA_ALT_IFNAME)
    return Link(
        ifindex=ifindex,
        ifname=to_text(attrs.get(IFLA_IFNAME)) or "",
        kind=kind,
        slave_kind=to_text(info.get(IFLA_INFO_SLAVE_KIND)),
        is_loopback=bool(flags & IFF_LOOPBACK),
        is_up=bool(flags & IFF_UP),
        has_carrier=bool(flags & IFF_LOWER_UP),
        operstate=_OPERSTATES[min(to_int(attrs.get(IFLA_OPERSTATE)) or 0, 6)],
        mac=attrs[IFLA_ADDRESS].hex(":") if IFLA_ADDRESS in attrs else None,
        permanent_mac=permanent.hex(":") if any(permanent) else None,
        mtu=to_int(attrs.get(IFLA_MTU)) or 0,
        txqueuelen=to_int(attrs.get(IFLA_TXQLEN)),
        group=to_int(attrs.get(IFLA_GROUP)) or 0,
        alias=to_text(attrs.get(IFLA_IFALIAS)),
        altnames=tuple(altnames),
        master=to_int(attrs.get(IFLA_MASTER)),
        link=_lower(kind, attrs, info),
        link_netnsid=to_int(attrs.get(IFLA_LINK_NETNSID)),
        parent_dev=parent_dev,
        parent_bus=parent_bus,
        driver=_driver(parent_bus, parent_dev),
        netns_immutable=None if immutable is None else any(immutable),
    )


def _lower(kind: str | None, attrs: Mapping[int, bytes], info: Mapping[int, bytes]) -> int | None:
    """The ifindex of the lower device or of the peer; a vxlan device tells it among its own attributes."""
    ifla_info_data, ifla_vxlan_link = 2, 3
    if IFLA_LINK not in attrs and kind == "vxlan":
        return to_int(attributes(info.get(ifla_info_data, b"")).get(ifla_vxlan_link)) or None
    return to_int(attrs.get(IFLA_LINK))


def _driver(bus: str | None, dev: str | None) -> str | None:
    """The driver of a parent device. `/sys/bus` is the same in every netns, which `/sys/class/net` is not."""
    if not bus or not dev or "/" in bus + dev:
        return None
    try:
        return os.path.basename(os.readlink(f"/sys/bus/{bus}/devices/{dev}/driver"))  # noqa: PTH115, PTH119 - hot
    except OSError:
        return None


def parse_address(payload: bytes) -> tuple[int, Address]:
    """Read an `RTM_NEWADDR`: ifindex and address."""
    family, prefixlen, flags, scope, ifindex = _IFADDR.unpack_from(payload)
    attrs = attributes(payload, _IFADDR.size)
    local, other = attrs.get(IFA_LOCAL), attrs.get(IFA_ADDRESS)
    preferred, valid = struct.unpack_from("=II", attrs.get(IFA_CACHEINFO, b"\xff" * 8))
    return ifindex, Address(
        family=family,
        address=_ip(local or other or b"") or "",
        prefixlen=prefixlen,
        peer=_ip(other) if local and other and local != other else None,
        broadcast=_ip(attrs.get(IFA_BROADCAST)),
        label=to_text(attrs.get(IFA_LABEL)),
        scope=scope,
        flags=to_int(attrs.get(IFA_FLAGS)) or flags,
        metric=to_int(attrs.get(IFA_RT_PRIORITY)),
        valid_lft_s=None if valid == _FOREVER else valid,
        preferred_lft_s=None if preferred == _FOREVER else preferred,
        proto=to_int(attrs.get(IFA_PROTO)),
    )


def pack_address(ifindex: int, address: Address) -> bytes:
    """Write an `RTM_NEWADDR` or `RTM_DELADDR`."""
    local = socket.inet_pton(address.family, address.address)
    attrs = {
        IFA_LOCAL: local,
        IFA_ADDRESS: socket.inet_pton(address.family, address.peer) if address.peer else local,
        IFA_FLAGS: u32(address.flags),
        IFA_CACHEINFO: struct.pack(
            "=IIII",
            _FOREVER if address.preferred_lft_s is None else address.preferred_lft_s,
            _FOREVER if address.valid_lft_s is None else address.valid_lft_s,
            0,
            0,
        ),
    }
    if address.broadcast:
        attrs[IFA_BROADCAST] = socket.inet_pton(address.family, address.broadcast)
    if address.label:
        attrs[IFA_LABEL] = from_text(address.label)
    if address.metric is not None:
        attrs[IFA_RT_PRIORITY] = u32(address.metric)
    if address.proto is not None:
        attrs[IFA_PROTO] = bytes([address.proto])
    header = _IFADDR.pack(address.family, address.prefixlen, address.flags & 0xFF, address.scope, ifindex)
    return header + pack_all(attrs)


def ip_text(packed: bytes) -> str:
    """An address as people write it; `ipaddress` takes ten times as long."""
    return socket.inet_ntop(AF_INET if len(packed) == _IPV4_BYTES else AF_INET6, packed)


def _ip(packed: bytes | None) -> str | None:
    return ip_text(packed) if packed else None


def nexthops(multipath: bytes) -> Iterator[tuple[int, int, int]]:
    """The `struct rtnexthop` of `RTA_MULTIPATH`, as (ifindex, offset, length)."""
    offset = 0
    while offset + 8 <= len(multipath):
        length, _, _, ifindex = struct.unpack_from("=HBBi", multipath, offset)
        if length < 8:
            return
        yield ifindex, offset, length
        offset += (length + 3) & ~3
