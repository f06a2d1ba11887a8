"""Requests to rtnetlink: links, addresses and routes are read, and any change is sent. Blocking.

`nri_netdev.shells.kernel.messages` packs and reads the messages. pyroute2 sends changes; this module alone imports it,
at the first change. `nri_netdev.shells.kernel.netlink` sends requests that read, and the marks (docs/adr/0007, 0008).
Changes by name, such as `rename`, are in `nri_netdev.shells.kernel.changes`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from nri_netdev.domain.links import Address, Inventory, Link
from nri_netdev.domain.routing import DefaultRoute, Defaults, RoutingRule, told_apart
from nri_netdev.errors import KernelError
from nri_netdev.lean import bare
from nri_netdev.shells.kernel.attributes import attributes, from_text, pack, to_int, u32
from nri_netdev.shells.kernel.libc import mount_sysfs, translated
from nri_netdev.shells.kernel.messages import (
    AF_INET,
    AF_INET6,
    IFADDR,
    IFLA_ALT_IFNAME,
    RT_TABLE_MAIN,
    RTA_MULTIPATH,
    RTA_NH_ID,
    RTA_OIF,
    RTA_PREFSRC,
    RTA_TABLE,
    RTM_DELLINKPROP,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEXTHOP,
    RTM_GETNSID,
    RTM_GETROUTE,
    RTM_GETRULE,
    RTM_NEWLINKPROP,
    RTMSG,
    RTN_UNICAST,
    SKIP_STATS,
    ip_text,
    nexthops,
    pack_link,
    pack_rule,
    parse_address,
    parse_link,
    parse_rule,
    preferred_source,
)
from nri_netdev.shells.kernel.netlink import (
    NETLINK_GENERIC,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NetlinkError,
    RouteSocket,
)
from nri_netdev.shells.kernel.netns import call_in_netns

P = ParamSpec("P")
R = TypeVar("R")

_DUMP_ATTEMPTS = 8
_MARKING = {RTM_NEWLINKPROP, RTM_DELLINKPROP}
"""Changes of marks. An engine waits for them, so they are always sent without pyroute2."""


_IMPORTING = threading.Lock()
"""Ways home import on threads of their own."""


class _Message(dict[str, Any]):
    """A message for pyroute2 to send: it sets the header and calls `reset` and `encode`; the body is ours."""

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
    """A socket of pyroute2 that sends changes."""

    def __init__(self) -> None:
        with _IMPORTING, bare("pyroute2"):  # loads 1 MiB of its 12
            from pyroute2.netlink.exceptions import NetlinkError as Refused  # noqa: PLC0415 - 1 MiB that only a change needs
            from pyroute2.netlink.nlsocket import NetlinkSocket  # noqa: PLC0415 - 1 MiB that only a change needs

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


def _refused(action: str, error: NetlinkError) -> KernelError:
    reason = error.reason if error.reason != os.strerror(error.number) else ""
    return KernelError(action=action, errno=error.number, reason=reason)


@contextlib.contextmanager
def _as_kernel_error(action: str) -> Iterator[None]:
    """Turn an error of the kernel or the socket into a `KernelError` with an action."""
    try:
        yield
    except NetlinkError as error:
        raise _refused(action, error) from error
    except OSError as error:
        raise KernelError(action=action, errno=error.errno or errno.EIO) from error


class Rtnl:
    """A socket of rtnetlink in the netns of the thread that opens it. Only that thread may use it.

    Every method raises `KernelError`; its `reason` is the kernel's extended acknowledgement, if there is one.

    Args:
        is_awaited: whether an engine waits for the changes: then they are sent without pyroute2, whose socket takes
            half a millisecond to open, and a tenth for each (docs/adr/0022).
    """

    def __init__(self, *, is_awaited: bool = False) -> None:
        self._is_awaited = is_awaited
        with translated("open a socket of rtnetlink"):
            self._own = RouteSocket()
        self._generic: RouteSocket | None = None
        self._changing: _Changes | None = None
        self._sysfs_fd: int | None = None

    @property
    def sysfs_fd(self) -> int:
        """The sysfs of this netns, as the fd of its directory; -1 if the kernel refuses one."""
        if self._sysfs_fd is None:
            self._sysfs_fd = mount_sysfs()
        return self._sysfs_fd

    def close(self) -> None:
        """Close everything."""
        self._own.close()
        if self._generic is not None:
            self._generic.close()
        if self._changing is not None:
            self._changing.close()
        if self._sysfs_fd is not None and self._sysfs_fd >= 0:
            os.close(self._sysfs_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- messages --------------------------------------------------------------------------------------------------

    def change(self, action: str, kind: int, payload: bytes, flags: int = 0) -> None:
        """Make one change and wait until it is made.

        Args:
            action: what the change does, for error messages: "set ens2f0 up".
            kind: `RTM_*`.
            payload: family header and attributes.
            flags: `NLM_F_*` beside REQUEST and ACK.
        """
        with _as_kernel_error(action):
            if self._is_awaited or kind in _MARKING:
                self._own.request(kind, flags | NLM_F_ACK, payload)
                return
            if self._changing is None:
                self._changing = _Changes()
            self._changing.request(kind, flags, payload)

    def change_all(self, action: str, kind: int, payloads: Sequence[bytes], flags: int = 0) -> dict[int, KernelError]:
        """Make many changes of one kind; what each refusal says, by position in `payloads`."""
        with _as_kernel_error(action):
            refused = self._own.batch(kind, flags, payloads)
        return {position: _refused(action, error) for position, error in refused.items()}

    def generic(self, action: str, family: int, payload: bytes, *, is_dump: bool = False) -> list[bytes]:
        """Ask a family of generic netlink; what it answers, nothing for a change.

        Args:
            action: for error messages.
            family: number of the family.
            payload: `struct genlmsghdr` and attributes.
            is_dump: whether the answer is a dump.
        """
        with _as_kernel_error(action):
            self._generic = self._generic or RouteSocket(NETLINK_GENERIC)
            found, _ = self._generic.request(family, NLM_F_DUMP if is_dump else NLM_F_ACK, payload)
        return found

    def get(self, action: str, kind: int, payload: bytes) -> bytes:
        """Read one object."""
        with _as_kernel_error(action):
            [reply], _ = self._own.request(kind, 0, payload)
        return reply

    def dump(self, action: str, kind: int, payload: bytes) -> list[bytes]:
        """All objects of a kind. A dump during which something changed is repeated."""
        for _ in range(_DUMP_ATTEMPTS):
            with _as_kernel_error(action):
                found, is_cut = self._own.request(kind, NLM_F_DUMP, payload)
            if not is_cut:
                return found
        raise KernelError(action=action, errno=errno.EINTR, reason="it changes faster than it can be read")

    # -- reading ---------------------------------------------------------------------------------------------------

    def links(self) -> tuple[Link, ...]:
        """Every link of the netns."""
        return tuple(map(parse_link, self.dump("list interfaces", RTM_GETLINK, pack_link(0, SKIP_STATS))))

    def raw_link(self, ifindex: int) -> bytes:
        """The body of the `RTM_NEWLINK` of one link, as the kernel wrote it."""
        return self.get(f"read interface {ifindex}", RTM_GETLINK, pack_link(ifindex, SKIP_STATS))

    def link(self, ifindex: int) -> Link:
        """One link; `ENODEV` if there is none."""
        return parse_link(self.raw_link(ifindex))

    def link_called(self, name: str) -> Link | None:
        """The link that has a name, primary or alternative; None if no link has it."""
        attrs = {IFLA_ALT_IFNAME: from_text(name), **SKIP_STATS}
        try:
            reply = self.get(f"read interface {name}", RTM_GETLINK, pack_link(0, attrs))
        except KernelError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return parse_link(reply)

    def addresses(self, ifindex: int = 0) -> dict[int, tuple[Address, ...]]:
        """Addresses by ifindex, in the kernel's order, of one interface or (0) of all."""
        found: dict[int, list[Address]] = {}
        for payload in self.dump("list addresses", RTM_GETADDR, IFADDR.pack(0, 0, 0, 0, ifindex)):
            if payload[0] in {AF_INET, AF_INET6}:
                index, address = parse_address(payload)
                found.setdefault(index, []).append(address)
        return {index: tuple(addresses) for index, addresses in found.items()}

    def routes(self, family: int, *, kind: int = 0, oif: int = 0) -> list[bytes]:
        """Routes of a family in every table, as the kernel wrote them; of one kind (`RTN_*`) or by one link if set."""
        header = RTMSG.pack(family, 0, 0, 0, 0, 0, 0, kind, 0)
        return self.dump("list routes", RTM_GETROUTE, header + (pack(RTA_OIF, u32(oif)) if oif else b""))

    def defaults(self) -> Defaults:
        """The default routes, told apart by the rules that reach their tables."""
        preferred: set[str] = set()
        routes = [route for family in (AF_INET, AF_INET6) for route in self._default_routes(family, preferred)]
        is_plain = all(route.table == RT_TABLE_MAIN for route in routes)
        return replace(told_apart(routes, () if is_plain else self.rules()), preferred=frozenset(preferred))

    def _default_routes(self, family: int, preferred: set[str]) -> Iterator[DefaultRoute]:
        for payload in self.routes(family, kind=RTN_UNICAST):
            if source := preferred_source(payload):
                preferred.add(source)
            if payload[1] == 0:  # rtm_dst_len: a default route
                attrs = attributes(payload, RTMSG.size)
                yield DefaultRoute(
                    family=family,
                    table=to_int(attrs.get(RTA_TABLE)) or payload[4],
                    leaves_by=frozenset(self._leaves_by(attrs)),
                    source=ip_text(attrs[RTA_PREFSRC]) if RTA_PREFSRC in attrs else None,
                )

    def rules(self) -> tuple[RoutingRule, ...]:
        """The rules that have packets looked up in tables; none of a family for which the kernel has no rules."""
        found: list[bytes] = []
        for family in (AF_INET, AF_INET6):
            try:
                found += self.dump("list rules", RTM_GETRULE, pack_rule(family))
            except KernelError as error:
                if error.errno not in {errno.EAFNOSUPPORT, errno.EOPNOTSUPP}:
                    raise
        return tuple(filter(None, map(parse_rule, found)))

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


def nsid_of(rtnl: Rtnl, netns_fd: int) -> int | None:
    """The number that the netns of a socket has for another, as in `Link.link_netnsid`; None if it has none."""
    netnsa_nsid, netnsa_fd, rtgenmsg_bytes = 1, 3, 4
    request = bytes(rtgenmsg_bytes) + pack(netnsa_fd, u32(netns_fd))
    reply = rtnl.get("read the number of a network namespace", RTM_GETNSID, request)
    (number,) = struct.unpack("=i", attributes(reply, rtgenmsg_bytes)[netnsa_nsid])
    return None if number < 0 else number


def inventory_of(rtnl: Rtnl) -> Inventory:
    """Everything that a verdict needs to know about the netns."""
    defaults = rtnl.defaults()
    return Inventory(
        links=rtnl.links(),
        addresses=rtnl.addresses(),
        default_routes=defaults.leaving,
        default_sources=defaults.sources,
        source_routes=defaults.by_source,
    )


def read_inventory() -> Inventory:
    """Everything that a verdict needs to know about the calling thread's netns.

    Raises:
        KernelError: The kernel refuses.
    """
    with Rtnl() as rtnl:
        return inventory_of(rtnl)


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


def awaited(netns_fd: int, function: Callable[Concatenate[Rtnl, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """As `with_rtnl`, where an engine waits for what is changed.

    Raises:
        KernelError: The netns cannot be entered.
    """

    def call() -> R:
        with Rtnl(is_awaited=True) as rtnl:
            return function(rtnl, *args, **kwargs)

    return call_in_netns(netns_fd, call)
