"""Arrival: before a container's process runs, all that it asked for must be inside, complete."""

from __future__ import annotations

import contextlib

from nri_netdev.custody.claims import Claims
from nri_netdev.custody.leases import Leases
from nri_netdev.custody.locate import Found, pod_path
from nri_netdev.custody.ports import Kernel
from nri_netdev.custody.returning import StillReturning
from nri_netdev.custody.settle import PLACES, Settler, new_share
from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.life import Place, Trigger
from nri_netdev.domain.scope import Scope
from nri_netdev.errors import KernelError, Reason, RequestError
from nri_netdev.faults import step

_BY_INTERFACE = frozenset({"dhcp"})
"""IPAM plugins that ask through the interface itself, which must be in the pod."""


class Arrival:
    """Moves in what an OCI runtime has left on the host, and checks what is inside.

    Args:
        claims: the claims.
        kernel: the node.
        settler: settles a claim once its interface has moved.
        leases: addresses of IPAM plugins.
    """

    def __init__(self, claims: Claims, kernel: Kernel, settler: Settler, leases: Leases) -> None:
        self._claims = claims
        self._kernel = kernel
        self._settler = settler
        self._leases = leases

    def expect(self, container_id: str) -> None:
        """Ask IPAM plugins for what a container will have, before it starts; but those that ask through an interface.

        Each is asked once: whether it gives it, whoever waits for it is told.
        """
        with contextlib.suppress(StillReturning, RequestError):
            self._obtain(container_id, is_early=True)

    def complete(self, container_id: str, *, may_move: bool = True) -> tuple[str, ...]:
        """Move in what is promised to a container and still on the host, and check that all of it is complete.

        Args:
            container_id: the container.
            may_move: whether to move in what the runtime has left on the host.

        Returns:
            The interfaces that were moved.

        Raises:
            RequestError: Something is not inside.
            StillReturning: An IPAM plugin runs; to be called again.
        """
        self._admit(container_id, may_move=may_move)
        self._obtain(container_id)
        moved: list[str] = []
        failures: list[str] = []
        for claim in self._claims.of(container_id):
            try:
                if self._now(claim).state is State.PLANNED and self._settle_in(claim, may_move=may_move):
                    moved.append(claim.ifname)
                self._check(self._now(claim))
            except KernelError as error:
                failures.append(str(_not_arrived(claim, str(error))))
            except RequestError as error:
                failures.append(str(error))
        if failures:
            raise RequestError("; ".join(failures), reason=Reason.ARRIVAL)
        return tuple(moved)

    def _admit(self, container_id: str, *, may_move: bool = True) -> None:
        """Move in what waits for an address of an IPAM plugin, some of which ask by the interface itself.

        Raises:
            RequestError: It cannot be moved in.
        """
        for claim in self._claims.of(container_id):
            if claim.state is not State.PLANNED or claim.setup.ipam is None:
                continue
            try:
                found, _ = self._inside(claim, may_move=may_move)
                if found.link is not None and found.netns_path is not None:
                    self._kernel.pods.complete(found.netns_path, found.link.ifindex, claim.inside, (), is_up=True)
            except KernelError as error:
                raise _not_arrived(claim, str(error)) from error

    def _obtain(self, container_id: str, *, is_early: bool = False) -> None:
        """Have an address given to each interface of a container that asks an IPAM plugin for one.

        Args:
            container_id: the container.
            is_early: whether its interfaces are at home still.

        Raises:
            RequestError: A plugin gives none.
            StillReturning: Plugins run; to be called again when one has ended.
        """
        waits = False
        for claim in self._claims.of(container_id):
            ipam = claim.setup.ipam
            if claim.state is not State.PLANNED or ipam is None:
                continue
            if not is_early or (ipam.type not in _BY_INTERFACE and not self._leases.is_asked(claim)):
                try:
                    self._leases.obtain(claim)
                except StillReturning:
                    waits = True
        if waits:
            raise StillReturning

    def give_back(self, container_id: str) -> None:
        """Bring home what of its pod's was to come with a container that does not start.

        What is its own comes home when its process has ended.
        """
        for claim in self._claims.of(container_id):
            if claim.state is State.PLANNED and claim.owner.scope is Scope.POD:
                self._settler.settle(self._claims.advance(claim, Trigger.NOT_KEPT))

    def _now(self, claim: Claim) -> Claim:
        return self._claims.get(claim.mark) or claim

    def _settle_in(self, claim: Claim, *, may_move: bool) -> bool:
        """Complete what is inside, and move in before what is not; whether the runtime should have moved it."""
        found, is_left = self._inside(claim, may_move=may_move)
        if found.place is not Place.POD:
            raise _not_arrived(claim, f"it is {PLACES[found.place]}")
        self._settler.adopt(claim, found)
        return is_left and not claim.is_share

    def _inside(self, claim: Claim, *, may_move: bool) -> tuple[Found, bool]:
        """Where an interface is once it was moved in if it was still on the host, and whether it was."""
        found = self._settler.locate(claim)
        if found.place is not Place.HOST:
            return found, False
        self._move_in(claim, found, may_move=may_move)
        return self._settler.locate(claim), True

    def _move_in(self, claim: Claim, found: Found, *, may_move: bool) -> None:
        path = pod_path(self._kernel, claim.netns)
        if path is not None and claim.setup.share is not None:
            self._kernel.setups.share(claim.snapshot.link.ifindex, path, new_share(claim, claim.setup.share))
            step("custody.shared")
            return
        if found.link is None or path is None:
            raise _not_arrived(claim, f"it is {PLACES[found.place]}")
        if not may_move:
            raise _not_arrived(
                claim,
                "engine or OCI runtime ignored linux.netDevices; use NRI 0.11 and runc 1.4, crun 1.22 or youki 0.6 or "
                "newer, or set injection: auto",
            )
        self._kernel.pods.send(found.link.ifindex, path, claim.inside)
        step("custody.sent")

    def _check(self, claim: Claim) -> None:
        """What is held is in the pod under its name, up, with its addresses."""
        found = self._settler.locate(claim)
        if claim.state is not State.HELD or found.place is not Place.POD or not found.link or not found.netns_path:
            raise _not_arrived(claim, f"it is {PLACES[found.place]}")
        ifindex, kept = found.link.ifindex, claim.kept_addresses
        self._kernel.pods.complete(found.netns_path, ifindex, claim.inside, kept, is_up=claim.setup.up)


def _not_arrived(claim: Claim, why: str) -> RequestError:
    return RequestError(f"interface {claim.ifname} did not arrive: {why}", reason=Reason.ARRIVAL)
