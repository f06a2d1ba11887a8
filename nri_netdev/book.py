"""The book of claims: those in force, written through to the ledger, and what is told of them."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

from nri_netdev.domain.claim import Claim
from nri_netdev.errors import KernelError, StateError
from nri_netdev.logs import event
from nri_netdev.ports import Store

_log = logging.getLogger(__name__)


class Book:
    """Every claim of the node.

    Args:
        ledger: where claims are kept.

    Raises:
        StateError: The ledger cannot be read.
    """

    def __init__(self, ledger: Store) -> None:
        self._ledger = ledger
        self._claims: dict[str, Claim] = {claim.mark: claim for claim in ledger.claims()}
        self._holders: frozenset[str] | None = None
        """What `holders` says; None where claims have changed since. It is asked after every job."""

    def claims(self) -> tuple[Claim, ...]:
        """Every claim, oldest first."""
        return tuple(self._claims.values())

    def get(self, mark: str) -> Claim | None:
        """The claim of a mark, as it is now."""
        return self._claims.get(mark)

    def __getitem__(self, mark: str) -> Claim:
        return self._claims[mark]

    def __contains__(self, mark: object) -> bool:
        return mark in self._claims

    def of(self, holder_id: str) -> tuple[Claim, ...]:
        """The claims that hang on a container or a pod."""
        return tuple(
            c for c in self._claims.values() if holder_id in {c.owner.container_id, c.owner.holder_id, c.owner.pod_id}
        )

    def holders(self) -> frozenset[str]:
        """The ids of every pod and container that an event must be heard of, for a claim hangs on it."""
        if self._holders is None:
            owners = [claim.owner for claim in self._claims.values()]
            self._holders = frozenset(name for owner in owners for name in (owner.pod_id, owner.container_id))
        return self._holders

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
        self._ledger.write(put=claims, drop=instead_of)
        for old in instead_of:
            self._claims.pop(old.mark, None)
        self._claims |= {claim.mark: claim for claim in claims}
        self._holders = None

    def put(self, claim: Claim) -> Claim:
        """Remember a change of a claim. A ledger that fails now must not keep an interface from coming home."""
        self._claims[claim.mark] = claim
        self._holders = None
        with reported("write the ledger", **about(claim)):
            self._ledger.write(put=[claim])
        return claim

    def drop(self, claim: Claim) -> None:
        """Forget a claim."""
        self._claims.pop(claim.mark, None)
        self._holders = None
        with reported("write the ledger", **about(claim)):
            self._ledger.write(drop=[claim])

    def trouble(self, claim: Claim, *troubles: str) -> None:
        """Keep and tell what is wrong; once, not on every occasion."""
        if claim.troubles != troubles:
            self.put(replace(claim, troubles=troubles))
            for trouble in troubles:
                event(_log, logging.ERROR, "claim.trouble", **about(claim), state=claim.state, trouble=trouble)


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
