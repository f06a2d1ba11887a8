"""The book of claims: those in force, written through to the ledger, and what is told of them."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from nri_netdev.custody.ports import Store
from nri_netdev.domain.claim import Claim, Netns
from nri_netdev.errors import KernelError, StateError
from nri_netdev.log import event

_log = logging.getLogger(__name__)


class Book:
    """Every claim of the node, and every draft of one.

    A draft is a claim that is durable before anybody has asked: it binds nobody but a daemon that finds it after a
    crash, and cannot know whether it was given.

    Args:
        ledger: where they are kept.

    Raises:
        StateError: The ledger cannot be read.
    """

    def __init__(self, ledger: Store) -> None:
        self._ledger = ledger
        self._claims: dict[str, Claim] = {}
        self._drafts: dict[str, Claim] = {}
        self._marks: dict[str, dict[str, None]] = {}
        """In order, by the ids of all that an event must be heard of, for a claim or draft hangs on it."""
        self._left: dict[str, Claim] = {}
        """What is forgotten, and could not be struck from the ledger yet."""
        self._unwritten: set[str] = set()
        """Claims that the ledger still has as drafts."""
        self.promised = 0
        """How often claims were made."""
        left = ledger.drafts()
        for claim in (*ledger.claims(), *left):
            self._note(self._claims, claim)
        if left:
            with reported("write the ledger"):
                ledger.write(put=left)

    def claims(self) -> tuple[Claim, ...]:
        """Every claim, oldest first."""
        return tuple(self._claims.values())

    def drafts(self) -> tuple[Claim, ...]:
        """Every draft, oldest first."""
        return tuple(self._drafts.values())

    def get(self, mark: str) -> Claim | None:
        """The claim of a mark, as it is now."""
        return self._claims.get(mark)

    def __getitem__(self, mark: str) -> Claim:
        return self._claims[mark]

    def __contains__(self, mark: object) -> bool:
        return mark in self._claims or mark in self._drafts

    def of(self, holder_id: str) -> tuple[Claim, ...]:
        """The claims that hang on a container or a pod, oldest first."""
        return tuple(filter(None, map(self._claims.get, self._marks.get(holder_id, ()))))

    def holders(self) -> Collection[str]:
        """The ids of every pod and container that an event must be heard of; as they are at any time, on any thread."""
        return self._marks

    def needs(self, netns: Netns) -> bool:
        """Whether a claim or draft needs a netns to be kept alive."""
        return any(claim.netns == netns for book in (self._claims, self._drafts) for claim in book.values())

    def releases(self) -> frozenset[str]:
        """The marks of the claims that another process wants released."""
        with reported("read the ledger"):
            return self._ledger.releases() & self._claims.keys()
        return frozenset()

    def promise(self, claims: Sequence[Claim], *, instead_of: Sequence[Claim]) -> None:
        """Write new claims, and forget those that they inherit from, in one commit.

        Raises:
            StateError: They are not written; nothing has changed.
        """
        self._write(put=claims, drop=instead_of)
        for old in instead_of:
            self._strike(old)
        for claim in claims:
            self._note(self._claims, claim)
        self.promised += 1

    def draft(self, drafts: Sequence[Claim]) -> None:
        """Write drafts, in one commit.

        Raises:
            StateError: They are not written; nothing has changed.
        """
        self._write(draft=drafts)
        for claim in drafts:
            self._note(self._drafts, claim)

    def confirm(self, claims: Sequence[Claim]) -> None:
        """Make claims of drafts. That is durable, as they are; `put` each when there is time."""
        for claim in claims:
            self._note(self._claims, claim)
            self._drafts.pop(claim.mark, None)
            self._unwritten.add(claim.mark)
        self.promised += 1

    def unwritten(self, holder_id: str) -> tuple[Claim, ...]:
        """The claims of a container or pod that the ledger still has as drafts."""
        return tuple(claim for claim in self.of(holder_id) if claim.mark in self._unwritten)

    def put(self, claim: Claim) -> Claim:
        """Remember a change of a claim. A ledger that fails now must not keep an interface from coming home."""
        self._note(self._claims, claim)
        with reported("write the ledger", **about(claim)):
            self._write(put=[claim])
            self._unwritten.discard(claim.mark)
        return claim

    def drop(self, *claims: Claim) -> None:
        """Forget claims and drafts. What the ledger cannot be rid of now goes with the next that is written."""
        for claim in claims:
            self._strike(claim)
            self._left[claim.mark] = claim
        with reported("write the ledger", **about(claims[0])):
            self._write()

    @property
    def is_behind(self) -> bool:
        """Whether the ledger has yet to be told something."""
        return bool(self._left or self._unwritten)

    def catch_up(self) -> None:
        """Tell the ledger what it could not be told before."""
        if self._left:
            with reported("write the ledger"):
                self._write()

    def _write(self, *, put: Sequence[Claim] = (), drop: Sequence[Claim] = (), draft: Sequence[Claim] = ()) -> None:
        self._ledger.write(put=put, drop=(*drop, *self._left.values()), draft=draft)
        self._left.clear()

    def _note(self, book: dict[str, Claim], claim: Claim) -> None:
        """Enter a claim. Who reads `holders` meanwhile misses none of its names."""
        before = self._claims.get(claim.mark) or self._drafts.get(claim.mark)
        self._left.pop(claim.mark, None)
        book[claim.mark] = claim
        for name in _names(claim):
            self._marks.setdefault(name, {})[claim.mark] = None
        if before is not None:
            self._unlist(claim.mark, _names(before) - _names(claim))

    def _strike(self, claim: Claim) -> None:
        self._unwritten.discard(claim.mark)
        known = self._claims.pop(claim.mark, None) or self._drafts.pop(claim.mark, None)
        if known is not None:
            self._unlist(claim.mark, _names(known))

    def _unlist(self, mark: str, names: Iterable[str]) -> None:
        for name in names:
            self._marks[name].pop(mark, None)
            if not self._marks[name]:
                del self._marks[name]

    def trouble(self, claim: Claim, *troubles: str) -> None:
        """Keep and tell what is wrong; once, not on every occasion."""
        if claim.troubles != troubles:
            self.put(replace(claim, troubles=troubles))
            for trouble in troubles:
                event(_log, logging.ERROR, "claim.trouble", **about(claim), state=claim.state, trouble=trouble)


def _names(claim: Claim) -> frozenset[str]:
    """The ids that a claim hangs on."""
    return frozenset(filter(None, (claim.owner.pod_id, claim.owner.container_id)))


@contextlib.contextmanager
def reported(doing: str, **context: object) -> Iterator[None]:
    """The edge of everything that is tried again: a refusal is told, and life goes on."""
    try:
        yield
    except (KernelError, StateError) as error:
        gone = isinstance(error, KernelError) and error.errno in {errno.ENOENT, errno.ENODEV}
        level = logging.DEBUG if gone else logging.ERROR
        event(_log, level, "custody.refused", doing=doing, **context, error=str(error))


def about(claim: Claim) -> dict[str, object]:
    """What log lines say of a claim."""
    owner = claim.owner
    return {
        "ifname": claim.ifname,
        "pod": f"{owner.namespace}/{owner.pod}",
        "container": owner.container,
        "claim": claim.mark,
    }
