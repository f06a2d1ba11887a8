"""How items are put back: all at once, one by one, or as a list of objects that the kernel has.

Objects are added again as the kernel wrote them, and taken off if they were not there. An object is identified by its
payload without what the kernel computes, and with ifindex 0 for the interface, whose index may be another at home.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nri_netdev.errors import KernelError
from nri_netdev.shells.kernel.facets.facet import Change, Key, Recorded, Refusals, Site

Address = Callable[[Site, bytes], bytes]
"""Puts the interface's ifindex into a payload."""


def put_objects(
    site: Site, keys: Iterable[Key], request: tuple[int, int], address: Address, action: str = "add it"
) -> Refusals:
    """Add objects, or take them off.

    One may need another, as a route through a gateway needs the route to it: so those that the kernel refuses are tried
    again for as long as any of them succeeds.

    Args:
        site: the interface.
        keys: their payloads.
        request: `RTM_*` and `NLM_F_*`.
        address: puts the interface into a payload.
        action: for error messages.

    Returns:
        Why, for each that was refused.
    """
    kind, flags = request
    left: Sequence[bytes] = [key for key in keys if isinstance(key, bytes)]
    refusals: Refusals = {}
    while left:
        answers = site.rtnl.change_all(action, kind, [address(site, payload) for payload in left], flags)
        refusals = {left[position]: error for position, error in answers.items()}
        if len(answers) == len(left):
            break
        left = [left[position] for position in answers]
    return refusals


def putter(
    add: tuple[int, int], delete: tuple[int, int], address: Address
) -> Callable[[Site, Recorded, Change], Refusals]:
    """A facet's `put` that takes off what was not there, then adds what is missing."""

    def put(site: Site, _: Recorded, change: Change) -> Refusals:
        off = put_objects(site, change.extra, delete, address, "take it off")
        return off | put_objects(site, change.missing, add, address)

    return put


def at_once(site: Site, keys: Iterable[Key], change: Callable[[Site], object]) -> Refusals:
    """Change items that one request changes; a refusal is of all of them."""
    try:
        change(site)
    except KernelError as error:
        return dict.fromkeys(keys, error)
    return {}


def one_by_one(site: Site, keys: Iterable[Key], change: Callable[[Site, Key], object]) -> Refusals:
    """Change items that no batch can change."""
    refusals: Refusals = {}
    for key in keys:
        try:
            change(site, key)
        except KernelError as error:
            refusals[key] = error
    return refusals
