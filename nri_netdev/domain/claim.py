"""A claim: that one interface is given to one holder, from the promise until it is home again.

The life of a claim is two tables, `DECISIONS` (what must be done, by state and place) and `Holder` (what the engine
knows). `nri_netdev.custody.custody` reads ledger, kernel and engine, asks `decide`, and does what it says; every
trigger takes this one way. The picture in docs/custody.md is drawn from these tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from nri_netdev.domain.links import Link
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.snapshot import Snapshot

MARK_PREFIX = "nri-netdev-"
"""Every claimed interface carries an alternative name that begins so. It travels with the device."""


class State(StrEnum):
    """What the ledger knows of a claim."""

    PLANNED = "planned"
    """Promised to the engine; not yet seen inside."""
    HELD = "held"
    """Seen inside, complete."""
    RETURNING = "returning"
    """Its holder has ended; it must come home."""
    PARTIAL = "partial"
    """At home, but not all that it was could be restored: the name, a route …; tried again on every occasion."""
    LOST = "lost"
    """Its holder has ended and it is in no netns that can be seen."""

    @property
    def is_homeward(self) -> bool:
        """Whether the holder has ended, so that nothing but the way home is left."""
        return self not in {State.PLANNED, State.HELD}


class Place(StrEnum):
    """Where the kernel shows the interface."""

    HOST = "host"
    POD = "pod"
    AWAY = "away"
    """In a third netns: one that the container made, or another pod's."""
    NOWHERE = "nowhere"


class Holder(StrEnum):
    """What the engine says of the holder."""

    UNKNOWN = "unknown"
    """The engine has not yet told, or cannot be asked."""
    PENDING = "pending"
    """It exists, and its process does not run yet."""
    RUNNING = "running"
    ENDED = "ended"


class Action(StrEnum):
    """What must be done with a claim now."""

    WAIT = "wait"
    """Nothing: the runtime has not moved it yet, or nothing is known of the holder."""
    KEEP = "keep"
    """Nothing: all is as it should be."""
    ADOPT = "adopt"
    """It has arrived: complete what the runtime left out, note where it is."""
    STRAY = "stray"
    """It is not where its living holder should have it: say so, touch nothing."""
    FETCH = "fetch"
    """Bring it home and restore it."""
    RESTORE = "restore"
    """It is on the host: restore it to what it was, then forget the claim."""
    LOSE = "lose"
    """It cannot be found: say so and keep the claim."""


_HOMEWARD = {
    Place.HOST: Action.RESTORE,
    Place.POD: Action.FETCH,
    Place.AWAY: Action.FETCH,
    Place.NOWHERE: Action.LOSE,
}

DECISIONS: dict[tuple[State, Place], Action] = {
    (State.PLANNED, Place.HOST): Action.WAIT,
    (State.PLANNED, Place.POD): Action.ADOPT,
    (State.PLANNED, Place.AWAY): Action.STRAY,
    (State.PLANNED, Place.NOWHERE): Action.STRAY,
    (State.HELD, Place.HOST): Action.STRAY,
    (State.HELD, Place.POD): Action.KEEP,
    (State.HELD, Place.AWAY): Action.STRAY,
    (State.HELD, Place.NOWHERE): Action.STRAY,
    **{
        (state, place): act
        for state in (State.RETURNING, State.PARTIAL, State.LOST)
        for place, act in _HOMEWARD.items()
    },
}
"""What must be done, by the claim's state and the interface's place; complete over both."""


def state_after(state: State, place: Place, holder: Holder) -> State:
    """The state that a claim is really in, given what the engine says of its holder.

    The end of the holder is the one thing that turns a claim homeward, and it never turns back. A promise that the
    runtime did not keep is over as soon as the container runs without its interface.
    """
    if state.is_homeward:
        return state
    if holder is Holder.ENDED:
        return State.RETURNING
    if state is State.PLANNED and holder is Holder.RUNNING and place is Place.HOST:
        return State.RETURNING
    return state


def decide(state: State, place: Place, holder: Holder) -> Action:
    """The one decision: what must be done with a claim, from ledger, kernel and engine."""
    after = state_after(state, place, holder)
    if holder is Holder.UNKNOWN and not after.is_homeward:
        return Action.WAIT
    return DECISIONS[after, place]


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
    """The container that asked; for a pod-level claim the one that brought the interface in. "" in a draft, and while
    nobody knows because a daemon died over one."""
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
    state: State = State.PLANNED
    ifindex: int | None = None
    """Its ifindex in the pod, once seen there: what a container cannot change."""
    pid: int = 0
    """The holder's process in the host's pid namespace; 0 while unknown, and for a pod."""
    home_ifname: str | None = None
    """What it is called at home, while that is not `ifname`."""
    troubles: tuple[str, ...] = ()
    """What is wrong, in full sentences; empty when nothing is."""

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


class Fate(StrEnum):
    """What became of a draft that a daemon has died over."""

    GIVEN = "given"
    """To a container that exists, or that is what must be thought."""
    ENDED = "ended"
    """It was given, or may have been, and has ended: it must come home, or is to be restored."""
    NOTHING = "nothing"
    """It was not given, or came to nothing; what has been done to the interface since is somebody else's business."""
    OPEN = "open"
    """That cannot be known yet."""


def fate(
    claim: Claim, place: Place, link: Link | None, *, has_container: bool, is_awaited: bool, may_come: bool
) -> Fate:
    """Find out what became of a draft.

    Args:
        claim: the draft.
        place: where its interface is now.
        link: the interface, unless it is nowhere.
        has_container: whether a container that it was made for exists.
        is_awaited: whether one of those is created and not started, so that its runtime may be about to move it.
        may_come: whether an engine may be creating one of which it has not told yet.
    """
    if place is Place.POD and has_container:
        return Fate.GIVEN
    if place not in {Place.POD, Place.HOST} or link is None or claim.mark not in link.altnames:
        return Fate.NOTHING  # it is marked before it is given, and given to nobody but its pod
    if is_awaited:
        return Fate.GIVEN
    if may_come:
        return Fate.OPEN
    was = claim.snapshot.link
    is_set_down = was.is_up and lasting(link) == lasting(replace(was, is_up=False))  # as a failed runtime leaves it
    return Fate.ENDED if place is Place.POD or is_set_down else Fate.NOTHING


def find(links: Iterable[Link], claim: Claim, *, at_home: bool) -> Link | None:
    """The interface of a claim among the links of one netns; None if it is not there.

    A name proves nothing, since a container may change it. In order: the mark; what hardware cannot change
    (permanent MAC and parent device); its place of origin on the host before the mark was set; in the pod, the
    ifindex under which it was seen there, then the name under which the runtime put it there. Kinds must agree
    always, so that a container cannot hand back something else.
    """
    was = claim.snapshot.link
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


def _same_hardware(was: Link, link: Link) -> bool:
    if was.kind is not None or (was.parent_dev, was.permanent_mac) == (None, None):
        return False
    return (was.parent_bus, was.parent_dev, was.permanent_mac) == (
        link.parent_bus,
        link.parent_dev,
        link.permanent_mac,
    )
