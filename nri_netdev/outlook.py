"""What a running daemon lets others see of it: the document of `nri-netdev status`, probes, metrics.

Only reads. The servers are in `nri_netdev.shells.status`, `health` and `metrics`; the last two are started, and loaded,
only where the settings name an address.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from nri_netdev import __version__
from nri_netdev.config import Settings
from nri_netdev.domain.claim import Claim, State
from nri_netdev.logs import observed
from nri_netdev.shells import health, metrics, status
from nri_netdev.shells.address import Address
from nri_netdev.shells.metrics import CLAIMS, CONTAINERS, READY, REFUSALS, Gauges, Meters
from nri_netdev.wire.session import Configured

_TURN_S = 1.0
"""How long the loop may take to come round and still count as alive."""


class Seen(Protocol):
    """What is read of the daemon; from any thread."""

    @property
    def claims(self) -> Iterable[Claim]:
        """Every claim; none while the ledger cannot be used."""

    @property
    def is_ready(self) -> bool:
        """Whether it is registered with the engine and can give."""

    @property
    def engine(self) -> Configured | None:
        """What the engine told of itself; None while none is connected."""

    @property
    def trouble(self) -> str:
        """Why nothing can be given, or ""."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A daemon as others see it."""

    settings: Settings
    meters: Meters
    seen: Seen
    started_s: float = field(default_factory=time.time)

    def document(self) -> status.Document:
        """What `nri-netdev status --json` prints."""
        engine = self.seen.engine
        counters, _ = self.meters.read()
        refusals: Counter[str] = Counter()
        for (name, labels), count in counters.items():
            if name == REFUSALS.name:
                refusals[labels[-1]] += count
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_s": int(self.started_s),
            "ready": self.seen.is_ready,
            "trouble": self.seen.trouble,
            "socket": str(self.settings.socket),
            "engine": engine
            and {"name": engine.runtime_name, "version": engine.runtime_version, "nri": engine.nri_version},
            "containers": {
                annotated: counters.get((CONTAINERS.name, (annotated,)), 0) for annotated in ("true", "false")
            },
            "refusals": dict(sorted(refusals.items())),
            "claims": self._states(),
            "latest": [{"at_s": int(told.at_s), "event": told.name, **told.fields} for told in tuple(self.meters.told)],
        }

    def gauges(self) -> Gauges:
        """What is so at this moment, for a scrape."""
        states = self._states()
        return {
            (READY.name, ()): float(self.seen.is_ready),
            **{(CLAIMS.name, (state,)): float(states[state]) for state in State},
        }

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Be seen for as long as a block lasts.

        Raises:
            ConfigurationError: An address of the settings cannot be listened on.
        """
        loop = asyncio.get_running_loop()

        def turns() -> bool:
            turned = threading.Event()
            loop.call_soon_threadsafe(turned.set)
            return turned.wait(_TURN_S)

        def is_ready() -> bool:
            return self.seen.is_ready and turns()

        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(observed(self.meters.heard))
            await stack.enter_async_context(status.serving(self.settings.run_dir, self.document))
            if self.settings.health:
                services = {health.LIVENESS: turns, health.READINESS: is_ready, "": is_ready}
                await _hold(stack, health.serve(Address.parse(self.settings.health), services))
            if self.settings.metrics:
                address = Address.parse(self.settings.metrics)
                await _hold(stack, metrics.serve(address, self.meters, self.gauges))
            yield

    def _states(self) -> dict[str, int]:
        counted = Counter(claim.state.value for claim in self.seen.claims)
        return {state.value: counted[state.value] for state in State}


async def _hold(stack: contextlib.AsyncExitStack, server: contextlib.AbstractContextManager[Any]) -> None:
    """Enter now, leave with the stack on another thread: a server that stops waits for threads that may wait for us."""
    server.__enter__()
    stack.push_async_callback(asyncio.to_thread, server.__exit__, None, None, None)
