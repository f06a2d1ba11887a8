"""What a pod is told of an interface that it got, from the claim and from what is seen inside. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nri_netdev.domain.claim import Claim
from nri_netdev.domain.effects import why_left_behind
from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.metadata import Given
from nri_netdev.domain.policy.selectors import Facts, kind_of
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.domain.setup.values import Setup
from nri_netdev.domain.setup.words import route_text

_SCOPE_LINK = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """An interface in a pod, as it is seen there."""

    link: Link
    addresses: tuple[Address, ...]


def given_of(
    claim: Claim, setup: Setup, facts: Facts, inside: Inside | None, *, rdma: Sequence[CharDevice] = ()
) -> Given:
    """What a pod is told of an interface.

    Args:
        claim: the claim.
        setup: what is set on it, with what an IPAM plugin has given.
        facts: what sysfs has of it.
        inside: as it is in the pod; None before it has arrived.
        rdma: its character devices.
    """
    link = claim.snapshot.link
    share = setup.share
    by_hand = (setup.vf.mac if setup.vf else None) or setup.mac
    own_mac = None if share is not None else link.mac
    verbs = [device.path for device in rdma]
    return Given(
        ifname=claim.ifname,
        inside=claim.inside,
        kind=share.kind.value if share else (kind_of(link) or "unknown"),
        share=share.mode if share else "",
        driver=link.driver,
        mac=inside.link.mac if inside else (by_hand or own_mac),
        mtu=inside.link.mtu if inside else (setup.mtu or link.mtu),
        pci=facts.pci,
        numa_node=facts.numa_node,
        addresses=_seen(inside) if inside else _expected(claim, setup),
        gateways=tuple(dict.fromkeys(route.via for route in setup.routes if route.is_default and route.via)),
        routes=tuple(map(route_text, setup.routes)),
        rdma_devices=tuple(verbs),
        children=tuple(child.name for child in setup.children),
        annotation=claim.key,
        entry=claim.number,
        mark=claim.mark,
    )


def _seen(inside: Inside) -> tuple[str, ...]:
    return tuple(str(address) for address in inside.addresses if address.scope < _SCOPE_LINK)


def _expected(claim: Claim, setup: Setup) -> tuple[str, ...]:
    """The addresses that it will have, as far as that is known before it has arrived."""
    asked = [one.address for one in setup.addresses or ()]
    kept = () if setup.replaces_addresses else claim.snapshot.addresses
    return tuple(dict.fromkeys([*asked, *(str(one) for one in kept if why_left_behind(one) is None)]))
