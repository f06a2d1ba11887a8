"""What a pod is told of an interface that it got, from the claim and from what is seen inside. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from nri_netdev.domain.claim import Claim
from nri_netdev.domain.effects import why_left_behind
from nri_netdev.domain.links import Address, Link
from nri_netdev.domain.metadata import Given
from nri_netdev.domain.policy.selectors import Facts, kind_of
from nri_netdev.domain.setup.devices import CharDevice
from nri_netdev.domain.setup.values import MAIN_TABLE, SCOPES, Setup
from nri_netdev.domain.setup.words import route_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """An interface in a pod, as it is seen there."""

    link: Link
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rdma:
    """What of RDMA a container gets with an interface."""

    names: tuple[str, ...] = ()
    """Of the devices: `mlx5_0`."""
    devices: tuple[CharDevice, ...] = ()


NO_RDMA = Rdma()


def given_of(claim: Claim, setup: Setup, facts: Facts, inside: Inside | None, *, rdma: Rdma = NO_RDMA) -> Given:
    """What a pod is told of an interface.

    Args:
        claim: the claim.
        setup: what is set on it, with what an IPAM plugin has given.
        facts: what sysfs has of it.
        inside: as it is in the pod; None before it has arrived.
        rdma: what of RDMA comes with it.
    """
    link = claim.snapshot.link
    share = setup.share
    by_hand = (setup.vf.mac if setup.vf else None) or setup.mac
    own_mac = None if share is not None else link.mac
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
        gateways=_gateways(setup),
        routes=tuple(map(route_text, setup.routes)),
        rdma=rdma.names[0] if rdma.names else None,
        rdma_devices=tuple(device.path for device in rdma.devices),
        children=tuple(child.name for child in setup.children),
        annotation=claim.key,
        entry=claim.number,
        mark=claim.mark,
    )


def _gateways(setup: Setup) -> tuple[str, ...]:
    """Those of default routes in the main table."""
    if setup.vrf is not None:
        return ()
    vias = (route.via for route in setup.routes if route.is_default and route.table in {None, MAIN_TABLE})
    return tuple(dict.fromkeys(via for via in vias if via is not None))


def _seen(inside: Inside) -> tuple[str, ...]:
    return tuple(str(address) for address in inside.addresses if address.scope < SCOPES["link"])


def _expected(claim: Claim, setup: Setup) -> tuple[str, ...]:
    """The addresses that it will have, as far as that is known before it has arrived."""
    asked = [one.address for one in setup.addresses or ()]
    kept = () if setup.replaces_addresses else claim.snapshot.addresses
    return tuple(dict.fromkeys([*asked, *(str(one) for one in kept if why_left_behind(one) is None)]))
