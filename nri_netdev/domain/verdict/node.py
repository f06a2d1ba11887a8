"""What a verdict depends on besides the request: interfaces, holders, policy, and the pod's netns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from nri_netdev.domain.claim import Claim, Owner, State
from nri_netdev.domain.effects import AttachedOf, nothing_attached
from nri_netdev.domain.links import Inventory, Link
from nri_netdev.domain.pci import PciOf, no_pci
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.policy.selectors import FactsOf, no_facts
from nri_netdev.domain.setup.values import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An interface that somebody holds."""

    link: Link
    """As it was on the host."""
    owner: Owner
    since_s: int = 0
    """Seconds since the epoch."""
    state: State = State.PLANNED
    home_ifname: str | None = None
    """Its name at home, while that is not its own."""
    share: Share | None = None
    """What is held, if that is a device on the interface, which is at home."""

    @property
    def ifname(self) -> str:
        """Its own name on the host."""
        return self.link.ifname

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """What a claim holds."""
        return cls(
            link=claim.snapshot.link,
            owner=claim.owner,
            since_s=claim.since_s,
            state=claim.state,
            home_ifname=claim.home_ifname,
            share=claim.setup.share,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """The node at the moment of a verdict."""

    inventory: Inventory
    policy: Policy | None = None
    """None to ask only what can be given, by whatever rule."""
    held: tuple[Held, ...] = ()
    """Every interface that somebody other than the asker holds."""
    tainted: Mapping[str, Owner] = field(default_factory=dict)
    """Interfaces at home on which something of an earlier holder is left, by name."""
    restoring: Mapping[str, Owner] = field(default_factory=dict)
    """Interfaces at home that claims of earlier holders still restore, by name: nobody is given a share of them."""
    at_s: int = 0
    """The moment, in seconds since the epoch; messages say for how long an interface has been held."""
    facts_of: FactsOf = no_facts
    """Reads facts of an interface that rtnetlink does not have."""
    pci_of: PciOf = no_pci
    """Reads what is at a PCI address."""
    attached_of: AttachedOf = nothing_attached
    """Reads what is attached to an interface: for people, and where RDMA devices are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodNetns:
    """The netns that interfaces are requested for."""

    is_host: bool = False
    """The pod is on the host network."""
    names: frozenset[str] = frozenset()
    """Every name and alternative name taken in it."""
    leaving: frozenset[str] = frozenset()
    """Those of them that are of interfaces on their way home, and of devices on these."""
    processes: frozenset[str] = frozenset()
    """What the pod's processes are called, before its containers run; as far as they are in it."""
