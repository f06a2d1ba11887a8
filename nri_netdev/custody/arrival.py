"""Arrival: before a container's process runs, all that it asked for must be inside, complete."""

from __future__ import annotations

from nri_netdev.custody.claims import Claims
from nri_netdev.custody.locate import pod_path
from nri_netdev.custody.ports import Kernel
from nri_netdev.custody.settle import PLACES, Settler
from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.life import Place
from nri_netdev.errors import KernelError, Reason, RequestError
from nri_netdev.faults import step


class Arrival:
    """Moves in what an OCI runtime has left on the host, and checks what is inside.

    Args:
        claims: the claims.
        kernel: the node.
        settler: settles a claim once its interface has moved.
    """

    def __init__(self, claims: Claims, kernel: Kernel, settler: Settler) -> None:
        self._claims = claims
        self._kernel = kernel
        self._settler = settler

    def complete(self, container_id: str, *, may_move: bool = True) -> tuple[str, ...]:
        """Move in what is promised to a container and still on the host, and check that all of it is complete.

        Args:
            container_id: the container.
            may_move: whether to move in what the runtime has left on the host.

        Returns:
            The interfaces that were moved.

        Raises:
            RequestError: Something is not inside.
        """
        moved: list[str] = []
        failures: list[str] = []
        for claim in self._claims.of(container_id):
            try:
                if self._now(claim).state is State.PLANNED:
                    self._move_in(claim, may_move=may_move)
                    moved.append(claim.ifname)
                self._check(self._now(claim))
            except KernelError as error:
                failures.append(str(_not_arrived(claim, str(error))))
            except RequestError as error:
                failures.append(str(error))
        if failures:
            raise RequestError("; ".join(failures), reason=Reason.ARRIVAL)
        return tuple(moved)

    def _now(self, claim: Claim) -> Claim:
        return self._claims.get(claim.mark) or claim

    def _move_in(self, claim: Claim, *, may_move: bool) -> None:
        found = self._settler.locate(claim)
        path = pod_path(self._kernel, claim.netns)
        if found.place is not Place.HOST or found.link is None or path is None:
            raise _not_arrived(claim, f"it is {PLACES[found.place]}")
        if not may_move:
            raise _not_arrived(
                claim,
                "engine or OCI runtime ignored linux.netDevices; use NRI 0.11 and runc 1.4, crun 1.22 or youki 0.6 or "
                "newer, or set injection: auto",
            )
        self._kernel.pods.send(found.link.ifindex, path, claim.inside)
        step("custody.sent")
        self._settler.settle(claim)

    def _check(self, claim: Claim) -> None:
        """What is held is in the pod under its name, up, with its addresses."""
        found = self._settler.locate(claim)
        if claim.state is not State.HELD or found.place is not Place.POD or not found.link or not found.netns_path:
            raise _not_arrived(claim, f"it is {PLACES[found.place]}")
        self._kernel.pods.complete(found.netns_path, found.link.ifindex, claim.inside, claim.snapshot)


def _not_arrived(claim: Claim, why: str) -> RequestError:
    return RequestError(f"interface {claim.ifname} did not arrive: {why}", reason=Reason.ARRIVAL)
