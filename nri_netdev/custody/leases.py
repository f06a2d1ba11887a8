"""Addresses of IPAM plugins: each ADD gets its DEL, whatever crashes in between.

That an address will be asked for is durable before the plugin is asked. So whatever may have been given is known, and
is taken back when its claim needs it no more. To take back twice, or what was never given, does no harm: CNI demands
that of DEL, and what a plugin knows a lease by is its claim's mark, which no other claim ever has.

Plugins take long, so they run beside the lane, as ways home do.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from nri_netdev.custody.ports import LeaseStore, Leasing, Returns
from nri_netdev.custody.returning import StillReturning
from nri_netdev.domain.claim import Claim
from nri_netdev.domain.setup.leases import Lease, LeaseResult
from nri_netdev.errors import (
    KernelError,
    LocalProtocolError,
    NriNetdevError,
    PluginError,
    RequestError,
    StateError,
    refusal_for,
)
from nri_netdev.faults import step
from nri_netdev.log import event

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

NETWORK = "nri-netdev"
"""CNI's name of the network of every lease. host-local gives no address of a network twice, so there is only one: two
pods' `ipam` may have ranges that overlap."""

_AGAIN_AFTER_S, _DOUBLINGS = 3.0, 7
AGAIN_AT_LATEST_S = _AGAIN_AFTER_S * (1 << _DOUBLINGS)
"""How long a plugin that did not take an address back is left alone before it is asked again: longer each time."""

_AT_ONE_TIME = 2
"""How many addresses are taken back at one time: whoever waits for one is not to wait for plugins that hang."""


@dataclass(frozen=True, slots=True)
class _Vain:
    """What a plugin did not take back."""

    tries: int
    since_s: float
    text: str


class Leases:
    """Every lease of the node. Its methods are jobs of custody.

    Args:
        ledger: where leases are kept.
        plugins: the IPAM plugins.
        returns: runs them; not what goes ways home, which would have to wait for plugins.
        monotonic_s: a clock that never goes back, in seconds.

    Raises:
        StateError: The ledger cannot be read.
    """

    def __init__(
        self, ledger: LeaseStore, plugins: Leasing, returns: Returns, monotonic_s: Callable[[], float]
    ) -> None:
        self._ledger = ledger
        self._plugins = plugins
        self._returns = returns
        self._monotonic_s = monotonic_s
        self._leases = {lease.mark: lease for lease in ledger.leases()}
        self._under_way: set[str] = set()
        """Marks of the leases whose plugin runs."""
        self._deleting: set[str] = set()
        """Those of them whose plugin is to take back."""
        self._refusals: dict[str, RequestError] = {}
        """Why an address was not obtained, by mark, until the job that waits for it has been told."""
        self._vain: dict[str, _Vain] = {}

    def get(self, mark: str) -> Lease | None:
        """The lease of a claim."""
        return self._leases.get(mark)

    @property
    def is_any(self) -> bool:
        """Whether there is a lease."""
        return bool(self._leases)

    def is_asked(self, claim: Claim) -> bool:
        """Whether the plugin of a claim has been asked already, whatever it has answered."""
        return claim.mark in self._leases or claim.mark in self._refusals

    def troubles(self) -> Mapping[str, str]:
        """What was not taken back, and why, by the marks of claims, which may be over."""
        return {mark: vain.text for mark, vain in self._vain.items()}

    def obtain(self, claim: Claim) -> LeaseResult:
        """What the plugin of a claim, `claim.setup.ipam`, has given; it is asked if that is not done yet.

        Raises:
            StillReturning: The plugin runs; to be called again when it has ended.
            RequestError: It gave nothing; in its own words. The next call asks it again.
            StateError: The ledger cannot be written; the plugin was not asked.
        """
        mark = claim.mark
        lease = self._leases.get(mark)
        if mark not in self._under_way and mark not in self._refusals and (lease is None or lease.result is None):
            self._add(claim)
            lease = self._leases.get(mark)
        if mark in self._under_way:
            raise StillReturning
        refusal = self._refusals.pop(mark, None)
        if refusal is not None:
            raise refusal
        if lease is None or lease.result is None:
            raise StillReturning
        return lease.result

    def release_unneeded(self, is_needed: Callable[[str], bool]) -> None:
        """Have every address taken back that is not needed, beside the lane; what goes wrong is tried again.

        Args:
            is_needed: whether the claim of a mark needs its address, now or later. Once it does not, it never does.
        """
        for lease in tuple(self._leases.values()):
            if len(self._deleting) >= _AT_ONE_TIME:
                return
            if lease.mark not in self._under_way and self._is_due(lease.mark) and not is_needed(lease.mark):
                self._delete(lease)

    # -- ADD -------------------------------------------------------------------------------------------------------

    def _add(self, claim: Claim) -> None:
        known = self._leases.get(claim.mark)
        lease = known or new_lease(claim)
        if known is None:
            self._keep(lease)
            step("lease.intended")
        way = partial(_give, self._plugins, lease, is_first=known is None)
        self._begin(lease, way, self._given)

    def _given(self, lease: Lease, answer: LeaseResult | PluginError | KernelError) -> None:
        self._under_way.discard(lease.mark)
        try:
            if isinstance(answer, LeaseResult):
                step("lease.added")
                self._keep(replace(lease, result=answer, refusal=""))
                step("lease.written")
                addresses = tuple(one.address for one in answer.addresses)
                event(_log, logging.INFO, "lease.obtained", **_about(lease), addresses=addresses)
                return
            self._refuse(lease, answer)
            if isinstance(answer, PluginError) and answer.command == "ADD":
                if not answer.has_run:
                    self._drop(lease.mark)
                elif answer.is_answer:
                    self._keep(replace(lease, refusal=answer.reason))
        except StateError as error:
            self._refuse(lease, error)

    def _refuse(self, lease: Lease, error: NriNetdevError) -> None:
        text = f"no address for {lease.ifname} of pod {lease.namespace}/{lease.pod}: {error}"
        self._refusals[lease.mark] = refusal_for(error, text)

    # -- DEL -------------------------------------------------------------------------------------------------------

    def _delete(self, lease: Lease) -> None:
        self._refusals.pop(lease.mark, None)
        self._deleting.add(lease.mark)
        try:
            self._begin(lease, partial(_take_back, self._plugins, lease), self._taken_back)
        except BaseException:
            self._deleting.discard(lease.mark)
            raise

    def _taken_back(self, lease: Lease, error: PluginError | KernelError | None) -> None:
        self._under_way.discard(lease.mark)
        self._deleting.discard(lease.mark)
        if error is not None:
            tries = self._keep_trying(lease, error)
            if not _is_mistaken(lease, error) or tries <= _DOUBLINGS:
                return
            event(_log, logging.WARNING, "lease.given_up", **_about(lease), reason=str(error))
        step("lease.deleted")
        try:
            self._drop(lease.mark)
        except StateError as unwritten:
            self._keep_trying(lease, unwritten)
            return
        step("lease.dropped")
        if error is None:
            event(_log, logging.INFO, "lease.released", **_about(lease))

    def _is_due(self, mark: str) -> bool:
        vain = self._vain.get(mark)
        if vain is None:
            return True
        return self._monotonic_s() - vain.since_s >= _AGAIN_AFTER_S * (1 << min(vain.tries - 1, _DOUBLINGS))

    def _keep_trying(self, lease: Lease, error: NriNetdevError) -> int:
        """Keep what goes wrong, and log it once; how often it has."""
        before = self._vain.get(lease.mark, _Vain(0, 0.0, ""))
        now = _Vain(before.tries + 1, self._monotonic_s(), str(error))
        self._vain[lease.mark] = now
        if now.text != before.text:
            event(_log, logging.WARNING, "lease.kept", **_about(lease), reason=now.text)
        return now.tries

    # -- within ----------------------------------------------------------------------------------------------------

    def _begin(self, lease: Lease, way: Callable[[], _T], then: Callable[[Lease, _T | KernelError], None]) -> None:
        self._under_way.add(lease.mark)
        try:
            self._returns.begin(way, partial(then, lease))
        except BaseException:
            self._under_way.discard(lease.mark)
            raise

    def _keep(self, lease: Lease) -> None:
        self._ledger.put_lease(lease)
        self._leases[lease.mark] = lease

    def _drop(self, mark: str) -> None:
        self._ledger.drop_lease(mark)
        self._leases.pop(mark, None)
        self._vain.pop(mark, None)


def new_lease(claim: Claim) -> Lease:
    """What is to be asked of the plugin of a claim."""
    owner, ipam = claim.owner, claim.setup.ipam
    if ipam is None:
        raise LocalProtocolError(f"no plugin gives {claim.mark} an address")
    return Lease(
        mark=claim.mark,
        plugin=ipam.type,
        document=ipam.document,
        key=os.urandom(16).hex(),
        network=NETWORK,
        ifname=claim.inside,
        netns_path=claim.netns.path,
        pod_id=owner.pod_id,
        pod_uid=owner.pod_uid,
        namespace=owner.namespace,
        pod=owner.pod,
    )


def _give(plugins: Leasing, lease: Lease, *, is_first: bool) -> LeaseResult | PluginError:
    """Ask for an address, after what an earlier ADD may have given is taken back; beside the lane."""
    try:
        if not is_first:
            plugins.delete(lease)
        return plugins.add(lease)
    except PluginError as error:
        return error


def _take_back(plugins: Leasing, lease: Lease) -> PluginError | None:
    """Have an address taken back; beside the lane."""
    try:
        plugins.delete(lease)
    except PluginError as error:
        return error
    return None


def _is_mistaken(lease: Lease, error: NriNetdevError) -> bool:
    """Whether a plugin refuses to take back in the words in which it refused to give.

    Then what it is asked is a mistake, such as `ipam` without ranges: it has given nothing, and will always refuse.
    """
    return bool(lease.refusal) and isinstance(error, PluginError) and error.is_answer and error.reason == lease.refusal


def _about(lease: Lease) -> dict[str, object]:
    """The fields of log lines about a lease."""
    return {
        "plugin": lease.plugin,
        "inside": lease.ifname,
        "pod": f"{lease.namespace}/{lease.pod}",
        "claim": lease.mark,
    }
