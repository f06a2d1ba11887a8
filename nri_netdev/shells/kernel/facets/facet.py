"""What a facet is: one kind of state of an interface, kept as the kernel wrote it, compared, and put back.

A facet is read before the interface is given away and again at home. Nothing is decoded when it is read, so that a
snapshot is fast and holds attributes that nobody knows yet. At home both readings become items, which are compared:
what differs is put back, and what differs still is told.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

from nri_netdev.domain.children import SHARING
from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.snapshot import Messages, Shortfall
from nri_netdev.errors import KernelError
from nri_netdev.faults import step
from nri_netdev.shells.kernel.attributes import u32
from nri_netdev.shells.kernel.libc import translated
from nri_netdev.shells.kernel.messages import (
    AF_BRIDGE,
    AF_INET,
    AF_INET6,
    IFLA_EXT_MASK,
    NDMSG,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETQDISC,
    TCMSG,
    pack_link,
    parse_link,
)
from nri_netdev.shells.kernel.rtnetlink import Rtnl

Key = Any
"""What identifies an item; hashable, of a type of the facet's own."""
Items = Mapping[Key, bytes]
"""What is compared: values by what identifies them within a facet."""

_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL, errno.ENOENT, errno.ENOSYS, errno.ENOTTY})
"""What the kernel answers where a driver or the kernel itself has no such state."""

_P = ParamSpec("_P")
_T = TypeVar("_T")
_RTEXT_FILTER_VF, _RTEXT_FILTER_SKIP_STATS = 1, 8


class Site:
    """An interface in the netns that the calling thread is in, as one pass reads it.

    Args:
        rtnl: a socket of that netns.
        ifindex: the interface.
        preferred: addresses that routes name as their source; None if that is not known.
    """

    def __init__(self, rtnl: Rtnl, ifindex: int, preferred: Collection[str] | None = None) -> None:
        self.rtnl = rtnl
        self.ifindex = ifindex
        self._preferred = preferred

    @cached_property
    def raw(self) -> bytes:
        """The body of its `RTM_NEWLINK`, with the table of its virtual functions."""
        mask = u32(_RTEXT_FILTER_VF | _RTEXT_FILTER_SKIP_STATS)
        return self.rtnl.get(
            f"read interface {self.ifindex}", RTM_GETLINK, pack_link(self.ifindex, {IFLA_EXT_MASK: mask})
        )

    @cached_property
    def link(self) -> Link:
        """The interface."""
        return parse_link(self.raw)

    @property
    def is_on_another(self) -> bool:
        """Whether it answers for the device below, whose settings are not its own to put back."""
        return self.link.kind in SHARING

    @cached_property
    def addresses(self) -> tuple[Address, ...]:
        """Its addresses."""
        return self.rtnl.addresses(self.ifindex).get(self.ifindex, ())

    @cached_property
    def routes(self) -> list[bytes]:
        """Routes in every table that leave by it, as far as the kernel can tell."""
        return [each for family in (AF_INET, AF_INET6) for each in self.rtnl.routes(family, oif=self.ifindex)]

    @cached_property
    def every_route(self) -> list[bytes]:
        """Every route of a family in which a route names one of its addresses as its source; there may be very many."""
        sources = [each for each in self.addresses if self._preferred is None or each.address in self._preferred]
        families = sorted({address.family for address in sources})
        return [each for family in families for each in self.rtnl.routes(family)]

    @cached_property
    def forwarding(self) -> list[bytes]:
        """Forwarding entries that lead to it: of its own table and of the bridge's."""
        header = NDMSG.pack(AF_BRIDGE, self.ifindex, 0, 0, 0)
        return self.rtnl.dump("list forwarding entries", RTM_GETNEIGH, header)

    @cached_property
    def qdiscs(self) -> list[bytes]:
        """Its qdiscs; the kernel tells those of every interface."""
        found = self.rtnl.dump("list qdiscs", RTM_GETQDISC, TCMSG.pack(0, self.ifindex, 0, 0, 0))
        return [payload for payload in found if TCMSG.unpack_from(payload)[1] == self.ifindex]

    def ioctl(self, action: str, number: int, argument: bytes) -> None:
        """Send an ioctl about it.

        Args:
            action: what it does, for error messages.
            number: `SIOC*`.
            argument: what follows the name in `struct ifreq`.

        Raises:
            KernelError: The kernel refuses.
        """
        name = self.link.ifname.encode("utf-8", "surrogateescape")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control, translated(action):
            fcntl.ioctl(control, number, struct.pack("16s24s", name, argument))

    def again(self) -> Site:
        """The same interface, to be read again."""
        return Site(self.rtnl, self.ifindex)


def if_supported(read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
    """What a function reads; None where a driver or the kernel itself has no such state."""
    try:
        return read(*args, **kwargs)
    except KernelError as error:
        if error.errno in _UNSUPPORTED:
            return None
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a facet was at home."""

    messages: Messages
    ifindex: int
    """Of the interface then, which the messages name."""
    addresses: tuple[Address, ...] = ()
    """Of the interface then."""
    of_master: frozenset[int] = frozenset()
    """Attributes of the interface (`IFLA_*`) that its master gives it, and that are not its own."""
    age_s: int = 0
    """How many seconds ago."""
    is_early: bool = False
    """Whether the interface is still to be set up: what would change how the kernel does that is left for later."""
    is_partial: bool = False
    """Whether it may have had more than this: then what is there besides is not compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How a facet differs from what it was."""

    was: Items
    now: Items

    @property
    def missing(self) -> list[Key]:
        """What is not there any more."""
        return [key for key in self.was if key not in self.now]

    @property
    def extra(self) -> list[Key]:
        """What was not there."""
        return [key for key in self.now if key not in self.was]

    @property
    def differing(self) -> list[Key]:
        """What has another value."""
        return [key for key in self.was if key in self.now and self.was[key] != self.now[key]]

    @property
    def every(self) -> list[Key]:
        """All of that."""
        return [*self.missing, *self.differing, *self.extra]

    @property
    def is_none(self) -> bool:
        """Whether nothing differs."""
        return self.was == self.now


Refusals = dict[Key, KernelError]
"""Why something was not put back, by item."""


def _hex(_site: Site, _key: Key, value: bytes) -> str:
    return value.hex() or "empty"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facet:
    """One kind of state of an interface."""

    name: str
    """What it is called in the ledger and by fault points."""
    title: str
    """For the docs: what belongs to it."""
    read: Callable[[Site], Messages | None]
    """Reads it; None if that cannot be done here, then it is not compared."""
    items: Callable[[Recorded], Items]
    """What is compared, without what is expected to differ."""
    what: Callable[[Site, Key], str]
    """An item in words."""
    show: Callable[[Site, Key, bytes], str] = _hex
    """A value in words."""
    put: Callable[[Site, Recorded, Change], Refusals] | None = None
    """Puts back what has changed; None if that is impossible, then it is told."""
    expected: Mapping[str, str] = field(default_factory=dict)
    """For the docs: what is left out of the comparison, and why."""
    withholds: bool = False
    """Whether nobody else may have the interface while something of the pod is left in it."""
    is_list: bool = False
    """Whether it is a list of objects, which are there or not."""
    is_flushed: bool = False
    """Whether a move empties it: then nothing of the pod is left in it, and what is there besides is the host's."""
    is_expendable: Callable[[Key], bool] = lambda _key: False
    """Whether an item comes back by itself."""
    advice: str = "set it again, then `nri-netdev release` forgets the claim"
    """What to do where it could not be put back."""


def changed(facet: Facet, site: Site, was: Recorded) -> Change | None:
    """How a facet differs from what it was; None if it does not, or cannot be compared."""
    if facet.is_flushed and not was.messages:
        return None  # nothing can be missing
    messages = facet.read(site)
    if messages is None or (messages == was.messages and site.ifindex == was.ifindex):
        return None
    now = Recorded(messages=messages, ifindex=site.ifindex, addresses=site.addresses, of_master=was.of_master)
    change = Change(was=facet.items(was), now=facet.items(now))
    if facet.is_flushed or was.is_partial:
        change = Change(was=change.was, now={key: change.now[key] for key in change.was if key in change.now})
    return None if change.is_none else change


def restore_facet(facet: Facet, site: Site, was: Recorded) -> list[Shortfall]:
    """Put back what differs of a facet.

    Returns:
        What differs still.

    Raises:
        KernelError: It cannot be read.
    """
    change = changed(facet, site, was)
    if change is None:
        return []
    refusals: Refusals = facet.put(site, was, change) if facet.put is not None else {}
    step(f"homing.{facet.name}")
    site = site.again()
    left = changed(facet, site, was)
    return [] if left is None else [*_shortfalls(facet, site, left, refusals)]


def _shortfalls(facet: Facet, site: Site, change: Change, refusals: Refusals) -> Iterator[Shortfall]:
    reason = "it cannot be put back by this program" if facet.put is None else "the kernel has it otherwise"

    def why(key: Key) -> str:
        return str(refusals.get(key, reason))

    for key in change.missing:
        if facet.is_expendable(key):
            continue
        yield Shortfall(what=facet.what(site, key), why=f"{why(key)}; {facet.advice}")
    for key in change.differing:
        was, now = (facet.show(site, key, items[key]) for items in (change.was, change.now))
        text = f"it is {now}, and was {was}: {why(key)}; {facet.advice}"
        yield Shortfall(what=facet.what(site, key), why=text, is_left=facet.withholds)
    for key in change.extra:
        text = f"{why(key)}; {facet.advice}"
        yield Shortfall(what=facet.what(site, key), why=text, is_extra=True, is_left=facet.withholds)
