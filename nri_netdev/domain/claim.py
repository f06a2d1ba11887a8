"""A claim: one interface for one holder, from its preparation until it is home again.

Values only; how a claim changes is in `nri_netdev.domain.life`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.values import PLAIN, Setup
from nri_netdev.domain.snapshot import Snapshot

MARK_PREFIX = "nri-netdev-"
"""Every claimed interface carries an alternative name that begins so. It travels with the device."""


class State(StrEnum):
    """What the ledger knows of a claim. Its transitions are in `nri_netdev.domain.life`."""

    PREPARED = "prepared"
    """Ready for a container that has not come: written down, marked, pinned. Binds nobody."""
    UNCERTAIN = "uncertain"
    """Prepared by a daemon that died: it may have been given. Binds until that is known."""
    PLANNED = "planned"
    """Promised to the engine; not yet found inside."""
    HELD = "held"
    """Seen inside, complete."""
    RETURNING = "returning"
    """Its holder has ended; it must come home."""
    PARTIAL = "partial"
    """At home, but not all that it was could be restored: the name, a route …; tried again on every occasion."""
    LOST = "lost"
    """Its holder has ended and it is in no netns that can be found."""

    @property
    def is_given(self) -> bool:
        """Whether a container or pod certainly has the interface, or is about to get it."""
        return self in {State.PLANNED, State.HELD}

    @property
    def is_homeward(self) -> bool:
        """Whether the holder has ended, so that nothing but the way home is left."""
        return self in {State.RETURNING, State.PARTIAL, State.LOST}

    @property
    def is_binding(self) -> bool:
        """Whether nobody else may have the interface."""
        return self is not State.PREPARED


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who holds: a pod, or one container of it."""

    scope: Scope
    pod_id: str
    """Id of the PodSandbox."""
    pod_uid: str
    namespace: str
    pod: str
    container_id: str
    """The container that asked; for a pod-level claim the one that brought the interface in. "" until one has come."""
    container: str

    @property
    def holder_id(self) -> str:
        """The id whose end ends the claim."""
        return self.container_id if self.scope is Scope.CONTAINER and self.container_id else self.pod_id

    def is_of(self, container: str) -> bool:
        """Whether a container of the pod that has this name is the one, or may be."""
        return not self.container or self.container == container

    def __str__(self) -> str:
        pod = f"pod {self.namespace}/{self.pod}"
        return pod if self.scope is Scope.POD else f"{pod}, container {self.container}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Netns:
    """The netns that an interface was promised to."""

    path: str
    """As the engine named it."""
    dev: int
    """`st_dev` of the nsfs file."""
    ino: int
    """`st_ino` of the nsfs file: the netns's number as `lsns` shows it."""

    @property
    def pin(self) -> str:
        """The name of its pin in the directory of pins."""
        return f"net-{self.ino}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One interface, one holder."""

    mark: str
    """The alternative name that the interface carries while claimed; the claim's id."""
    owner: Owner
    key: str
    """The annotation that asked."""
    number: int = 1
    """Which entry of that annotation, from 1."""
    inside: str
    """Its name in the pod."""
    netns: Netns
    snapshot: Snapshot
    """What it was on the host."""
    since_s: int
    """Wall clock, seconds since the epoch."""
    boot_id: str
    state: State = State.PREPARED
    """Written by `nri_netdev.domain.life.advance` alone."""
    ifindex: int | None = None
    """Its ifindex in the pod, once found there: what a container cannot change."""
    pid: int = 0
    """The container's first process, as seen in `netns`; 0 while none was, and for a pod."""
    home_ifname: str | None = None
    """What it is called at home, while that is not `ifname`."""
    troubles: tuple[str, ...] = ()
    """What is wrong, in full sentences; empty when nothing is."""
    is_tainted: bool = False
    """Whether something of its holder is left on the interface that would reach the next one."""
    setup: Setup = PLAIN
    """What is to be set on it in the pod."""
    may_route_default: bool = False
    """Whether it may have a default route that an IPAM plugin gives."""

    @property
    def names(self) -> frozenset[str]:
        """The names that it takes in the pod, with those of the devices on it."""
        devices = (child.name for child in self.setup.children)
        return frozenset((self.inside, self.mark, *self.snapshot.link.altnames, *devices))

    @property
    def kept_addresses(self) -> tuple[Address, ...]:
        """The addresses of home that it is to have in the pod."""
        return () if self.setup.replaces_addresses else self.snapshot.addresses

    @property
    def is_share(self) -> bool:
        """Whether it is of a device on the interface that `snapshot` is of, which stays at home."""
        return self.setup.share is not None

    @property
    def ifname(self) -> str:
        """Its name on the host."""
        return self.snapshot.link.ifname


def steady(link: Link) -> tuple[object, ...]:
    """What a verdict may rest on; whether a link is up, has a carrier … may change from moment to moment."""
    return (
        (link.ifname, link.kind, link.mac, link.permanent_mac, link.alias, link.parent_bus, link.parent_dev),
        (link.master, link.link, link.link_netnsid, link.netns_immutable),
        tuple(name for name in link.altnames if not name.startswith(MARK_PREFIX)),
    )


def lasting(link: Link) -> tuple[object, ...]:
    """What an administrator has made of an interface, marks of ours left out; not what passes, like its carrier."""
    return *steady(link), link.is_up, link.mtu, link.txqueuelen, link.group


def find(links: Iterable[Link], claim: Claim, *, at_home: bool) -> Link | None:
    """The interface of a claim among the links of one netns; None if it is not there.

    A name proves nothing, since a container may change it. In order: the mark; what hardware cannot change
    (permanent MAC and parent device); its place of origin on the host before the mark was set; in the pod, the
    ifindex under which it was found there, then the name under which the runtime put it there. Kinds must agree
    always, so that a container cannot hand back something else.
    """
    was = claim.snapshot.link
    if claim.setup.share is not None:
        return _find_share(tuple(links), claim, claim.setup.share.kind, at_home=at_home)
    same_kind = [link for link in links if link.kind == was.kind and not link.is_loopback]

    def unmarked(link: Link) -> bool:
        return not any(name.startswith(MARK_PREFIX) for name in link.altnames)

    rules = [
        lambda link: claim.mark in link.altnames,
        lambda link: _same_hardware(was, link),
    ]
    if at_home:
        rules.append(lambda link: unmarked(link) and (link.ifindex, link.ifname) == (was.ifindex, was.ifname))
    else:
        rules.append(lambda link: link.ifindex == claim.ifindex)
        rules.append(lambda link: claim.ifindex is None and unmarked(link) and link.ifname == claim.inside)
    for rule in rules:
        found = next(filter(rule, same_kind), None)
        if found is not None:
            return found
    return None


def share_ifindex(mark: str) -> int:
    """The ifindex that a device on a shared interface is made with, which the kernel keeps when it is moved.

    It is one of 2^30 that no device gets otherwise. A name and an index of the kernel's choice tell nothing: every pod
    has a `net1` of index 3, and so has one whose CNI plugin has made a macvlan on the same interface.
    """
    return 1 << 30 | zlib.crc32(mark.encode()) & (1 << 30) - 1


def _find_share(links: Sequence[Link], claim: Claim, kind: str, *, at_home: bool) -> Link | None:
    """The device that a container has on a shared interface. It is nowhere but where it was made or was moved to.

    One without a mark, since a daemon died over it or its container has taken it off, is known by its index and by
    what it stands on, in another netns.
    """
    made, seen = (share_ifindex(claim.mark), claim.snapshot.link.ifindex), None if at_home else claim.ifindex
    rules: Sequence[Callable[[Link], bool]] = (
        lambda link: claim.mark in link.altnames,
        lambda link: link.ifindex == seen,
        lambda link: (link.ifindex, link.link) == made and link.link_netnsid is not None,
    )
    same_kind = [link for link in links if link.kind == kind]
    return next((link for rule in rules for link in same_kind if rule(link)), None)


def _same_hardware(was: Link, link: Link) -> bool:
    if was.kind is not None or (was.parent_dev, was.permanent_mac) == (None, None):
        return False
    return (was.parent_bus, was.parent_dev, was.permanent_mac) == (
        link.parent_bus,
        link.parent_dev,
        link.permanent_mac,
    )
