"""The claims of the node, written through to the ledger, and what the log says of them."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from nri_netdev.custody.index import ClaimIndex
from nri_netdev.custody.ports import Store
from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.life import GONE, Trigger, advance, moved_on
from nri_netdev.errors import KernelError, LocalProtocolError, StateError
from nri_netdev.log import event

_log = logging.getLogger(__name__)


class Claims(ClaimIndex):
    """Every claim of the node, prepared ones included.

    A prepared claim that the ledger holds at the start is one that a daemon died over: it becomes uncertain.

    Args:
        ledger: where claims are kept.

    Raises:
        StateError: The ledger cannot be read.
    """

    def __init__(self, ledger: Store) -> None:
        super().__init__()
        self._ledger = ledger
        self._undropped: dict[str, Claim] = {}
        """Claims that are over, and that the ledger still holds because a write failed."""
        self._unwritten: set[str] = set()
        """Marks of claims that were given and that the ledger still holds as prepared."""
        self.revision = 0
        """Counts how often interfaces were given away."""
        uncertain = []
        for claim in ledger.claims():
            if claim.state is State.PREPARED:
                claim = moved_on(claim, Trigger.FOUND)  # noqa: PLW2901
                uncertain.append(claim)
            self.note(claim)
        if uncertain:
            with reported("write the ledger"):
                ledger.write(put=uncertain)

    # -- reading ---------------------------------------------------------------------------------------------------

    def releases(self) -> frozenset[str]:
        """The marks of the binding claims that another process asks to release."""
        with reported("read the ledger"):
            return self._ledger.releases() & {claim.mark for claim in self.binding()}
        return frozenset()

    # -- changing --------------------------------------------------------------------------------------------------

    def prepare(self, claims: Sequence[Claim]) -> None:
        """Write prepared claims, in one commit.

        Raises:
            StateError: They are not written; nothing has changed.
        """
        self._write(put=claims)
        for claim in claims:
            self.note(claim)

    def promise(self, claims: Sequence[Claim], *, instead_of: Sequence[Claim]) -> tuple[Claim, ...]:
        """Give prepared claims to their container and end those that they inherit from, in one commit.

        Returns:
            The claims as they are now.

        Raises:
            StateError: They are not written; nothing has changed.
        """
        given = tuple(moved_on(claim, Trigger.GIVEN) for claim in claims)
        for old in instead_of:
            _must_end(old, Trigger.INHERITED)
        self._write(put=given, drop=instead_of)
        for old in instead_of:
            self.strike(old)
        for claim in given:
            self.note(claim)
        self.revision += 1
        return given

    def give(self, claims: Sequence[Claim], container_id: str, container: str, now_s: int) -> None:
        """Give prepared claims to the container that has come, in memory alone.

        That is durable, as they are written as prepared; `put` each when there is time.
        """
        for claim in claims:
            owner = replace(claim.owner, container_id=container_id, container=container)
            self.note(moved_on(claim, Trigger.GIVEN, owner=owner, since_s=now_s))
            self._unwritten.add(claim.mark)
        self.revision += 1

    def unwritten(self, holder_id: str) -> tuple[Claim, ...]:
        """The claims of a container or pod that were given and that the ledger still holds as prepared."""
        return tuple(claim for claim in self.of(holder_id) if claim.mark in self._unwritten)

    def advance(self, claim: Claim, trigger: Trigger, **changes: Any) -> Claim:
        """Take a claim to its next state, and write it."""
        return self.put(moved_on(claim, trigger, **changes))

    def put(self, claim: Claim) -> Claim:
        """Write a claim that has changed. A ledger that fails now must not keep an interface from coming home."""
        self.note(claim)
        with reported("write the ledger", **about(claim)):
            self._write(put=[claim])
            self._unwritten.discard(claim.mark)
        return claim

    def end(self, trigger: Trigger, *claims: Claim) -> None:
        """Forget claims that are over. What the ledger cannot drop now is dropped with the next write."""
        for claim in claims:
            _must_end(claim, trigger)
            self.strike(claim)
            self._undropped[claim.mark] = claim
        with reported("write the ledger", **about(claims[0])):
            self._write()

    @property
    def is_behind(self) -> bool:
        """Whether the ledger lacks something that is known here."""
        return bool(self._undropped or self._unwritten)

    def catch_up(self) -> None:
        """Drop from the ledger what could not be dropped before."""
        if self._undropped:
            with reported("write the ledger"):
                self._write()

    def trouble(self, claim: Claim, *troubles: str) -> None:
        """Keep what is wrong with a claim, and log it once."""
        if claim.troubles != troubles:
            self.put(replace(claim, troubles=troubles))
            for trouble in troubles:
                event(_log, logging.ERROR, "claim.trouble", **about(claim), state=claim.state, trouble=trouble)

    def _write(self, *, put: Sequence[Claim] = (), drop: Sequence[Claim] = ()) -> None:
        self._ledger.write(put=put, drop=(*drop, *self._undropped.values()))
        self._undropped.clear()

    def note(self, claim: Claim) -> None:
        """Enter a claim, or what it is now."""
        self._undropped.pop(claim.mark, None)
        super().note(claim)

    def strike(self, claim: Claim) -> None:
        """Take a claim out."""
        self._unwritten.discard(claim.mark)
        super().strike(claim)


def _must_end(claim: Claim, trigger: Trigger) -> None:
    if advance(claim, trigger) is not GONE:
        raise LocalProtocolError(f"{trigger.name} does not end a claim that is {claim.state} ({claim.mark})")


@contextlib.contextmanager
def reported(doing: str, **context: object) -> Iterator[None]:
    """The edge of everything that is tried again: a refusal by kernel or ledger is logged, and work goes on."""
    try:
        yield
    except (KernelError, StateError) as error:
        gone = isinstance(error, KernelError) and error.errno in {errno.ENOENT, errno.ENODEV}
        level = logging.DEBUG if gone else logging.ERROR
        event(_log, level, "custody.refused", doing=doing, **context, error=str(error))


def about(claim: Claim) -> dict[str, object]:
    """The fields of log lines about a claim."""
    owner = claim.owner
    return {
        "ifname": claim.ifname,
        "pod": f"{owner.namespace}/{owner.pod}",
        "pod_uid": owner.pod_uid,
        "container": owner.container,
        "claim": claim.mark,
    }
