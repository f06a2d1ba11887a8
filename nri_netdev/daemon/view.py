"""What a running daemon lets others see of it: the document of `nri-netdev status`, probes, metrics, the stream.

Only reads. The servers are in `nri_netdev.shells.observe`; those of probes, metrics and the stream are started, and
loaded where they cost something, only where the settings name an address.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

from nri_netdev import __version__
from nri_netdev.config.settings import Settings
from nri_netdev.daemon.readiness import Able, Readiness
from nri_netdev.daemon.unread import UnreadKey
from nri_netdev.domain.address import ListenAddress
from nri_netdev.domain.claim import Claim, State
from nri_netdev.domain.links import Inventory
from nri_netdev.domain.policy.rules import Policy
from nri_netdev.domain.verdict.node import Held, NodeState
from nri_netdev.domain.verdict.pools import PoolCount, count_pools
from nri_netdev.errors import KernelError
from nri_netdev.log import event, observed
from nri_netdev.shells.kernel.rtnetlink import read_inventory
from nri_netdev.shells.kernel.sysfs import facts_reader
from nri_netdev.shells.observe import health, prometheus, status, stream
from nri_netdev.shells.observe.metrics import CLAIMS, CONTAINERS, POOL_FREE, POOL_SIZE, READY, REFUSALS, Gauges, Meters
from nri_netdev.shells.observe.probes import Probes
from nri_netdev.wire.session import Configured

_log = logging.getLogger(__name__)

_TURN_S = 1.0
"""How long the loop may take to come round and still count as alive."""

UNREAD_SHOWN = 50
"""Keys in the document."""
_POOLS_S = 10.0
"""How long a count of the pools is shown again: to read a thousand interfaces takes 20 ms of processor time."""


class DaemonView(Able, Protocol):
    """What is read of the daemon; from any thread."""

    @property
    def claims(self) -> Iterable[Claim]:
        """Every claim; none while the ledger cannot be used."""

    @property
    def policy(self) -> Policy:
        """What is in force."""

    @property
    def unread(self) -> Sequence[UnreadKey]:
        """The annotation keys that nobody reads."""

    @property
    def is_started(self) -> bool:
        """Whether it is registered with the engine, and answers it or stands by."""

    @property
    def engine(self) -> Configured | None:
        """The engine's description of itself; None while none is connected."""


class View:
    """A daemon as others see it.

    Args:
        settings: where it is shown.
        meters: what it counted.
        daemon: the daemon.
        inventory: reads the host, on a thread.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        meters: Meters,
        daemon: DaemonView,
        inventory: Callable[[], Inventory] = read_inventory,
    ) -> None:
        self.settings = settings
        self.meters = meters
        self.daemon = daemon
        self._inventory = inventory
        self._started_s = time.time()
        self._readiness = Readiness(daemon, settings.state_dir)
        self._pools: tuple[float, Policy, Mapping[str, PoolCount]] | None = None
        services = {
            health.LIVENESS: self._turns,
            health.READINESS: self._serves,
            health.STARTUP: lambda: daemon.is_started,
            "": self._serves,
        }
        self._ring = stream.EventRing()
        self._probes = tuple(Probes(address, services) for address in ListenAddress.parse_all(settings.health))

    def document(self) -> status.Document:
        """What `nri-netdev status --json` prints."""
        engine, unread = self.daemon.engine, self.daemon.unread
        is_ready, since = self._readiness.look(), self._readiness.since_s
        counters, _ = self.meters.read()
        refusals: Counter[str] = Counter()
        for (name, labels), count in counters.items():
            if name == REFUSALS.name:
                refusals[labels[-1]] += count
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_s": int(self._started_s),
            "ready": is_ready,
            "ready_since_s": since and int(since),
            "trouble": self._readiness.trouble,
            "socket": str(self.settings.socket),
            "engine": engine
            and {"name": engine.runtime_name, "version": engine.runtime_version, "nri": engine.nri_version},
            "containers": {
                annotated: counters.get((CONTAINERS.name, (annotated,)), 0) for annotated in ("true", "false")
            },
            "refusals": dict(sorted(refusals.items())),
            "claims": self._states(),
            "unread": {"count": len(unread), "keys": [asdict(one) for one in unread[-UNREAD_SHOWN:]]},
            "latest": [{"at_s": int(one.at_s), "event": one.name, **one.fields} for one in tuple(self.meters.recent)],
        }

    def gauges(self) -> Gauges:
        """What is so at this moment, for a scrape; reads the host, so not on the loop."""
        states, pools = self._states(), self._counted()
        return {
            (READY.name, ()): float(self._readiness.look()),
            **{(CLAIMS.name, (state,)): float(states[state]) for state in State if state.is_binding},
            **{(POOL_SIZE.name, (pool,)): float(count.size) for pool, count in pools.items()},
            **{(POOL_FREE.name, (pool,)): float(count.free) for pool, count in pools.items()},
        }

    def _counted(self) -> Mapping[str, PoolCount]:
        """The pools, counted not long ago; none where none are defined or the host cannot be read."""
        policy, now_s = self.daemon.policy, time.monotonic()
        if self._pools is not None and self._pools[1] is policy and now_s - self._pools[0] < _POOLS_S:
            return self._pools[2]
        counts: Mapping[str, PoolCount] = {}
        if policy.pools:
            try:
                held = tuple(map(Held.of, self.daemon.claims))
                counts = count_pools(
                    NodeState(inventory=self._inventory(), policy=policy, held=held, facts_of=facts_reader())
                )
            except KernelError as error:
                event(_log, logging.WARNING, "pools.uncounted", error=str(error))
        self._pools = (now_s, policy, counts)
        return counts

    @contextlib.asynccontextmanager
    async def probed(self) -> AsyncIterator[None]:
        """Count events, and answer probes where an address is free, while a block runs: while standing by already."""
        self._loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(observed(self.meters.count_event))
            if self.settings.events:
                stack.enter_context(observed(self._ring.note))
            for probes in self._probes:
                await stack.enter_async_context(probes.standing_by())
            yield

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Serve status, probes, metrics and stream for as long as a block lasts, within `probed`; probes end with it.

        Raises:
            ConfigurationError: An address of the settings cannot be listened on.
        """
        async with contextlib.AsyncExitStack() as stack:
            watching = asyncio.ensure_future(self._readiness.watch())
            stack.callback(watching.cancel)
            await stack.enter_async_context(status.serving(self.settings.run_dir, self.document))
            for probes in self._probes:
                probes.listen()
                stack.push_async_callback(probes.close)
            if self.settings.metrics:
                address = ListenAddress.parse(self.settings.metrics)
                await stack.enter_async_context(prometheus.serving(address, self.meters, self.gauges))
            if path := ListenAddress.parse(self.settings.events).path if self.settings.events else None:
                await stack.enter_async_context(stream.serving(path, self._ring))
            yield

    def _turns(self) -> bool:
        """Whether the loop comes round; asked on threads of the server's."""
        turned = threading.Event()
        self._loop.call_soon_threadsafe(turned.set)
        return turned.wait(_TURN_S)

    def _serves(self) -> bool:
        return self._readiness.look() and self._turns()

    def _states(self) -> dict[str, int]:
        counted = Counter(claim.state.value for claim in self.daemon.claims)
        return {state.value: counted[state.value] for state in State if state.is_binding}
