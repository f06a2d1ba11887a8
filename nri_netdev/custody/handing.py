"""What a container is handed beside its interfaces: variables, a directory that tells of them, RDMA's devices.

There is one directory for each pod, as all of its containers share its interfaces. It is there before a container that
gets it is created; what it tells is complete before the container's process runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nri_netdev.custody.claims import Claims, reported
from nri_netdev.custody.locate import locate
from nri_netdev.custody.ports import HandoutStore, Kernel
from nri_netdev.custody.settle import Settler
from nri_netdev.domain.annotations.request import Entry
from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.given import NO_RDMA, Inside, Rdma, given_of
from nri_netdev.domain.metadata import Given, Handout, documents, environment
from nri_netdev.domain.pods import Container, PodSandbox
from nri_netdev.domain.scope import Scope
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.errors import Reason, RequestError, StateError, refusal_for


class Handing:
    """Hands out.

    Args:
        claims: the claims.
        kernel: the node.
        settler: knows what is to be set on an interface.
        store: keeps the directories; None to hand out nothing.
    """

    def __init__(self, claims: Claims, kernel: Kernel, settler: Settler, store: HandoutStore | None) -> None:
        self._claims = claims
        self._kernel = kernel
        self._settler = settler
        self._store = store
        self._rdma: dict[str, Rdma] = {}
        """What of RDMA each claim has, as read before the interface left."""
        self._may_be_left = store is not None
        """Whether there may be a directory of a pod, be it of an earlier daemon's."""

    @property
    def is_behind(self) -> bool:
        """Whether there may be something to remove, though nobody holds anything."""
        return self._may_be_left

    def for_container(self, pod: PodSandbox, container: Container, entries: Sequence[Entry]) -> Handout | None:
        """What a container for which custody has just decided gets beside its interfaces; None for nothing.

        Raises:
            RequestError: It cannot be made.
        """
        mine = [
            each for each in self._of(pod) if each.owner.scope is Scope.POD or each.owner.container_id == container.id
        ]
        return self.handout(pod, entries, mine)

    def handout(self, pod: PodSandbox, entries: Iterable[Entry], claims: Sequence[Claim]) -> Handout | None:
        """What a container that is being created gets beside its interfaces; None for nothing.

        Args:
            pod: its pod.
            entries: what it asks for: what is no more than a name tells that it wants nothing beside.
            claims: its own and its pod's.

        Raises:
            RequestError: The directory cannot be made, or there are no devices that are asked for.
        """
        devices = tuple(device for claim in claims for device in self._devices(claim))
        if any(claim.setup.rdma for claim in claims) and not devices:
            raise RequestError(
                "rdma: true, and its RDMA devices have no character devices; load ib_uverbs on the node",
                reason=Reason.ABSENT,
            )
        if self._store is None or not claims or all(entry.is_short for entry in entries):
            return Handout(source=None, devices=devices) if devices else None
        marks = {claim.mark for claim in claims}
        others = [self.given(each) for each in self._of(pod) if each.mark not in marks]
        given = [self.given(claim) if claim.state is State.HELD else self._given(claim, None) for claim in claims]
        try:
            self._may_be_left = True
            source = self._store.make(pod.id)
            self._store.write(pod.id, documents(pod=pod, given=[*others, *given]))
        except StateError as error:
            raise refusal_for(error) from error
        return Handout(source=source, env=environment(given), devices=devices)

    def arrived(self, pod: PodSandbox) -> None:
        """Tell a pod of its interfaces as they are now, if it is told at all."""
        if self._store is None or not self._store.has(pod.id):
            return
        with reported("tell a pod of its interfaces", pod=f"{pod.namespace}/{pod.name}"):
            self._store.write(pod.id, documents(pod=pod, given=[*map(self.given, self._of(pod))]))

    def given(self, claim: Claim) -> Given:
        """What a pod is told of one interface, as it is now."""
        return self._given(claim, self._inside(claim))

    def keep(self) -> None:
        """Remove what was for pods that hold nothing any more."""
        if self._store is not None and self._may_be_left:
            with reported("remove what pods were told"):
                pods = self._claims.pods()
                self._store.keep(pods)
                self._may_be_left = bool(pods)
            known = {claim.mark for claim in self._claims.binding()}
            self._rdma = {mark: rdma for mark, rdma in self._rdma.items() if mark in known}

    def _of(self, pod: PodSandbox) -> list[Claim]:
        """The claims of a pod and its containers whose interfaces are not on their way home."""
        return [claim for claim in self._claims.of(pod.id) if not claim.state.is_homeward]

    def _devices(self, claim: Claim) -> tuple[CharDevice, ...]:
        if not claim.setup.rdma:
            return ()
        if claim.mark not in self._rdma:
            with reported("read RDMA devices"):
                link = claim.snapshot.link
                names = tuple(device.name for device in self._kernel.attached(link).rdma)
                self._rdma[claim.mark] = Rdma(names=names, devices=self._kernel.setups.char_devices(link))
        return self._rdma.get(claim.mark, NO_RDMA).devices

    def _inside(self, claim: Claim) -> Inside | None:
        with reported("look at an interface"):
            found = locate(self._kernel, claim)
            if found.link is not None and found.netns_path is not None:
                addresses = self._kernel.pods.addresses(found.netns_path, found.link.ifindex)
                return Inside(link=found.link, addresses=addresses)
        return None

    def _given(self, claim: Claim, inside: Inside | None) -> Given:
        facts = self._kernel.host.facts()(claim.snapshot.link)
        setup = self._settler.setup_of(claim) or claim.setup
        return given_of(claim, setup, facts, inside, rdma=self._rdma.get(claim.mark, NO_RDMA))
